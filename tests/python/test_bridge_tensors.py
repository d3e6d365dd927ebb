"""Buffers and lists of parameters: changes take effect, as in plain PyTorch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ptbert import _C
from ptbert._models.transfo_xl_modules import AdaptiveEmbedding, PositionalEmbedding
from support import assert_close, assert_equal, seeded_values

Change = Callable[[Any], object]

POSITIONS = torch.arange(5.0).flip(0)
IDS = torch.tensor([[0, 3, 4, 19], [11, 10, 5, 0]])


class PlainPositions(nn.Module):
    """`PositionalEmbedding` in plain PyTorch."""

    inv_freq: Tensor

    def __init__(self, demb: int) -> None:
        super().__init__()
        self.demb = demb
        self.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0.0, demb, 2.0) / demb))

    def forward(self, pos_seq: Tensor, bsz: int | None = None) -> Tensor:
        angles = torch.outer(pos_seq, self.inv_freq)
        embeddings = torch.cat([angles.sin(), angles.cos()], -1)[:, None, :]
        return embeddings if bsz is None else embeddings.expand(-1, bsz, -1)


class PlainAdaptive(nn.Module):
    """`AdaptiveEmbedding` in plain PyTorch."""

    def __init__(
        self, n_token: int, d_embed: int, d_proj: int, cutoffs: list[int], div_val: int = 1
    ) -> None:
        super().__init__()
        self.d_proj, self.div_val = d_proj, div_val
        self.ends = [0, *cutoffs, n_token] if div_val > 1 else [0, n_token]
        sizes = [
            (end - begin, d_embed // div_val**i)
            for i, (begin, end) in enumerate(zip(self.ends[:-1], self.ends[1:], strict=True))
        ]
        self.emb_layers = nn.ModuleList(nn.Embedding(*size) for size in sizes)
        projected = div_val > 1 or d_proj != d_embed
        self.emb_projs = nn.ParameterList(
            torch.zeros(d_proj, width) for _, width in sizes if projected
        )

    def forward(self, inp: Tensor) -> Tensor:
        dtype = next(self.parameters()).dtype
        embedded = torch.zeros(*inp.shape, self.d_proj, dtype=dtype)
        for i, table in enumerate(self.emb_layers):
            inside = (inp >= self.ends[i]) & (inp < self.ends[i + 1])
            vectors = table(inp[inside] - self.ends[i])
            if i < len(self.emb_projs) and self.emb_projs[i] is not None:
                vectors = vectors @ self.emb_projs[i].t()
            embedded = embedded.index_put((inside,), vectors)
        return embedded * self.d_proj**0.5


def values(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(seeded_values(name, shape)).float()


def seeded(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(values(name, *parameter.shape))
    return module


def positions_pair() -> tuple[Any, Any]:
    return PositionalEmbedding(6), PlainPositions(6)


def adaptive_pair(div_val: int = 2) -> tuple[Any, Any]:
    arguments: Any = (20, 8, 6, [4, 11], div_val)
    return seeded(AdaptiveEmbedding(*arguments)), seeded(PlainAdaptive(*arguments))


def assert_agree(model: Any, plain: Any, *inputs: Any, tolerance: float = 1e-6) -> None:
    """Equal outputs, gradients and state dicts."""
    results = []
    for module in (model, plain):
        module.zero_grad()
        output = module(*inputs)
        if output.requires_grad:
            output.float().square().sum().backward()
        results.append(
            (output, {name: parameter.grad for name, parameter in module.named_parameters()})
        )
    (output, gradients), (expected, expected_gradients) = results
    assert output.dtype == expected.dtype
    assert_close(output, expected, tolerance)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        assert (gradients[name] is None) is (gradient is None), name
        if gradient is not None:
            assert_close(gradients[name], gradient, 20 * tolerance)
    state, expected_state = model.state_dict(), plain.state_dict()
    assert list(state) == list(expected_state)
    for name, tensor in expected_state.items():
        assert_equal(state[name], tensor)


def both(first: Change, second: Change) -> Change:
    def change(module: Any) -> None:
        first(module)
        second(module)

    return change


def delete_inv_freq(module: Any) -> None:
    del module.inv_freq


def learn_inv_freq(module: Any) -> None:
    del module.inv_freq
    module.inv_freq = nn.Parameter(values("learned", 3))


# Buffers

BUFFER_CHANGES: dict[str, Change] = {
    "replaced": lambda m: setattr(m, "inv_freq", values("inv", 3)),
    "replaced by another shape": lambda m: setattr(m, "inv_freq", values("inv", 5)),
    "changed in place": lambda m: m.inv_freq.mul_(2),
    "data assigned": lambda m: setattr(m.inv_freq, "data", values("data", 3)),
    "registered again": lambda m: m.register_buffer("inv_freq", values("again", 3)),
    "made non-persistent": lambda m: m.register_buffer(
        "inv_freq", values("temporary", 3), persistent=False
    ),
    "made a parameter": learn_inv_freq,
    "made an attribute": both(
        delete_inv_freq, lambda m: setattr(m, "inv_freq", values("plain", 3))
    ),
    "double": lambda m: m.double(),
    "half": lambda m: m.half(),
    "loaded": lambda m: m.load_state_dict({"inv_freq": values("loaded", 3)}),
    "assigned": lambda m: m.load_state_dict({"inv_freq": values("assigned", 3)}, assign=True),
    "moved to meta and back": lambda m: m.to("meta").to_empty(device="cpu").inv_freq.fill_(0.5),
    "another buffer besides": lambda m: m.register_buffer("more", torch.ones(2)),
    "parametrized": both(
        learn_inv_freq,
        lambda m: parametrize.register_parametrization(m, "inv_freq", nn.Softplus()),
    ),
}


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside another"])
@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("name", BUFFER_CHANGES)
def test_change_of_a_buffer_takes_effect(name: str, called_before: bool, inside: bool) -> None:
    model, plain = positions_pair()
    roots: Any = (nn.Sequential(model), nn.Sequential(plain)) if inside else (model, plain)
    positions = POSITIONS.half() if name == "half" else POSITIONS
    positions = POSITIONS.double() if name == "double" else positions
    if called_before:
        assert_agree(*roots, POSITIONS)
    BUFFER_CHANGES[name](model)
    BUFFER_CHANGES[name](plain)
    assert_agree(*roots, positions, tolerance=2e-3 if name == "half" else 1e-6)


def test_arguments_beside_tensors_are_passed_on() -> None:
    model, plain = positions_pair()
    assert_agree(model, plain, POSITIONS, 3)
    assert model(POSITIONS, 3).shape == (5, 3, 6)
    with pytest.raises(TypeError, match=r"`pos_seq` must be a torch\.Tensor, but is a list"):
        model([1.0, 2.0])


def test_deleted_buffer_is_named() -> None:
    model, _ = positions_pair()
    model(POSITIONS)
    del model.inv_freq
    with pytest.raises(AttributeError, match="inv_freq"):
        model(POSITIONS)


def test_functional_call_uses_the_given_buffer() -> None:
    model, plain = positions_pair()
    given = {"inv_freq": values("given", 3)}
    assert_close(
        torch.func.functional_call(model, given, (POSITIONS,)),
        torch.func.functional_call(plain, given, (POSITIONS,)),
    )
    assert_agree(model, plain, POSITIONS)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copy_has_buffers_and_lists_of_its_own(copier: Callable[[Any], Any]) -> None:
    for (model, plain), inputs in ((positions_pair(), POSITIONS), (adaptive_pair(), IDS)):
        model(inputs)
        copied = copier(model)
        assert_agree(copied, plain, inputs)
        for tensor in (*copied.buffers(), *copied.parameters()):
            tensor.detach().zero_()
        assert_agree(model, plain, inputs)


def test_non_persistent_buffer_stays_out_of_state_dicts_and_is_bound() -> None:
    model, plain = positions_pair()
    for module in (model, plain):
        module.register_buffer("inv_freq", values("temporary", 3), persistent=False)
    assert list(model.state_dict()) == []
    assert_agree(model, plain, POSITIONS)


def test_loader_fills_buffers_and_lists() -> None:
    for (model, plain), inputs in ((positions_pair(), POSITIONS), (adaptive_pair(), IDS)):
        checkpoint = {name: values(name, *t.shape) for name, t in plain.state_dict().items()}
        assert _C.load_weights(model.state_dict(), checkpoint, "bert") == ([], [])
        plain.load_state_dict(checkpoint)
        assert_agree(model, plain, inputs)


# Lists of parameters

LIST_CHANGES: dict[str, Change] = {
    "an item replaced": lambda m: m.emb_projs.__setitem__(1, nn.Parameter(values("item", 6, 4))),
    "an item of another width": both(
        lambda m: m.emb_projs.__setitem__(2, nn.Parameter(values("item", 6, 3))),
        lambda m: setattr(m.emb_layers[2], "weight", nn.Parameter(values("table", 9, 3))),
    ),
    "changed in place": lambda m: m.emb_projs[0].detach().mul_(2),
    "data assigned": lambda m: setattr(m.emb_projs[0], "data", values("data", 6, 8)),
    "the list replaced": lambda m: setattr(
        m, "emb_projs", nn.ParameterList(values(f"{n}", 6, n) for n in (8, 4, 2))
    ),
    "longer than needed": lambda m: m.emb_projs.append(nn.Parameter(values("more", 2, 2))),
    "an item frozen": lambda m: m.emb_projs[1].requires_grad_(False),
    "an attribute on the list": lambda m: setattr(m.emb_projs, "note", 1),
    "a table replaced": lambda m: m.emb_layers.__setitem__(
        1, nn.Embedding.from_pretrained(values("table", 7, 4), freeze=False)
    ),
    "a table hooked": lambda m: m.emb_layers[0].register_forward_hook(lambda *a: 2 * a[2]),
    "double": lambda m: m.double(),
    "loaded": lambda m: m.load_state_dict(
        {name: values(f"l{name}", *tensor.shape) for name, tensor in m.state_dict().items()}
    ),
    "moved to meta and back": lambda m: torch._foreach_zero_(
        [tensor.detach() for tensor in m.to("meta").to_empty(device="cpu").parameters()]
    ),
}


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("name", LIST_CHANGES)
def test_change_of_a_list_takes_effect(name: str, called_before: bool) -> None:
    model, plain = adaptive_pair()
    if called_before:
        assert_agree(model, plain, IDS)
    LIST_CHANGES[name](model)
    LIST_CHANGES[name](plain)
    assert_agree(model, plain, IDS)


@pytest.mark.parametrize(("d_proj", "projections"), [(8, 0), (6, 1)])
def test_one_table_for_all(d_proj: int, projections: int) -> None:
    model, plain = (
        seeded(AdaptiveEmbedding(20, 8, d_proj, [4, 11])),
        seeded(PlainAdaptive(20, 8, d_proj, [4, 11])),
    )
    assert len(model.emb_projs) == projections  # type: ignore[arg-type]
    assert_agree(model, plain, IDS)


def test_none_in_a_list_stands_for_no_parameter() -> None:
    model, _ = adaptive_pair(div_val=1)
    model.emb_projs = nn.ParameterList()
    model.emb_projs.append(None)
    model.d_embed = 6
    model.emb_layers[0].weight = nn.Parameter(values("table", 20, 6))
    assert_close(model(IDS), model.emb_layers[0].weight[IDS] * 6**0.5)


def test_sparse_gradients_are_those_of_the_table() -> None:
    model = AdaptiveEmbedding(20, 8, 8, [], sample_softmax=5)
    model(IDS).sum().backward()
    assert model.emb_layers[0].weight.grad.is_sparse  # type: ignore[union-attr]


class OwnParameter(nn.Parameter):
    pass


def test_list_that_the_core_cannot_follow_is_refused() -> None:
    model, _ = adaptive_pair()
    model.emb_projs = nn.ParameterList([OwnParameter(torch.zeros(8, 8))])
    with pytest.raises(TypeError) as error:
        model(IDS)
    assert str(error.value) == (
        "`emb_projs` must hold nn.Parameters by number, but holds an OwnParameter as `0`."
    )
    model.emb_projs = nn.ParameterList()
    model.emb_projs.register_parameter("own", nn.Parameter(torch.zeros(8, 8)))
    with pytest.raises(TypeError) as error:
        model(IDS)
    assert str(error.value) == (
        "`emb_projs` must hold nn.Parameters by number, but holds a Parameter as `own`."
    )
    model.emb_projs = nn.ModuleList()
    with pytest.raises(TypeError, match=r"`emb_projs` must be an nn.ParameterList, but is a Mod"):
        model(IDS)
    del model.emb_projs
    with pytest.raises(AttributeError, match=r"The model has no parameters `emb_projs`\."):
        model(IDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (10, 8, 8, [4, 4]),
            r"`cutoffs` must grow and lie between 0 and `n_token` \(10\), but",
        ),
        ((10, 8, 8, [12]), r"between 0 and `n_token` \(10\), but hold 12\."),
        (
            (10, 2, 8, [4, 6], 2),
            r"`d_embed` \(2\) must be at least `div_val` \(2\) to the power of 2, for the last "
            r"cluster\.",
        ),
        ((0, 2, 8, []), r"`n_token` must be at least 1, but is 0\."),
    ],
)
def test_adaptive_embedding_refuses_sizes(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveEmbedding(*arguments)


def test_list_of_tables_of_another_length_is_refused() -> None:
    model, _ = adaptive_pair()
    model.emb_layers.append(nn.Embedding(3, 2))
    with pytest.raises(ValueError, match=r"`emb_layers` must have a table for each of 3 clusters,"):
        model(IDS)
    del model.emb_layers[1:]
    with pytest.raises(ValueError, match=r"where `div_val` is 1, but has 1\."):
        model(IDS)


def test_refused_inputs_are_named() -> None:
    with pytest.raises(ValueError, match=r"`demb` must be even and at least 2, but is 3\."):
        PositionalEmbedding(3)
    with pytest.raises(IndexError, match=r"`inp` must be in \[0, 20\), but holds 20\."):
        adaptive_pair()[0](torch.tensor([20]))
    with pytest.raises(TypeError, match="`inp` must be of dtype int64 or int32, but is float32"):
        adaptive_pair()[0](torch.tensor([1.0]))
