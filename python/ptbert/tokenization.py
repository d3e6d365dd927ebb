"""BERT's tokenizers: text to word pieces to ids, and back."""

from __future__ import annotations

import collections
import json
import logging
import os
import sys
import unicodedata
from collections import OrderedDict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar, overload

from . import _C
from ._files.pretrained import resolve_vocabulary, vocabulary_inside
from ._files.published import archive_map, max_len_map, published
from ._files.writing import complete_folder
from ._text.arguments import fault_of_tokens, id_list
from ._text.encoded_batches import ReturnTensors, check_batch, named
from ._text.native import HasNativeMethods, Source, native_methods
from ._text.train_vocab import Files, train_wordpiece
from ._text.vocabulary import LoadedVocabulary, Vocabulary, load_vocab
from ._text.word_pieces import (
    SPECIAL_TOKENS,
    BasicTokenizer,
    WordpieceTokenizer,
    _is_control,
    _is_punctuation,
    _is_whitespace,
    native_basic,
    native_wordpiece,
    watch_functions,
    whitespace_tokenize,
)
from .file_utils import StrPath, cached_path

# The names of the 2019 library, and `Vocabulary`.
__all__ = [
    "PRETRAINED_VOCAB_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP",
    "VOCAB_NAME",
    "BasicTokenizer",
    "BertTokenizer",
    "Vocabulary",
    "WordpieceTokenizer",
    "_is_control",
    "_is_punctuation",
    "_is_whitespace",
    "load_vocab",
    "whitespace_tokenize",
]
# Names that came along in 2019: without `__all__`, `import *` gave what the module imported, too.
__all__ += ["cached_path", "collections", "logger", "logging", "os", "unicodedata"]

logger = logging.getLogger(__name__)

VOCAB_NAME = "vocab.txt"

PRETRAINED_VOCAB_ARCHIVE_MAP = archive_map("bert", VOCAB_NAME)
PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP = max_len_map("bert")

_NO_LIMIT = int(1e12)

# Client code may replace these names in this module, and the tokenizer then uses theirs.
_WordpieceTokenizer, _load_vocab = WordpieceTokenizer, load_vocab

_Self = TypeVar("_Self", bound="BertTokenizer")


@native_methods("convert_tokens_to_ids", "tokenize")
class BertTokenizer(HasNativeMethods):
    """BERT's tokenizer, from text to ids and back: basic tokenization followed by WordPiece.

    Args:
        vocab_file: Path of a vocabulary, one token per line.
        do_lower_case: Whether to lower-case the text and strip its accents.
        max_len: The longest input of the model; `convert_tokens_to_ids` warns beyond it.
        do_basic_tokenize: False for text that is tokenized already: it is only split on white
            space; `do_lower_case` and `never_split` then have no effect.
        never_split: Tokens that are not changed if they are whole white-space separated words.

    Attributes:
        basic_tokenizer: The `BasicTokenizer`, or anything with a method `tokenize`.
        wordpiece_tokenizer: The `WordpieceTokenizer`, or anything with a method `tokenize`.

    Raises:
        ValueError: There is no such file, it is empty, or it is not UTF-8.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile("w", suffix=".txt") as file:
        ...     print("[UNK]", "hello", "world", "##s", "!", sep="\\n", file=file, flush=True)
        ...     tokenizer = BertTokenizer(file.name)
        >>> tokens = tokenizer.tokenize("Hello, worlds!")
        >>> tokens
        ['hello', '[UNK]', 'world', '##s', '!']
        >>> tokenizer.convert_tokens_to_ids(tokens)
        [1, 0, 2, 3, 4]
    """

    _ids_to_tokens: OrderedDict[int, str] | None = None
    _attributes = frozenset(
        ("_vocab", "basic_tokenizer", "do_basic_tokenize", "wordpiece_tokenizer")
    )

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        do_lower_case: bool = True,
        max_len: int | None = None,
        do_basic_tokenize: bool = True,
        never_split: Collection[str] = SPECIAL_TOKENS,
    ) -> None:
        if not Path(vocab_file).is_file():
            raise ValueError(
                f"`vocab_file` must be an existing file, but is {os.fspath(vocab_file)}; use "
                "`BertTokenizer.from_pretrained` to load from a directory or by name."
            )
        self._vocab: OrderedDict[str, int] | LoadedVocabulary
        if load_vocab is _load_vocab:
            self._vocab = self._loaded = LoadedVocabulary(_C.Vocabulary.load(os.fspath(vocab_file)))
        else:  # replaced in this module by client code
            self._vocab = vocab = load_vocab(vocab_file)
            self._ids_to_tokens = OrderedDict((index, token) for token, index in vocab.items())
        self.do_basic_tokenize = do_basic_tokenize
        self.basic_tokenizer = BasicTokenizer(do_lower_case, never_split)
        if WordpieceTokenizer is _WordpieceTokenizer:
            self.wordpiece_tokenizer = WordpieceTokenizer({})
            self.wordpiece_tokenizer._vocab = self._vocab
        else:
            self.wordpiece_tokenizer = WordpieceTokenizer(vocab=self.vocab)
        self.max_len = max_len if max_len is not None else _NO_LIMIT

    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        *inputs: Any,
        **kwargs: Any,
    ) -> _Self:
        """Loads the tokenizer of a pretrained or saved model.

        Args:
            pretrained_model_name_or_path: A shortcut name (see `PRETRAINED_VOCAB_ARCHIVE_MAP`), a
                directory with a vocab.txt, a vocabulary file or a .tar.gz archive with one, or the
                URL of either. A shortcut name overrides `do_lower_case` and limits `max_len`;
                `NAME@REVISION` is a version of it.
            cache_dir: Where downloaded files are kept.
            inputs: Further arguments of the class, by position.
            kwargs: Further arguments of the class, by name.

        Raises:
            OSError: No vocabulary was found; the message says where it was looked for.
        """
        vocab_file = resolve_vocabulary(pretrained_model_name_or_path, cache_dir)
        if model := published(pretrained_model_name_or_path):
            names = ("do_lower_case", "max_len", "do_basic_tokenize", "never_split")
            given = {**dict(zip(names, inputs, strict=False)), **kwargs}
            kwargs = _arguments_for(model.name, given)
            inputs = ()
        with vocabulary_inside(vocab_file) as path:
            return cls(path, *inputs, **kwargs)

    @classmethod
    def train(
        cls: type[_Self],
        files: Files,
        vocab_size: int,
        output_dir: str | os.PathLike[str],
        do_lower_case: bool = True,
        *,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> _Self:
        """Learns a new vocabulary from text files and writes it to vocab.txt in a directory.

        Needs the package sentencepiece: `pip install ptbert[train]`. Words are those of
        `BasicTokenizer`; equal files give equal vocabularies. [PAD], [UNK], [CLS], [SEP] and [MASK]
        come first, then all characters of the words (with "##" before those that do not start a
        word), then longer pieces, learned by byte-pair encoding.

        Args:
            files: A path or paths of UTF-8 text files, which are read line by line.
            vocab_size: The number of tokens. A warning is logged if the files give fewer.
            output_dir: The directory to write to; created if it does not exist.
            do_lower_case: Whether to lower-case the text and strip its accents. If not, load the
                vocabulary with `do_lower_case=False` as well.
            overwrite: Whether to replace a vocab.txt in the directory.
            verbose: Whether to show a progress bar if stderr is a terminal.

        Returns:
            The tokenizer that `from_pretrained(output_dir)` loads.

        Raises:
            FileExistsError: There is a vocab.txt, and `overwrite` is not set.
            FileNotFoundError: One of the files does not exist.
            ImportError: sentencepiece is not installed.
            NotADirectoryError: `output_dir` cannot be created.
            ValueError: A file is not UTF-8, there are no words, or `vocab_size` is too small for
                all characters; the message gives the smallest size.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     text = Path(folder, "text.txt")
            ...     _ = text.write_text("low lower lowest")
            ...     tokenizer = BertTokenizer.train(text, 20, folder)
            >>> tokenizer.tokenize("Lowest slow")
            ['lowest', '[UNK]']
        """
        train_wordpiece(files, vocab_size, output_dir, do_lower_case, overwrite, verbose)
        return cls.from_pretrained(Path(output_dir), do_lower_case=do_lower_case)

    def __len__(self) -> int:
        return len(self._vocab)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ids_to_tokens": self.ids_to_tokens}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={len(self)}, max_len={self.max_len}, "
            f"do_basic_tokenize={self.do_basic_tokenize}, "
            f"basic_tokenizer={self.basic_tokenizer!r})"
        )

    @property
    def vocab(self) -> OrderedDict[str, int]:
        """Token to id. Changes take effect at the next call."""
        vocab = self._vocab
        return vocab.vocab if isinstance(vocab, LoadedVocabulary) else vocab

    @vocab.setter
    def vocab(self, value: OrderedDict[str, int]) -> None:
        self._vocab = value

    @property
    def ids_to_tokens(self) -> OrderedDict[int, str]:
        """Id to token, as in the vocabulary file; does not follow changes of `vocab`."""
        if self._ids_to_tokens is None:
            self._ids_to_tokens = self._loaded.ids_to_tokens()
        return self._ids_to_tokens

    @ids_to_tokens.setter
    def ids_to_tokens(self, value: OrderedDict[int, str]) -> None:
        self._ids_to_tokens = value

    @property
    def do_lower_case(self) -> bool:
        """Whether the basic tokenizer lower-cases."""
        return self.basic_tokenizer.do_lower_case

    @do_lower_case.setter
    def do_lower_case(self, value: bool) -> None:
        self.basic_tokenizer.do_lower_case = value

    @property
    def never_split(self) -> Collection[str]:
        """The tokens that the basic tokenizer does not change."""
        return self.basic_tokenizer.never_split

    @never_split.setter
    def never_split(self, value: Collection[str]) -> None:
        self.basic_tokenizer.never_split = value

    def tokenize(self, text: str) -> list[str]:
        """Returns the word pieces of `text`."""
        encoder = self._native()[0]
        if encoder is not None:
            return encoder.tokenize(text)
        basic, wordpiece = self.basic_tokenizer, self.wordpiece_tokenizer
        if not self.do_basic_tokenize:
            return wordpiece.tokenize(text)
        return [piece for token in basic.tokenize(text) for piece in wordpiece.tokenize(token)]

    def encode(self, text: str) -> list[int]:
        """Returns the ids of the word pieces of `text`, without [CLS] and [SEP].

        Same as `convert_tokens_to_ids(tokenize(text))`, but faster: it makes no strings.

        Raises:
            KeyError: A token is not in `vocab`.
        """
        encoder = self._native_methods()
        if encoder is None:
            return self.convert_tokens_to_ids(self.tokenize(text))
        ids = encoder.encode(text)
        if len(ids) > self.max_len:
            self._warn_of_length(len(ids))
        return ids

    def encode_pair(
        self, text_a: str, text_b: str | None = None, max_length: int | None = None
    ) -> dict[str, list[int]]:
        """Returns the inputs of a model for a pair of texts, or for one text.

        Args:
            text_a: The first text.
            text_b: The second text.
            max_length: The largest number of tokens, including [CLS] and [SEP]. To fit, the last
                token of the longer text is removed repeatedly, as in the 2019 scripts.

        Returns:
            A dict with `input_ids`: [CLS] text_a [SEP] text_b [SEP]; `token_type_ids`: 0 up to the
            first [SEP], then 1; `attention_mask`: all 1.

        Raises:
            KeyError: [CLS], [SEP] or the unknown token is not in the vocabulary.
            TypeError: A tokenizer inside this one was replaced by one of another class.
            ValueError: `max_length` leaves no room for [CLS] and [SEP].
        """
        encoder = self._required_encoder("encode_pair")
        input_ids, token_type_ids = encoder.encode_pair(text_a, text_b, max_length)
        self._warn_of_length(len(input_ids))
        return {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "attention_mask": [1] * len(input_ids),
        }

    @overload
    def encode_batch(self, texts: Iterable[str], num_threads: int = 0) -> list[list[int]]: ...

    @overload
    def encode_batch(
        self,
        texts: Iterable[str],
        num_threads: int = 0,
        *,
        text_pairs: Iterable[str] | None = None,
        return_tensors: ReturnTensors,
        max_length: int | None = None,
    ) -> dict[str, Any]: ...

    def encode_batch(
        self,
        texts: Iterable[str],
        num_threads: int = 0,
        *,
        text_pairs: Iterable[str] | None = None,
        return_tensors: ReturnTensors | None = None,
        max_length: int | None = None,
    ) -> list[list[int]] | dict[str, Any]:
        """Encodes many texts in parallel, with the GIL released.

        Args:
            texts: The texts.
            num_threads: The number of threads; 0 for one per processor.
            text_pairs: The second text of each pair; only with `return_tensors`.
            return_tensors: "pt" for tensors or "np" for arrays, inputs of a model with [CLS] and
                [SEP], padded with [PAD]; None for lists of ids without these, as from `encode`.
            max_length: As in `encode_pair`; only with `return_tensors`.

        Returns:
            A list of ids for each text; or with `return_tensors` a dict with `input_ids`,
            `token_type_ids` and `attention_mask`, int64 [batch, length of the longest].

        Raises:
            KeyError: [CLS], [SEP], [PAD] or the unknown token is needed, but not in the vocabulary.
            TypeError: A tokenizer inside this one was replaced by one of another class.
            ValueError: An argument has an invalid value, or needs `return_tensors`.
        """
        check_batch(texts, num_threads, return_tensors, text_pairs, max_length)
        encoder = self._required_encoder("encode_batch")
        if return_tensors is None:
            lists = encoder.encode_batch(texts, num_threads)
            self._warn_of_length(max(map(len, lists), default=0))
            return lists
        ids, types, mask = encoder.encode_pairs(texts, text_pairs, max_length, num_threads)
        self._warn_of_length(ids.shape[1])
        return named(return_tensors, input_ids=ids, token_type_ids=types, attention_mask=mask)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Returns the span of each token of `tokenize(text)`: `text[begin:end]`.

        A span covers the first to the last character of `text` that the token was made from.
        Characters that are dropped (controls, combining accents) are in a span only if they are
        between two characters of the token. If several tokens are made from one character, they
        have the same span.

        Raises:
            TypeError: A tokenizer inside this one was replaced by one of another class.

        Example: `offsets("Déjà-vu")` is `[(0, 4), (4, 5), (5, 7)]`, if "deja" and "vu" are tokens.
        """
        return self._required_encoder("offsets", own_vocab=False).offsets(text)

    def _sources(self) -> list[Source]:
        steps = [self.basic_tokenizer] if self.do_basic_tokenize else []
        return [s for s in (*steps, self.wordpiece_tokenizer) if isinstance(s, Source)]

    def _state(self) -> tuple[Any, ...]:
        basic = native_basic(self.basic_tokenizer) if self.do_basic_tokenize else None
        wordpiece = native_wordpiece(self.wordpiece_tokenizer)
        if wordpiece is None or (basic is None and self.do_basic_tokenize):
            return None, None, False
        inner = self.wordpiece_tokenizer
        own_vocab = inner._vocab is self._vocab or inner.vocab is self.vocab
        return basic, wordpiece, own_vocab and not self._has_own_methods()

    def _new_native(
        self, *state: Any
    ) -> tuple[_C.BertTextEncoder | None, _C.BertTextEncoder | None]:
        """Returns the encoder that runs both tokenizers at once, or None if one of them was
        replaced; and the encoder for `encode`, or None if ids come from elsewhere as well.
        """
        basic, wordpiece, has_ids = state
        encoder = None if wordpiece is None else _C.BertTextEncoder(basic, wordpiece)
        return encoder, encoder if has_ids else None

    def _required_encoder(self, method: str, own_vocab: bool = True) -> _C.BertTextEncoder:
        encoder = self._native_methods() if own_vocab else self._native()[0]
        if encoder is None:
            raise TypeError(
                f"`{method}` must have a `BasicTokenizer` and a `WordpieceTokenizer` with the "
                "`vocab` of the tokenizer, and no other `tokenize` and `convert_tokens_to_ids` "
                f"than theirs, but has {self.basic_tokenizer!r} and {self.wordpiece_tokenizer!r}, "
                "or a method or function that they call is replaced. Use `tokenize` and "
                "`convert_tokens_to_ids`, which call what replaces it."
            )
        return encoder

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Returns the ids of `tokens`; logs a warning if there are more than `max_len`.

        Args:
            tokens: A list of tokens. Of a str, its characters are the tokens, as in 2019: pass
                `["[CLS]"]` for one token.

        Raises:
            KeyError: A token is not in the vocabulary.
            TypeError: `tokens` is not a list of tokens.
        """
        vocab = self.vocab
        try:
            ids = [vocab[token] for token in tokens]
        except KeyError as error:
            if fault := fault_of_tokens(error.args, "tokens"):
                raise fault from None
            hint = ""
            if isinstance(tokens, str):
                hint = f' The tokens of a str are its characters: pass `["{tokens}"]` for one.'
            raise KeyError(
                f"`tokens` must be in the vocabulary of {len(vocab)} tokens, but "
                f'"{error.args[0]}" is not.{hint}'
            ) from None
        except TypeError as error:
            raise fault_of_tokens(tokens, "tokens") or error from None
        self._warn_of_length(len(ids))
        return ids

    def _warn_of_length(self, length: int) -> None:
        if length > self.max_len:
            logger.warning(
                "`tokens` should hold at most %d tokens (`max_len`), but holds %d: cut or split "
                "the text, a model of this size cannot take it.",
                self.max_len,
                length,
            )

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of `ids`.

        Args:
            ids: The ids of one text: a list, a tensor or an array.

        Raises:
            KeyError: An id is not in the vocabulary.
            TypeError: `ids` is a single id or a batch.
        """
        table = self.ids_to_tokens
        if type(ids) is list:
            try:
                return [table[index] for index in ids]
            except (KeyError, TypeError):
                pass  # they may be ids of another type
        try:
            return [table[index] for index in id_list(ids, "ids")]
        except KeyError as error:
            raise KeyError(
                f"`ids` must be in the vocabulary of {len(self.ids_to_tokens)} tokens, but "
                f"{error.args[0]} is not."
            ) from None

    def save_vocabulary(self, vocab_path: str | os.PathLike[str]) -> str:
        """Writes the vocabulary to a file, or to vocab.txt in a directory.

        Returns:
            The path of the file; `from_pretrained` takes it.
        """
        path = Path(vocab_path)
        vocab_file = path / VOCAB_NAME if path.is_dir() else path
        native = _C.Vocabulary(dict(self.vocab))
        if not native.is_consecutive():
            logger.warning(
                "`vocab` should have the ids 0 to %d, but has others: tokens loaded from %s will "
                "have other ids than now.",
                len(native) - 1,
                vocab_file,
            )
        native.save(vocab_file)
        return str(vocab_file)

    def save_pretrained(self, save_directory: StrPath) -> None:
        """Writes the vocabulary to a folder, which is made if need be; `from_pretrained` takes it.

        Files get their names when all are complete. tokenizer_config.json notes `do_lower_case` for
        transformers; here, and in 2019, it is an argument of `from_pretrained`.

        Raises:
            OSError: A file cannot be written.
        """
        with complete_folder(Path(save_directory)) as folder:
            self.save_vocabulary(folder)
            config = json.dumps({"do_lower_case": self.do_lower_case})
            (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")


def _arguments_for(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `BertTokenizer` for a shortcut name."""
    lower_case = "-cased" not in name
    if bool(arguments.get("do_lower_case", lower_case)) != lower_case:
        logger.warning(
            "`do_lower_case` must be %s for %s, but is %s: using %s.",
            lower_case,
            name,
            arguments["do_lower_case"],
            lower_case,
        )
    max_len, limit = arguments.get("max_len"), PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP[name]
    return {
        **arguments,
        "do_lower_case": lower_case,
        "max_len": limit if max_len is None else min(max_len, limit),
    }


watch_functions(sys.modules[__name__])
