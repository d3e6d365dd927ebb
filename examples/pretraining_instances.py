"""BERT's pre-training task: pairs of texts, some tokens of which are to be restored (Devlin et al.,
arXiv 1810.04805)."""

from __future__ import annotations

import functools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pretraining_corpus import Corpus
from ptbert import BertTokenizer
from ptbert.training import track

Rendered = TypeVar("Rendered")
Array = npt.NDArray[Any]
Draw = np.random.Generator

IGNORED = -1
DOCUMENTS_AT_ONCE = 16


@dataclass(frozen=True)
class TaskOptions:
    """What an example is like."""

    max_seq_len: int = 128
    """Tokens of an example, with [CLS] and two [SEP]."""
    short_seq_prob: float = 0.1
    """Share of examples that are cut short, so that the model sees short texts as well."""
    masked_lm_prob: float = 0.15
    """Share of the tokens that are to be restored."""
    max_predictions_per_seq: int = 20
    """The most of them in an example."""
    do_whole_word_mask: bool = False
    """Choose words, with all their pieces, instead of pieces."""

    def __post_init__(self) -> None:
        if self.max_seq_len < 5:
            raise ValueError(f"`max_seq_len` ({self.max_seq_len}) must be at least 5.")
        for name in ("short_seq_prob", "masked_lm_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` ({getattr(self, name)}) must be between 0 and 1.")
        if self.max_predictions_per_seq < 1:
            raise ValueError(
                f"`max_predictions_per_seq` ({self.max_predictions_per_seq}) must be at least 1."
            )


@dataclass(frozen=True)
class Vocabulary:
    """What the task needs to know of a vocabulary."""

    cls: int
    sep: int
    mask: int
    continues: Array
    """bool `[tokens]`: whether a token is a later piece of a word, as "##ing" is."""

    @classmethod
    def of(cls, tokenizer: BertTokenizer) -> Vocabulary:
        """That of a tokenizer."""
        special = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", "[MASK]"])
        continues = np.array([token.startswith("##") for token in tokenizer.vocab])
        return cls(special[0], special[1], special[2], continues)


@dataclass(frozen=True)
class Instance:
    """An example: `[CLS] a [SEP] b [SEP]` with some tokens replaced."""

    ids: Array
    """int32 `[seq]`."""
    second: int
    """Place where the second text begins."""
    is_random_next: bool
    """Whether the second text is from another document, and not what follows the first."""
    positions: Array
    """Places of the tokens to restore, in order."""
    labels: Array
    """Their ids before."""


def generator(seed: int, *numbers: int) -> Draw:
    """Random numbers of one document or example, whoever draws them and when."""
    return np.random.default_rng([seed, *numbers])


def instances_of(
    corpus: Corpus, document: int, draw: Draw, vocabulary: Vocabulary, options: TaskOptions
) -> Iterator[Instance]:
    """The examples of a document.

    Its sentences are put together until they fill an example, and cut in two at a random sentence;
    in half of the examples the second text is taken from another document instead, and its
    sentences wait for the next example.
    """
    room = options.max_seq_len - 3
    sentences = corpus.sentences_of(document)
    target = _target(room, draw, options)
    begin = sentences.start
    while begin < sentences.stop:
        end, length = begin, 0
        while end < sentences.stop and length < target:
            length += len(corpus.sentence(end))
            end += 1
        middle = begin + 1 if end - begin < 2 else begin + int(draw.integers(1, end - begin))
        first = _join(corpus, range(begin, middle))
        is_random_next = end - begin == 1 or draw.random() < 0.5
        if is_random_next:
            second = _other_text(corpus, document, target - len(first), draw)
            end = middle
        else:
            second = _join(corpus, range(middle, end))
        first, second = truncate(first, second, room, draw)
        yield masked(first, second, is_random_next, draw, vocabulary, options)
        begin = end
        target = _target(room, draw, options)


def _target(room: int, draw: Draw, options: TaskOptions) -> int:
    """Tokens of the next example."""
    return int(draw.integers(2, room + 1)) if draw.random() < options.short_seq_prob else room


def _join(corpus: Corpus, sentences: Sequence[int]) -> Array:
    return np.concatenate([corpus.sentence(number) for number in sentences])


def _other_text(corpus: Corpus, document: int, length: int, draw: Draw) -> Array:
    """Text of at least so many tokens, if its document has them, from another document; a random
    sentence of all others is the first."""
    own = corpus.sentences_of(document)
    number = int(draw.integers(len(corpus.sentence_ends) - len(own)))
    start = number if number < own.start else number + len(own)
    sentences = corpus.sentences_of(corpus.document_of(start))
    end, found = start, 0
    while end < sentences.stop and (found < length or end == start):
        found += len(corpus.sentence(end))
        end += 1
    return _join(corpus, range(start, end))


def truncate(first: Array, second: Array, room: int, draw: Draw) -> tuple[Array, Array]:
    """Take tokens off either end, at random, of the longer text until both fit."""
    while len(first) + len(second) > room:
        at_front = draw.random() < 0.5
        if len(first) > len(second):
            first = first[1:] if at_front else first[:-1]
        else:
            second = second[1:] if at_front else second[:-1]
    return first, second


def masked(
    first: Array,
    second: Array,
    is_random_next: bool,
    draw: Draw,
    vocabulary: Vocabulary,
    options: TaskOptions,
) -> Instance:
    """An example of two texts.

    Of the chosen tokens 80 % become [MASK], 10 % a random token, and 10 % stay.
    """
    cls, sep = vocabulary.cls, vocabulary.sep
    ids = np.concatenate([[cls], first, [sep], second, [sep]]).astype(np.int32)
    middle = len(first) + 2
    candidates = np.delete(np.arange(len(ids)), [0, middle - 1, len(ids) - 1])
    wanted = max(1, round(len(ids) * options.masked_lm_prob))
    wanted = min(wanted, options.max_predictions_per_seq, len(candidates))
    if options.do_whole_word_mask:
        chosen = _whole_words(candidates, vocabulary.continues[ids[candidates]], wanted, draw)
    else:
        chosen = np.sort(draw.choice(candidates, wanted, replace=False))
    labels = ids[chosen]
    chance = draw.random(len(chosen))
    random_ids = draw.integers(len(vocabulary.continues), size=len(chosen))
    kept_or_random = np.where(chance < 0.9, labels, random_ids)
    ids[chosen] = np.where(chance < 0.8, vocabulary.mask, kept_or_random)
    return Instance(ids, middle, is_random_next, chosen, labels)


def _whole_words(candidates: Array, continues: Array, wanted: int, draw: Draw) -> Array:
    """Places of words in random order, all pieces of each, as long as they are not too many; if
    every word has too many pieces, the first pieces of one."""
    begins = np.flatnonzero(~continues | (np.diff(candidates, prepend=-2) > 1))
    begins = np.union1d([0], begins)
    words = np.split(candidates, begins[1:])
    chosen: list[int] = []
    for number in draw.permutation(len(words)):
        if len(chosen) + len(words[number]) <= wanted:
            chosen += words[number].tolist()
        if len(chosen) == wanted:
            break
    if not chosen:
        chosen = words[number][:wanted].tolist()
    return np.array(sorted(chosen), dtype=np.int64)


# What the functions of a worker process work on.
_work: dict[str, Any] = {}


def _start_worker(**work: Any) -> None:
    _work.update(work)


def _rendered_block(seed: int, epoch: int, documents: range) -> list[Any]:
    corpus, vocabulary, options = _work["corpus"], _work["vocabulary"], _work["options"]
    return [
        _work["render"](instance)
        for document in documents
        for instance in instances_of(
            corpus, document, generator(seed, epoch, document), vocabulary, options
        )
    ]


def render_instances(
    corpus: Corpus,
    vocabulary: Vocabulary,
    options: TaskOptions,
    render: Callable[[Instance], Rendered],
    *,
    seed: int,
    epoch: int,
    num_workers: int = 1,
) -> Iterator[Rendered]:
    """The examples of all documents in order, as `render` gives them; with a progress bar.

    Args:
        corpus: The text.
        vocabulary: That of its ids.
        options: What an example is like.
        render: Turns an example into what is wanted, such as a line of a file.
        seed: Other seeds and other epochs give other examples.
        epoch: Number of the pass over the text, from 0.
        num_workers: Processes that make them; the examples are the same for any number.
    """
    count = len(corpus.document_ends)
    blocks = [
        range(first, min(first + DOCUMENTS_AT_ONCE, count))
        for first in range(0, count, DOCUMENTS_AT_ONCE)
    ]
    work = {"corpus": corpus, "vocabulary": vocabulary, "options": options, "render": render}
    with track(total=count, desc=f"Epoch {epoch + 1}", unit="document") as bar:
        for block, rendered in _in_order(blocks, work, seed, epoch, num_workers):
            yield from rendered
            bar.update(len(block))


def _in_order(
    blocks: list[range], work: dict[str, Any], seed: int, epoch: int, num_workers: int
) -> Iterator[tuple[range, list[Any]]]:
    """The blocks with their examples, of which few are made before they are taken."""
    if num_workers == 1:
        _start_worker(**work)
        for block in blocks:
            yield block, _rendered_block(seed, epoch, block)
        return
    # Processes that are forked share the text. They use neither torch nor threads.
    context = multiprocessing.get_context("fork")
    start = functools.partial(_start_worker, **work)
    with context.Pool(num_workers, start) as pool:
        running: deque[tuple[range, Any]] = deque()
        for block in blocks:
            running.append((block, pool.apply_async(_rendered_block, (seed, epoch, block))))
            if len(running) == 4 * num_workers:
                done, result = running.popleft()
                yield done, result.get()
        for done, result in running:
            yield done, result.get()
