"""Transformer-XL's tokenizer: whole words, numbered by decreasing frequency in a corpus."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from .. import _C
from .._files.plain_files import read_attributes, write_attributes
from .._files.pretrained import resolve_vocabulary, vocabulary_inside
from .._files.published import archive_map
from .._files.writing import complete_folder
from ..file_utils import StrPath
from .arguments import check_sentences
from .encoded_batches import ReturnTensors, check_batch, named
from .symbol_vocabulary import SymbolVocabulary

logger = logging.getLogger(__name__)

VOCAB_NAME = "vocab.bin"
PRETRAINED_VOCAB_ARCHIVE_MAP = archive_map("transfo-xl", VOCAB_NAME)

_Self = TypeVar("_Self", bound="TransfoXLTokenizer")


class TransfoXLTokenizer(SymbolVocabulary):
    """Transformer-XL's tokenizer: count the words of files, build a vocabulary, encode files.

    All attributes are plain Python objects and may be changed at any time.

    Args:
        special: Symbols that get the first ids, whether or not they occur.
        min_freq: Symbols with a lower count are left out of the vocabulary.
        max_size: The number of most frequent symbols to take, in addition to the special ones; None
            for all.
        lower_case: Whether to lower-case text (by Unicode 15.0, on every Python).
        delimiter: What separates symbols; None for white space, "" to make every character a
            symbol.
        vocab_file: A file with one token per line, to build the vocabulary from instead of counts.
        never_split: Has no effect, as in the 2019 library: words are split at separators only.

    Attributes:
        counter: Symbol to number of occurrences, a `Counter`, in the order of appearance.
        idx2sym: The symbols in the order of their ids, a list. From `build_vocab` on.
        sym2idx: Symbol to id, an `OrderedDict`. From `build_vocab` on.
        unk_idx: The id of unknown symbols, if `special` or `vocab_file` has <unk>.

    Example:
        >>> tokenizer = TransfoXLTokenizer(special=["<unk>", "<eos>"], lower_case=True)
        >>> tokenizer.count_sents([tokenizer.tokenize("A rose is a rose")])
        >>> tokenizer.build_vocab()
        >>> tokenizer.idx2sym
        ['<unk>', '<eos>', 'a', 'rose', 'is']
        >>> tokenizer.convert_to_tensor(tokenizer.tokenize("is a tulip", add_eos=True))
        tensor([4, 2, 0, 1])
    """

    counter: Counter[str]

    def __init__(
        self,
        special: Sequence[str] | None = None,
        min_freq: float = 0,
        max_size: int | None = None,
        lower_case: bool = False,
        delimiter: str | None = None,
        vocab_file: StrPath | None = None,
        never_split: Collection[str] = ("<unk>", "<eos>", "<formula>"),
    ) -> None:
        if isinstance(special, str):
            raise TypeError(f'`special` must be a list of symbols, but is the str "{special}".')
        self.counter = Counter()
        self.special: Sequence[str] = [] if special is None else special
        self.min_freq = min_freq
        self.max_size = max_size
        self.lower_case = lower_case
        self.delimiter = delimiter
        self.vocab_file = vocab_file
        self.never_split = never_split

    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: StrPath,
        cache_dir: StrPath | None = None,
        *inputs: Any,
        **kwargs: Any,
    ) -> _Self:
        """Loads the tokenizer of a pretrained or saved model.

        Args:
            pretrained_model_name_or_path: A shortcut name (see `PRETRAINED_VOCAB_ARCHIVE_MAP`), a
                directory with a vocab.bin (or vocab.pkl of another library), such a file or a
                .tar.gz archive with one, or the URL of either. Its attributes override `inputs`
                and `kwargs`.
            cache_dir: Where downloaded files are kept.
            inputs: Arguments of the class, by position.
            kwargs: Arguments of the class, by name.

        Raises:
            OSError: No vocabulary was found; the message says where it was looked for.
            ValueError: The file is damaged or holds more than plain data.
        """
        path = resolve_vocabulary(pretrained_model_name_or_path, cache_dir, "transfo-xl")
        logger.info("loading vocabulary file %s", path)
        tokenizer = cls(*inputs, **kwargs)
        with vocabulary_inside(path, "transfo-xl") as vocab_file:
            tokenizer._restore(read_attributes(vocab_file), path)
        return tokenizer

    def _restore(self, attributes: dict[str, Any], path: Path) -> None:
        for name in attributes:
            if hasattr(type(self), name):
                raise ValueError(
                    f"`{path}` must hold the attributes of a tokenizer, but has one of the name of "
                    f"its method `{name}`."
                )
        symbols, ids = attributes.get("idx2sym"), attributes.get("sym2idx")
        if symbols is not None or ids is not None:
            if not isinstance(symbols, list) or not isinstance(ids, dict):
                raise ValueError(f"`{path}` must hold a list `idx2sym` and a dict `sym2idx`.")
            if len(symbols) != len(ids) or list(map(ids.get, symbols)) != list(range(len(ids))):
                raise ValueError(
                    f"`{path}` must number in `sym2idx` the symbols of `idx2sym`, in their order."
                )
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        size = len(self.__dict__.get("idx2sym", ()))
        return (
            f"{type(self).__name__}(vocab_size={size}, special={self.special!r}, "
            f"min_freq={self.min_freq}, max_size={self.max_size}, lower_case={self.lower_case}, "
            f"delimiter={self.delimiter!r}, vocab_file={self.vocab_file!r})"
        )

    def tokenize(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> list[str]:
        """Returns the symbols of a line.

        Args:
            line: Text; white space at its ends is stripped.
            add_eos: Whether to append <eos>.
            add_double_eos: Whether to put <S> at both ends, and no <eos>.
        """
        return _C.split_line(
            line, bool(self.lower_case), self.delimiter, bool(add_eos), bool(add_double_eos)
        )

    def count_file(
        self, path: StrPath, verbose: bool = False, add_eos: bool = False
    ) -> list[list[str]]:
        """Adds the symbols of a file to `counter`, and returns them as a list per line.

        Args:
            path: A UTF-8 text file.
            verbose: Whether to show a progress bar if stderr is a terminal.
            add_eos: Whether to append <eos> to every line.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A line is not UTF-8; the message gives its number.
        """
        if self._replaces("tokenize"):
            sents = [self.tokenize(line, add_eos=add_eos) for line in _lines(path, verbose)]
            self.count_sents(sents)
            return sents
        lines = self._index(path, verbose, add_eos, False)
        self.counter.update(lines.counts())
        return lines.sentences()

    def _count_only(self, path: StrPath, verbose: bool) -> None:
        """Counts as `count_file` does, without building the lists that it returns."""
        if self._replaces("tokenize", "count_file"):
            self.count_file(path)
            return
        with _progress(path, verbose) as progress:
            self.counter.update(_C.count_symbols(os.fspath(path), self._format(False), progress))

    def count_sents(self, sents: Sequence[Iterable[str]], verbose: bool = False) -> None:
        """Adds the symbols of sentences to `counter`.

        Args:
            sents: Sentences, each a list of symbols.
            verbose: Whether to show a progress bar if stderr is a terminal.
        """
        check_sentences(sents)
        self.counter.update(chain.from_iterable(_bar(sents, verbose)))

    def save_vocabulary(self, vocab_path: StrPath) -> str:
        """Writes all attributes to a file, or to vocab.bin in a directory.

        Returns:
            The path of the file; `from_pretrained` takes it, here and in the 2019 library.

        Raises:
            TypeError: An attribute is not plain data.
        """
        path = Path(vocab_path)
        vocab_file = path / VOCAB_NAME if path.is_dir() else path
        write_attributes(vocab_file, self.__dict__)
        return str(vocab_file)

    def save_pretrained(self, save_directory: StrPath) -> None:
        """Writes the vocabulary to a folder, which is made if need be; `from_pretrained` takes it.

        Files get their names when all are complete.

        Raises:
            OSError: A file cannot be written.
        """
        with complete_folder(Path(save_directory)) as folder:
            self.save_vocabulary(folder)

    def encode_file(
        self,
        path: StrPath,
        ordered: bool = False,
        verbose: bool = False,
        add_eos: bool = True,
        add_double_eos: bool = False,
    ) -> Any:
        """Returns the ids of a file.

        Args:
            path: A UTF-8 text file.
            ordered: Whether to concatenate the lines.
            verbose: Whether to show a progress bar if stderr is a terminal.
            add_eos: Whether to append <eos> to every line.
            add_double_eos: Whether to put <S> at both ends of every line, and no <eos>.

        Returns:
            If `ordered` an int64 tensor [tokens]; otherwise a list of one such tensor per line.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A line is not UTF-8, or has an unknown symbol and there is no <unk>; the
                message gives the line's number.
        """
        if self._replaces("tokenize", "convert_to_tensor", "convert_tokens_to_ids", "get_idx"):
            sents = [
                self.tokenize(line, add_eos=add_eos, add_double_eos=add_double_eos)
                for line in _lines(path, verbose)
            ]
            return self.encode_sents(sents, ordered)
        lines = self._index(path, verbose, add_eos, add_double_eos)
        symbols = lines.symbols()
        try:
            ids = self.convert_tokens_to_ids(symbols)
        except ValueError:
            index = next(i for i, symbol in enumerate(symbols) if symbol not in self.sym2idx)
            raise ValueError(
                "`path` must hold symbols of the vocabulary, which has no <unk>, but line "
                f'{lines.first_line_of(index)} of {os.fspath(path)} holds "{symbols[index]}".'
            ) from None
        return lines.encode(ids) if ordered else lines.encode_lines(ids)

    def encode_sents(
        self, sents: Sequence[Sequence[str]], ordered: bool = False, verbose: bool = False
    ) -> Any:
        """Returns the ids of sentences.

        Args:
            sents: Sentences, each a list of symbols.
            ordered: Whether to concatenate them.
            verbose: Whether to show a progress bar if stderr is a terminal.

        Returns:
            If `ordered` an int64 tensor [tokens]; otherwise a list of one such tensor per sentence.
        """
        check_sentences(sents)
        encoded = [self.convert_to_tensor(symbols) for symbols in _bar(sents, verbose)]
        if not ordered:
            return encoded
        return torch.cat(encoded) if encoded else torch.empty(0, dtype=torch.long)

    def encode(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> list[int]:
        """Returns the ids of the symbols of a line; errors as in `get_idx`."""
        return self.convert_tokens_to_ids(self.tokenize(line, add_eos, add_double_eos))

    def encode_batch(
        self,
        texts: Iterable[str],
        num_threads: int = 0,
        *,
        add_eos: bool = False,
        add_double_eos: bool = False,
        return_tensors: ReturnTensors | None = None,
    ) -> list[list[int]] | dict[str, Any]:
        """Encodes many lines; splits them in parallel, with the GIL released.

        Args:
            texts: The lines.
            num_threads: The number of threads; 0 for one per processor.
            add_eos: Whether to append <eos> to every line.
            add_double_eos: Whether to put <S> at both ends of every line, and no <eos>.
            return_tensors: "pt" for tensors or "np" for arrays, padded with 0; None for lists of
                ids as from `encode`.

        Returns:
            A list of ids for each line; or with `return_tensors` a dict with `input_ids` and
            `attention_mask`, int64 [batch, length of the longest].

        Raises:
            ValueError: As in `get_idx`.
        """
        check_batch(texts, num_threads, return_tensors)
        if self._replaces("tokenize", "encode", "convert_tokens_to_ids", "get_idx"):
            rows = [self.encode(text, add_eos, add_double_eos) for text in texts]
        else:
            line_format = self._format(add_eos, add_double_eos)
            lines = _C.IndexedLines.of_texts(texts, line_format, num_threads)
            rows = lines.id_lists(self.convert_tokens_to_ids(lines.symbols()))
        if return_tensors is None:
            return rows
        ids, mask = _C.pad_rows(rows)
        return named(return_tensors, input_ids=ids, attention_mask=mask)

    def _index(
        self, path: StrPath, verbose: bool, add_eos: bool, add_double_eos: bool
    ) -> _C.IndexedLines:
        line_format = self._format(bool(add_eos), bool(add_double_eos))
        with _progress(path, verbose) as progress:
            return _C.IndexedLines(os.fspath(path), line_format, progress)

    def _format(self, add_eos: bool, add_double_eos: bool = False) -> _C.LineFormat:
        return _C.LineFormat(bool(self.lower_case), self.delimiter, add_eos, add_double_eos)


def _bar(sents: Iterable[Any], verbose: bool) -> Iterable[Any]:
    return tqdm(sents, unit="sentence", disable=None) if verbose else sents


@contextmanager
def _progress(path: StrPath, verbose: bool) -> Iterator[Callable[[int], object] | None]:
    """Yields a function to call with the number of bytes read since its last call, or None."""
    if not verbose or not Path(path).is_file():
        yield None
        return
    size, name = Path(path).stat().st_size, Path(path).name
    with tqdm(total=size, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update


def _lines(path: StrPath, verbose: bool) -> Iterator[str]:
    """Yields the lines of a file, for tokenizers with replaced methods."""
    with Path(path).open(encoding="utf-8-sig") as file, _progress(path, verbose) as progress:
        for line in file:
            if progress:
                progress(len(line.encode()))
            yield line


TransfoXLTokenizer.note_methods()
