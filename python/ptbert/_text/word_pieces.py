"""The two halves of BERT's tokenizer: text to words, and words to pieces."""

from __future__ import annotations

from collections.abc import Collection, Container
from types import ModuleType
from typing import Any

from .. import _C
from .native import Source, native_methods
from .replaceable import CODE, Functions, HasReplaceableSteps
from .vocabulary import LoadedVocabulary, Vocabulary

SPECIAL_TOKENS = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")


def whitespace_tokenize(text: str) -> list[str]:
    """Returns the words of `text`, as `str.split` does.

    Example:
        >>> whitespace_tokenize(" hello  world ")
        ['hello', 'world']
    """
    return _C.whitespace_tokenize(text)


def _is_whitespace(char: str) -> bool:
    return _C.is_whitespace(ord(char))


def _is_control(char: str) -> bool:
    return _C.is_control(ord(char))


def _is_punctuation(char: str) -> bool:
    return _C.is_punctuation(ord(char))


_functions = Functions(whitespace_tokenize, _is_whitespace, _is_control, _is_punctuation)


def watch_functions(module: ModuleType) -> None:
    """Makes tokenizers call the functions of a module that are replaced there."""
    _functions.watch(module)


@native_methods(
    "_clean_text",
    "_is_chinese_char",
    "_run_split_on_punc",
    "_run_strip_accents",
    "_tokenize_chinese_chars",
)
class BasicTokenizer(HasReplaceableSteps):
    """Splits text into words and punctuation.

    Cleans the text, puts spaces around CJK ideographs, splits on white space, lower-cases and
    strips accents if `do_lower_case`, and splits on punctuation. Character data is that of Unicode
    15.0 on every Python. `do_lower_case` and `never_split` may be changed at any time.

    Each step is a method: `_clean_text`, `_tokenize_chinese_chars` (which asks `_is_chinese_char`),
    `_run_strip_accents` and `_run_split_on_punc`. If one is replaced, in a subclass, the class or
    an instance, or one of the functions `whitespace_tokenize`, `_is_whitespace`, `_is_control` and
    `_is_punctuation` in `ptbert.tokenization`, then the steps are called one by one, which is
    slower.

    Args:
        do_lower_case: Whether to lower-case the text and strip its accents.
        never_split: Tokens that are not changed if they are whole white-space separated words.

    Example:
        >>> BasicTokenizer().tokenize("[CLS] Déjà-vu!")
        ['[CLS]', 'deja', '-', 'vu', '!']
    """

    __slots__ = ("do_lower_case", "never_split")
    _attributes = frozenset(("do_lower_case", "never_split", "tokenize"))
    _saved = ("do_lower_case", "never_split")

    def __init__(
        self, do_lower_case: bool = True, never_split: Collection[str] = SPECIAL_TOKENS
    ) -> None:
        self.do_lower_case = do_lower_case
        self.never_split = never_split
        self._native()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(do_lower_case={self.do_lower_case}, "
            f"never_split={self.never_split})"
        )

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of `text`."""
        native = self._made.native or self._make_native()
        return self._tokenize_by_steps(text) if native is None else native.tokenize(text)

    def _tokenize_by_steps(self, text: str) -> list[str]:
        """Does what C++ does in one pass, with the steps that this tokenizer has now."""
        words = _functions.whitespace_tokenize(self._tokenize_chinese_chars(self._clean_text(text)))
        pieces: list[str] = []
        for word in words:
            if self.do_lower_case and word not in self.never_split:
                word = self._run_strip_accents(_C.to_lower(word))
            pieces.extend(self._run_split_on_punc(word))
        tokens: list[str] = _functions.whitespace_tokenize(" ".join(pieces))
        return tokens

    def _clean_text(self, text: str) -> str:
        """Drops U+0000, U+FFFD and controls; turns white space into plain spaces."""
        if not _functions.are_replaced("_is_control", "_is_whitespace"):
            return _C.clean_text(text)
        kept = (c for c in text if c not in "\0\ufffd" and not _functions._is_control(c))
        return "".join(" " if _functions._is_whitespace(char) else char for char in kept)

    def _tokenize_chinese_chars(self, text: str) -> str:
        """Puts a space on both sides of every CJK ideograph."""
        if not self._replaces_methods():
            return _C.tokenize_chinese_chars(text)
        return "".join(f" {char} " if self._is_chinese_char(ord(char)) else char for char in text)

    def _is_chinese_char(self, cp: int) -> bool:
        """Whether a code point is a CJK ideograph, by its block."""
        return _C.is_chinese_char(cp)

    def _run_strip_accents(self, text: str) -> str:
        """Drops the nonspacing marks of the decomposed text."""
        return _C.strip_accents(text)

    def _run_split_on_punc(self, text: str) -> list[str]:
        """Splits a word into punctuation characters and the runs between them."""
        if text in self.never_split:
            return [text]
        if not _functions.are_replaced("_is_punctuation"):
            return _C.split_on_punctuation(text)
        pieces, is_new = [], True
        for char in text:
            is_punctuation = _functions._is_punctuation(char)
            if is_punctuation or is_new:
                pieces.append(char)
            else:
                pieces[-1] += char
            is_new = is_punctuation
        return pieces

    def _state(self) -> tuple[Any, ...]:
        never_split = self.never_split
        if isinstance(never_split, str):
            raise TypeError(
                f'`never_split` must be a collection of tokens, but is the str "{never_split}".'
            )
        replaced = self._replaces_methods() or _functions.are_replaced()
        return bool(self.do_lower_case), tuple(never_split), replaced

    def _new_native(self, *state: Any) -> _C.BasicTokenizer | None:
        """Returns the tokenizer that does all steps, or None if one of them is replaced."""
        *arguments, replaced = state
        return None if replaced else _C.BasicTokenizer(*arguments)

    def _tells_changes(self) -> bool:
        # Changes inside a list or set would not be noticed.
        return type(self.never_split) is tuple and super()._tells_changes()


class WordpieceTokenizer(HasReplaceableSteps):
    """Splits words into pieces of a vocabulary, greedily: from left to right, the longest match.

    A piece that does not start its word is looked up with "##" before it. All attributes may be
    changed at any time.

    Args:
        vocab: The pieces. A `Vocabulary` is searched with the GIL released; for any other container
            each piece is looked up in Python.
        unk_token: Replaces a word that cannot be split into pieces.
        max_input_chars_per_word: Words with more characters become `unk_token`, too.

    Example:
        >>> WordpieceTokenizer(vocab={"un": 0, "##aff": 1, "##able": 2}).tokenize("unaffable")
        ['un', '##aff', '##able']
    """

    __slots__ = ("_vocab", "max_input_chars_per_word", "unk_token")
    _attributes = frozenset(("_vocab", "max_input_chars_per_word", "tokenize", "unk_token"))
    _saved = ("_vocab", "max_input_chars_per_word", "unk_token")

    def __init__(
        self, vocab: Container[str], unk_token: str = "[UNK]", max_input_chars_per_word: int = 100
    ) -> None:
        self._vocab: Container[str] | LoadedVocabulary = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    @property
    def vocab(self) -> Container[str]:
        """The pieces."""
        vocab = self._vocab
        return vocab.vocab if isinstance(vocab, LoadedVocabulary) else vocab

    @vocab.setter
    def vocab(self, value: Container[str] | LoadedVocabulary) -> None:
        self._vocab = value

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
        if _functions.are_replaced("whitespace_tokenize"):
            words = _functions.whitespace_tokenize(text)
            return [piece for word in words for piece in self._pieces(word)]
        return _C.wordpiece_tokenize(
            text, self.vocab, self.unk_token, self.max_input_chars_per_word
        )

    def _pieces(self, word: str) -> list[str]:
        """Returns the pieces of a word, which may contain spaces, unlike those that C++ makes."""
        vocab, pieces, start = self.vocab, [], 0
        if len(word) > self.max_input_chars_per_word:
            return [self.unk_token]
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in vocab), None)
            if end is None:
                return [self.unk_token]
            pieces.append(mark + word[start:end])
            start = end
        return pieces

    def _native(self) -> _C.WordpieceTokenizer | None:
        """Returns the native tokenizer, or None if Python code is needed: to look pieces up in a
        container of another class, or because `whitespace_tokenize` is replaced.
        """
        if not isinstance(self._vocab, _WITH_NATIVE):
            return None
        native: _C.WordpieceTokenizer | None = self._made.native or self._make_native()
        return native

    def _sources(self) -> list[Source]:
        vocab = self._vocab
        return [CODE, vocab] if isinstance(vocab, _WITH_NATIVE) else [CODE]

    def _state(self) -> tuple[Any, ...]:
        vocab: Any = self._vocab
        replaced = _functions.are_replaced("whitespace_tokenize")
        return vocab.native(), self.unk_token, self.max_input_chars_per_word, replaced

    def _new_native(self, *state: Any) -> _C.WordpieceTokenizer | None:
        *arguments, replaced = state
        return None if replaced else _C.WordpieceTokenizer(*arguments)


_WITH_NATIVE = (LoadedVocabulary, Vocabulary)

_TOKENIZE: dict[type[Any], Any] = {c: c.tokenize for c in (BasicTokenizer, WordpieceTokenizer)}


def native_basic(step: Any) -> _C.BasicTokenizer | None:
    """Returns the native object that does what `step.tokenize` does, or None if that is in Python:
    `step` is no `BasicTokenizer`, or something in it is replaced.
    """
    native: _C.BasicTokenizer | None = _native_of(step, BasicTokenizer)
    return native


def native_wordpiece(step: Any) -> _C.WordpieceTokenizer | None:
    """Same as `native_basic` for a `WordpieceTokenizer`."""
    native: _C.WordpieceTokenizer | None = _native_of(step, WordpieceTokenizer)
    return native


def _native_of(step: Any, cls: type[Any]) -> Any:
    if type(step) is not cls or cls.tokenize is not _TOKENIZE[cls] or "tokenize" in step.__dict__:
        return None
    return step._native()
