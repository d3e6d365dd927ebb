"""bertology.py from the command line to its result files."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bertology
import glue
import ptbert
from examples_support import write_model, write_sst2
from ptbert.training import processes


def argv(folder: Path, *more: str) -> list[str]:
    """A short run that lower-cases."""
    start = ["--model_name_or_path", str(folder / "model"), "--data_dir", str(folder / "data")]
    start += ["--task_name", "SST-2", "--output_dir", str(folder / "output"), "--do_lower_case"]
    return [*start, "--max_seq_length", "16", "--no_cuda", *more]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model and data."""
    write_model(tmp_path / "model")
    write_sst2(tmp_path / "data")
    return tmp_path


def test_flags_have_the_defaults_of_2019() -> None:
    args = vars(bertology.parse_arguments(["--data_dir", "d", "--output_dir", "o"]))
    expected = {
        "model_name_or_path": "bert-base-cased-finetuned-mrpc",
        "task_name": "mrpc",
        "overwrite_output_dir": False,
        "data_subset": -1,
        "dont_normalize_importance_by_layer": False,
        "dont_normalize_global_importance": False,
        "try_masking": False,
        "masking_threshold": 0.9,
        "masking_amount": 0.1,
        "max_seq_length": 128,
        "batch_size": 1,
    }
    assert {name: args[name] for name in expected} == expected


@pytest.mark.parametrize("matplotlib", ["installed", "missing"])
def test_results_are_files_and_the_pruned_model_loads(
    folder: Path, matplotlib: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if matplotlib == "missing":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    else:
        pytest.importorskip("matplotlib")
    more = ["--try_masking", "--masking_amount", "0.25", "--masking_threshold", "0"]
    bertology.main(argv(folder, *more))
    output = folder / "output"
    pictures = {file.stem for file in output.glob("*.png")}
    drawn = {"attention_entropy", "head_importance", "head_mask", "masking_curve"}
    assert pictures == (drawn if matplotlib == "installed" else set())
    for name in ("attention_entropy", "head_importance", "head_mask"):
        values = np.load(output / f"{name}.npy")
        assert values.shape == (2, 4)
        with (output / f"{name}.csv").open(newline="") as file:
            rows = [[int(row["layer"]), int(row["head"])] for row in csv.DictReader(file)]
        assert rows == [[layer, head] for layer in range(2) for head in range(4)]
    importance = np.load(output / "head_importance.npy")
    assert (importance.min(), importance.max()) == (0, 1)
    with (output / "masking_curve.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    assert [row["heads masked"] for row in curve] == ["0", "2", "4", "6"]
    results = dict(
        line.split(" = ")
        for line in (output / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    )
    assert results["heads_pruned"] == "6"
    assert float(results["parameters_after"]) < float(results["parameters_before"])
    assert results["metric_after"] == curve[-1]["metric"]  # pruning equals masking
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert sum(map(len, config["pruned_heads"].values())) == 6
    ptbert.BertForSequenceClassification.from_pretrained(output)
    with pytest.raises(ValueError, match=r"already exists and is not empty"):
        bertology.main(argv(folder))


def test_batch_size_changes_nothing(folder: Path) -> None:
    found = []
    for size in ("1", "3"):
        bertology.main(argv(folder, "--batch_size", size, "--overwrite_output_dir"))
        found.append(np.load(folder / "output" / "head_importance.npy"))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("task", glue.TASKS, ids=lambda task: task.name)
def test_losses_of_every_task_are_those_of_the_training(task: glue.Task) -> None:
    logits = torch.randn(4, task.num_labels, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4) % 2
    batch = dict.fromkeys(("input_ids", "token_type_ids", "attention_mask"), labels)
    found = bertology.losses(task, lambda *_: logits, batch | {"labels": labels})
    assert found.shape == (4,)
    assert found.mean().item() == pytest.approx(glue.task_loss(task, logits, labels).item())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch_size", "0"], r"`--batch_size` \(0\) must be at least 1\."),
        (["--data_subset", "0"], r"`--data_subset` \(0\) must be at least 1\."),
        (
            ["--try_masking", "--metric_name", "f1"],
            r"`--metric_name` \(f1\) must be one of acc\.",
        ),
        (
            ["--try_masking", "--masking_threshold", "5"],
            r"`--masking_threshold` \(5\.0\) must be in \[0, 1\]\.",
        ),
        (
            ["--try_masking", "--masking_amount", "0"],
            r"`--masking_amount` \(0\.0\) must be above 0 and at most 1\.",
        ),
        (
            ["--masking_threshold", "0.8"],
            r"`--masking_threshold` \(0\.8\) has no effect without `--try_masking`: leave it out\.",
        ),
        (
            ["--masking_amount", "0.2"],
            r"`--masking_amount` \(0\.2\) has no effect without `--try_masking`: leave it out\.",
        ),
        (
            ["--metric_name", "acc"],
            r"`--metric_name` \(acc\) has no effect without `--try_masking`: leave it out\.",
        ),
    ],
)
def test_wrong_arguments(folder: Path, more: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bertology.main(argv(folder, *more))
    assert not (folder / "output").exists()  # found before the first long step


def test_the_metric_is_accuracy_or_that_of_the_task() -> None:
    found = {task.name: bertology.metric_of(task, None) for task in glue.TASKS}
    others = {"CoLA": "mcc", "STS-B": "corr"}
    assert found == {name: others.get(name, "acc") for name in found}
    assert bertology.metric_of(glue.find_task("MRPC"), "acc_and_f1") == "acc_and_f1"


def test_several_processes_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)
    message = r"^This script must run in one process, but was started in 2\.$"
    with pytest.raises(ValueError, match=message):
        bertology.main(argv(folder))
