"""SQuAD: the questions of a file, for training with the words of their answers."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from squad_reader import Answer, Question, read_questions, require_unique_ids

logger = logging.getLogger(__name__)

# U+202F, a narrow no-break space, separates words of SQuAD too; other separators do not.
WHITE_SPACE = " \t\r\n\u202f"
NO_WORD = -1


@dataclass(frozen=True)
class Example:
    """A question and its paragraph, split into words."""

    id: str
    question: str
    words: list[str]
    answer: str = ""
    """The answer to train on; empty if there is none."""
    start: int = NO_WORD
    """First word of the answer."""
    end: int = NO_WORD
    """Last word of the answer."""

    @property
    def has_answer(self) -> bool:
        """Whether there is an answer to train on."""
        return self.start != NO_WORD


def split_words(text: str) -> tuple[list[str], list[int]]:
    """The words, and for each character the index of the word it belongs to or follows."""
    words: list[str] = []
    word_of_character = []
    inside = False
    for character in text:
        if character in WHITE_SPACE:
            inside = False
        elif inside:
            words[-1] += character
        else:
            words.append(character)
            inside = True
        word_of_character.append(len(words) - 1)
    return words, word_of_character


def read_examples(path: Path, *, training: bool, with_negative: bool) -> list[Example]:
    """Read the questions of a file, for training with their answers.

    Args:
        path: A SQuAD file.
        training: Whether answers are wanted.
        with_negative: Whether questions may be unanswerable, as in version 2.0.
    """
    questions = read_questions(path)
    if not questions:
        raise ValueError(f"{path} holds no questions.")
    if not training:
        require_unique_ids(questions)
    examples = []
    for context, group in itertools.groupby(questions, key=lambda question: question.context):
        words, word_of_character = split_words(context)
        for question in group:
            example = Example(question.id, question.text, words)
            if training and not (with_negative and is_unanswerable(question)):
                example = with_answer(example, question, word_of_character)
                if not example.has_answer:
                    continue
            examples.append(example)
    if training:
        report(path, questions, len(examples), with_negative=with_negative)
    if not examples:
        raise ValueError(f"{path} holds no question whose answer stands in its text.")
    return examples


def is_unanswerable(question: Question) -> bool:
    """Whether to learn that there is no answer: the file says so, or has an empty list of them."""
    if question.is_impossible is None:
        return question.answers == []
    return question.is_impossible


def report(path: Path, questions: Sequence[Question], learnt: int, *, with_negative: bool) -> None:
    """Log what of a file for training is not learnt."""
    left_out = len(questions) - learnt
    if left_out:
        logger.warning("%s: %d of %d questions are left out.", path, left_out, len(questions))
    answered = [question for question in questions if question.answers]
    if with_negative:
        negative = [question for question in answered if is_unanswerable(question)]
        if with_text := [q for q in negative if any(a.text.strip() for a in q.answers or ())]:
            logger.warning(
                "%s: %d questions have answers and `is_impossible`: to be left unanswered. "
                "The first is %s.",
                path,
                len(with_text),
                with_text[0].place,
            )
        answered = [question for question in answered if not is_unanswerable(question)]
    if several := [question for question in answered if len(question.answers or ()) > 1]:
        logger.warning(
            "%s: %d questions have several answers: the first in the text is learnt. "
            "The first question is %s.",
            path,
            len(several),
            several[0].place,
        )


def with_answer(example: Example, question: Question, word_of_character: list[int]) -> Example:
    """The example with its first answer that stands in the words; else as it was, and a warning."""
    if question.answers is None:
        raise ValueError(f"{question.place}: `answers` must be a list for training, but is none.")
    if not question.answers:
        remedy = (
            "`is_impossible` is false"
            if question.is_impossible is False
            else "give --version_2_with_negative for files with unanswerable questions"
        )
        raise ValueError(
            f"{question.place}: `answers` ([]) must hold an answer to train on; {remedy}."
        )
    spans = [answer_words(answer, word_of_character) for answer in question.answers]
    for answer, (start, end) in zip(question.answers, spans, strict=True):
        # Some answers of SQuAD do not stand where the file says they do: not to be learnt from.
        if plain(answer.text) in plain(" ".join(example.words[start : end + 1])):
            return Example(example.id, example.question, example.words, answer.text, start, end)
    answer, (start, end) = question.answers[0], spans[0]
    logger.warning(
        "%s: the text at `answer_start` (%d) is %r, not the answer %r. The question is left out.",
        answer.place,
        answer.start,
        " ".join(example.words[start : end + 1]),
        answer.text,
    )
    return example


def answer_words(answer: Answer, word_of_character: list[int]) -> tuple[int, int]:
    """First and last word of an answer, if it stands where the file says."""
    if not answer.text.strip():
        raise ValueError(f"{answer.place}: `text` ({answer.text!r}) must not be empty.")
    # Spaces behind an answer may be missing in the paragraph.
    last = answer.start + len(answer.text.rstrip()) - 1
    if not 0 <= answer.start <= last < len(word_of_character):
        raise ValueError(
            f"{answer.place}: `answer_start` ({answer.start}) must be such that the answer "
            f"({answer.text!r}) is inside the paragraph of {len(word_of_character)} characters."
        )
    # Characters before the first word belong to none (-1).
    return max(word_of_character[answer.start], 0), word_of_character[last]


def plain(text: str) -> str:
    """The text with one space for any white space: no-break spaces often differ in answers."""
    return " ".join(text.split())
