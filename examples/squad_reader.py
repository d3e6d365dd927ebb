"""SQuAD files: their questions, checked; an error names file, article and question."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inputs import read_text

logger = logging.getLogger(__name__)

Record = Mapping[str, Any]
KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
# JSON can hold halves of surrogate pairs ("\ud83d"), which are no characters.
SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Answer:
    """One of the right answers to a question."""

    text: str
    record: Record
    """The answer as it stands in the file."""
    place: str
    """Where it stands, for messages."""

    @property
    def start(self) -> int:
        """The character of the paragraph where the answer starts; 15, "15" and 15.0 are the same.

        Only training needs it, so it is checked here and not when the file is read.
        """
        value = require(self.record, "answer_start", self.place)
        if isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                pass
        elif isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
            return int(value)
        raise wrong(self.place, "answer_start", value, "must be a whole number")


@dataclass(frozen=True)
class Question:
    """A question and its paragraph."""

    id: str
    text: str
    context: str
    answers: list[Answer] | None
    """The right answers, none of an impossible question; `None` if the file does not tell them."""
    is_impossible: bool | None
    """Whether there is no answer; `None` if the file does not tell."""
    place: str
    """Where it stands in the file, for messages."""


def read_questions(path: Path) -> list[Question]:
    """The questions of all paragraphs of a SQuAD file."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a SQuAD file: {error}.") from None
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise ValueError(f"{path} is not a SQuAD file: there is no list `data` of articles in it.")
    questions = list(questions_of(content["data"], str(path)))
    damaged = [q for q in questions if REPLACEMENT in q.text or REPLACEMENT in q.context]
    if damaged:
        logger.warning(
            "%s: the texts of %d questions hold U+FFFD, or half of a surrogate pair, which is read "
            "as that: no token stands for it. The first question is %s.",
            path,
            len(damaged),
            damaged[0].place,
        )
    return questions


def questions_of(articles: Sequence[Any], source: str) -> Iterator[Question]:
    """The questions of all paragraphs.

    Args:
        articles: The list `data` of a SQuAD file.
        source: The name of the file, for messages.
    """
    for number, article in enumerate(articles):
        place = f"{source}, data[{number}]"
        if isinstance(article, dict) and isinstance(title := article.get("title"), str):
            place += f" ({title})"
        for paragraph, paragraph_place in records(article, "paragraphs", place):
            context = text_of(paragraph, "context", paragraph_place)
            for question, question_place in records(paragraph, "qas", paragraph_place):
                yield read_question(question, context, question_place)


def read_question(record: Record, context: str, place: str) -> Question:
    """One question; `place` says where it stands."""
    id = require(record, "id", place)
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise wrong(place, "id", id, "must be a text or a whole number")
    place += f" ({id})"
    answers = None
    if record.get("answers") is not None:
        answers = [
            Answer(text_of(answer, "text", answer_place), answer, answer_place)
            for answer, answer_place in records(record, "answers", place)
        ]
    impossible = read_flag(record, "is_impossible", place)
    if answers is None and impossible:
        answers = []
    # As text: result files, which are JSON too, have no other keys.
    return Question(
        str(id), text_of(record, "question", place), context, answers, impossible, place
    )


def records(parent: Any, key: str, place: str) -> Iterator[tuple[Record, str]]:
    """The objects of a list in an object, each with its place."""
    if not isinstance(parent, dict):
        raise ValueError(f"{place} ({shown(parent)}) must be an object.")
    for number, record in enumerate(require(parent, key, place, list)):
        record_place = f"{place}, {key}[{number}]"
        if not isinstance(record, dict):
            raise ValueError(f"{record_place} ({shown(record)}) must be an object.")
        yield record, record_place


def require(record: Record, key: str, place: str, kind: type | None = None) -> Any:
    """The value of a key, of the given kind."""
    if key not in record:
        keys = ", ".join(f"`{name}`" for name in record) or "none"
        raise ValueError(f"{place}: `{key}` must be given, but the keys are {keys}.")
    if kind is not None and not isinstance(record[key], kind):
        raise wrong(place, key, record[key], f"must be {KINDS[kind]}")
    return record[key]


def text_of(record: Record, key: str, place: str) -> str:
    """The text of a key, with U+FFFD for each half of a surrogate pair.

    BERT's tokenizer drops both, as it drops control characters; the length stays the same.
    """
    return SURROGATES.sub(REPLACEMENT, require(record, key, place, str))


def read_flag(record: Record, key: str, place: str) -> bool | None:
    """True or false, also in the form of numbers or texts; `None` if absent or null."""
    value = record.get(key)
    flags = {"true": True, "1": True, "false": False, "0": False, "none": None}
    if str(value).lower() not in flags:
        raise wrong(place, key, value, "must be true or false")
    return flags[str(value).lower()]


def require_unique_ids(questions: Sequence[Question]) -> None:
    """Refuse different questions of one id, for which a file of answers has room for one only."""
    known: dict[str, Question] = {}
    for question in questions:
        other = known.setdefault(question.id, question)
        if (other.text, other.context) != (question.text, question.context):
            raise ValueError(
                f"{question.place}: `id` ({question.id}) must not be that of another question, "
                f"but is that of {other.place} too."
            )


def wrong(place: str, key: str, value: object, rule: str) -> ValueError:
    """An error about the value of a key."""
    return ValueError(f"{place}: `{key}` ({shown(value)}) {rule}.")


def shown(value: object) -> str:
    """A value as JSON has it, shortened."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
