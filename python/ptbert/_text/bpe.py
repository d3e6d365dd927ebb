"""Base of the tokenizers of GPT and GPT-2: tables, special tokens, ids and files."""

from __future__ import annotations

import abc
import itertools
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

from .. import _C
from .._files.pretrained import (
    MERGES_NAME,
    SPECIAL_TOKENS_NAME,
    VOCABULARY_NAMES,
    resolve_bpe_files,
)
from .._files.published import Family, published
from .._files.writing import complete_folder
from ..file_utils import StrPath
from .arguments import id_list, read_special_tokens, token_list
from .bpe_tables import BpeTables
from .encoded_batches import ReturnTensors, check_batch, named
from .native import native_methods
from .train_vocab import Files

VOCAB_NAME = VOCABULARY_NAMES["gpt2"]  # and of GPT

_NO_LIMIT = int(1e12)

_Self = TypeVar("_Self", bound="BpeTokenizer")


def get_pairs(word: Iterable[str]) -> set[tuple[str, str]]:
    """Returns the set of adjacent pairs in a word, a sequence of at least one symbol.

    Example:
        >>> sorted(get_pairs("lolo"))
        [('l', 'o'), ('o', 'l')]
    """
    symbols = list(word)
    if not symbols:
        raise IndexError("`word` must have at least one symbol, but is empty.")
    return set(itertools.pairwise(symbols))


# The methods that `tokenize`, `encode` and `decode` call.
@native_methods("bpe", "convert_ids_to_tokens", "convert_tokens_to_ids", "encode", "tokenize")
class BpeTokenizer(BpeTables, abc.ABC):
    """Base of `GPT2Tokenizer` and `OpenAIGPTTokenizer`."""

    _family: ClassVar[Family]
    _exceptions: ClassVar[dict[str, str]] = {}  # results of `bpe` to replace, and by what
    _write_trained_files: ClassVar[Any]  # the function of `train_vocab` for the class
    _logger: ClassVar[logging.Logger]

    max_len: int

    def __init__(
        self,
        vocab_file: StrPath,
        merges_file: StrPath,
        special_tokens: Iterable[str] | None,
        max_len: int | None,
    ) -> None:
        self.max_len = max_len if max_len is not None else _NO_LIMIT
        super().__init__(os.fspath(vocab_file), os.fspath(merges_file))
        self.set_special_tokens(special_tokens)

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
            pretrained_model_name_or_path: A shortcut name (see `PRETRAINED_VOCAB_ARCHIVE_MAP`),
                which limits `max_len`; a directory or a .tar.gz archive (also by URL) with
                vocab.json, merges.txt and, optionally, special_tokens.txt; or a Hub id.
            cache_dir: Where downloaded files are kept.
            inputs: Further arguments of the class, by position.
            kwargs: Further arguments of the class, by name. `special_tokens` replaces those of the
                file.

        Raises:
            OSError: A file was not found; the message says where it was looked for.
        """
        name = pretrained_model_name_or_path
        model = published(name)
        limit = model.max_len if model else None
        if limit is not None:
            given = kwargs.get("max_len")
            kwargs["max_len"] = limit if given is None else min(given, limit)
        with resolve_bpe_files(name, cache_dir, cls._family) as files:
            vocab_file, merges_file, special_tokens_file = files
            if special_tokens_file is not None and "special_tokens" not in kwargs:
                kwargs["special_tokens"] = read_special_tokens(special_tokens_file)
            return cls(vocab_file, merges_file, *inputs, **kwargs)

    @classmethod
    def train(
        cls: type[_Self],
        files: Files,
        vocab_size: int,
        output_dir: StrPath,
        *,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> _Self:
        """Learns a new vocabulary from text files and writes it to a directory.

        Needs the package sentencepiece: `pip install ptbert[train]`. Equal files give equal
        vocabularies; the class describes the order of their tokens.

        Args:
            files: A path or paths of UTF-8 text files, which are read line by line.
            vocab_size: The number of tokens. A warning is logged if the files give fewer.
            output_dir: The directory for vocab.json, merges.txt and an empty special_tokens.txt;
                created if it does not exist.
            overwrite: Whether to replace such files in the directory.
            verbose: Whether to show a progress bar if stderr is a terminal.

        Returns:
            The tokenizer that `from_pretrained(output_dir)` loads.

        Raises:
            FileExistsError: There is such a file, and `overwrite` is not set.
            FileNotFoundError: One of the files does not exist.
            ImportError: sentencepiece is not installed.
            NotADirectoryError: `output_dir` cannot be created.
            ValueError: A file is not UTF-8, there are no words, or `vocab_size` is too small for
                all characters (of GPT-2: all bytes); the message gives the smallest size.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> from ptbert import GPT2Tokenizer, OpenAIGPTTokenizer
            >>> with TemporaryDirectory() as folder:
            ...     text = Path(folder, "text.txt")
            ...     _ = text.write_text("low lower lowest")
            ...     gpt = OpenAIGPTTokenizer.train(text, 20, Path(folder, "gpt"))
            ...     gpt2 = GPT2Tokenizer.train(text, 260, Path(folder, "gpt2"))
            >>> gpt.tokenize("low slow"), gpt2.tokenize("low slow")
            (['low</w>', 's', 'low</w>'], ['low', 'Ġ', 's', 'low'])
        """
        cls._write_trained_files(files, vocab_size, output_dir, overwrite, verbose)
        return cls.from_pretrained(Path(output_dir))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={len(self)}, max_len={self.max_len}, "
            f"special_tokens={list(self.special_tokens)})"
        )

    def set_special_tokens(self, special_tokens: Iterable[str] | None) -> None:
        """Replaces the special tokens; their ids follow those of the vocabulary.

        Texts are not searched for them.

        Raises:
            TypeError: `special_tokens` is a str.
        """
        tokens = token_list(special_tokens, "special_tokens")
        count = len(self) - len(self.special_tokens)
        self.special_tokens = {token: count + i for i, token in enumerate(tokens)}
        self.special_tokens_decoder = {i: token for token, i in self.special_tokens.items()}

    def bpe(self, token: str) -> str:
        """Returns the byte-pair encoding of one word: its symbols, joined by spaces."""
        joined = " ".join(self._current().bpe(token))
        return self._exceptions.get(joined, joined)

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of `text`."""
        native = self._native_methods()
        return self._tokenize(text) if native is None else native.tokenize(text)

    @abc.abstractmethod
    def _words(self, text: str) -> list[str]:
        """Splits `text` into words for `bpe`."""

    def _tokenize(self, text: str) -> list[str]:
        """Returns the tokens of `text`, split into words and encoded in Python."""
        return [token for word in self._words(text) for token in self.bpe(word).split(" ")]

    def encode(self, text: str) -> list[int]:
        """Returns the ids of the tokens of `text`; logs a warning if they exceed `max_len`."""
        native = self._native_methods()
        if native is None:
            return self.convert_tokens_to_ids(self.tokenize(text))
        ids = native.encode(text)
        if len(ids) > self.max_len:
            self._warn_of_length(len(ids))
        return ids

    @overload
    def encode_batch(self, texts: Iterable[str], num_threads: int = 0) -> list[list[int]]: ...

    @overload
    def encode_batch(
        self,
        texts: Iterable[str],
        num_threads: int = 0,
        *,
        return_tensors: ReturnTensors,
        max_length: int | None = None,
    ) -> dict[str, Any]: ...

    def encode_batch(
        self,
        texts: Iterable[str],
        num_threads: int = 0,
        *,
        return_tensors: ReturnTensors | None = None,
        max_length: int | None = None,
    ) -> list[list[int]] | dict[str, Any]:
        """Encodes many texts in parallel, with the GIL released.

        Args:
            texts: The texts.
            num_threads: The number of threads; 0 for one per processor.
            return_tensors: "pt" for tensors or "np" for arrays, padded with 0 at the end; None for
                lists of ids as from `encode`.
            max_length: Truncate each text to this many ids; only with `return_tensors`.

        Returns:
            A list of ids for each text; or with `return_tensors` a dict with `input_ids` and
            `attention_mask`, int64 [batch, length of the longest].

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has an invalid value, or needs `return_tensors`.
        """
        check_batch(texts, num_threads, return_tensors, max_length=max_length)
        native = self._native_methods()
        if return_tensors is None:
            if native is None:
                return [self.encode(text) for text in texts]
            return [self._checked(ids) for ids in native.encode_batch(texts, num_threads)]
        if native is None:
            tokens = (self.tokenize(text)[:max_length] for text in texts)
            ids, mask = _C.pad_rows([self._current().tokens_to_ids(row) for row in tokens])
        else:
            ids, mask = native.encode_padded(texts, max_length, num_threads)
        self._warn_of_length(ids.shape[1])
        return named(return_tensors, input_ids=ids, attention_mask=mask)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Returns the span of each token of `tokenize(text)`: `text[begin:end]`.

        A span covers the first to the last character of `text` that the token was made from; spans
        of tokens that share the bytes of one character overlap.

        Raises:
            TypeError: Text is not split into words in C++: a method was replaced, or ftfy and
                spaCy are used.
        """
        native = self._native_methods()
        if native is None:
            raise TypeError(
                "`offsets` must know where words come from, but they are made in Python: by ftfy "
                "and spaCy, or by a method that was replaced."
            )
        return native.offsets(text)

    def _state(self) -> tuple[Any, ...]:
        return (*super()._state(), self._has_own_methods())

    def _new_native(self, *state: Any) -> tuple[Any, Any]:
        *tables, has_own_methods = state
        native = super()._new_native(*tables)
        return native, None if has_own_methods else native

    def _warn_of_length(self, length: int) -> None:
        if length > self.max_len:
            self._logger.warning(
                "`tokens` should hold at most %d tokens (`max_len`), but holds %d: cut or split "
                "the text, a model of this size cannot take it.",
                self.max_len,
                length,
            )

    def _checked(self, ids: list[int]) -> list[int]:
        self._warn_of_length(len(ids))
        return ids

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """Returns the ids of `tokens`, or the id of a single str; 0 for unknown tokens.

        Logs a warning if there are more than `max_len`.
        """
        if isinstance(tokens, str):
            return self._current().token_id(tokens)
        if not hasattr(tokens, "__iter__"):
            raise TypeError(f"`tokens` must be a str or a list of strs, but is {tokens!r}.")
        return self._checked(self._current().tokens_to_ids(tokens))

    def convert_ids_to_tokens(
        self, ids: Iterable[int], skip_special_tokens: bool = False
    ) -> list[str]:
        """Returns the tokens of `ids`, without special ones if `skip_special_tokens`.

        Args:
            ids: The ids of one text: a list, a tensor or an array.
            skip_special_tokens: Whether to leave out special tokens.

        Raises:
            KeyError: An id is neither in the vocabulary nor special.
            TypeError: `ids` is a single id or a batch.
        """
        if type(ids) is not list:
            ids = id_list(ids, "ids")
        if "decoder" not in self._tables:
            return self._current().ids_to_tokens(ids, skip_special_tokens)
        special, tokens = self.special_tokens_decoder, []
        for index in id_list(ids, "ids"):
            if index not in special:
                tokens.append(self._token(index))
            elif not skip_special_tokens:
                tokens.append(special[index])
        return tokens

    def _token(self, index: int) -> str:
        try:
            return self.decoder[index]
        except KeyError:
            raise KeyError(
                f"`ids` must be in the vocabulary of {len(self)} tokens, but {index} is not."
            ) from None

    def decode(
        self,
        ids: Iterable[int],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool = True,
    ) -> str:
        """Returns the text of `ids`.

        Args:
            ids: The ids of one text: a list, a tensor or an array.
            skip_special_tokens: Whether to leave out special tokens.
            clean_up_tokenization_spaces: Whether to remove spaces before punctuation and English
                contractions, and to remove "<unk>". If not, `decode(encode(text))` is `text` for
                GPT-2, and the lower-cased words of `text` for GPT.

        Raises:
            KeyError: An id is neither in the vocabulary nor special.
            TypeError: `ids` is a single id or a batch.
        """
        if type(ids) is not list:
            ids = id_list(ids, "ids")
        native, errors = self._current(), self._utf8_errors()
        if "decoder" not in self._tables and not self._replaces_methods():
            return native.decode(ids, skip_special_tokens, clean_up_tokenization_spaces, errors)
        joined = "".join(self.convert_ids_to_tokens(ids, skip_special_tokens=skip_special_tokens))
        return native.text_of(joined, clean_up_tokenization_spaces, errors)

    def _utf8_errors(self) -> str:
        """Returns the error handler of `bytes.decode` for bytes that are not UTF-8."""
        return "strict"

    def save_vocabulary(self, vocab_path: StrPath) -> tuple[str, str, str]:
        """Writes vocab.json, merges.txt and special_tokens.txt to a directory.

        Returns:
            The paths of the three files; `from_pretrained` takes the directory.

        Raises:
            NotADirectoryError: `vocab_path` is not a directory.
        """
        folder = Path(vocab_path)
        if not folder.is_dir():
            raise NotADirectoryError(
                f"`vocab_path` must be an existing directory, but is {folder}."
            )
        native = self._current()
        self._warn_about_gaps(folder / MERGES_NAME, [rank for _, rank in native.merges()], 0)
        self._warn_about_gaps(
            folder / SPECIAL_TOKENS_NAME,
            sorted(self.special_tokens.values()),
            len(self) - len(self.special_tokens),
        )
        native.save_vocabulary(folder)
        return tuple(str(folder / n) for n in (VOCAB_NAME, MERGES_NAME, SPECIAL_TOKENS_NAME))  # type: ignore[return-value]

    def save_pretrained(self, save_directory: StrPath) -> None:
        """Writes the vocabulary to a folder, which is made if need be; `from_pretrained` takes it.

        Files get their names when all are complete.

        Raises:
            OSError: A file cannot be written.
        """
        with complete_folder(Path(save_directory)) as folder:
            self.save_vocabulary(folder)

    def _warn_about_gaps(self, file: Path, numbers: list[int], first: int) -> None:
        if numbers != list(range(first, first + len(numbers))):
            self._logger.warning(
                "The numbers of the lines of %s should be %d, %d, ... without a gap, but are not: "
                "what is loaded from it will have other numbers than now.",
                file,
                first,
                first + 1,
            )
