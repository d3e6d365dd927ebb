"""Score answers to SQuAD questions by exact match and F1, as the official scripts do."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arguments
import inputs
from squad_answers import NBest
from squad_reader import Question, read_questions, require_unique_ids, shown

logger = logging.getLogger(__name__)

Answers = Mapping[str, str]
Metric = Callable[[str, str], float]
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower-case, without punctuation, articles and superfluous white space."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(answer: str, gold: str) -> float:
    """1 if both are the same after normalisation, else 0."""
    return float(normalise(answer) == normalise(gold))


def f1(answer: str, gold: str) -> float:
    """Harmonic mean of precision and recall of the answer's words."""
    words, gold_words = normalise(answer).split(), normalise(gold).split()
    if not words or not gold_words:
        return float(words == gold_words)
    common = sum((Counter(words) & Counter(gold_words)).values())
    if not common:
        return 0.0
    precision, recall = common / len(words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


METRICS: dict[str, Metric] = {"exact": exact_match, "f1": f1}


def gold_answers(question: Question) -> list[str]:
    """The right answers; only the empty one if there are none.

    Answers that normalise to nothing do not count, the rule of version 2.0, in either version.
    """
    return [a.text for a in question.answers or () if normalise(a.text)] or [""]


def score(question: Question, answers: Answers, metric: Metric) -> float:
    """The best score of the prediction over the right answers; 0 without a prediction."""
    if question.id not in answers:
        return 0.0
    return max(metric(answers[question.id], gold) for gold in gold_answers(question))


def mean_score(questions: Sequence[Question], answers: Answers, metric: Metric) -> float:
    """The mean score of the predictions in percent."""
    return 100.0 * sum(score(question, answers, metric) for question in questions) / len(questions)


def best_threshold(
    questions: Sequence[Question],
    answers: Answers,
    null_odds: Mapping[str, float],
    metric: Metric,
) -> tuple[float, float]:
    """The best mean score that leaving questions unanswered can give, and the threshold for it.

    Args:
        questions: All questions.
        answers: The best answers that are not empty.
        null_odds: Lead of "no answer"; a question is answered if it is not above the threshold.
        metric: What to maximise.
    """
    nothing = {question.id: "" for question in questions}
    total = sum(score(question, nothing, metric) for question in questions)
    ordered = sorted(questions, key=lambda question: null_odds[question.id])
    best = total
    threshold = math.nextafter(null_odds[ordered[0].id], -math.inf)
    for odds, group in itertools.groupby(ordered, key=lambda question: null_odds[question.id]):
        total += sum(
            score(question, answers, metric) - score(question, nothing, metric)
            for question in group
        )
        if total > best:
            best, threshold = total, odds
    return 100.0 * best / len(questions), threshold


def evaluate(
    questions: Sequence[Question],
    answers: Answers,
    null_odds: Mapping[str, float] | None = None,
    nbest: Mapping[str, NBest] | None = None,
) -> dict[str, float]:
    """The official metrics: exact_match and f1, or those of version 2.0.

    Args:
        questions: The questions of a SQuAD file, with their answers.
        answers: The predicted answer of each question.
        null_odds: Lead of "no answer" for each question; asks for the search of a threshold.
        nbest: The ranked answers; the search then knows the answers below the used threshold.
    """
    if not questions:
        raise ValueError("There are no questions to score.")
    for question in questions:
        if question.answers is None:
            raise ValueError(
                f"{question.place}: `answers` must be a list to score by, but is none."
            )
    require_unique_ids(questions)
    missing = sum(question.id not in answers for question in questions)
    if missing:
        logger.warning("%d of %d questions have no prediction.", missing, len(questions))
    if all(question.is_impossible is None for question in questions):
        if null_odds:
            logger.warning("No question has `is_impossible`: the odds of no answer are not used.")
        exact = mean_score(questions, answers, exact_match)
        return {"exact_match": exact, "f1": mean_score(questions, answers, f1)}
    subsets = {
        "": questions,
        "HasAns_": [question for question in questions if question.answers],
        "NoAns_": [question for question in questions if not question.answers],
    }
    results: dict[str, float] = {}
    for prefix, subset in subsets.items():
        if subset:
            for name, metric in METRICS.items():
                results[prefix + name] = mean_score(subset, answers, metric)
            results[prefix + "total"] = len(subset)
    if null_odds is not None:
        scored = [question for question in questions if question.id in null_odds]
        if len(scored) < len(questions):
            unknown = len(questions) - len(scored)
            logger.warning("%d of %d questions have no odds.", unknown, len(questions))
        if not scored:
            return results
        texts = {**answers, **best_texts(nbest or {})}
        for name, metric in METRICS.items():
            best, threshold = best_threshold(scored, texts, null_odds, metric)
            results |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
    return results


def best_texts(nbest: Mapping[str, NBest]) -> dict[str, str]:
    """The best answer of each question that is not empty."""
    return {
        id: next((str(answer["text"]) for answer in ranked if answer["text"]), "")
        for id, ranked in nbest.items()
    }


def read_results(path: Path, is_valid: Callable[[Any], bool], kind: str) -> dict[str, Any]:
    """What a result file has for each question id, after a look at every value."""
    try:
        results = json.loads(inputs.read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a JSON file: {error}.") from None
    if not isinstance(results, dict):
        raise ValueError(f"{path} must hold one object with the question ids as keys.")
    for id, value in results.items():
        if not is_valid(value):
            raise ValueError(
                f"{path}: the value of question `{id}` ({shown(value)}) must be {kind}."
            )
    return results


def is_odds(value: Any) -> bool:
    """Whether a value of null_odds.json is one."""
    return isinstance(value, int | float) and math.isfinite(value)


def is_ranked(value: Any) -> bool:
    """Whether a value of nbest_predictions.json is a list of answers."""
    return isinstance(value, list) and all(
        isinstance(answer, dict) and isinstance(answer.get("text"), str) for answer in value
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_file", type=Path, help="a SQuAD file with answers")
    parser.add_argument("prediction_file", type=Path, help="predictions.json")
    parser.add_argument("--null_odds_file", type=Path, help="null_odds.json, to find a threshold")
    parser.add_argument("--nbest_file", type=Path, help="nbest_predictions.json, to find it better")
    args = parser.parse_args(argv)

    for flag in ("data_file", "prediction_file", "null_odds_file", "nbest_file"):
        if getattr(args, flag):
            arguments.require_file(getattr(args, flag), flag)
    null_odds = nbest = None
    if args.null_odds_file:
        null_odds = read_results(args.null_odds_file, is_odds, "a finite number")
    if args.nbest_file:
        nbest = read_results(args.nbest_file, is_ranked, "a list of objects with `text`")
    metrics = evaluate(
        read_questions(args.data_file),
        read_results(args.prediction_file, lambda value: isinstance(value, str), "a text"),
        null_odds,
        nbest,
    )
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
