"""Learns byte-pair encoding from word counts, with the trainer of the package sentencepiece."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType

from .. import _C

# The most symbols per piece that sentencepiece allows.
LONGEST_PIECE = 512

# Each symbol is passed to sentencepiece as one character beyond the first plane of Unicode. In that
# plane some have a meaning: U+2581 is a space, and words with U+2585 are skipped.
_FIRST_CODE = 0x10000

_Pair = tuple[str, str]


def import_sentencepiece() -> ModuleType:
    """Returns the package sentencepiece.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import sentencepiece
    except ImportError as error:
        raise ImportError(
            "training a vocabulary needs the package sentencepiece: `pip install ptbert[train]`."
        ) from error
    return sentencepiece


def learn_merges(
    words: Mapping[str, int],
    spell: Callable[[str], Iterable[str]],
    alphabet: Sequence[str],
    num_merges: int,
) -> list[tuple[list[str], list[str]]]:
    """Returns pairs to merge: at each step the most frequent one.

    Ties go to the pair with fewer symbols, then to the one that is first in the order of the
    alphabet.

    Args:
        words: How often each word occurs.
        spell: Splits a word into at most `LONGEST_PIECE` symbols.
        alphabet: All symbols that `spell` may return.
        num_merges: How many pairs to return; fewer if the words have no more.

    Returns:
        The symbols of the left and of the right part of each pair.

    Raises:
        ImportError: sentencepiece is not installed.
        RuntimeError: sentencepiece has failed.
    """
    code = {symbol: chr(_FIRST_CODE + number) for number, symbol in enumerate(alphabet)}
    coded = {"".join(map(code.__getitem__, spell(word))): count for word, count in words.items()}
    symbol_of = {char: symbol for symbol, char in code.items()}
    return [
        ([symbol_of[char] for char in left], [symbol_of[char] for char in right])
        for left, right in _used(_pairs(_pieces(coded, num_merges)), coded)
    ]


def _pieces(words: Mapping[str, int], num_pieces: int) -> list[str]:
    """Returns the pieces of two or more characters that sentencepiece learns, in its order."""
    if not num_pieces:
        return []
    sentencepiece = import_sentencepiece()
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(f"{word}\t{count}" for word, count in sorted(words.items())),
            input_format="tsv",
            model_writer=model,
            model_type="bpe",
            vocab_size=1 + len(set().union(*words)) + num_pieces,
            hard_vocab_limit=False,
            unk_id=0,  # sentencepiece requires <unk>
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_by_unicode_script=False,
            max_sentencepiece_length=LONGEST_PIECE,
            character_coverage=1.0,
            minloglevel=2,
        )
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    except (RuntimeError, ValueError, OSError) as error:
        raise RuntimeError(f"sentencepiece could not learn {num_pieces} pieces: {error}") from error
    pieces = [processor.id_to_piece(index) for index in range(1, len(processor))]
    # In a corpus of more than 2**24 characters the coverage without the rarest ones rounds to 1.0
    # in float32. sentencepiece then drops these characters, and learns as many more pieces.
    return [piece for piece in pieces if len(piece) > 1][:num_pieces]


def _pairs(pieces: Iterable[str]) -> list[_Pair]:
    """Returns the pair that each piece was learned from.

    When a piece was learned, earlier merges had made its two halves without crossing its ends. So
    the same merges, applied to the piece alone, make the same two halves.
    """
    ranks: dict[_Pair, int] = {}
    for piece in pieces:
        symbols = list(piece)
        while len(symbols) > 2:
            known = (pair for pair in itertools.pairwise(symbols) if pair in ranks)
            symbols = _merged(symbols, min(known, key=ranks.__getitem__))
        ranks[symbols[0], symbols[1]] = len(ranks)
    return list(ranks)


def _merged(symbols: Iterable[str], pair: _Pair) -> list[str]:
    """Returns `symbols` with `pair` merged everywhere, from left to right."""
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def _used(pairs: Sequence[_Pair], words: Iterable[str]) -> list[_Pair]:
    """Returns the pairs that are merged in at least one word.

    When no pairs are left in the words, sentencepiece continues with pairs that no longer occur.
    """
    tokenizer = _C.GPT2Tokenizer.from_tables({}, {pair: rank for rank, pair in enumerate(pairs)})
    used = set(itertools.chain.from_iterable(map(tokenizer.bpe, words)))
    for left, right in reversed(pairs):
        if left + right in used:
            used.update((left, right))
    return [(left, right) for left, right in pairs if left + right in used]
