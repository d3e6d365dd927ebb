"""The two halves of BERT's tokenizer: text to words, and words to pieces."""

from __future__ import annotations

import abc
from collections.abc import Collection, Container
from typing import Any, ClassVar

from .. import _C
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


class _NativeTwin(abc.ABC):
    """Attributes that Python code may change at any time, and a native object made from them.

    There are slots only, so that setting a name that is not an attribute of the tokenizer (a
    patched method, say) raises instead of being without effect.
    """

    __slots__ = ("__weakref__", "_twin")
    _attributes: ClassVar[tuple[str, ...]]
    _twin: tuple[tuple[Any, ...], Any] | None  # None after a change

    def __setattr__(self, name: str, value: Any) -> None:
        changes = name in self._attributes and getattr(self, name, self) is not value
        super().__setattr__(name, value)
        if changes:
            super().__setattr__("_twin", None)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        super().__setattr__("_twin", None)

    @abc.abstractmethod
    def _state(self) -> tuple[Any, ...]:
        """What the native object is made from."""

    def _make_twin(self, native_type: type[Any]) -> tuple[tuple[Any, ...], Any]:
        state = self._state()
        self._twin = twin = (state, native_type(*state))
        if self._state() != state:  # changed meanwhile by another thread
            self._twin = None
        return twin

    def __getstate__(self) -> dict[str, Any]:
        attributes = {name: getattr(self, name) for name in self._attributes}
        return {**getattr(self, "__dict__", {}), **attributes}

    def __setstate__(self, state: dict[str, Any]) -> None:
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
        return self._native().tokenize(text)

    def _native(self) -> _C.BasicTokenizer:
        twin, never_split = self._twin, self.never_split
        if twin is not None and type(never_split) is tuple:
            return twin[1]
        if isinstance(never_split, str):
            raise TypeError(
                f'`never_split` must be a collection of tokens, but is the str "{never_split}".'
            )
        if twin is None or twin[0] != self._state():
            twin = self._make_twin(_C.BasicTokenizer)
        return twin[1]

    def _state(self) -> tuple[Any, ...]:
        # A copy, which notices changes inside a list or set.
        return bool(self.do_lower_case), tuple(self.never_split)

    def made_of(self) -> list[tuple[Any, str]] | None:
        """Returns the attributes on which the native tokenizer depends, or None where it depends on
        more: a list can be changed from inside.
        """
        return [(self, "_twin")] if type(self.never_split) is tuple else None


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

    __slots__ = ("_vocab", "max_input_chars_per_word", "unk_token")
    _attributes = ("_vocab", "unk_token", "max_input_chars_per_word")

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
        vocab = self._vocab
        if not isinstance(vocab, (LoadedVocabulary, Vocabulary)):
            return None
        native, twin = vocab.native(), self._twin
        if twin is None or twin[0][0] is not native:
            twin = self._make_twin(_C.WordpieceTokenizer)
        return twin[1]

    def _state(self) -> tuple[Any, ...]:
        vocab: Any = self._vocab
        return vocab.native(), self.unk_token, self.max_input_chars_per_word

    def made_of(self) -> list[tuple[Any, str]]:
        """Returns the attributes on which the native tokenizer depends, where there is one."""
        vocab = self._vocab
        assert isinstance(vocab, (LoadedVocabulary, Vocabulary))
        return [(self, "_twin"), *vocab.made_of()]
