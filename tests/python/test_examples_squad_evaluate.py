"""The official SQuAD metrics of the example scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import squad_evaluate
import squad_reader
from examples_support import question, squad_file
from squad_reader import Question


def read(*questions: dict[str, Any]) -> list[Question]:
    articles = [{"paragraphs": [{"context": "", "qas": list(questions)}]}]
    return list(squad_reader.questions_of(articles, "dev.json"))


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "f1"),
    [
        ("The cat.", "cat", 1.0, 1.0),
        ("a  CAT sat", "cat", 0.0, 2 / 3),
        ("cat cat", "cat", 0.0, 2 / 3),
        ("dog", "cat", 0.0, 0.0),
        ("state-of-the-art", "stateoftheart", 1.0, 1.0),
        ("", "", 1.0, 1.0),
        ("the", "", 1.0, 1.0),
        ("cat", "", 0.0, 0.0),
        ("", "cat", 0.0, 0.0),
    ],
)
def test_scores_of_one_answer(answer: str, gold: str, exact: float, f1: float) -> None:
    assert squad_evaluate.exact_match(answer, gold) == exact
    assert squad_evaluate.f1(answer, gold) == pytest.approx(f1)


def test_version_1_takes_the_best_of_several_answers() -> None:
    data = read(question("q1", "?", ("dog", 0), ("black cat", 0)), question("q2", "?", ("bird", 0)))
    assert squad_evaluate.evaluate(data, {"q1": "the cat", "q2": "Bird!"}) == {
        "exact_match": 50.0,
        "f1": pytest.approx(100 * (2 / 3 + 1) / 2),
    }


def test_missing_predictions_count_as_wrong(caplog: pytest.LogCaptureFixture) -> None:
    data = read(question("q1", "?", ("dog", 0)), question("q2", "?", ("bird", 0)))
    assert squad_evaluate.evaluate(data, {"q1": "dog"}) == {"exact_match": 50.0, "f1": 50.0}
    assert "1 of 2 questions have no prediction." in caplog.text


def test_answers_that_normalise_to_nothing_do_not_count() -> None:
    data = read(question("q1", "?", (".", 0), ("cat", 0)))
    assert squad_evaluate.evaluate(data, {"q1": ""})["exact_match"] == 0.0


VERSION_2 = read(
    question("has1", "?", ("cat", 0), is_impossible=False),
    question("has2", "?", ("dog", 0), is_impossible=False),
    question("no1", "?", is_impossible=True),
    question("no2", "?", is_impossible=True),
)


def test_version_2_scores_both_kinds_of_questions() -> None:
    answers = {"has1": "cat", "has2": "", "no1": "", "no2": "bird"}
    assert squad_evaluate.evaluate(VERSION_2, answers) == {
        "exact": 50.0,
        "f1": 50.0,
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": 50.0,
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }


def test_threshold_search_finds_where_to_stop_answering() -> None:
    answers = {"has1": "cat", "has2": "", "no1": "", "no2": ""}
    nbest: dict[str, Any] = {
        "has1": [{"text": "cat"}, {"text": ""}],
        "has2": [{"text": ""}, {"text": "dog bird"}],
        "no1": [{"text": ""}, {"text": "bird"}],
        "no2": [{"text": ""}, {"text": "bird"}],
    }
    odds = {"has1": -5.0, "has2": 1.0, "no1": 2.0, "no2": 3.0}
    metrics = squad_evaluate.evaluate(VERSION_2, answers, odds, nbest)
    assert metrics["exact"] == 75.0
    assert (metrics["best_exact"], metrics["best_exact_thresh"]) == (75.0, -5.0)
    assert metrics["best_f1"] == pytest.approx(100 * (3 + 2 / 3) / 4)
    assert metrics["best_f1_thresh"] == 1.0


def test_threshold_search_treats_equal_odds_alike() -> None:
    answers = {"has1": "cat", "has2": "dog", "no1": "bird", "no2": "bird"}
    odds = {"has1": 1.0, "has2": 2.0, "no1": 1.0, "no2": 2.0}
    metrics = squad_evaluate.evaluate(VERSION_2, answers, odds)
    assert metrics["exact"] == 50.0
    assert metrics["best_exact"] == 50.0
    # Answering nothing is as good as any other threshold.
    assert metrics["best_exact_thresh"] < 1.0


def test_file_without_questions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"There are no questions to score\."):
        squad_evaluate.evaluate(read(), {})


def test_command_line_prints_the_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = squad_file(tmp_path / "dev.json", [("A cat.", [question("q", "?", ("cat", 2))])])
    (tmp_path / "predictions.json").write_text('{"q": "A cat"}')
    squad_evaluate.main([str(data), str(tmp_path / "predictions.json")])
    assert json.loads(capsys.readouterr().out) == {"exact_match": 100.0, "f1": 100.0}


@pytest.mark.parametrize(
    ("name", "exact", "f1"),
    [
        ("v1.1-bert-ensemble", 86.20624408703878, 92.19557978351145),
        ("v1.1-logistic-regression", 40.14191106906339, 50.98153647324461),
    ],
)
def test_published_predictions_have_their_published_scores(
    test_data: Path, name: str, exact: float, f1: float
) -> None:
    data = squad_reader.read_questions(test_data / "squad" / "dev-v1.1.json")
    file = test_data / "squad" / "predictions" / f"{name}.json"
    answers = json.loads(file.read_text(encoding="utf-8"))
    assert squad_evaluate.evaluate(data, answers) == {"exact_match": exact, "f1": f1}
