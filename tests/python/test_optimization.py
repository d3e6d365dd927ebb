"""The optimizers and schedules against recorded results of pytorch-pretrained-bert 0.6.2."""

from __future__ import annotations

import copy
import importlib
import io
import logging
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import ptbert
from optimization_cases import (
    AVERAGES,
    OPTIMIZERS,
    SCHEDULE_CASES,
    STEPS,
    TRAJECTORY_CASES,
    ScheduleCase,
    TrajectoryCase,
    VectorProblem,
    build_optimizer,
    run_trajectory,
    train,
)
from ptbert import BertAdam, OpenAIAdam, optimization, optimization_openai
from ptbert.optimization import WarmupConstantSchedule, WarmupLinearSchedule
from support import GOLDEN, assert_close, assert_equal

RESTARTS = ["WarmupCosineWithHardRestartsSchedule", "WarmupCosineWithWarmupRestartsSchedule"]
DECAYING = ["WarmupLinearSchedule", "WarmupCosineSchedule", *RESTARTS]
LOGGER = "ptbert.optimization"


@pytest.fixture(scope="module")
def arrays() -> dict[str, npt.NDArray[Any]]:
    with np.load(GOLDEN / "optimization.npz") as file:
        return dict(file)


def parameter_with_gradient(*values: float) -> nn.Parameter:
    parameter = nn.Parameter(torch.ones(len(values)))
    parameter.grad = torch.tensor(values)
    return parameter


# Schedules.


@pytest.mark.parametrize("case", SCHEDULE_CASES, ids=lambda case: case.key)
def test_schedule_gives_the_reference_multipliers(
    case: ScheduleCase, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    schedule = case.build(optimization)
    rates = [schedule.get_lr(step) for step in case.steps]
    np.testing.assert_allclose(rates, arrays[f"schedule/{case.key}"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", SCHEDULE_CASES, ids=lambda case: case.key)
def test_schedule_takes_progress_alone(case: ScheduleCase) -> None:
    schedule = case.build(optimization)
    if schedule.t_total < 0:
        return
    for step in case.steps:
        assert schedule.get_lr_(step / schedule.t_total) == schedule.get_lr(step)


def test_schedules_are_found_by_the_names_of_2019() -> None:
    expected = {
        None: optimization.ConstantLR,
        "none": optimization.ConstantLR,
        "warmup_constant": optimization.WarmupConstantSchedule,
        "warmup_linear": optimization.WarmupLinearSchedule,
        "warmup_cosine": optimization.WarmupCosineSchedule,
    }
    assert dict(optimization.SCHEDULES) == expected
    assert optimization_openai.SCHEDULES is optimization.SCHEDULES


@pytest.mark.parametrize("class_name", ["ConstantLR", "WarmupConstantSchedule", *DECAYING])
def test_schedule_derives_from_the_base_class_and_has_its_attributes(class_name: str) -> None:
    schedule = getattr(optimization, class_name)(warmup=0.25, t_total=10)
    assert isinstance(schedule, optimization._LRSchedule)
    assert (schedule.warmup, schedule.t_total) == (0.25, 10.0)
    assert schedule.warn_t_total is (class_name in DECAYING)


def test_schedule_warmup_of_minus_one_is_none_at_all() -> None:
    assert WarmupLinearSchedule(warmup=-1, t_total=10).warmup == 0.0
    assert WarmupLinearSchedule(warmup=-1, t_total=10).get_lr(0) == 1.0


def test_schedule_of_the_user_s_own_is_followed(optimizer_class: Any) -> None:
    class Halving(optimization._LRSchedule):
        def get_lr_(self, progress: float) -> float:
            return float(0.5**progress)

    optimizer = optimizer_class([parameter_with_gradient(1.0)], lr=1.0, schedule=Halving(0, 1))
    optimizer.step()
    assert optimizer.get_lr() == [0.5]
    optimizer.step()
    assert optimizer.get_lr() == [0.25]


def test_base_schedule_is_abstract() -> None:
    base: Any = optimization._LRSchedule
    with pytest.raises(TypeError, match="abstract"):
        base()


@pytest.mark.parametrize("warmup", [1.5, 1, -0.5])
def test_warmup_out_of_range_raises(optimizer_class: Any, warmup: float) -> None:
    message = f"`warmup` must be in [0, 1) or -1, but is {warmup}."
    with pytest.raises(ValueError) as schedule_error:
        WarmupLinearSchedule(warmup=warmup, t_total=10)
    assert str(schedule_error.value) == message
    with pytest.raises(ValueError) as optimizer_error:
        optimizer_class([parameter_with_gradient(1.0)], lr=0.1, warmup=warmup, t_total=10)
    assert str(optimizer_error.value) == message


@pytest.mark.parametrize("class_name", RESTARTS)
def test_cycles_below_one_raise(class_name: str) -> None:
    with pytest.raises(ValueError) as error:
        getattr(optimization, class_name)(warmup=0.1, t_total=10, cycles=0.5)
    assert str(error.value) == "`cycles` must be at least 1, but is 0.5."


def test_warmup_that_fills_its_cycles_raises() -> None:
    with pytest.raises(ValueError) as error:
        optimization.WarmupCosineWithWarmupRestartsSchedule(warmup=0.5, t_total=10, cycles=2.5)
    assert str(error.value) == "`warmup` (0.5) times `cycles` (2.5) must be below 1."


# Warnings.


def test_schedule_without_t_total_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        schedule = WarmupLinearSchedule(warmup=0.1)
    assert caplog.messages == ["`t_total` (-1) is negative: the schedule is not applied."]
    assert schedule.get_lr(1000) == 1.0


@pytest.mark.parametrize("class_name", DECAYING)
def test_steps_past_t_total_warn_once_per_maximum(
    class_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = getattr(optimization, class_name)(warmup=0.1, t_total=10)
    with caplog.at_level(logging.WARNING, LOGGER):
        for step in (9, 10, 11, 11, 12, 11):
            schedule.get_lr(step)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    rates = [schedule.get_lr(step, nowarn=True) for step in (11, 12)]
    assert caplog.messages == [
        f"`t_total` (10) is exceeded at step {step}: "
        f"{class_name} multiplies the learning rate by {rate:g}."
        for step, rate in zip((11, 12), rates, strict=True)
    ]


@pytest.mark.parametrize("class_name", ["ConstantLR", "WarmupConstantSchedule"])
def test_steps_past_t_total_of_a_lasting_schedule_are_silent(
    class_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = getattr(optimization, class_name)(warmup=0.1, t_total=10)
    with caplog.at_level(logging.WARNING, LOGGER):
        assert schedule.get_lr(20) == 1.0
    assert caplog.messages == []


def test_nowarn_silences_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        WarmupLinearSchedule(warmup=0.1, t_total=10).get_lr(11, nowarn=True)
    assert caplog.messages == []


@pytest.mark.parametrize(("optimizer_class", "first"), [(BertAdam, 0), (OpenAIAdam, 1)])
def test_training_past_t_total_warns_once_per_step(
    optimizer_class: Any, first: int, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = [parameter_with_gradient(1.0) for _ in range(3)]
    optimizer = optimizer_class(parameters, lr=0.1, warmup=0.5, t_total=2)
    with caplog.at_level(logging.WARNING, LOGGER):
        for _ in range(5):
            optimizer.step()
    assert [message.split(":")[0] for message in caplog.messages] == [
        f"`t_total` (2) is exceeded at step {step}" for step in range(3, 5 + first)
    ]


@pytest.mark.parametrize("options", [{"warmup": 0.1}, {"t_total": 10}])
def test_warmup_beside_a_schedule_object_warns(
    optimizer_class: Any, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    schedule = WarmupLinearSchedule(warmup=0.5, t_total=4)
    with caplog.at_level(logging.WARNING, LOGGER):
        optimizer = optimizer_class(
            [parameter_with_gradient(1.0)], lr=0.1, schedule=schedule, **options
        )
    assert caplog.messages == [
        "`warmup` and `t_total` have no effect: `schedule` is a WarmupLinearSchedule with its own."
    ]
    optimizer.step()
    assert optimizer.get_lr() == [0.05]


# Optimizers.


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("case", TRAJECTORY_CASES, ids=lambda case: case.key)
def test_trajectory_equals_the_reference(
    case: TrajectoryCase, dtype: torch.dtype, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    values, rates = run_trajectory(ptbert, case, dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    assert_close(values, arrays[f"trajectory/{case.key}/values"], atol=tolerance)
    np.testing.assert_allclose(rates, arrays[f"trajectory/{case.key}/rates"], rtol=1e-12)


@pytest.mark.parametrize("class_name", OPTIMIZERS)
def test_training_follows_the_reference_losses(
    class_name: str, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    losses = train(ptbert, class_name, torch.float32)
    np.testing.assert_allclose(losses, arrays[f"training/{class_name}/losses"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer_class", "expected"),
    [
        (BertAdam, {"e": 1e-6, "weight_decay": 0.01, "max_grad_norm": 1.0}),
        (OpenAIAdam, {"e": 1e-8, "weight_decay": 0, "vector_l2": False, "max_grad_norm": -1}),
    ],
)
def test_optimizer_is_a_torch_optimizer_with_the_options_of_2019(
    optimizer_class: Any, expected: dict[str, Any]
) -> None:
    optimizer = optimizer_class([parameter_with_gradient(1.0)], lr=0.1)
    assert isinstance(optimizer, torch.optim.Optimizer)
    (group,) = optimizer.param_groups
    assert isinstance(group["schedule"], WarmupLinearSchedule)
    options = {name: group[name] for name in optimizer.defaults if name != "schedule"}
    assert options == {"lr": 0.1, "b1": 0.9, "b2": 0.999, **expected}


def test_state_holds_step_and_averages(optimizer_class: Any) -> None:
    parameter = parameter_with_gradient(0.5, 0.25)
    optimizer = optimizer_class([parameter], lr=0.1)
    optimizer.step()
    state = optimizer.state[parameter]
    average, square = AVERAGES[optimizer_class.__name__]
    assert set(state) == {"step", average, square}
    assert state["step"] == 1
    assert_close(state[average], torch.tensor([0.05, 0.025]), atol=1e-7)
    assert_close(state[square], torch.tensor([0.00025, 0.0000625]), atol=1e-9)


def test_get_lr_is_zero_before_the_first_step(optimizer_class: Any) -> None:
    optimizer = optimizer_class(
        [parameter_with_gradient(1.0), parameter_with_gradient(1.0)], lr=0.1
    )
    assert optimizer.get_lr() == [0]


def test_get_lr_lists_the_rate_of_every_parameter(optimizer_class: Any) -> None:
    groups = [
        {"params": [parameter_with_gradient(1.0), parameter_with_gradient(1.0)]},
        {"params": [parameter_with_gradient(1.0)], "lr": 0.4},
    ]
    optimizer = optimizer_class(groups, lr=0.2, warmup=0.5, t_total=4)
    optimizer.step()
    assert optimizer.get_lr() == [0.1, 0.1, 0.2]


def test_first_step_of_a_warmup_changes_nothing() -> None:
    parameter = parameter_with_gradient(1.0, 2.0)
    BertAdam([parameter], lr=0.1, warmup=0.5, t_total=10).step()
    assert_equal(parameter.detach(), torch.ones(2))


def test_first_step_of_a_warmup_of_openai_adam_has_a_rate() -> None:
    parameter = parameter_with_gradient(1.0, 2.0)
    OpenAIAdam([parameter], lr=0.1, warmup=0.5, t_total=10).step()
    assert_close(parameter, torch.full((2,), 0.98), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vectors_decay_in_groups_that_ask_for_it(dtype: torch.dtype) -> None:
    shapes = [(), (2,), (2,), (2, 1)]
    parameters = [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    groups: list[dict[str, Any]] = [{"params": [parameter]} for parameter in parameters]
    groups[1]["vector_l2"] = True
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    OpenAIAdam(groups, lr=0.1, weight_decay=0.5).step()
    for parameter, expected in zip(parameters, [1.0, 0.95, 1.0, 0.95], strict=True):
        assert_close(parameter, torch.full_like(parameter, expected), atol=1e-6)


def test_each_gradient_is_clipped_on_its_own_in_place(optimizer_class: Any) -> None:
    long, short = parameter_with_gradient(3.0, 4.0), parameter_with_gradient(0.3, 0.4)
    optimizer_class([long, short], lr=0.1, max_grad_norm=1.0).step()
    assert long.grad is not None
    assert short.grad is not None
    assert_close(long.grad, torch.tensor([0.6, 0.8]), atol=1e-6)
    assert_equal(short.grad, torch.tensor([0.3, 0.4]))


def test_parameter_without_gradient_is_left_alone(optimizer_class: Any) -> None:
    idle, busy = nn.Parameter(torch.ones(2)), parameter_with_gradient(1.0, 1.0)
    optimizer = optimizer_class([idle, busy], lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert_equal(idle.detach(), torch.ones(2))
    assert not optimizer.state[idle]
    assert not torch.equal(busy.detach(), torch.ones(2))


def test_step_returns_what_the_closure_returns(optimizer_class: Any) -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = optimizer_class([parameter], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert_close(loss, 2.0)
    assert not torch.equal(parameter.detach(), torch.ones(2))
    assert optimizer.step() is None


def test_learning_rate_of_the_group_may_change_between_steps(optimizer_class: Any) -> None:
    parameter = parameter_with_gradient(1.0)
    optimizer = optimizer_class([parameter], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert_equal(parameter.detach(), torch.ones(1))


def two_runs(class_name: str, through_file: bool) -> tuple[torch.Tensor, torch.Tensor]:
    case = next(case for case in TRAJECTORY_CASES if case.key == f"{class_name}/two_groups")
    whole, first, second = (VectorProblem.build(torch.float32) for _ in range(3))

    def advance(optimizer: Any, problem: VectorProblem, steps: int) -> None:
        for _ in range(steps):
            problem.fill_gradients()
            optimizer.step()

    advance(build_optimizer(ptbert, case, whole), whole, STEPS)
    optimizer = build_optimizer(ptbert, case, first)
    advance(optimizer, first, STEPS // 2)
    state = optimizer.state_dict()
    if through_file:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        # The schedule object is part of the state, as it was in 2019.
        state = torch.load(file, weights_only=False)
    with torch.no_grad():
        for target, source in zip(second.parameters, first.parameters, strict=True):
            target.copy_(source)
    resumed = build_optimizer(ptbert, case, second)
    resumed.load_state_dict(state)
    advance(resumed, second, STEPS - STEPS // 2)
    return whole.values(), second.values()


@pytest.mark.parametrize("through_file", [False, True], ids=["in_memory", "through_a_file"])
@pytest.mark.parametrize("class_name", OPTIMIZERS)
def test_training_resumed_from_a_saved_state_goes_on_as_if_never_stopped(
    class_name: str, through_file: bool
) -> None:
    whole, resumed = two_runs(class_name, through_file)
    assert_equal(resumed, whole)


@pytest.mark.parametrize("class_name", ["ConstantLR", "WarmupConstantSchedule", *DECAYING])
def test_schedule_survives_copy_and_pickle(class_name: str) -> None:
    schedule = getattr(optimization, class_name)(warmup=0.1, t_total=10)
    for copied in (copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert type(copied) is type(schedule)
        assert [copied.get_lr(step) for step in range(10)] == [
            schedule.get_lr(step) for step in range(10)
        ]


def test_optimizer_survives_deepcopy(optimizer_class: Any) -> None:
    optimizer = optimizer_class([parameter_with_gradient(1.0)], lr=0.1, warmup=0.5, t_total=4)
    optimizer.step()
    assert copy.deepcopy(optimizer).state_dict()["state"] == optimizer.state_dict()["state"]


# Errors.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.5}, "`lr` must be at least 0, but is -0.5."),
        ({"b1": 1.5}, "`b1` must be in [0, 1), but is 1.5."),
        ({"b1": -0.5}, "`b1` must be in [0, 1), but is -0.5."),
        ({"b2": 1.5}, "`b2` must be in [0, 1), but is 1.5."),
        ({"b2": -0.5}, "`b2` must be in [0, 1), but is -0.5."),
        ({"e": -0.5}, "`e` must be at least 0, but is -0.5."),
        ({"weight_decay": -1}, "`weight_decay` must be at least 0, but is -1."),
        (
            {"max_grad_norm": -2.0},
            "`max_grad_norm` must be at least 0, or -1 for no clipping, but is -2.0.",
        ),
        (
            {"max_grad_norm": math.nan},
            "`max_grad_norm` must be at least 0, or -1 for no clipping, but is nan.",
        ),
        (
            {"schedule": "linear"},
            '`schedule` must be None, "none", "warmup_constant", "warmup_cosine", "warmup_linear" '
            'or an _LRSchedule, but is "linear".',
        ),
    ],
)
def test_option_out_of_range_raises(
    optimizer_class: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        optimizer_class([parameter_with_gradient(1.0)], **{"lr": 0.1, **options})
    assert str(error.value) == message


def test_unknown_argument_raises(optimizer_class: Any) -> None:
    with pytest.raises(TypeError) as error:
        optimizer_class([parameter_with_gradient(1.0)], lr=0.1, weight_decay_rate=0.01)
    name = optimizer_class.__name__
    assert str(error.value) == f"`weight_decay_rate` must be an argument of {name}, but is not."


@pytest.mark.parametrize(
    ("options", "error_type", "message"),
    [
        ({"weight_decay": -1}, ValueError, "`weight_decay` must be at least 0, but is -1."),
        ({"lr": "0.1"}, TypeError, "`lr` must be a number, but is the str '0.1'."),
    ],
)
def test_option_of_a_group_out_of_range_raises(
    optimizer_class: Any, options: dict[str, Any], error_type: type[Exception], message: str
) -> None:
    group = {"params": [parameter_with_gradient(1.0)], **options}
    with pytest.raises(error_type) as error:
        optimizer_class([group], lr=0.1)
    assert str(error.value) == message
    optimizer = optimizer_class([parameter_with_gradient(1.0)], lr=0.1)
    with pytest.raises(error_type) as error:
        optimizer.add_param_group(group)
    assert str(error.value) == message
    assert len(optimizer.param_groups) == 1


def test_no_learning_rate_at_all_raises(optimizer_class: Any) -> None:
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        optimizer_class([parameter_with_gradient(1.0)])


def test_learning_rate_of_the_groups_is_enough(optimizer_class: Any) -> None:
    parameter = parameter_with_gradient(1.0)
    optimizer = optimizer_class(
        [{"params": [parameter], "lr": 0.25}], schedule=WarmupConstantSchedule()
    )
    optimizer.step()
    assert optimizer.get_lr() == [0.25]


def test_sparse_gradient_raises(optimizer_class: Any) -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.eye(3)[0].to_sparse()
    with pytest.raises(RuntimeError) as error:
        optimizer_class([parameter], lr=0.1).step()
    assert str(error.value) == "`grad` must be dense, but is sparse; use torch.optim.SparseAdam."


# Arguments and files as they are in the wild.


def test_rates_are_those_of_parameters_that_have_had_gradients(optimizer_class: Any) -> None:
    used, unused = parameter_with_gradient(1.0), nn.Parameter(torch.ones(1))
    optimizer = optimizer_class([unused, used], lr=0.5, warmup=0.2, t_total=10)
    assert optimizer.get_lr() == [0]
    optimizer.step()
    assert optimizer.get_lr() == [pytest.approx(0.25)]
    assert unused not in optimizer.state


@pytest.mark.parametrize(
    "arguments",
    [{"lr": "5e-5"}, {"lr": None}, {"warmup": "0.1"}, {"t_total": "100"}, {"weight_decay": [0.01]}],
)
def test_arguments_that_are_no_numbers_are_refused(
    optimizer_class: Any, arguments: dict[str, Any]
) -> None:
    ((name, value),) = arguments.items()
    found = f"`{name}` must be a number, but is the {type(value).__name__} {value!r}."
    with pytest.raises(TypeError) as error:
        optimizer_class([parameter_with_gradient(1.0)], **{"lr": 1e-3, **arguments})
    assert str(error.value) == found


def test_vector_l2_that_is_no_bool_is_refused() -> None:
    message = "`vector_l2` must be a bool, but is the str 'False'."
    with pytest.raises(TypeError) as error:
        OpenAIAdam([parameter_with_gradient(1.0)], lr=1e-3, vector_l2="False")  # type: ignore[arg-type]
    assert str(error.value) == message
    group = {"params": [parameter_with_gradient(1.0)], "vector_l2": "False"}
    with pytest.raises(TypeError) as error:
        OpenAIAdam([group], lr=1e-3)
    assert str(error.value) == message


def test_training_of_no_steps_is_refused(optimizer_class: Any) -> None:
    message = r"`t_total` must be above 0, or negative for no schedule, but is 0\."
    with pytest.raises(ValueError, match=message):
        optimizer_class([parameter_with_gradient(1.0)], lr=1e-3, warmup=0.1, t_total=0)


@pytest.mark.parametrize("class_name", ["ConstantLR", "WarmupConstantSchedule", *DECAYING])
def test_state_is_read_by_torch_load_as_it_stands(optimizer_class: Any, class_name: str) -> None:
    schedule = getattr(optimization, class_name)(warmup=0.1, t_total=10)
    parameter = parameter_with_gradient(1.0, -2.0)
    optimizer = optimizer_class([parameter], lr=0.5, schedule=schedule)
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = optimizer_class([parameter], lr=0.1)
    again.load_state_dict(torch.load(file))
    assert again.get_lr() == optimizer.get_lr()


@pytest.mark.filterwarnings("ignore")  # The original calls torch in ways that are deprecated.
@pytest.mark.parametrize("class_name", OPTIMIZERS)
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours_first", "theirs_first"])
def test_state_goes_from_library_to_library(
    class_name: str, ours_first: bool, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    pytest.importorskip("pytorch_pretrained_bert")
    original: Any = importlib.import_module("pytorch_pretrained_bert")
    case = next(case for case in TRAJECTORY_CASES if case.key == f"{class_name}/two_groups")
    problem = VectorProblem.build(torch.float64)
    state = None
    for library in (ptbert, original) if ours_first else (original, ptbert):
        optimizer = build_optimizer(library, case, problem)
        if state is not None:
            optimizer.load_state_dict(state)
        for _ in range(STEPS // 2):
            problem.fill_gradients()
            optimizer.step()
        state = optimizer.state_dict()
    assert_close(problem.values(), arrays[f"trajectory/{case.key}/values"][-1], atol=1e-12)
