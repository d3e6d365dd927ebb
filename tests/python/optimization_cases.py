"""The cases that the golden values of the optimizers and schedules cover, for generator and tests.

The functions take the library under test, or its module, so that both sides run the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from support import TINY_CONFIG, seed_weights, seeded_ids, seeded_values

AVERAGES = {"BertAdam": ("next_m", "next_v"), "OpenAIAdam": ("exp_avg", "exp_avg_sq")}
"""What the states of the optimizers call their averages."""
OPTIMIZERS = list(AVERAGES)


@dataclass(frozen=True)
class ScheduleCase:
    """A schedule object, evaluated at the steps 0, 1, 2, ... up to a fifth past the planned end."""

    class_name: str
    arguments: dict[str, float]

    @property
    def key(self) -> str:
        values = ",".join(f"{name}={value:g}" for name, value in self.arguments.items())
        return f"{self.class_name}({values})"

    def build(self, optimization: Any) -> Any:
        return getattr(optimization, self.class_name)(**self.arguments)

    @property
    def steps(self) -> range:
        return range(int(1.2 * max(self.arguments.get("t_total", 10), 10)) + 1)


def _schedules() -> list[ScheduleCase]:
    plain = ["ConstantLR", "WarmupConstantSchedule", "WarmupLinearSchedule", "WarmupCosineSchedule"]
    restarts = ["WarmupCosineWithHardRestartsSchedule", "WarmupCosineWithWarmupRestartsSchedule"]
    cases = []
    for name in plain + restarts:
        for warmup in (-1, 0, 0.002, 0.1, 0.3):
            cases.append(ScheduleCase(name, {"warmup": warmup, "t_total": 40}))
        cases.append(ScheduleCase(name, {"warmup": 0.1}))
        cases.append(ScheduleCase(name, {"t_total": 7}))
    for cycles in (0.25, 1.0, 2.5):
        cases.append(
            ScheduleCase("WarmupCosineSchedule", {"warmup": 0.1, "t_total": 40, "cycles": cycles})
        )
    for name in restarts:
        for cycles in (2.0, 2.5, 5.0):
            cases.append(ScheduleCase(name, {"warmup": 0.1, "t_total": 40, "cycles": cycles}))
    return cases


SCHEDULE_CASES = _schedules()


@dataclass(frozen=True)
class TrajectoryCase:
    """An optimizer on a small quadratic, `options` being its arguments."""

    class_name: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    # Takes the place of the argument `schedule`.
    schedule: ScheduleCase | None = None
    # What the second parameter's group overrides.
    second_group: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        return f"{self.class_name}/{self.name}"


STEPS = 24
_PLAN: dict[str, Any] = {"warmup": 0.2, "t_total": 20}


def _trajectories(class_name: str) -> list[TrajectoryCase]:
    case = partial(TrajectoryCase, class_name)
    cases = [case("defaults")]
    for name in (None, "none", "warmup_constant", "warmup_linear", "warmup_cosine"):
        cases.append(case(f"schedule={name}", {"schedule": name, **_PLAN}))
    objects = [
        ("WarmupCosineSchedule", {"cycles": 1.5}),
        ("WarmupCosineWithHardRestartsSchedule", {"cycles": 2.0}),
        ("WarmupCosineWithWarmupRestartsSchedule", {"cycles": 3.0}),
    ]
    for name, more in objects:
        cases.append(case(name, schedule=ScheduleCase(name, {**_PLAN, **more})))
    return [
        *cases,
        case("clipping_at_zero_is_off", {"max_grad_norm": 0}),
        case("strong_clipping", {"max_grad_norm": 0.05}),
        case("strong_decay", {"weight_decay": 0.5}),
        case("betas_and_epsilon", {"b1": 0.5, "b2": 0.9, "e": 1e-2}),
        case("zero_betas_and_epsilon", {"b1": 0.0, "b2": 0.0, "e": 0.0}),
        case(
            "two_groups",
            {"weight_decay": 0.1, **_PLAN},
            second_group={
                "lr": 0.003,
                "weight_decay": 0.0,
                "b1": 0.8,
                "b2": 0.99,
                "e": 1e-4,
                "max_grad_norm": 0.2,
            },
        ),
    ]


TRAJECTORY_CASES = [
    *_trajectories("BertAdam"),
    TrajectoryCase("BertAdam", "no_clipping", {"max_grad_norm": -1}),
    TrajectoryCase("BertAdam", "no_decay", {"weight_decay": 0.0}),
    *_trajectories("OpenAIAdam"),
    TrajectoryCase("OpenAIAdam", "clipping", {"max_grad_norm": 1.0}),
    TrajectoryCase("OpenAIAdam", "decay_by_schedule", {"weight_decay": 0.5, **_PLAN}),
    TrajectoryCase("OpenAIAdam", "decay_of_vectors", {"weight_decay": 0.5, "vector_l2": True}),
]


@dataclass
class VectorProblem:
    """0.5 * sum(curvature * (p - target)^2) for a vector and a matrix, gradients written out."""

    parameters: list[nn.Parameter]
    curvatures: list[Tensor]
    targets: list[Tensor]

    @classmethod
    def build(cls, dtype: torch.dtype) -> VectorProblem:
        def tensors(name: str) -> list[Tensor]:
            shapes = [(5,), (3, 2)]
            values = [seeded_values(f"{name}.{i}", shape) for i, shape in enumerate(shapes)]
            return [torch.from_numpy(value).to(dtype) for value in values]

        return cls(
            [nn.Parameter(tensor) for tensor in tensors("start")],
            [3 + 2 * tensor for tensor in tensors("curvature")],
            tensors("target"),
        )

    def fill_gradients(self) -> None:
        rows = zip(self.parameters, self.curvatures, self.targets, strict=True)
        for parameter, curvature, target in rows:
            parameter.grad = curvature * (parameter.detach() - target)

    def values(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters])


def build_optimizer(library: Any, case: TrajectoryCase, problem: VectorProblem) -> Any:
    options: dict[str, Any] = {"lr": 0.01, **case.options}
    if case.schedule is not None:
        options["schedule"] = case.schedule.build(library.optimization)
    groups: list[dict[str, Any]] = [{"params": [tensor]} for tensor in problem.parameters]
    groups[1].update(case.second_group or {})
    return getattr(library, case.class_name)(groups, **options)


def run_trajectory(
    library: Any, case: TrajectoryCase, dtype: torch.dtype
) -> tuple[Tensor, npt.NDArray[np.float64]]:
    """The parameters [step, value] and the rates of `get_lr` [step, parameter] after each step."""
    problem = VectorProblem.build(dtype)
    optimizer = build_optimizer(library, case, problem)
    values, rates = [], []
    for _ in range(STEPS):
        problem.fill_gradients()
        optimizer.step()
        values.append(problem.values())
        rates.append(optimizer.get_lr())
    return torch.stack(values), np.array(rates)


TRAINING_STEPS = 20
TRAINING_CONFIG = {
    **TINY_CONFIG,
    "max_position_embeddings": 16,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def training_batches() -> Iterator[dict[str, Tensor]]:
    """Four padded batches, again and again."""
    for step in range(TRAINING_STEPS):
        name = f"training.{step % 4}"
        mask = torch.ones(8, 12, dtype=torch.long)
        for row in range(8):
            mask[row, 12 - row :] = 0
        yield {
            "input_ids": seeded_ids(f"{name}.input_ids", mask.shape, 1, 99) * mask,
            "token_type_ids": seeded_ids(f"{name}.token_type_ids", mask.shape, 0, 2) * mask,
            "attention_mask": mask,
            "labels": seeded_ids(f"{name}.labels", (8,), 0, 3),
        }


def train(library: Any, optimizer_class_name: str, dtype: torch.dtype) -> list[float]:
    """The losses of a short fine-tuning without dropout, decayed and undecayed groups."""
    config = library.BertConfig.from_dict(TRAINING_CONFIG)
    model = library.BertForSequenceClassification(config, 3)
    seed_weights(model)
    model.to(dtype).train()
    decayed: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        exempt = "bias" in name or "LayerNorm.weight" in name
        (undecayed if exempt else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": 0.01},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    optimizer_class = getattr(library, optimizer_class_name)
    optimizer = optimizer_class(groups, lr=1e-3, warmup=0.1, t_total=TRAINING_STEPS)
    losses = []
    for batch in training_batches():
        loss = model(**batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses
