"""SQuAD: from the model's scores of each window to the texts of the answers."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptbert import BasicTokenizer, BertTokenizer
from squad import Window
from squad_examples import NO_WORD, Example

logger = logging.getLogger(__name__)

NBest = list[dict[str, str | float]]


@dataclass(frozen=True)
class AnswerOptions:
    """How answers are chosen."""

    n_best_size: int = 20
    """Answers kept for each question, and start and end positions tried in each window."""
    max_answer_length: int = 30
    """Tokens of the longest answer."""
    do_lower_case: bool = False
    """Whether the tokenizer lower-cases."""
    verbose_logging: bool = False
    """Whether to log the answers whose exact text cannot be found."""
    with_negative: bool = False
    """Whether a question may be left unanswered, as in version 2.0."""
    null_score_diff_threshold: float = 0.0
    """A question is left unanswered if "no answer" leads by more than this."""


@dataclass(frozen=True)
class Scores:
    """Scores of one window: one number for each of its tokens, without padding."""

    start: list[float]
    end: list[float]


@dataclass(frozen=True)
class Scored:
    """Something with a score for its start and one for its end."""

    start_score: float
    end_score: float

    @property
    def score(self) -> float:
        """The score by which answers are ranked."""
        return self.start_score + self.end_score


@dataclass(frozen=True)
class Span(Scored):
    """Tokens of a window that may be the answer."""

    window: Window
    start: int
    end: int


@dataclass(frozen=True)
class Answer(Scored):
    """The text of an answer; the empty text says that there is none."""

    text: str


# A paragraph without words has no windows to give scores, and certainly no answer.
NO_WINDOWS = Answer(1e6, 0.0, "")


@dataclass
class Predictions:
    """The answers to all questions, by question id."""

    answers: dict[str, str] = field(default_factory=dict)
    nbest: dict[str, NBest] = field(default_factory=dict)
    null_odds: dict[str, float] = field(default_factory=dict)
    """Lead of "no answer" over the best answer; empty for version 1.1."""

    def write(self, directory: Path) -> None:
        """Write predictions.json, nbest_predictions.json and null_odds.json.

        Without odds there is no null_odds.json: an old one belongs to other answers.
        """
        (directory / "null_odds.json").unlink(missing_ok=True)
        files = {"predictions.json": self.answers, "nbest_predictions.json": self.nbest}
        if self.null_odds:
            files["null_odds.json"] = self.null_odds
        for name, content in files.items():
            (directory / name).write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def choose_answers(
    examples: Sequence[Example],
    windows: Sequence[Window],
    scores: Sequence[Scores],
    tokenizer: BertTokenizer,
    options: AnswerOptions,
) -> Predictions:
    """Rank the answers to every question and choose the best."""
    scored_windows: list[list[tuple[Window, Scores]]] = [[] for _ in examples]
    for window, window_scores in zip(windows, scores, strict=True):
        scored_windows[window.example].append((window, window_scores))
    predictions = Predictions()
    for example, scored in zip(examples, scored_windows, strict=True):
        candidates = [span for pair in scored for span in spans(*pair, options)]
        null = best_null(scored) if options.with_negative else None
        ranked = rank_texts(example, candidates, null, tokenizer, options)
        predictions.nbest[example.id] = with_probabilities(ranked)
        best = next(answer for answer in ranked if answer.text)
        predictions.answers[example.id] = best.text
        if null is not None:
            lead = predictions.null_odds[example.id] = null.score - best.score
            if lead > options.null_score_diff_threshold:
                predictions.answers[example.id] = ""
    return predictions


def best_indexes(values: Sequence[float], count: int) -> list[int]:
    """Indexes of the largest values, the largest first."""
    return sorted(range(len(values)), key=lambda index: values[index], reverse=True)[:count]


def spans(window: Window, scores: Scores, options: AnswerOptions) -> Iterator[Span]:
    """The possible answers among the best starts and ends of a window.

    An answer lies inside the paragraph, starts in the window that shows the most context around its
    first token, and is not too long.
    """
    best_ends = best_indexes(scores.end, options.n_best_size)
    ends = [end for end in best_ends if window.words[end] != NO_WORD]
    for start in best_indexes(scores.start, options.n_best_size):
        if not window.has_max_context[start]:
            continue
        for end in ends:
            if start <= end < start + options.max_answer_length:
                yield Span(scores.start[start], scores.end[end], window, start, end)


def best_null(scored: Sequence[tuple[Window, Scores]]) -> Answer:
    """The answer "there is none", with the scores of the window that is least sure of it."""
    nulls = [Answer(scores.start[0], scores.end[0], "") for _, scores in scored]
    return min(nulls, key=lambda null: null.score, default=NO_WINDOWS)


def rank_texts(
    example: Example,
    candidates: Sequence[Span],
    null: Answer | None,
    tokenizer: BertTokenizer,
    options: AnswerOptions,
) -> list[Answer]:
    """The best answers with different texts, at least one of them not empty.

    Args:
        example: The question.
        candidates: Spans of its windows.
        null: The answer "there is none"; `None` where every question has one.
        tokenizer: Turns ids into tokens.
        options: How many to keep, and how texts are aligned.
    """
    competing: list[Span | Answer] = [*candidates, null] if null else [*candidates]
    ranked: dict[str, Answer] = {}
    for item in sorted(competing, key=lambda item: item.score, reverse=True):
        if len(ranked) == options.n_best_size:
            break
        text = (
            item.text if isinstance(item, Answer) else span_text(example, item, tokenizer, options)
        )
        ranked.setdefault(text, Answer(item.start_score, item.end_score, text))
    if null is not None:
        ranked.setdefault("", null)
    answers = list(ranked.values())
    if not any(answer.text for answer in answers):
        # No span qualified: as in 2019, this word stands for an answer.
        answers.insert(0, Answer(0.0, 0.0, "empty"))
    return answers


def with_probabilities(ranked: Sequence[Answer]) -> NBest:
    """The ranked answers with the softmax of their scores."""
    highest = max(answer.score for answer in ranked)
    weights = [math.exp(answer.score - highest) for answer in ranked]
    total = sum(weights)
    return [
        {
            "text": answer.text,
            "probability": weight / total,
            "start_logit": answer.start_score,
            "end_logit": answer.end_score,
        }
        for answer, weight in zip(ranked, weights, strict=True)
    ]


def span_text(
    example: Example, span: Span, tokenizer: BertTokenizer, options: AnswerOptions
) -> str:
    """The text of the paragraph that a span of tokens stands for."""
    window = span.window
    tokens = tokenizer.convert_ids_to_tokens(window.input_ids[span.start : span.end + 1])
    predicted = " ".join(" ".join(tokens).replace(" ##", "").replace("##", "").split())
    words = example.words[window.words[span.start] : window.words[span.end] + 1]
    return align(predicted, " ".join(words), options)


def align(predicted: str, source: str, options: AnswerOptions) -> str:
    """The part of the original words that a normalised answer stands for.

    Tokens have lost case, accents and spacing, and words are coarser than tokens: "cafe noir" in
    the words "(Café Noir)." stands for "Café Noir". The two are aligned by counting characters that
    are not white space; where that fails the answer is all of `source`.
    """

    def give_up(reason: str) -> str:
        if options.verbose_logging:
            logger.info("%s: %r in %r.", reason, predicted, source)
        return source

    normalised = " ".join(BasicTokenizer(do_lower_case=options.do_lower_case).tokenize(source))
    begin = normalised.find(predicted)
    if begin == -1 or not predicted:
        return give_up("The answer is not in the text")
    source_places = [place for place, character in enumerate(source) if not character.isspace()]
    places = [place for place, character in enumerate(normalised) if not character.isspace()]
    if len(source_places) != len(places):
        return give_up("Normalising changed the number of characters")
    rank = {place: number for number, place in enumerate(places)}
    first = source_places[rank[begin]]
    last = source_places[rank[begin + len(predicted) - 1]]
    return source[first : last + 1]
