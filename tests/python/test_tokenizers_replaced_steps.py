"""Client code that replaces single steps of BERT's tokenizer, as it could in 2019, is heard."""

from __future__ import annotations

import abc
import copy
import importlib
import pickle
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from unittest import mock

import pytest

from ptbert import BertTokenizer, OpenAIGPTTokenizer, tokenization
from ptbert.tokenization import BasicTokenizer, WordpieceTokenizer
from support import GOLDEN, import_or_skip
from test_tokenization import VOCABULARY

TEXT = "The sèa-tide, 水 in\u00a0the sea! [x]\x01 [UNK]"

# A replacement of each step whose effect shows in TEXT.
STEPS: dict[str, Callable[..., Any]] = {
    "_clean_text": lambda self, text: text.replace("t", " "),
    "_is_chinese_char": lambda self, cp: chr(cp) == "e",
    "_run_split_on_punc": lambda self, text: [text[:1], text[1:]],
    "_run_strip_accents": lambda self, text: text.replace("s", "x y"),
    "_tokenize_chinese_chars": lambda self, text: text.replace("i", " i "),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_is_control": lambda char: char == "h",
    "_is_punctuation": lambda char: char in "e-",
    "_is_whitespace": lambda char: char in "dx ",
    "whitespace_tokenize": lambda text: text.split(" "),
}


@contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(target, name, value):
        yield


class Tokenizers:
    """The tokenizers of one library, made and used before anything is replaced."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.basic = library.BasicTokenizer()
        self.bert = library.BertTokenizer(str(VOCABULARY))
        self.results()

    def results(self) -> list[Any]:
        texts = [TEXT, "sea", ""]
        return [
            *map(self.basic.tokenize, texts),
            *map(self.bert.tokenize, texts),
            [self.bert.convert_tokens_to_ids(self.bert.tokenize(text)) for text in texts],
        ]


@pytest.fixture
def ours() -> Tokenizers:
    return Tokenizers(tokenization)


@pytest.fixture
def theirs() -> Tokenizers:
    return Tokenizers(import_or_skip("pytorch_pretrained_bert.tokenization"))


def check_batches(tokenizer: BertTokenizer) -> None:
    """`encode` follows `tokenize`; what is in C++ only raises and says what to do."""
    assert tokenizer.encode(TEXT) == tokenizer.convert_tokens_to_ids(tokenizer.tokenize(TEXT))
    calls: list[Callable[[], Any]] = [
        lambda: tokenizer.encode_pair(TEXT, TEXT),
        lambda: tokenizer.encode_batch([TEXT]),
        lambda: tokenizer.encode_batch([TEXT], return_tensors="pt"),
        lambda: tokenizer.offsets(TEXT),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="Use `tokenize` and `convert_tokens_to_ids`, which"):
            call()


# The steps themselves


@pytest.mark.parametrize(
    "text", [TEXT, "", "[UNK]", "水水", "Ça\u0301 ǅ ς", "\t\x00\ufffd a\u200b"]
)
def test_steps_are_those_of_2019(text: str, ours: Tokenizers, theirs: Tokenizers) -> None:
    for name in STEPS.keys() - {"_is_chinese_char"}:
        assert getattr(ours.basic, name)(text) == getattr(theirs.basic, name)(text), name
    for char in text:
        assert ours.basic._is_chinese_char(ord(char)) is theirs.basic._is_chinese_char(ord(char))


def test_steps_one_by_one_are_the_fast_pass(ours: Tokenizers) -> None:
    for do_lower_case in (True, False):
        basic = BasicTokenizer(do_lower_case)
        for text in (TEXT, "", "ΣΑΣ. é\u0323\u0301", "[CLS] [cls] a.b"):
            assert basic._tokenize_by_steps(text) == basic.tokenize(text)


# A step that is replaced


@pytest.mark.parametrize("name", STEPS)
def test_step_replaced_on_the_class_counts(name: str, ours: Tokenizers, theirs: Tokenizers) -> None:
    before = ours.results()
    with (
        replaced(ours.library.BasicTokenizer, name, STEPS[name]),
        replaced(theirs.library.BasicTokenizer, name, STEPS[name]),
    ):
        assert ours.results() == theirs.results() != before
        check_batches(ours.bert)
        assert Tokenizers(tokenization).results() == theirs.results()
    assert ours.results() == before
    assert ours.bert._native()[1] is not None


@pytest.mark.parametrize("name", STEPS)
def test_step_replaced_in_an_instance_counts(
    name: str, ours: Tokenizers, theirs: Tokenizers
) -> None:
    before = ours.results()
    for library in (ours, theirs):
        for basic in (library.basic, library.bert.basic_tokenizer):
            setattr(basic, name, STEPS[name].__get__(basic))
    assert ours.results() == theirs.results() != before
    check_batches(ours.bert)
    for basic in (ours.basic, ours.bert.basic_tokenizer):
        delattr(basic, name)
    assert ours.results() == before


@pytest.mark.parametrize("name", STEPS)
def test_step_of_a_subclass_counts(name: str, ours: Tokenizers, theirs: Tokenizers) -> None:
    before = ours.results()
    for library in (ours, theirs):
        cls = type("Mine", (library.library.BasicTokenizer,), {name: STEPS[name]})
        library.basic = library.bert.basic_tokenizer = cls()
    assert ours.results() == theirs.results() != before
    check_batches(ours.bert)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_replaced_in_the_module_counts(
    name: str, ours: Tokenizers, theirs: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ours.results()
    with (
        replaced(ours.library, name, FUNCTIONS[name]),
        replaced(theirs.library, name, FUNCTIONS[name]),
    ):
        assert ours.results() == theirs.results() != before
        check_batches(ours.bert)
    assert ours.results() == before
    with monkeypatch.context() as patch:
        patch.setattr(f"ptbert.tokenization.{name}", FUNCTIONS[name])
        assert ours.results() != before
    assert ours.results() == before
    original = getattr(tokenization, name)
    setattr(tokenization, name, FUNCTIONS[name])
    changed = ours.results()
    setattr(tokenization, name, original)
    assert changed != ours.results() == before


def test_function_deleted_from_the_module_is_missed(
    ours: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tokenization, "_is_punctuation")
    with pytest.raises(AttributeError, match="_is_punctuation"):
        ours.bert.tokenize(TEXT)
    monkeypatch.undo()
    assert ours.bert.tokenize("sea") == ["sea"]


@pytest.mark.parametrize("name", ["BasicTokenizer", "WordpieceTokenizer"])
def test_tokenize_of_a_part_replaced_on_its_class_counts(
    name: str, ours: Tokenizers, theirs: Tokenizers
) -> None:
    before = ours.results()
    patches = []
    for library in (ours.library, theirs.library):
        cls = getattr(library, name)
        patches.append(mock.patch.object(cls, "tokenize", last_too(cls.tokenize)))
    with patches[0], patches[1]:
        assert ours.results() == theirs.results() != before
        check_batches(ours.bert)
    assert ours.results() == before


@pytest.mark.parametrize("part", ["basic_tokenizer", "wordpiece_tokenizer"])
def test_tokenize_of_a_part_replaced_in_an_instance_counts(part: str, ours: Tokenizers) -> None:
    before = ours.results()
    inner: Any = getattr(ours.bert, part)
    inner.tokenize = lambda text: ["sea"]
    assert set(ours.bert.tokenize(TEXT)) == {"sea"}
    check_batches(ours.bert)
    del inner.tokenize
    assert ours.results() == before


def last_too(tokenize: Callable[..., list[str]]) -> Callable[..., list[str]]:
    return lambda self, text: [*tokenize(self, text)[:1], "sea"]


def test_step_of_a_mixin_that_changes_later_counts() -> None:
    class Mixin:
        pass

    class Mine(Mixin, BasicTokenizer):
        pass

    basic = Mine()
    assert basic.tokenize("sèa") == ["sea"]
    with mock.patch.object(Mixin, "_run_strip_accents", lambda self, text: text, create=True):
        assert basic.tokenize("sèa") == ["sèa"]
    assert basic.tokenize("sèa") == ["sea"]


def test_step_may_call_the_one_that_it_replaces(ours: Tokenizers) -> None:
    class Accents(BasicTokenizer):
        def _run_strip_accents(self, text: str) -> str:
            return super()._run_strip_accents(text) if "x" in text else text

        def _tokenize_chinese_chars(self, text: str) -> str:
            return super()._tokenize_chinese_chars(text).replace("水", "sea")

    assert Accents().tokenize("è xè 水水") == ["è", "xe", "sea", "sea"]


def test_never_split_counts_among_replaced_steps(ours: Tokenizers) -> None:
    with replaced(BasicTokenizer, "_run_strip_accents", lambda self, text: text):
        assert ours.basic.tokenize("[UNK] [X]") == ["[UNK]", "[", "x", "]"]
        ours.basic.do_lower_case = False
        assert ours.basic.tokenize("[UNK] X") == ["[UNK]", "X"]


def test_unicode_of_python_can_be_had(ours: Tokenizers) -> None:
    """What clients do to get the character data of their Python."""

    def is_punctuation(char: str) -> bool:
        return unicodedata.category(char).startswith("P") or char in "$+<=>^`|~"

    before = ours.results()
    with replaced(tokenization, "_is_punctuation", is_punctuation):
        assert ours.results() == before


# GPT's words come from BERT's steps


def test_steps_of_the_words_of_gpt_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ftfy", None)
    tokenizer = OpenAIGPTTokenizer.from_pretrained(GOLDEN.parent / "data/openai-gpt")
    before = tokenizer.encode("the, sea"), tokenizer.encode_batch(["the, sea"])
    patches: list[tuple[Any, str, Any]] = [
        (BasicTokenizer, "_run_split_on_punc", lambda self, text: ["in"]),
        (BasicTokenizer, "tokenize", lambda self, text: ["in", "in"]),
        (tokenization, "_is_punctuation", lambda char: char == "h"),
    ]
    for target, name, value in patches:
        with replaced(target, name, value):
            ids = tokenizer.encode("the, sea")
            assert ids == tokenizer.convert_tokens_to_ids(tokenizer.tokenize("the, sea"))
            assert tokenizer.encode_batch(["the, sea"]) == [ids] != before[1]
            with pytest.raises(TypeError, match="`offsets` must know where words come from"):
                tokenizer.offsets("the, sea")
        assert (tokenizer.encode("the, sea"), tokenizer.encode_batch(["the, sea"])) == before


# Classes and functions that `BertTokenizer` looks up in its module


def test_class_replaced_in_the_module_counts() -> None:
    class Words:
        def __init__(self, do_lower_case: bool, never_split: Any) -> None:
            pass

        def tokenize(self, text: str) -> list[str]:
            return ["sea"]

    class Pieces(WordpieceTokenizer):
        def tokenize(self, text: str) -> list[str]:
            return [piece for piece in self.vocab if piece == text]  # type: ignore[attr-defined]

    with replaced(tokenization, "BasicTokenizer", Words):
        assert BertTokenizer(VOCABULARY).tokenize("the") == ["sea"]
    with replaced(tokenization, "WordpieceTokenizer", Pieces):
        assert BertTokenizer(VOCABULARY).tokenize("the sea zz") == ["the", "sea"]


def test_load_vocab_replaced_in_the_module_counts() -> None:
    with replaced(tokenization, "load_vocab", lambda file: {"[UNK]": 3, "sea": 5}):
        tokenizer = BertTokenizer(VOCABULARY)
    assert tokenizer.encode("sea x") == [5, 3]
    assert tokenizer.convert_ids_to_tokens([3, 5]) == ["[UNK]", "sea"]
    original = tokenization.load_vocab
    with replaced(tokenization, "load_vocab", lambda file: original(file)):
        tokenizer = BertTokenizer(VOCABULARY)
    assert tokenizer.encode_batch(["sea"]) == BertTokenizer(VOCABULARY).encode_batch(["sea"])


# What having such steps must not break


def test_parts_with_attributes_of_the_user_are_pickled() -> None:
    parts: list[Any] = [BasicTokenizer(False, ("x",)), WordpieceTokenizer({"a": 1}, "?", 5)]
    for part in parts:
        part.note = "mine"
        for other in (pickle.loads(pickle.dumps(part)), copy.copy(part), copy.deepcopy(part)):
            assert repr(other) == repr(part) and other.note == "mine"


def test_subclasses_of_the_parts_may_be_abstract_or_protocols() -> None:
    class Tokenizes(Protocol):
        def tokenize(self, text: str) -> list[str]: ...

    class Implementing(BasicTokenizer, Tokenizes):
        pass

    class Abstract(WordpieceTokenizer, abc.ABC):
        pass

    assert Implementing().tokenize("The sea") == ["the", "sea"]
    assert Abstract({"sea": 1}).tokenize("sea") == ["sea"]
    assert isinstance(Implementing(), BasicTokenizer)


def test_module_that_is_loaded_again_is_watched_again(
    ours: Tokenizers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ours.results()
    names = dict(vars(tokenization))
    tokenization._is_punctuation = lambda char: False
    try:
        importlib.reload(tokenization)
        assert ours.results() == before
        with replaced(tokenization, "_is_punctuation", FUNCTIONS["_is_punctuation"]):
            assert ours.results() != before
    finally:
        vars(tokenization).update(names)
