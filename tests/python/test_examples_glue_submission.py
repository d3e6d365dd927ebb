"""run_classifier.py: the answers to GLUE's test sets, the best epoch, and ending early."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

import glue
import glue_submission
import ptbert
import run_classifier
import training
from best_epoch import BestEpoch, TrainingEndedEarly, best_of
from examples_support import load_tokenizer, write_lines, write_model, write_sst2
from ptbert.training import TrainingLog, fit
from test_examples_run_classifier import argv, read_results

A, B = "the cat sat", "a dog ran"
# Task, test file, its header and one of its lines, the file of answers and those it may hold.
MNLI = "index promptID pairID genre parse parse parse parse sentence1 sentence2"
MNLI_LINE = f"7\t1\t1n\tfic\tp\tp\tp\tp\t{A}\t{B}"
MNLI_CLASSES = {"contradiction", "entailment", "neutral"}
ENTAILMENT = {"entailment", "not_entailment"}
LAYOUTS = [
    ("CoLA", "test.tsv", "index sentence", f"7\t{A}", "CoLA.tsv", {"0", "1"}),
    ("SST-2", "test.tsv", "index sentence", f"7\t{A}", "SST-2.tsv", {"0", "1"}),
    ("MRPC", "test.tsv", "index #1 #2 #1 #2", f"7\t11\t12\t{A}\t{B}", "MRPC.tsv", {"0", "1"}),
    ("STS-B", "test.tsv", MNLI, f"7\tg\tf\t2012\t5\ts\ts\t{A}\t{B}", "STS-B.tsv", None),
    ("QQP", "test.tsv", "id question1 question2", f"7\t{A}\t{B}", "QQP.tsv", {"0", "1"}),
    ("MNLI", "test_matched.tsv", MNLI, MNLI_LINE, "MNLI-m.tsv", MNLI_CLASSES),
    ("MNLI", "test_mismatched.tsv", MNLI, MNLI_LINE, "MNLI-mm.tsv", MNLI_CLASSES),
    ("MNLI", "diagnostic.tsv", "index s1 s2", f"7\t{A}\t{B}", "AX.tsv", MNLI_CLASSES),
    ("QNLI", "test.tsv", "index question sentence", f"7\t{A}\t{B}", "QNLI.tsv", ENTAILMENT),
    ("RTE", "test.tsv", "index sentence1 sentence2", f"7\t{A}\t{B}", "RTE.tsv", ENTAILMENT),
    ("WNLI", "test.tsv", "index sentence1 sentence2", f"7\t{A}\t{B}", "WNLI.tsv", {"0", "1"}),
]
SST2 = glue_submission.TEST_FILES["SST-2"][0]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


def read_answers(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t"))


@pytest.mark.parametrize("name", [task.name for task in glue.TASKS])
def test_every_task_is_answered_in_the_form_of_the_site(
    tmp_path: Path, model: Path, name: str
) -> None:
    """Files, first line, numbers of the examples, and the answer of the model to the texts."""
    task, data, output = glue.find_task(name), tmp_path / "data", tmp_path / "output"
    layouts = [layout for layout in LAYOUTS if layout[0] == name]
    for _, file, header, line, _, _ in layouts:
        write_lines(data / file, [header.replace(" ", "\t"), line, "8" + line[1:]])
    run_classifier.main(argv(model, data, output, "--do_predict", task=name))
    assert sorted(path.name for path in output.iterdir()) == sorted(row[4] for row in layouts)

    torch.manual_seed(42)
    bert = ptbert.BertForSequenceClassification.from_pretrained(
        str(model), num_labels=task.num_labels
    ).eval()
    example = glue.Example(A, None if task.text_b is None else B, 0)
    features = glue.make_features([example], load_tokenizer(model), max_seq_length=16)
    batch = glue.collate(features)
    inputs = (batch[name] for name in ("input_ids", "token_type_ids", "attention_mask"))
    scores = bert(*inputs)[0]
    for _, _, _, _, submission, classes in layouts:
        first, *answers = read_answers(output / submission)
        assert first == ["index", "prediction"]
        assert [index for index, _ in answers] == ["7", "8"]
        for _, answer in answers:
            if classes is None:
                expected = min(max(scores.item(), 0.0), 5.0)
                assert float(answer) == pytest.approx(expected, abs=6e-4)
            else:
                assert answer in classes
                assert answer == task.labels[scores.argmax().item()]


def test_similarities_stay_on_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "STS-B.tsv"
    values = [5.25, -0.5, 2.34567]
    glue_submission.write_submission(glue.find_task("STS-B"), path, ["4", "5", "6"], values)
    assert path.read_text() == "index\tprediction\n4\t5.000\n5\t0.000\n6\t2.346\n"


def test_diagnostic_file_may_be_missing(tmp_path: Path) -> None:
    files = glue_submission.files_to_predict(glue.find_task("MNLI"), tmp_path)
    assert [file.submission for file in files] == ["MNLI-m.tsv", "MNLI-mm.tsv"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\n\t\n\n"])
def test_test_files_may_be_written_in_many_ways(tmp_path: Path, end: str, last: str) -> None:
    text = f'\ufeffindex\tsentence\n0\t"good\n\n1\ta ""film"""{last}'.replace("\n", end)
    (tmp_path / "test.tsv").write_bytes(text.encode())
    indices, examples = glue_submission.read_test_examples(SST2, tmp_path / "test.tsv")
    assert indices == ["0", "1"]
    assert [example.text_a for example in examples] == ['"good', 'a ""film"""']


def test_first_line_that_is_an_example_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lines(tmp_path / "test.tsv", ["", "0\tgood", "1\tbad"])
    indices, examples = glue_submission.read_test_examples(SST2, path)
    assert indices == ["0", "1"]
    assert [example.text_a for example in examples] == ["good", "bad"]
    assert caplog.messages == [
        f"{path}, line 2: the names of the columns are missing; the line is an example."
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["index\tsentence"], r"holds no examples"),
        (["index\tsentence", "0\tgood", "1"], r"line 3: there must be at least 2 tab-separated"),
        (["index\tsentence", "good\t1"], r"line 2: the first column \('good'\) must be a whole"),
        (["index\tsentence", "3\tgood", "3\tbad"], r"line 3: the number 3 stands in line 2 too"),
    ],
)
def test_mistakes_in_a_test_file_are_told_before_the_training(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    data = write_sst2(tmp_path / "data")
    write_lines(data / "test.tsv", lines)
    with pytest.raises(ValueError, match=message):
        run_classifier.main(
            argv(tmp_path / "no model", data, tmp_path / "o", "--do_train", "--do_predict")
        )


class Epochs:
    """What a training does with `BestEpoch`: evaluations of these values, and saved epochs."""

    def __init__(self, values: list[float], patience: int) -> None:
        self.saved: list[int] = []
        self.log = TrainingLog()
        rest = iter(values)
        best = BestEpoch(
            2, "eval_acc", lambda: next(rest), lambda: self.saved.append(self.epoch), patience
        )
        self.ended_early = False
        try:
            for _ in range(2 * len(values)):
                self.log.losses.append(1.0)
                best(self.log)
        except TrainingEndedEarly:
            self.ended_early = True

    @property
    def epoch(self) -> int:
        return self.log.global_step // 2


@pytest.mark.parametrize(
    ("values", "patience", "saved", "last"),
    [
        ([0.5, 0.6, 0.6, 0.7, 0.1, 0.2], 0, [1, 2, 4], 6),
        ([0.5, 0.6, 0.6, 0.7, 0.1, 0.2], 1, [1, 2], 3),
        ([0.5, 0.6, 0.6, 0.7, 0.1, 0.2, 0.9], 2, [1, 2, 4], 6),
        ([math.nan, math.nan, -0.1, math.nan], 0, [1, 3], 4),
    ],
)
def test_best_epoch_is_saved_and_patience_ends(
    values: list[float], patience: int, saved: list[int], last: int
) -> None:
    epochs = Epochs(values, patience)
    assert epochs.saved == saved
    assert epochs.epoch == last
    assert epochs.ended_early == (last < len(values))
    assert [step for step, _, _ in epochs.log.metrics] == [2 * n for n in range(1, last + 1)]


def test_first_of_equals_is_best() -> None:
    assert best_of([math.nan, 0.5, 0.7, 0.7]) == 2


def test_kept_model_is_that_of_the_best_epoch(tmp_path: Path, model: Path) -> None:
    """A training that destroys the model again ends, and evaluates and saves the best one."""
    data, output = write_sst2(tmp_path / "data"), tmp_path / "output"
    flags = ["--do_train", "--do_eval", "--num_train_epochs", "8", "--early_stopping_patience", "2"]
    run_classifier.main(argv(model, data, output, "--keep_best", *flags))
    with (output / "metrics.csv").open(newline="", encoding="utf-8") as file:
        values = [float(row["value"]) for row in csv.DictReader(file)]
    results = read_results(output)
    assert float(results["acc"]) == max(values)
    assert int(results["global_step"]) < 8 * 4
    best_steps = 4 * (values.index(max(values)) + 1)
    assert int(results["global_step"]) == best_steps + 2 * 4

    # The weights are those after the best epoch.
    seen: list[dict[str, torch.Tensor]] = []
    args = run_classifier.parse_arguments(
        argv(model, data, tmp_path / "again", "--do_train", "--num_train_epochs", "8")
    )
    task = glue.find_task("SST-2")
    (tmp_path / "again").mkdir()
    bert, tokenizer = run_classifier.load(args, task)

    def remember(log: TrainingLog) -> None:
        if log.global_step == best_steps:
            seen.append({name: value.clone() for name, value in bert.state_dict().items()})

    batches = run_classifier.load_batches(args, task, tokenizer, "train.tsv")
    training.seed_training(args.seed)
    fit(
        bert,
        batches,
        lambda model, batch: glue.task_loss(
            task, training.forward(model, batch)[0], batch["labels"]
        ),
        training.options_from(args),
        after_step=remember,
    )
    saved = torch.load(output / "pytorch_model.bin", weights_only=True)
    for name, value in saved.items():
        torch.testing.assert_close(value, seen[0][name])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--do_eval", "--keep_best"], r"`--keep_best` may be given only with `--do_train`"),
        (["--do_train", "--early_stopping_patience", "1"], r"may be given only with `--keep_best`"),
        (["--do_train", "--early_stopping_patience", "-1"], r"\(-1\) must be at least 0"),
        (["--do_train", "--keep_best", "--num_train_epochs", "1.5"], r"\(1.5\) must be whole"),
        (["--do_predict"], r"`--data_dir`: there is no file .*test\.tsv"),
        (["--do_train", "--keep_best"], r"`--data_dir`: there is no file .*dev\.tsv"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, model: Path, flags: list[str], message: str) -> None:
    data = write_sst2(tmp_path / "data")
    (data / "dev.tsv").unlink()
    with pytest.raises((ValueError, OSError), match=message):
        run_classifier.main(argv(model, data, tmp_path / "output", *flags))


def test_run_that_goes_on_knows_its_best_epoch(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """Stopped after the best epoch, and gone on with: the files of a run without a break."""
    data = write_sst2(tmp_path / "data")
    flags = ["--do_train", "--do_eval", "--keep_best", "--num_train_epochs", "3"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    accuracies = [0.5, 0.9, 0.7]

    def evaluate(*args: object) -> dict[str, float]:
        return {"acc": rest.pop(0), "eval_loss": 0.0}

    def stop(*args: object) -> dict[str, float]:
        if len(rest) == 1:
            raise RuntimeError("stopped")
        return evaluate()

    rest = [*accuracies, 0.0]
    monkeypatch.setattr(run_classifier, "evaluate", evaluate)
    run_classifier.main(argv(model, data, whole, *flags))
    rest = [*accuracies]
    monkeypatch.setattr(run_classifier, "evaluate", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        run_classifier.main(argv(model, data, broken, *flags, "--save_steps", "1"))
    rest = [0.7, 0.0]
    monkeypatch.setattr(run_classifier, "evaluate", evaluate)
    run_classifier.main(argv(model, data, broken, *flags, "--save_steps", "1", "--resume"))
    assert not rest
    for name in ("metrics.csv", "history.csv"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    saved, expected = (
        torch.load(folder / "pytorch_model.bin", weights_only=True) for folder in (broken, whole)
    )
    assert all(torch.equal(saved[key], expected[key]) for key in expected)
