"""`ptbert.training` in one process: checkpoints, resuming, 16 bits, the optimizer on the CPU."""

from __future__ import annotations

import csv
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import killed_run
import ptbert
from ptbert.training import (
    Batches,
    Checkpoints,
    HostOptimizer,
    LossScaler,
    MeanLoss,
    TrainingLog,
    TrainingOptions,
    fit,
    processes,
)
from support import assert_close, assert_equal, import_or_skip
from training_cases import batches, class_loss, make_model, run_folder, train

OPTIONS: dict[str, Any] = {"learning_rate": 1e-3, "epochs": 4.0, "save_steps": 4}


def run(
    folder: Path,
    *,
    stop_at: int | None = None,
    seed: int | None = 5,
    model: Any = None,
    new_optimizer: Any = None,
    **options: Any,
) -> tuple[Any, TrainingLog]:
    """Train with dropout, 12 steps; a signal comes in step `stop_at`."""
    model = make_model(dropout=0.1) if model is None else model
    if seed is not None:
        torch.manual_seed(seed)

    def after_step(log: TrainingLog) -> None:
        log.metrics.append((log.global_step, "steps", float(log.global_step)))
        if log.global_step == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    given = TrainingOptions(**OPTIONS | {"output_dir": folder} | options)
    log = fit(
        *(model, batches(6), class_loss, given), new_optimizer=new_optimizer, after_step=after_step
    )
    return model, log


@dataclass(frozen=True)
class Run:
    """A run that has come to its end."""

    folder: Path
    model: Any
    log: TrainingLog


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An undisturbed run, whose folder no test changes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return Run(folder, *run(folder))


def stop_and_go_on(folder: Path, **options: Any) -> tuple[Any, TrainingLog]:
    """Stops in step 6, and goes on with other weights and another state of the generators."""
    with pytest.raises(SystemExit) as stopped:
        run(folder, stop_at=6, **options)
    assert stopped.value.code == 128 + signal.SIGINT
    torch.manual_seed(99)
    return run(folder, seed=None, resume=True, **options)


def assert_same_weights(model: Any, other: Any) -> None:
    for (name, tensor), value in zip(
        model.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, value), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulation_steps": 2, "epochs": 8.0},
        {"precision": "float16"},
        {"precision": "bfloat16"},
        {"max_grad_norm": 0.5},
        {"save_steps": 0},
    ],
    ids=str,
)
def test_resumed_run_ends_as_an_undisturbed_one(tmp_path: Path, options: dict[str, Any]) -> None:
    undisturbed, log = run(tmp_path / "whole", **options)
    resumed, other = stop_and_go_on(tmp_path / "parts", **options)
    assert_same_weights(undisturbed, resumed)
    assert other == log
    for name in ("history.csv", "metrics.csv"):
        whole, parts = (tmp_path / folder / name for folder in ("whole", "parts"))
        assert parts.read_text(encoding="utf-8") == whole.read_text(encoding="utf-8")


def test_optimizer_of_torch_makes_the_steps_of_a_plain_loop(tmp_path: Path) -> None:
    """And goes on after a stop."""

    def adam_w(model: Any, steps: int = 12) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=1e-3)

    trained, _ = run(tmp_path / "whole", new_optimizer=adam_w)
    resumed, _ = stop_and_go_on(tmp_path / "parts", new_optimizer=adam_w)
    plain = make_model(dropout=0.1).train()
    optimizer = adam_w(plain)
    torch.manual_seed(5)
    for epoch in range(4):
        for batch in batches(6).of_epoch(epoch):
            class_loss(plain, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert_same_weights(plain, trained)
    assert_same_weights(plain, resumed)


def test_run_that_had_come_to_its_end_is_resumed_with_the_same_log(tmp_path: Path) -> None:
    _, log = run(tmp_path)
    _, other = run(tmp_path, resume=True)
    assert other == log
    assert other.mean_loss == log.mean_loss


@pytest.fixture
def _ctrl_c_is_heard() -> Iterator[None]:
    """Also where the tests run in the background, which begins without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_is_heard")
def test_signal_is_noted_after_the_step_and_says_how_to_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, stop_at=5, save_steps=0)
    assert "checkpoints/step-00000006.pt" in run_folder(tmp_path)
    assert "Stopped after step 6, which is in" in caplog.text
    assert "--resume goes on from there" in caplog.text
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("_ctrl_c_is_heard")
def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    def after_step(log: TrainingLog) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    options = TrainingOptions(**OPTIONS | {"output_dir": tmp_path})
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(), batches(6), class_loss, options, after_step=after_step)


def test_newest_two_checkpoints_stay(tmp_path: Path) -> None:
    run(tmp_path, save_steps=2)
    names = [name for name in run_folder(tmp_path) if name.endswith(".pt")]
    assert names == ["checkpoints/step-00000010.pt", "checkpoints/step-00000012.pt"]


def test_half_written_checkpoint_is_passed_over(tmp_path: Path, undisturbed: Run) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, stop_at=6)
    (tmp_path / "checkpoints" / "unfinished-step-00000008.pt").write_bytes(b"PK")
    resumed, _ = run(tmp_path, seed=None, resume=True)
    assert_same_weights(undisturbed.model, resumed)


def test_only_checkpoints_are_removed(tmp_path: Path) -> None:
    run(tmp_path)
    folder = tmp_path / "checkpoints"
    (folder / "unfinished-step-00000016.pt").write_bytes(b"PK")
    (folder / "notes.txt").write_text("")
    Checkpoints(tmp_path, {}).remove()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    Checkpoints(tmp_path, {}).remove()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 2e-3}, "`learning_rate` 0.001, which must be the same"),
        ({"epochs": 5.0}, "`epochs` 4.0, which must be the same to go on, but is 5.0"),
        ({"precision": "bfloat16"}, "`precision` 'float32', which must be the same"),
        ({"arguments": {"data": "b"}}, "`data` None, which must be the same to go on, but is 'b'"),
    ],
    ids=str,
)
def test_run_with_other_options_is_not_resumed(
    undisturbed: Run, options: dict[str, Any], message: str
) -> None:
    before = (undisturbed.folder / "history.csv").read_bytes()
    with pytest.raises(ValueError, match=r"step-00000012\.pt is of a run with") as error:
        run(undisturbed.folder, resume=True, **options)
    assert message in str(error.value)
    assert (undisturbed.folder / "history.csv").read_bytes() == before


def test_run_of_another_model_is_not_resumed(undisturbed: Run) -> None:
    other = make_model()
    other.classifier = torch.nn.Linear(32, 3)
    message = r"of another model: `classifier\.bias` must be of shape \[3\], but is of \[2\]"
    with pytest.raises(ValueError, match=message):
        run(undisturbed.folder, resume=True, model=other)


def test_run_of_more_processes_is_not_resumed(tmp_path: Path, undisturbed: Run) -> None:
    name = "checkpoints/step-00000012.pt"
    state = torch.load(undisturbed.folder / name, weights_only=True)
    state["processes"] *= 2
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / name)
    with pytest.raises(ValueError, match="run with 2 processes, which must be as many to go on"):
        run(tmp_path, resume=True)


def test_nothing_to_resume_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`resume`: there is no checkpoint in"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0.0}, "`epochs` (0.0) must be positive and finite."),
        ({"epochs": float("inf")}, "`epochs` (inf) must be positive and finite."),
        (
            {"accumulation_steps": 0},
            "`accumulation_steps` (0) must be a whole number of at least 1.",
        ),
        (
            {"accumulation_steps": 1.5},
            "`accumulation_steps` (1.5) must be a whole number of at least 1.",
        ),
        ({"save_steps": -1}, "`save_steps` (-1) must be a whole number of at least 0."),
        ({"max_grad_norm": -1.0}, "`max_grad_norm` (-1.0) must be at least 0."),
        ({"max_grad_norm": float("nan")}, "`max_grad_norm` (nan) must be at least 0."),
        (
            {"precision": "fp16"},
            '`precision` (fp16) must be "float32", "bfloat16" or "float16".',
        ),
        (
            {"loss_scale": 128.0},
            '`loss_scale` (128.0) must be left out unless `precision` is "float16".',
        ),
        (
            {"precision": "float16", "loss_scale": -1.0},
            "`loss_scale` (-1.0) must be positive and finite, or 0 for a dynamic scale.",
        ),
        (
            {"shard": True, "optimize_on_cpu": True},
            "`optimize_on_cpu` (True) must be False with `shard`, which cuts the averages among "
            "the processes.",
        ),
        (
            {"resume": True},
            "`output_dir` (None) must be given to save checkpoints, to resume or to log.",
        ),
        (
            {"log_dir": Path("board")},
            "`output_dir` (None) must be given to save checkpoints, to resume or to log.",
        ),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        TrainingOptions(**options)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"exclude": "poler"},
            "`exclude` (poler) must be in the name of a parameter, but is in none.",
        ),
        (
            {"exclude": "pooler", "new_optimizer": lambda model, steps: None},
            "`exclude` (pooler) must be left out with `new_optimizer`, which chooses what is "
            "trained.",
        ),
    ],
    ids=["no parameter", "other optimizer"],
)
def test_exclude_without_effect_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        fit(make_model(), batches(6), class_loss, TrainingOptions(), **options)
    assert str(error.value) == message


def test_parts_need_processes() -> None:
    with pytest.raises(ValueError, match="`shard` must be used with several processes"):
        train("rows", shard=True)


MASTER = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("local_rank", "environment", "message"),
    [
        (-2, {}, r"`local_rank` \(-2\) must be at least 0, or -1 for one process"),
        (
            -1,
            {"LOCAL_RANK": "-2"},
            r"`local_rank` \(-2\) must be at least 0, or -1 for one process",
        ),
        (-1, {"LOCAL_RANK": "x"}, r"`LOCAL_RANK` \(x\) must be a whole number"),
        (0, {"RANK": "0"}, "WORLD_SIZE, MASTER_ADDR, MASTER_PORT is not; start the processes by"),
        (
            0,
            {**MASTER, "RANK": "0", "WORLD_SIZE": "x"},
            r"`WORLD_SIZE` \(x\) must be a whole number",
        ),
        (
            0,
            {**MASTER, "RANK": "5", "WORLD_SIZE": "2"},
            r"`RANK` \(5\) must be at least 0 and below `WORLD_SIZE` \(2\)",
        ),
    ],
)
def test_processes_are_started_by_a_launcher(
    monkeypatch: pytest.MonkeyPatch, local_rank: int, environment: dict[str, str], message: str
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        processes.start(local_rank, no_cuda=True)


def test_time_to_wait_is_positive() -> None:
    with pytest.raises(ValueError, match=r"`timeout_s` \(0\) must be positive"):
        processes.start(timeout_s=0)


def test_one_process_is_first_and_alone() -> None:
    assert processes.start(no_cuda=True) == torch.device("cpu")
    assert (processes.rank(), processes.count(), processes.is_first()) == (0, 1, True)
    assert processes.gather("a") == ["a"]
    assert processes.total([1.0, 2.0]) == [1.0, 2.0]


def test_history_has_a_row_for_each_step(undisturbed: Run) -> None:
    with (undisturbed.folder / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [int(row["epoch"]) for row in rows] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert [float(row["loss"]) for row in rows] == undisturbed.log.losses
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[-1] == pytest.approx(0.0)
    assert max(rates) == pytest.approx(1e-3, rel=0.1)


def test_results_before_an_early_end_are_noted(tmp_path: Path) -> None:
    def after_step(log: TrainingLog) -> None:
        log.metrics.append((log.global_step, "accuracy", 0.5))
        raise StopIteration

    options = TrainingOptions(output_dir=tmp_path)
    with pytest.raises(StopIteration):
        fit(make_model(), batches(6), class_loss, options, after_step=after_step)
    assert (tmp_path / "metrics.csv").read_text() == "step,metric,value\n1,accuracy,0.5\n"


def test_new_run_writes_over_an_old_history(tmp_path: Path, undisturbed: Run) -> None:
    history = tmp_path / "history.csv"
    history.write_bytes((undisturbed.folder / "history.csv").read_bytes())
    run(tmp_path)
    assert history.read_bytes() == (undisturbed.folder / "history.csv").read_bytes()


def test_tensorboard_gets_losses_and_metrics(tmp_path: Path) -> None:
    reader = import_or_skip("tensorboard.backend.event_processing.event_accumulator")
    _, log = run(tmp_path / "run", log_dir=tmp_path / "board")
    events = reader.EventAccumulator(str(tmp_path / "board")).Reload()
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(log.losses)
    assert [event.step for event in events.Scalars("steps")] == list(range(1, 13))


def test_tensorboard_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="`log_dir` needs TensorBoard: pip install tensorboard"):
        TrainingOptions(output_dir=tmp_path, log_dir=tmp_path)


def test_means_over_other_items_are_added() -> None:
    def loss(model: Any, batch: Any) -> list[MeanLoss]:
        half = class_loss(model, batch) / 2
        return [MeanLoss(half, 3), MeanLoss(half, 100)]

    models = make_model(), make_model()
    options = TrainingOptions(learning_rate=1e-3, epochs=1.0)
    first = fit(models[0], batches(6), class_loss, options)
    second = fit(models[1], batches(6), loss, options)
    assert second.losses == pytest.approx(first.losses, abs=1e-6)


def test_order_of_an_epoch_depends_on_its_number_only() -> None:
    def ids(source: Batches[Any], epoch: int, first: int = 0) -> list[Any]:
        return [batch["input_ids"].tolist() for batch in source.of_epoch(epoch, first)]

    shuffled = batches(4)
    epochs = [ids(shuffled, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert ids(batches(4), 2) == epochs[2]
    assert ids(shuffled, 0) == epochs[0]
    assert ids(shuffled, 1, 3) == epochs[1][3:]
    assert [batch["input_ids"].tolist() for batch in batches(4)] == epochs[0]


# 16 bits


@pytest.mark.parametrize(("precision", "atol"), [("float16", 5e-3), ("bfloat16", 4e-2)])
def test_losses_in_16_bits_are_near_those_in_32(precision: str, atol: float) -> None:
    _, expected = train("rows", epochs=8.0)
    _, log = train("rows", epochs=8.0, precision=precision)
    assert log.losses != expected.losses
    assert log.losses == pytest.approx(expected.losses, abs=atol)


@pytest.mark.parametrize("has_instructions", [False, True])
def test_processor_without_bfloat16_is_told(
    has_instructions: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_instructions})
    train("rows", epochs=1.0, precision="bfloat16")
    told = "This processor has no bfloat16 instructions: float32 is faster here." in caplog.messages
    assert told != has_instructions


def overflowing(at: int) -> Callable[[Any, Any], torch.Tensor]:
    """A loss whose gradients are infinite in one of its calls."""
    calls = 0

    def loss(model: Any, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return class_loss(model, batch) * (float("inf") if calls == at else 1.0)

    return loss


def test_step_with_overflow_is_left_out_and_the_scale_halved(tmp_path: Path) -> None:
    model = make_model()
    weights: list[torch.Tensor] = []

    def after_step(log: TrainingLog) -> None:
        weights.append(model.classifier.weight.detach().clone())

    options = TrainingOptions(epochs=2.0, precision="float16", output_dir=tmp_path)
    fit(model, batches(6), overflowing(4), options, after_step=after_step)
    stays = [torch.equal(before, after) for before, after in itertools.pairwise(weights)]
    assert stays == [False, False, True, False, False]
    with (tmp_path / "history.csv").open(newline="", encoding="utf-8") as file:
        scales = [float(row["loss_scale"]) for row in csv.DictReader(file)]
    assert scales == [65536.0] * 4 + [32768.0] * 2


def test_dynamic_scale_grows_after_2000_good_steps() -> None:
    scaler = LossScaler()
    for _ in range(1999):
        scaler.update(True)
    assert scaler.loss_scale == 65536.0
    scaler.update(True)
    assert scaler.loss_scale == 131072.0
    scaler.update(False)
    assert (scaler.loss_scale, scaler.good_steps) == (65536.0, 0)
    other = LossScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


def test_static_scale_stays() -> None:
    scaler = LossScaler(128)
    scaler.update(False)
    for _ in range(2001):
        scaler.update(True)
    assert scaler.loss_scale == 128


@pytest.mark.parametrize("scale", [-1.0, float("inf"), float("nan")])
def test_wrong_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"`loss_scale` \(.*\) must be positive and finite, or 0"):
        LossScaler(scale)


# The optimizer in the memory of the CPU


def test_model_on_the_cpu_needs_no_optimizer_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        _, log = train("rows", epochs=1.0, optimize_on_cpu=True)
    assert "`optimize_on_cpu` changes nothing: the model is on the CPU as well." in caplog.messages
    assert log.losses == train("rows", epochs=1.0)[1].losses


def test_optimizer_on_the_cpu_makes_the_same_steps() -> None:
    plain, hosted = make_model(), make_model()
    optimizers: list[Any] = [
        ptbert.BertAdam(plain.parameters(), lr=1e-3),
        HostOptimizer(hosted, lambda copy: ptbert.BertAdam(copy.parameters(), lr=1e-3)),
    ]
    for batch in batches(6):
        for model, optimizer in zip((plain, hosted), optimizers, strict=True):
            class_loss(model, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert_same_weights(plain, hosted)
    assert optimizers[1].get_lr() == optimizers[0].get_lr()


def test_optimizer_on_the_cpu_keeps_more_bits_than_the_model() -> None:
    """Steps too small for bfloat16 add up, also over a saved state."""
    model = torch.nn.Linear(4, 4).bfloat16()
    copied = torch.nn.Linear(4, 4).bfloat16()
    with torch.no_grad():
        model.weight.fill_(1.0)

    def new_optimizer(copy: torch.nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(copy.parameters(), lr=1e-3)

    first = HostOptimizer(model, new_optimizer)
    for _ in range(5):
        model.weight.grad = torch.ones_like(model.weight)
        first.step()
    copied.load_state_dict(model.state_dict())
    second = HostOptimizer(copied, new_optimizer)
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        copied.weight.grad = torch.ones_like(copied.weight)
        second.step()
    assert_close(second.state_dict()["copies"]["weight"], torch.full((4, 4), 0.99), atol=1e-6)
    assert_equal(copied.weight, torch.full((4, 4), 0.99).bfloat16())


def test_run_that_is_killed_goes_on(tmp_path: Path, one_thread: None) -> None:
    """At any moment; tests/slow/killed_runs.py does it 20 times."""
    killed_run.run(tmp_path / "whole", steps=30)
    assert killed_run.run_and_kill(tmp_path / "parts", steps=30, kills=2, seed=1) == 2
    expected, weights = (
        torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "parts")
    )
    assert all(torch.equal(expected[name], weights[name]) for name in expected)
