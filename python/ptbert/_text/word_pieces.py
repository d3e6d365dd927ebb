"""The two halves of BERT's tokenizer: text to words, and words to pieces."""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import Any

from .. import _C
from .native import HasNative, Source
from .vocabulary import LoadedVocabulary, Vocabulary

SPECIAL_TOKENS = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")


def whitespace_tokenize(text: str) -> list[str]:
    """Returns the words of `text`, as `str.split` does."""
    return _C.whitespace_tokenize(text)


def _is_whitespace(char: str) -> bool:
    return _C.is_whitespace(ord(char))


def _is_control(char: str) -> bool:
    return _C.is_control(ord(char))


def _is_punctuation(char: str) -> bool:
    return _C.is_punctuation(ord(char))


class _Step(HasNative):
    """Base of the two halves; their attributes may be changed at any time.

    It has slots only, so that setting any other name (a patched method, say) raises an error
    instead of having no effect.
    """

    __slots__ = ()

    def __getstate__(self) -> dict[str, Any]:
        attributes = {name: getattr(self, name) for name in self._attributes}
        return {**getattr(self, "__dict__", {}), **attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class BasicTokenizer(_Step):
    """Splits text into words and punctuation.

    Cleans the text, puts spaces around CJK ideographs, splits on white space, lower-cases and
    strips accents if `do_lower_case`, and splits on punctuation. Character data is that of Unicode
    15.0 on every Python. `do_lower_case` and `never_split` may be changed at any time.

    Args:
        do_lower_case: Whether to lower-case the text and strip its accents.
        never_split: Tokens that are not changed if they are whole white-space separated words.

    Example:
        >>> BasicTokenizer().tokenize("[CLS] Déjà-vu!")
        ['[CLS]', 'deja', '-', 'vu', '!']
    """

    __slots__ = ("do_lower_case", "never_split")
    _attributes = frozenset(("do_lower_case", "never_split"))
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
        self, do_lower_case: bool = True, never_split: Collection[str] = SPECIAL_TOKENS
    ) -> None:
        self.do_lower_case = do_lower_case
        self.never_split = never_split
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
        return (self._made.native or self._make_native()).tokenize(text)

    def _state(self) -> tuple[Any, ...]:
        never_split = self.never_split
        if isinstance(never_split, str):
            raise TypeError(
                f'`never_split` must be a collection of tokens, but is the str "{never_split}".'
            )
        return bool(self.do_lower_case), tuple(never_split)

    def _new_native(self, *state: Any) -> _C.BasicTokenizer:
        return _C.BasicTokenizer(*state)

    def _tells_changes(self) -> bool:
        # Changes inside a list or set would not be noticed.
        return type(self.never_split) is tuple and super()._tells_changes()


class WordpieceTokenizer(_Step):
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
    _attributes = frozenset(("_vocab", "unk_token", "max_input_chars_per_word"))

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
        return _C.wordpiece_tokenize(
            text, self.vocab, self.unk_token, self.max_input_chars_per_word
        )

    def _native(self) -> _C.WordpieceTokenizer | None:
        """Returns the native tokenizer, or None if pieces are looked up in a Python container."""
        return super()._native() if isinstance(self._vocab, _WITH_NATIVE) else None

    def _sources(self) -> list[Source]:
        return [self._vocab] if isinstance(self._vocab, _WITH_NATIVE) else []

    def _state(self) -> tuple[Any, ...]:
        vocab: Any = self._vocab
        return vocab.native(), self.unk_token, self.max_input_chars_per_word

    def _new_native(self, *state: Any) -> _C.WordpieceTokenizer:
        return _C.WordpieceTokenizer(*state)


_WITH_NATIVE = (LoadedVocabulary, Vocabulary)
