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

import squad
from squad_answers import NBest

logger = logging.getLogger(__name__)

Question = Mapping[str, Any]
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
    return [a["text"] for a in question["answers"] if normalise(a["text"])] or [""]


def score(question: Question, answers: Answers, metric: Metric) -> float:
    """The best score of the prediction over the right answers; 0 without a prediction."""
    if question["id"] not in answers:
        return 0.0
    return max(metric(answers[question["id"]], gold) for gold in gold_answers(question))


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
    nothing = {question["id"]: "" for question in questions}
    total = sum(score(question, nothing, metric) for question in questions)
    ordered = sorted(questions, key=lambda question: null_odds[question["id"]])
    best = total
    threshold = math.nextafter(null_odds[ordered[0]["id"]], -math.inf)
    for odds, group in itertools.groupby(ordered, key=lambda question: null_odds[question["id"]]):
        total += sum(
            score(question, answers, metric) - score(question, nothing, metric)
            for question in group
        )
        if total > best:
            best, threshold = total, odds
    return 100.0 * best / len(questions), threshold


def evaluate(
    articles: Sequence[dict[str, Any]],
    answers: Answers,
    null_odds: Mapping[str, float] | None = None,
    nbest: Mapping[str, NBest] | None = None,
) -> dict[str, float]:
    """The official metrics: exact_match and f1, or those of version 2.0.

    Args:
        articles: The articles of a SQuAD file.
        answers: The predicted answer of each question.
        null_odds: Lead of "no answer" for each question; asks for the search of a threshold.
        nbest: The ranked answers; the search then knows the answers below the used threshold.
    """
    questions = list(squad.questions(articles))
    if not questions:
        raise ValueError("There are no questions to score.")
    missing = sum(question["id"] not in answers for question in questions)
    if missing:
        logger.warning("%d of %d questions have no prediction.", missing, len(questions))
    if not any("is_impossible" in question for question in questions):
        exact = mean_score(questions, answers, exact_match)
        return {"exact_match": exact, "f1": mean_score(questions, answers, f1)}
    subsets = {
        "": questions,
        "HasAns_": [question for question in questions if question["answers"]],
        "NoAns_": [question for question in questions if not question["answers"]],
    }
    results: dict[str, float] = {}
    for prefix, subset in subsets.items():
        if subset:
            for name, metric in METRICS.items():
                results[prefix + name] = mean_score(subset, answers, metric)
            results[prefix + "total"] = len(subset)
    if null_odds is not None:
        scored = [question for question in questions if question["id"] in null_odds]
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


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_file", type=Path, help="a SQuAD file with answers")
    parser.add_argument("prediction_file", type=Path, help="predictions.json")
    parser.add_argument("--null_odds_file", type=Path, help="null_odds.json, to find a threshold")
    parser.add_argument("--nbest_file", type=Path, help="nbest_predictions.json, to find it better")
    args = parser.parse_args(argv)

    def read(path: Path | None) -> Any:
        return json.loads(path.read_text(encoding="utf-8")) if path else None

    metrics = evaluate(
        squad.read_articles(args.data_file),
        read(args.prediction_file),
        read(args.null_odds_file),
        read(args.nbest_file),
    )
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
