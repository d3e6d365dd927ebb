"""The example scripts in two processes give the losses, results and files of one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

import pregenerate_training_data
import scripts_worker
from examples_support import write_gpt, write_lines, write_model, write_sst2
from process_support import free_ports, run_together
from scripts_worker import PROCESSES, commands
from test_examples_run_ner import write_sentences
from test_examples_run_openai_gpt import write_stories
from test_examples_run_squad import data_file
from test_examples_run_swag import write_swag

SCRIPTS = [
    *("run_classifier", "run_squad", "run_swag", "run_ner", "run_openai_gpt"),
    *("train_gpt2", "train_transfo_xl", "finetune_on_pregenerated"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes, and then this one, have run every script."""
    folder = tmp_path_factory.mktemp("scripts")
    write_model(folder / "bert")
    write_gpt(folder / "gpt")
    write_sst2(folder / "sst2")
    unlabelled = ["index\tsentence", "0\ta good film", "1\ta bad film", "2\tthe film is dull"]
    write_lines(folder / "sst2" / "test.tsv", unlabelled)
    data_file(folder / "squad.json")
    for name in ("train.csv", "val.csv"):
        write_swag(folder / "swag" / name)
    write_sentences(folder / "words.txt")
    write_stories(folder / "stories.csv")
    sentences = ["the cat sat on the mat .", "a dog ran in the park .", "it was a good film ."]
    documents = ["\n".join(sentences[n % 3 :] + sentences[: n % 3]) for n in range(30)]
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    flags = ["--train_corpus", str(folder / "text.txt"), "--bert_model", str(folder / "bert")]
    flags += ["--output_dir", str(folder / "examples"), "--do_lower_case", "--max_seq_len", "24"]
    pregenerate_training_data.main(flags)
    run_together(scripts_worker.run, PROCESSES, str(folder), free_ports(len(SCRIPTS)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, argv in commands(folder, 1).items():
        problem = scripts_worker.call(name, [*argv, "--output_dir", str(folder / "one" / name)])
        assert not problem, problem
    torch.set_num_threads(threads)
    return folder


def losses(output: Path) -> list[float]:
    with (output / "history.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def results(output: Path) -> dict[str, float]:
    lines = (output / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_two_processes_do_what_one_does(name: str, folder: Path) -> None:
    for rank in range(PROCESSES):
        problem = (folder / f"{name}.{rank}").read_text(encoding="utf-8")
        assert not problem, f"process {rank}: {problem}"
    one, two = folder / "one" / name, folder / "two" / name
    assert len(losses(one)) > 5
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    assert sorted(path.name for path in two.iterdir()) == sorted(p.name for p in one.iterdir())
    if (one / "eval_results.txt").exists():
        assert results(two) == pytest.approx(results(one), abs=1e-4)
    for answers in ("SST-2.tsv", "predictions.json", "predictions.txt"):
        if (one / answers).exists():
            assert (two / answers).read_bytes() == (one / answers).read_bytes()


def test_only_the_first_process_prints(folder: Path) -> None:
    assert "Results in" in (folder / "printed.0").read_text(encoding="utf-8")
    assert (folder / "printed.1").read_text(encoding="utf-8") == ""
