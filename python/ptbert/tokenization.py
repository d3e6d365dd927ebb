"""BERT's tokenizers: text to word pieces to ids, and back."""

from __future__ import annotations

import functools
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from . import _C
from .pretrained import archive_map, max_len_map, resolve_vocabulary

logger = logging.getLogger(__name__)

VOCAB_NAME = "vocab.txt"

PRETRAINED_VOCAB_ARCHIVE_MAP = archive_map("bert", VOCAB_NAME)
PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP = max_len_map("bert")

_SPECIAL_TOKENS = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")
_NO_LIMIT = int(1e12)

_Method = TypeVar("_Method", bound=Callable[..., Any])
_Self = TypeVar("_Self", bound="BertTokenizer")


def _forgets_native(method: _Method) -> _Method:
    """Makes a method of `OrderedDict` drop the native copy after it changed the entries."""

    @functools.wraps(method)
    def changed(self: Vocabulary, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            self._native_copy = None

    return cast(_Method, changed)


class Vocabulary(OrderedDict[str, int]):
    """The tokens of a model and their ids, in the order of the vocabulary file.

    An ordinary `OrderedDict` to its user. The tokenizers look tokens up in a native copy, which
    every change of the entries discards.

    Example:
        >>> vocab = Vocabulary({"[PAD]": 0, "[unused0]": 1})
        >>> vocab["hello"] = vocab.pop("[unused0]")
        >>> vocab["hello"]
        1
    """

    _native_copy: _C.Vocabulary | None = None

    __setitem__ = _forgets_native(OrderedDict.__setitem__)
    __delitem__ = _forgets_native(OrderedDict.__delitem__)
    __ior__ = _forgets_native(OrderedDict.__ior__)
    clear = _forgets_native(OrderedDict.clear)
    pop = _forgets_native(OrderedDict.pop)
    popitem = _forgets_native(OrderedDict.popitem)
    setdefault = _forgets_native(OrderedDict.setdefault)
    update = _forgets_native(OrderedDict.update)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.items()),)

    def native(self) -> _C.Vocabulary:
        """Returns the native copy of the entries."""
        native = self._native_copy
        if native is None:
            native = self._native_copy = _C.Vocabulary(self)
        return native


def load_vocab(vocab_file: str | os.PathLike[str]) -> Vocabulary:
    """Reads a vocabulary file: one token a line, the number of the line being the token's id.

    Args:
        vocab_file: Path of a UTF-8 text file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty or not UTF-8.
    """
    native = _C.Vocabulary.load(os.fspath(vocab_file))
    vocab = Vocabulary(native.items())
    vocab._native_copy = native
    return vocab


def whitespace_tokenize(text: str) -> list[str]:
    """Returns the words of `text`, as `str.split` does."""
    return _C.whitespace_tokenize(text)


def _is_whitespace(char: str) -> bool:
    return _C.is_whitespace(ord(char))


def _is_control(char: str) -> bool:
    return _C.is_control(ord(char))


def _is_punctuation(char: str) -> bool:
    return _C.is_punctuation(ord(char))


class _NativeTwin:
    """Attributes that Python code may change at any time, and a native object made from them.

    There are slots only, so that setting a name that is not an attribute of the tokenizer (a
    patched method, say) raises instead of being without effect.
    """

    __slots__ = ("__weakref__", "_twin")
    _attributes: ClassVar[tuple[str, ...]]
    _twin: tuple[tuple[Any, ...], Any] | None

    def __getstate__(self) -> dict[str, Any]:
        attributes = {name: getattr(self, name) for name in self._attributes}
        return {**getattr(self, "__dict__", {}), **attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._twin = None
        for name, value in state.items():
            setattr(self, name, value)


class BasicTokenizer(_NativeTwin):
    """Splits text into words and punctuation.

    Cleans the text, puts spaces around CJK ideographs, splits on white space, lower-cases and
    strips accents if `do_lower_case`, and splits on punctuation. Character data is that of Unicode
    15.0 on every Python. `do_lower_case` and `never_split` may be changed at any time.

    Args:
        do_lower_case: Whether to lower-case the text and strip its accents.
        never_split: Tokens that are left as they are where they are whole white-space separated
            words.

    Example:
        >>> BasicTokenizer().tokenize("[CLS] Déjà-vu!")
        ['[CLS]', 'deja', '-', 'vu', '!']
    """

    __slots__ = ("do_lower_case", "never_split")
    _attributes = ("do_lower_case", "never_split")
    _steps = frozenset(
        (
            "_clean_text",
            "_is_chinese_char",
            "_run_split_on_punc",
            "_run_strip_accents",
            "_tokenize_chinese_chars",
        )
    )

    def __init__(
        self, do_lower_case: bool = True, never_split: Collection[str] = _SPECIAL_TOKENS
    ) -> None:
        self.do_lower_case = do_lower_case
        self.never_split = never_split
        self._twin = None
        self._native()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        replaced = sorted(cls._steps.intersection(vars(cls)))
        if replaced:
            raise TypeError(
                f"`{cls.__name__}` must override `tokenize`, but overrides `{replaced[0]}`, a step "
                "that runs in C++ and cannot be replaced on its own."
            )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(do_lower_case={self.do_lower_case}, "
            f"never_split={self.never_split})"
        )

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of `text`."""
        return self._native().tokenize(text)

    def _native(self) -> _C.BasicTokenizer:
        if isinstance(self.never_split, str):
            raise TypeError(
                "`never_split` must be a collection of tokens, but is the str "
                f'"{self.never_split}".'
            )
        # A copy, which notices changes inside a list or set.
        state = (bool(self.do_lower_case), tuple(self.never_split))
        if self._twin is None or self._twin[0] != state:
            self._twin = (state, _C.BasicTokenizer(*state))
        return cast(_C.BasicTokenizer, self._twin[1])


class WordpieceTokenizer(_NativeTwin):
    """Splits words into the longest pieces that a vocabulary holds, from left to right.

    A piece that does not start its word is looked up with "##" before it. All attributes may be
    changed at any time.

    Args:
        vocab: The pieces. A `Vocabulary` is searched without holding the interpreter lock; any
            other container is asked piece by piece.
        unk_token: What a word becomes that has a part without a piece.
        max_input_chars_per_word: A word with more characters becomes `unk_token`, too.

    Example:
        >>> WordpieceTokenizer(vocab={"un": 0, "##aff": 1, "##able": 2}).tokenize("unaffable")
        ['un', '##aff', '##able']
    """

    __slots__ = ("max_input_chars_per_word", "unk_token", "vocab")
    _attributes = ("vocab", "unk_token", "max_input_chars_per_word")

    def __init__(
        self, vocab: Container[str], unk_token: str = "[UNK]", max_input_chars_per_word: int = 100
    ) -> None:
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word
        self._twin = None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab={type(self.vocab).__name__}, "
            f"unk_token={self.unk_token!r}, "
            f"max_input_chars_per_word={self.max_input_chars_per_word})"
        )

    def tokenize(self, text: str) -> list[str]:
        """Returns the pieces of all white-space separated words of `text`."""
        native = self._native()
        if native is not None:
            return native.tokenize(text)
        return _C.wordpiece_tokenize(
            text, self.vocab, self.unk_token, self.max_input_chars_per_word
        )

    def _native(self) -> _C.WordpieceTokenizer | None:
        if not isinstance(self.vocab, Vocabulary):
            return None
        state = (self.vocab.native(), self.unk_token, self.max_input_chars_per_word)
        if self._twin is None or self._twin[0] != state:
            self._twin = (state, _C.WordpieceTokenizer(*state))
        return cast(_C.WordpieceTokenizer, self._twin[1])


class BertTokenizer:
    """BERT's tokenizer, from text to ids and back: basic tokenization followed by WordPiece.

    Args:
        vocab_file: Path of a vocabulary, one token a line.
        do_lower_case: Whether to lower-case the text and strip its accents.
        max_len: The longest input of the model; `convert_tokens_to_ids` warns beyond it.
        do_basic_tokenize: False for text that is tokenized already; `do_lower_case` and
            `never_split` then have no effect.
        never_split: Tokens that are left as they are where they are whole white-space separated
            words.

    Attributes:
        vocab: Token to id, an `OrderedDict`. A changed entry is respected by the next call.
        ids_to_tokens: Id to token, an `OrderedDict`.
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

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        do_lower_case: bool = True,
        max_len: int | None = None,
        do_basic_tokenize: bool = True,
        never_split: Collection[str] = _SPECIAL_TOKENS,
    ) -> None:
        if not Path(vocab_file).is_file():
            raise ValueError(
                f"`vocab_file` must be an existing file, but is {os.fspath(vocab_file)}; use "
                "`BertTokenizer.from_pretrained` to load from a directory or by name."
            )
        self.vocab: OrderedDict[str, int] = load_vocab(vocab_file)
        self.ids_to_tokens = OrderedDict((index, token) for token, index in self.vocab.items())
        self.do_basic_tokenize = do_basic_tokenize
        self.basic_tokenizer = BasicTokenizer(do_lower_case, never_split)
        self.wordpiece_tokenizer = WordpieceTokenizer(self.vocab)
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
                directory with a vocab.txt, a vocabulary file, or its URL. A shortcut name decides
                over `do_lower_case` and limits `max_len`.
            cache_dir: Where downloaded files are kept.
            inputs: Further arguments of the class, by position.
            kwargs: Further arguments of the class, by name.

        Raises:
            OSError: No vocabulary was found; the message says where it was looked for.
        """
        vocab_file = resolve_vocabulary(pretrained_model_name_or_path, cache_dir)
        name = pretrained_model_name_or_path
        if isinstance(name, str) and name in PRETRAINED_VOCAB_ARCHIVE_MAP:
            names = ("do_lower_case", "max_len", "do_basic_tokenize", "never_split")
            kwargs = _arguments_for(name, {**dict(zip(names, inputs, strict=False)), **kwargs})
            inputs = ()
        return cls(vocab_file, *inputs, **kwargs)

    def __len__(self) -> int:
        return len(self.vocab)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={len(self)}, max_len={self.max_len}, "
            f"do_basic_tokenize={self.do_basic_tokenize}, "
            f"basic_tokenizer={self.basic_tokenizer!r})"
        )

    @property
    def do_lower_case(self) -> bool:
        """Whether the basic tokenizer lower-cases."""
        return self.basic_tokenizer.do_lower_case

    @do_lower_case.setter
    def do_lower_case(self, value: bool) -> None:
        self.basic_tokenizer.do_lower_case = value

    @property
    def never_split(self) -> Collection[str]:
        """The tokens that the basic tokenizer leaves as they are."""
        return self.basic_tokenizer.never_split

    @never_split.setter
    def never_split(self, value: Collection[str]) -> None:
        self.basic_tokenizer.never_split = value

    def tokenize(self, text: str) -> list[str]:
        """Returns the word pieces of `text`."""
        basic, wordpiece = self.basic_tokenizer, self.wordpiece_tokenizer
        if not self.do_basic_tokenize:
            return wordpiece.tokenize(text)
        if type(basic) is BasicTokenizer and type(wordpiece) is WordpieceTokenizer:
            native = wordpiece._native()
            if native is not None:
                return _C.bert_tokenize(basic._native(), native, text)
        return [piece for token in basic.tokenize(text) for piece in wordpiece.tokenize(token)]

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Returns the ids of `tokens`; logs a warning when they are more than `max_len`.

        Raises:
            KeyError: A token is not in the vocabulary.
        """
        try:
            ids = [self.vocab[token] for token in tokens]
        except KeyError as error:
            raise KeyError(
                f"`tokens` must be in the vocabulary of {len(self.vocab)} tokens, but "
                f'"{error.args[0]}" is not.'
            ) from None
        if len(ids) > self.max_len:
            logger.warning(
                "`tokens` should hold at most %d tokens (`max_len`), but holds %d: cut or split "
                "the text, a model of this size cannot take it.",
                self.max_len,
                len(ids),
            )
        return ids

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Returns the tokens of `ids`.

        Raises:
            KeyError: An id is not in the vocabulary.
        """
        try:
            return [self.ids_to_tokens[index] for index in ids]
        except KeyError as error:
            raise KeyError(
                f"`ids` must be in the vocabulary of {len(self.ids_to_tokens)} tokens, but "
                f"{error.args[0]} is not."
            ) from None

    def save_vocabulary(self, vocab_path: str | os.PathLike[str]) -> str:
        """Writes the vocabulary to a file, or to vocab.txt in a directory.

        Returns:
            The path of the file, which `from_pretrained` takes.
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
