"""`ptbert.amp`: what scripts of 2019 took from apex."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
import torch

import ptbert
from ptbert import amp
from ptbert.amp.normalization import FusedLayerNorm
from ptbert.amp.optimizers import FP16_Optimizer, FusedAdam
from support import assert_close, assert_equal
from training_cases import batches, class_loss, make_model

LEVELS = ("O0", "O1", "O2", "O3")


def train_with_amp(level: str, parts: int = 1, **options: Any) -> tuple[Any, Any, list[float]]:
    """Two epochs as a script of 2019 makes them; model, optimizer and losses."""
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    model, optimizer = amp.initialize(model, optimizer, opt_level=level, verbosity=0, **options)
    losses = []
    for number, batch in enumerate([*batches(6), *batches(6)], start=1):
        loss = class_loss(model, batch) / parts
        with amp.scale_loss(loss, optimizer) as scaled_loss:
            scaled_loss.backward()
        losses.append(loss.item() * parts)
        if number % parts == 0:
            optimizer.step()
            optimizer.zero_grad()
    return model, optimizer, losses


def plain_losses(parts: int = 1) -> list[float]:
    """The same in float32, without amp."""
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    losses = []
    for number, batch in enumerate([*batches(6), *batches(6)], start=1):
        loss = class_loss(model, batch) / parts
        loss.backward()
        losses.append(loss.item() * parts)
        if number % parts == 0:
            optimizer.step()
            optimizer.zero_grad()
    return losses


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("level", LEVELS)
def test_levels_train_as_float32_does(level: str, parts: int, one_thread: None) -> None:
    # Gradients of float16 weights would overflow with the first scale; see below.
    options = {"loss_scale": 128.0} if level == "O2" else {}
    model, _, losses = train_with_amp(level, parts, **options)
    tolerance = {"O0": 1e-6, "O1": 1e-2, "O2": 1e-2, "O3": 2e-2}[level]
    assert losses == pytest.approx(plain_losses(parts), abs=tolerance)
    half = level in ("O2", "O3")
    assert model.classifier.weight.dtype == (torch.float16 if half else torch.float32)


def test_results_are_in_float32_where_weights_are_not() -> None:
    model, _, _ = train_with_amp("O2")
    (logits,) = (model(batch["input_ids"]) for batch in batches(18))
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("level", ["O1", "O2", "O3"])
@pytest.mark.parametrize("pickled", [False, True])
def test_copies_compute_with_weights_of_their_own(level: str, pickled: bool) -> None:
    model = amp.initialize(make_model().eval(), opt_level=level, verbosity=0)
    (batch,) = batches(18)
    before = model(batch["input_ids"])
    other = pickle.loads(pickle.dumps(model)) if pickled else copy.deepcopy(model)
    assert_equal(other(batch["input_ids"]), before)
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    assert_equal(other(batch["input_ids"]), before)
    assert other(batch["input_ids"]).dtype == before.dtype


def test_forward_of_the_users_is_kept() -> None:
    model: Any = torch.nn.Linear(2, 2)
    model.forward = lambda x: x @ x
    amp.initialize(model, opt_level="O1", verbosity=0)
    assert model(torch.eye(2)).dtype == torch.float16


@pytest.mark.parametrize(("level", "delayed"), [("O1", False), ("O1", True), ("O2", True)])
def test_backward_passes_of_one_step_add_up(level: str, delayed: bool) -> None:
    gradients = []
    for parts in (1, 2):
        model = make_model()
        optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
        model, optimizer = amp.initialize(
            model, optimizer, opt_level=level, loss_scale=128.0, verbosity=0
        )
        (batch,) = batches(18)
        for index in range(parts):
            part = {name: tensor[index::parts] for name, tensor in batch.items()}
            delay = delayed and index + 1 < parts
            loss = class_loss(model, part) / parts
            with amp.scale_loss(loss, optimizer, delay_unscale=delay) as scaled:
                scaled.backward()
        gradients.append([p.grad for p in amp.master_params(optimizer) if p.grad is not None])
    for whole, summed in zip(*gradients, strict=True):
        assert whole.dtype == torch.float32
        assert_close(summed, whole, atol=2e-3 * max(1.0, float(whole.abs().max())))


@pytest.mark.parametrize("level", ["O0", "O2"])
def test_delayed_gradients_are_added_to_those_before(level: str) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    amp.initialize(model, optimizer, opt_level=level, loss_scale=128.0, verbosity=0)

    def gradient(*delays: bool) -> float:
        for delay in delays:
            loss = model(torch.ones(1, 1)).sum()
            with amp.scale_loss(loss, optimizer, delay_unscale=delay) as scaled:
                scaled.backward()
        (parameter,) = amp.master_params(optimizer)
        assert parameter.grad is not None
        return parameter.grad.item()

    assert gradient(False, True, True, False) == 4.0
    optimizer.zero_grad()
    assert gradient(True, False) == 2.0


@pytest.mark.parametrize("level", ["O1", "O2"])
def test_overflow_leaves_out_one_step(level: str) -> None:
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    model, optimizer = amp.initialize(model, optimizer, opt_level=level, verbosity=0)
    (batch,) = batches(18)
    before = copy.deepcopy(model.state_dict())
    for factor, stays in ((float("inf"), True), (1.0, False)):
        with amp.scale_loss(class_loss(model, batch) * factor, optimizer) as scaled:
            scaled.backward()
        optimizer.step()
        optimizer.zero_grad()
        now = model.state_dict()
        same = all(torch.equal(before[name], now[name]) for name in before)
        assert same == stays
    assert list(amp.state_dict().values())[-1]["loss_scale"] == 32768.0


def test_state_of_the_scales_is_saved_and_loaded() -> None:
    _, optimizer, _ = train_with_amp("O1")
    state = amp.state_dict()
    name = list(state)[-1]
    state[name] = {**state[name], "loss_scale": 8.0}
    amp.load_state_dict(state)
    with amp.scale_loss(torch.tensor(2.0), optimizer, delay_unscale=True) as scaled:
        assert scaled.item() == 16.0
    with pytest.raises(ValueError, match="`state_dict` must have the scales of"):
        amp.load_state_dict({})


def test_amp_that_is_not_enabled_does_nothing() -> None:
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    assert amp.initialize(model, optimizer, enabled=False) == (model, optimizer)
    assert amp.initialize(model, enabled=False) is model
    loss = torch.tensor(2.0)
    with amp.scale_loss(loss, optimizer) as scaled:
        assert scaled is loss


@pytest.mark.parametrize(
    ("level", "keep", "dtype"),
    [
        ("O1", True, torch.float32),
        ("O2", None, torch.float32),
        ("O2", True, torch.float32),
        ("O2", False, torch.float16),
        ("O3", None, torch.float16),
        ("O3", True, torch.float32),
    ],
)
def test_batch_normalization_is_kept_in_float32(
    level: str, keep: bool | None, dtype: torch.dtype
) -> None:
    model: Any = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model[1].running_mean.fill_(0.1)  # has no exact float16
    weights = {name: tensor.clone() for name, tensor in model[1].state_dict().items()}
    amp.initialize(model, opt_level=level, keep_batchnorm_fp32=keep, verbosity=0)
    assert model[0].weight.dtype == (torch.float32 if level == "O1" else torch.float16)
    for name in ("weight", "running_mean"):
        tensor = model[1].state_dict()[name]
        assert tensor.dtype == dtype
        assert_equal(tensor, weights[name].to(dtype))
    model(torch.randn(3, 2)).float().sum().backward()
    assert model[1].weight.grad.dtype == dtype


@pytest.mark.parametrize("several", [list, tuple])
def test_models_and_optimizers_may_be_several(several: Any) -> None:
    models = several([make_model(), make_model()])
    optimizers = several(ptbert.BertAdam(m.parameters(), lr=1e-3) for m in models)
    assert amp.initialize(models, optimizers, opt_level="O2", verbosity=0) == (models, optimizers)
    assert all(model.classifier.weight.dtype == torch.float16 for model in models)
    assert amp.initialize(models, opt_level="O1", verbosity=0) is models


def test_level_and_scale_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    with caplog.at_level(logging.INFO):
        amp.initialize(model, optimizer, opt_level="O2", loss_scale="128.0")
    assert caplog.messages[-1] == "amp: level O2, loss scale 128."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opt_level": "O4"}, "`opt_level` must be one of O0, O1, O2, O3, but is 'O4'."),
        (
            {"loss_scale": "big"},
            "`loss_scale` must be a positive number or \"dynamic\", but is 'big'.",
        ),
        ({"loss_scale": -1}, '`loss_scale` must be a positive number or "dynamic", but is -1.'),
        (
            {"keep_batchnorm_fp32": False},
            "`keep_batchnorm_fp32` must not be False at level O1, whose weights are in float32.",
        ),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    model = make_model()
    optimizer = ptbert.BertAdam(model.parameters(), lr=1e-3)
    with pytest.raises(ValueError) as error:
        amp.initialize(model, optimizer, **options)
    assert str(error.value) == message


def test_mistakes_in_use_are_refused() -> None:
    _, optimizer, _ = train_with_amp("O1")
    model = make_model()
    with pytest.raises(ValueError, match="`optimizers` must not have been initialized before"):
        amp.initialize(model, optimizer, opt_level="O2")
    assert model.classifier.weight.dtype == torch.float32
    with pytest.raises(ValueError, match="`models` must have parameters, but one has none"):
        amp.initialize([model, torch.nn.ReLU()])
    with pytest.raises(TypeError, match=r"`models` must be of class Module, .* of class int"):
        amp.initialize([model, 1])
    with pytest.raises(TypeError, match=r"`optimizers` must be of class Opt.* of class dict"):
        amp.initialize(model, {})
    forgotten = ptbert.BertAdam(model.parameters(), lr=1e-3)
    with (
        pytest.raises(RuntimeError, match=r"must be initialized by `amp\.initialize`, but one is"),
        amp.scale_loss(torch.tensor(1.0), forgotten),
    ):
        pass
    with pytest.raises(ValueError, match="`closure` must be None"):
        optimizer.step(lambda: None)
    with (
        pytest.raises(ValueError, match="`optimizers` must be one optimizer, but are 2"),
        amp.scale_loss(torch.tensor(1.0), [optimizer, optimizer]),
    ):
        pass


# FP16_Optimizer and FusedAdam, as the scripts of 2019 used them


def make_fp16(scale: float = 0.0) -> tuple[Any, FP16_Optimizer]:
    model = make_model().half()
    inner = FusedAdam(model.parameters(), lr=1e-3, bias_correction=False, max_grad_norm=1.0)
    if scale:
        return model, FP16_Optimizer(inner, static_loss_scale=scale)
    return model, FP16_Optimizer(inner, dynamic_loss_scale=True)


def steps(model: Any, optimizer: FP16_Optimizer, count: int) -> list[float]:
    """Losses of so many steps."""
    losses = []
    for batch in [*batches(6), *batches(6)][:count]:
        loss = class_loss(model, batch)
        optimizer.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("scale", [0.0, 128.0])
def test_training_in_float16_is_near_that_in_float32(scale: float) -> None:
    reference = make_model()
    inner = FusedAdam(reference.parameters(), lr=1e-3, bias_correction=False, max_grad_norm=1.0)
    expected = []
    for batch in [*batches(6), *batches(6)]:
        loss = class_loss(reference, batch)
        loss.backward()
        inner.step()
        inner.zero_grad()
        expected.append(loss.item())
    model, optimizer = make_fp16(scale)
    while steps(model, optimizer, 1) and optimizer.overflow:
        pass  # the scale is halved until gradients fit
    fitting = optimizer.loss_scale
    model, optimizer = make_fp16(fitting)
    assert steps(model, optimizer, 6) == pytest.approx(expected, abs=2e-2)
    assert optimizer.loss_scale == fitting
    assert fitting == scale or (not scale and fitting < 65536.0)
    assert model.classifier.weight.dtype == torch.float16


def test_saved_state_has_the_float32_weights() -> None:
    model, optimizer = make_fp16()
    steps(model, optimizer, 3)
    other, second = make_fp16()
    second.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for name, tensor in model.state_dict().items():
        assert_equal(other.state_dict()[name], tensor)
    assert steps(other, second, 3) == steps(model, optimizer, 3)
    for mine, theirs in zip(
        optimizer.state_dict()["master_weights"],
        second.state_dict()["master_weights"],
        strict=True,
    ):
        assert mine.dtype == torch.float32
        assert_equal(mine, theirs)


def test_overflow_is_told_and_halves_the_scale() -> None:
    model, optimizer = make_fp16()
    before = model.classifier.weight.detach().clone()
    (batch,) = batches(18)
    optimizer.backward(class_loss(model, batch) * float("inf"))
    assert optimizer.clip_master_grads(1.0) == -1.0
    optimizer.step()
    assert optimizer.overflow
    assert optimizer.loss_scale == 32768.0
    assert_equal(model.classifier.weight, before)


def test_gradients_are_clipped_together() -> None:
    model, optimizer = make_fp16(128.0)
    (batch,) = batches(18)
    optimizer.backward(class_loss(model, batch))
    norm = optimizer.clip_master_grads(0.01)
    gradients = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
    assert norm > 0.01
    total = torch.stack([g.norm() for g in gradients]).norm()
    assert total.item() == pytest.approx(0.01, rel=1e-3)


def test_first_scale_and_growth_can_be_given() -> None:
    model = make_model().half()
    inner = FusedAdam(model.parameters(), lr=1e-3)
    arguments = {"init_scale": 256, "scale_window": 2}
    optimizer = FP16_Optimizer(inner, dynamic_loss_scale=True, dynamic_loss_args=arguments)
    steps(model, optimizer, 2)
    assert optimizer.loss_scale == 512.0


@pytest.mark.parametrize("bias_correction", [False, True])
def test_fused_adam_is_adam(bias_correction: bool) -> None:
    """Beside the formula in float64, with decoupled weight decay times the rate."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(5, 3))
    p = parameter.detach().double()
    m, v = torch.zeros_like(p), torch.zeros_like(p)
    optimizer = FusedAdam(
        [parameter], lr=0.1, bias_correction=bias_correction, weight_decay=0.01, eps=1e-6
    )
    for step in range(1, 6):
        parameter.grad = torch.randn(5, 3)
        g = parameter.grad.double()
        optimizer.step()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        rate = 0.1
        if bias_correction:
            rate *= (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        p = p - rate * (m / (v.sqrt() + 1e-6) + 0.01 * p)
        assert_close(parameter, p.float(), atol=1e-6)


def test_fused_adam_clips_each_group_on_its_own() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
    groups = [{"params": parameters[:2]}, {"params": parameters[2:]}]
    optimizer = FusedAdam(groups, lr=0.1, max_grad_norm=1.0)
    for parameter, size in zip(parameters, (3.0, 4.0, 0.1), strict=True):
        parameter.grad = torch.tensor([size, 0.0, 0.0])
    optimizer.step()
    assert [p.grad[0].item() for p in parameters if p.grad is not None] == pytest.approx(
        [0.6, 0.8, 0.1], abs=1e-5
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"amsgrad": True}, RuntimeError, "`amsgrad` must be False, but is True."),
        ({"eps_inside_sqrt": True}, RuntimeError, "`eps_inside_sqrt` must be False, but is True."),
        ({"lr": -1.0}, ValueError, "`lr` must be at least 0, but is -1.0."),
        ({"max_grad_norm": -1.0}, ValueError, "`max_grad_norm` must be at least 0, but is -1.0."),
        (
            {"betas": (0.9, 1.0)},
            ValueError,
            "`betas` must be two numbers in [0, 1), but are (0.9, 1.0).",
        ),
        ({"betas": (0.9,)}, ValueError, "`betas` must be two numbers in [0, 1), but are (0.9,)."),
    ],
    ids=str,
)
def test_fused_adam_refuses_wrong_options(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        FusedAdam(make_model().parameters(), **options)
    assert str(raised.value) == message


def test_fp16_optimizer_refuses_mistakes() -> None:
    model, optimizer = make_fp16()
    with pytest.raises(ValueError, match="`closure` must be None: gradients are made by"):
        optimizer.step(lambda: None)
    with pytest.raises(ValueError, match=r"`static_loss_scale` \(0\.0\) must be positive"):
        FP16_Optimizer(optimizer.optimizer, static_loss_scale=0.0)
    with pytest.raises(ValueError, match='may have "init_scale" and "scale_window", but has "x"'):
        FP16_Optimizer(optimizer.optimizer, 1.0, True, {"x": 1})
    with pytest.raises(ValueError, match="`dynamic_loss_args` may be given only with `dynamic_los"):
        FP16_Optimizer(optimizer.optimizer, 128.0, dynamic_loss_args={"init_scale": 4})
    with pytest.raises(ValueError, match=r"`init_scale` \(0\) must be positive and finite"):
        FP16_Optimizer(optimizer.optimizer, 1.0, True, {"init_scale": 0})
    with pytest.raises(ValueError, match=r"`scale_window` \(0\) must be at least 1"):
        FP16_Optimizer(optimizer.optimizer, 1.0, True, {"scale_window": 0})
    state = optimizer.state_dict()
    state["master_weights"] = state["master_weights"][:-1]
    with pytest.raises(ValueError, match="`state_dict` must have the float32 weights of the same"):
        optimizer.load_state_dict(state)
    assert model.classifier.weight.dtype == torch.float16


def test_layer_norm_is_torchs() -> None:
    norm = FusedLayerNorm(4, eps=1e-12)
    x = torch.arange(8.0).view(2, 4)
    assert_equal(norm(x), torch.nn.functional.layer_norm(x, (4,), norm.weight, norm.bias, 1e-12))


def test_parallel_refuses_what_apex_has_not() -> None:
    with pytest.raises(TypeError, match="`bucket` must be an argument of apex's Distributed"):
        amp.parallel.DistributedDataParallel(make_model(), bucket=3)
