"""Learns vocabularies from text files, in the formats of BERT, GPT and GPT-2.

Text is split into words as the tokenizer of the format does, and words are counted. A word is
spelled in the symbols of the format: bytes, or characters with the marks "##" or "</w>".
`learn_merges` learns from the counts which symbols to merge to tokens.
"""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from .. import _C
from .._files.pretrained import MERGES_NAME, SPECIAL_TOKENS_NAME, VOCABULARY_NAMES
from ..file_utils import StrPath
from .learn_merges import LONGEST_PIECE, import_sentencepiece, learn_merges
from .word_pieces import BasicTokenizer, WordpieceTokenizer

logger = logging.getLogger(__name__)

Files = StrPath | Iterable[StrPath]

_WORDPIECE_NAME = VOCABULARY_NAMES["bert"]
_BPE_NAMES = (VOCABULARY_NAMES["gpt2"], MERGES_NAME, SPECIAL_TOKENS_NAME)

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class _Format:
    """A vocabulary format.

    Attributes:
        split: Splits a text into words.
        spell: Splits a word into symbols, one for each character.
        special_tokens: Tokens that are not learned.
        file_names: The files to write.
        alphabet: Symbols to include even if they are in no word.
        longest_word: Words with more symbols are left out.
    """

    split: Callable[[str], list[str]]
    spell: Callable[[str], list[str]]
    special_tokens: tuple[str, ...]
    file_names: tuple[str, ...]
    alphabet: tuple[str, ...] = ()
    longest_word: int = LONGEST_PIECE


@dataclass(frozen=True)
class _Learned:
    """The symbols of a vocabulary, and the pairs of symbol sequences to merge."""

    alphabet: list[str]
    merges: list[tuple[list[str], list[str]]]

    def merges_as_text(self) -> list[tuple[str, str]]:
        return [("".join(left), "".join(right)) for left, right in self.merges]


def train_wordpiece(
    files: Files,
    vocab_size: int,
    output_dir: StrPath,
    do_lower_case: bool,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Writes a new vocab.txt; see `BertTokenizer.train`."""
    special_tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    wordpiece = _Format(
        split=BasicTokenizer(do_lower_case, special_tokens).tokenize,
        spell=lambda word: [word[0], *("##" + char for char in word[1:])],
        special_tokens=special_tokens,
        file_names=(_WORDPIECE_NAME,),
        longest_word=WordpieceTokenizer({}).max_input_chars_per_word,
    )
    learned = _learn(wordpiece, files, vocab_size, output_dir, overwrite, verbose)
    pieces = [
        first + "".join(symbol.removeprefix("##") for symbol in others)
        for first, *others in (left + right for left, right in learned.merges)
    ]
    vocab = _C.Vocabulary(_numbered([*special_tokens, *learned.alphabet, *pieces]))
    vocab.save(Path(output_dir, _WORDPIECE_NAME))


def train_bpe(
    files: Files, vocab_size: int, output_dir: StrPath, overwrite: bool, verbose: bool
) -> None:
    """Writes new files of GPT's format; see `OpenAIGPTTokenizer.train`."""
    bpe = _Format(
        split=BasicTokenizer(do_lower_case=True, never_split=()).tokenize,
        spell=lambda word: [*word[:-1], word[-1] + "</w>"],
        special_tokens=("<unk>",),
        file_names=_BPE_NAMES,
    )
    learned = _learn(bpe, files, vocab_size, output_dir, overwrite, verbose)
    merges = learned.merges_as_text()
    encoder = _numbered([*bpe.special_tokens, *learned.alphabet, *map("".join, merges)])
    _C.OpenAIGPTTokenizer.from_tables(encoder, _numbered(merges)).save_vocabulary(output_dir)


def train_byte_level_bpe(
    files: Files, vocab_size: int, output_dir: StrPath, overwrite: bool, verbose: bool
) -> None:
    """Writes new files of GPT-2's format; see `GPT2Tokenizer.train`."""
    byte_level_bpe = _Format(
        split=_C.GPT2Tokenizer.from_tables({}, {}).words,
        spell=list,
        special_tokens=("<|endoftext|>",),
        file_names=_BPE_NAMES,
        alphabet=tuple(character for _, character in _C.bytes_to_unicode()),
    )
    learned = _learn(byte_level_bpe, files, vocab_size, output_dir, overwrite, verbose)
    merges = learned.merges_as_text()
    encoder = _numbered([*learned.alphabet, *map("".join, merges), *byte_level_bpe.special_tokens])
    _C.GPT2Tokenizer.from_tables(encoder, _numbered(merges)).save_vocabulary(output_dir)


def _numbered(items: Iterable[_Item]) -> dict[_Item, int]:
    return {item: number for number, item in enumerate(items)}


def _learn(
    vocab_format: _Format,
    files: Files,
    vocab_size: int,
    output_dir: StrPath,
    overwrite: bool,
    verbose: bool,
) -> _Learned:
    paths = [Path(file) for file in ([files] if isinstance(files, (str, os.PathLike)) else files)]
    if vocab_size < 1:
        raise ValueError(f"`vocab_size` must be positive, but is {vocab_size}.")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"`files` must be existing files, but {path} is not.")
    import_sentencepiece()
    _make_folder(Path(output_dir), vocab_format.file_names, overwrite)

    words = _usable(_count_words(paths, vocab_format.split, verbose), vocab_format)
    if not words:
        raise ValueError("`files` must hold at least one word to learn from, but hold none.")
    symbols = {symbol for word in words for symbol in vocab_format.spell(word)}
    alphabet = sorted(symbols.union(vocab_format.alphabet), key=lambda text: (len(text), text))
    num_special = len(vocab_format.special_tokens)
    num_merges = vocab_size - num_special - len(alphabet)
    if num_merges < 0:
        raise ValueError(
            f"`vocab_size` must be at least {vocab_size - num_merges}, for {num_special} special "
            f"tokens and the {len(alphabet)} symbols of the alphabet, but is {vocab_size}."
        )
    logger.info("Learning up to %d merges from %d different words.", num_merges, len(words))
    merges = learn_merges(words, vocab_format.spell, alphabet, num_merges)
    if len(merges) < num_merges:
        logger.warning(
            "`vocab_size` is %d, but the words of `files` give no more than %d tokens.",
            vocab_size,
            vocab_size - num_merges + len(merges),
        )
    return _Learned(alphabet, merges)


def _make_folder(folder: Path, file_names: Iterable[str], overwrite: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotADirectoryError(
            f"`output_dir` must be a directory, or a path where one can be made, but is {folder} "
            f"({error.strerror})."
        ) from error
    for name in file_names:
        if (folder / name).exists() and not overwrite:
            raise FileExistsError(
                f"`output_dir` must not hold {name} unless `overwrite` is set, but {folder} does."
            )


def _count_words(
    paths: Iterable[Path], split: Callable[[str], list[str]], verbose: bool
) -> Counter[str]:
    counts: Counter[str] = Counter()
    size = sum(path.stat().st_size for path in paths)
    hidden = None if verbose else True  # None: hidden unless stderr is a terminal
    with tqdm(total=size, desc="Counting words", unit="B", unit_scale=True, disable=hidden) as bar:
        for path in paths:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    text = _decoded(line, number, path)
                    if number == 1:
                        text = text.removeprefix("\ufeff")  # a byte order mark
                    # Lines may also end in a lone "\r", and "\r\n" is "\n".
                    for part in io.StringIO(text, newline=None) if "\r" in text else (text,):
                        counts.update(split(part))
                    bar.update(len(line))
    return counts


def _decoded(line: bytes, number: int, path: Path) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`files` must be UTF-8, but byte {error.start} of line {number} of {path} is not."
        ) from error


def _usable(counts: Counter[str], vocab_format: _Format) -> dict[str, int]:
    """Returns the words to learn from: all but special tokens and too long words."""
    longest = vocab_format.longest_word
    too_long = sum(count for word, count in counts.items() if len(word) > longest)
    if too_long:
        logger.warning(
            "`files` hold %d words of more than %d symbols, which are left out.", too_long, longest
        )
    return {
        word: count
        for word, count in counts.items()
        if len(word) <= longest and word not in vocab_format.special_tokens
    }
