"""run_squad.py from the command line to its result files."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import ptbert
import run_squad
import squad
from examples_support import question, squad_file, write_model
from ptbert._training import progress

ANIMALS = ("cat", "dog", "bird")
PLACES = ("mat", "tree", "park")


def data_file(path: Path, version_2: bool = False) -> Path:
    """Sentences such as "the cat sat in the tree." that say who sat, and not who ran."""
    paragraphs = []
    for animal in ANIMALS:
        for place in PLACES:
            context = f"in the {place} the {animal} sat."
            name = f"{animal}-{place}"
            fields: dict[str, Any] = {"is_impossible": False} if version_2 else {}
            asked = [question(name, "who sat?", (animal, context.index(animal)), **fields)]
            if version_2:
                asked.append(question(f"no-{name}", "who ran?", is_impossible=True))
            paragraphs.append((context, asked))
    return squad_file(path, paragraphs)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


def argv(model: Path, output: Path, *more: object) -> list[str]:
    """A short run that lower-cases."""
    start = ["--bert_model", str(model), "--output_dir", str(output), "--do_lower_case"]
    start += ["--max_seq_length", "24", "--doc_stride", "8", "--max_query_length", "8"]
    start += ["--train_batch_size", "4", "--learning_rate", "3e-3"]
    return [*start, *(str(text) for text in more)]


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_flags_have_the_defaults_of_2019() -> None:
    args = vars(run_squad.parse_arguments(["--bert_model", "m", "--output_dir", "o"]))
    expected = {
        "train_file": None,
        "predict_file": None,
        "max_seq_length": 384,
        "doc_stride": 128,
        "max_query_length": 64,
        "do_predict": False,
        "predict_batch_size": 8,
        "n_best_size": 20,
        "max_answer_length": 30,
        "verbose_logging": False,
        "version_2_with_negative": False,
        "null_score_diff_threshold": 0.0,
    }
    assert {name: args[name] for name in expected} == expected


def test_training_improves_the_answers(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    data, output = data_file(tmp_path / "train.json"), tmp_path / "output"
    work = ["--do_train", "--train_file", data, "--do_predict", "--predict_file", data]
    run_squad.main(argv(model, output, *work, "--num_train_epochs", "16"))
    printed = capsys.readouterr()
    metrics = json.loads(printed.out)
    assert metrics["exact_match"] > 90.0
    assert metrics["f1"] > 90.0
    assert "loss=" in printed.err
    predictions = read_json(output / "predictions.json")
    assert set(predictions) == {f"{animal}-{place}" for animal in ANIMALS for place in PLACES}
    assert set(read_json(output / "nbest_predictions.json")) == set(predictions)
    assert not (output / "null_odds.json").exists()

    # The saved model gives the same answers, whatever the padding.
    again = tmp_path / "again"
    run_squad.main(
        argv(output, again, "--do_predict", "--predict_file", data, "--pad_to_max_seq_length")
    )
    assert read_json(again / "predictions.json") == predictions
    assert json.loads(capsys.readouterr().out) == metrics


def test_version_2_learns_what_has_no_answer(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = data_file(tmp_path / "train.json", version_2=True), tmp_path / "output"
    work = ["--do_train", "--train_file", data, "--do_predict", "--predict_file", data]
    run_squad.main(
        argv(model, output, *work, "--version_2_with_negative", "--num_train_epochs", "12")
    )
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["NoAns_exact"] > 90.0
    assert metrics["HasAns_exact"] > 70.0
    assert metrics["best_exact"] >= metrics["exact"]
    odds = read_json(output / "null_odds.json")
    predictions = read_json(output / "predictions.json")
    assert set(odds) == set(predictions)
    assert all((odds[name] > 0) == (predictions[name] == "") for name in odds)


def test_training_leaves_the_pooler_alone(tmp_path: Path, model: Path) -> None:
    data, output = data_file(tmp_path / "train.json"), tmp_path / "output"
    run_squad.main(argv(model, output, "--do_train", "--train_file", data))
    before = ptbert.BertModel.from_pretrained(str(model)).state_dict()
    after = ptbert.BertForQuestionAnswering.from_pretrained(str(output)).state_dict()
    changed = {name for name in before if not before[name].equal(after[f"bert.{name}"])}
    assert "encoder.layer.0.output.dense.weight" in changed
    assert not any("pooler" in name for name in changed)


def test_files_without_answers_are_answered_but_not_scored(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"id": "q", "question": "who sat?"}
    data = squad_file(tmp_path / "test.json", [("the cat sat.", [asked])])
    run_squad.main(argv(model, tmp_path / "output", "--do_predict", "--predict_file", data))
    assert list(read_json(tmp_path / "output" / "predictions.json")) == ["q"]
    assert capsys.readouterr().out == ""


def test_second_run_reads_the_cached_features(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_file(tmp_path / "dev.json")
    work = ["--do_predict", "--predict_file", data, "--feature_cache_dir", tmp_path / "cache"]
    run_squad.main(argv(model, tmp_path / "first", *work))
    monkeypatch.setattr(squad, "make_windows", None)
    run_squad.main(argv(model, tmp_path / "second", *work))
    first, second = (read_json(tmp_path / n / "predictions.json") for n in ("first", "second"))
    assert first == second


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "At least one of `--do_train` and `--do_predict` must be given."),
        (["--do_train"], "`--do_train` needs `--train_file`."),
        (["--do_predict"], "`--do_predict` needs `--predict_file`."),
        (["--do_predict", "--predict_file", "none.json"], "`--predict_file`: there is no file "),
        (["--do_train", "--train_file", __file__, "--doc_stride", "0"], "`--doc_stride` (0) must"),
        (["--do_train", "--train_file", __file__, "--n_best_size", "0"], "`--n_best_size` (0)"),
        (
            ["--do_train", "--train_file", __file__, "--null_score_diff_threshold", "nan"],
            "`--null_score_diff_threshold` (nan) must be a number.",
        ),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        run_squad.main(argv(tmp_path / "no model", tmp_path / "output", *more))
    assert str(error.value).startswith(message)


def test_mistakes_in_the_predict_file_are_told_before_training(tmp_path: Path) -> None:
    data = data_file(tmp_path / "train.json")
    wrong = squad_file(tmp_path / "dev.json", [("the cat sat.", [{"id": "q"}])])
    work = ["--do_train", "--train_file", data, "--do_predict", "--predict_file", wrong]
    with pytest.raises(ValueError, match=r"dev\.json, .* \(q\): `question` must be given"):
        run_squad.main(argv(tmp_path / "no model", tmp_path / "output", *work))


def test_files_with_some_answers_are_not_scored_with_a_note(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    asked = [question("q1", "who sat?", ("cat", 4)), {"id": "q2", "question": "who sat?"}]
    data = squad_file(tmp_path / "test.json", [("the cat sat.", asked)])
    run_squad.main(argv(model, tmp_path / "output", "--do_predict", "--predict_file", data))
    assert capsys.readouterr().out == ""
    assert "test.json: 1 of 2 questions have no `answers`: no metrics." in caplog.text


def test_sequence_must_hold_question_and_paragraph(tmp_path: Path, model: Path) -> None:
    data = data_file(tmp_path / "dev.json")
    more = ["--do_predict", "--predict_file", data, "--max_seq_length", "11"]
    with pytest.raises(ValueError, match=r"`--max_seq_length` \(11\) must be between 12 and"):
        run_squad.main(argv(model, tmp_path / "output", *more))
