"""What is changed after a tokenizer was used counts as if it had been so from the beginning."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest

from ptbert import _C, BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer
from ptbert.tokenization import BasicTokenizer, WordpieceTokenizer
from support import GOLDEN
from test_tokenization import VOCABULARY

DATA = GOLDEN.parent / "data"
TEXT = "The sea! [x]"
Change = Callable[[Any], Any]


class Words:
    never_split = ()

    def tokenize(self, text: str) -> list[str]:
        return ["the", "tide"]


def first_only(self: Any, text: str) -> list[str]:
    base: Any = type(self).__mro__[1]
    return base.tokenize(self, text)[:1]


def replace_own_method(name: str, function: Callable[..., Any]) -> Change:
    return lambda tokenizer: setattr(tokenizer, name, MethodType(function, tokenizer))


def replace_class_method(name: str, function: Callable[..., Any]) -> Change:
    return lambda tokenizer: setattr(type(tokenizer), name, function)


ANY_TOKENIZER: dict[str, Change] = {
    "tokenize": replace_own_method("tokenize", first_only),
    "tokenize of the class": replace_class_method("tokenize", first_only),
    "convert_tokens_to_ids": replace_own_method("convert_tokens_to_ids", lambda s, tokens: [7]),
    "convert_tokens_to_ids of the class": replace_class_method(
        "convert_tokens_to_ids", lambda s, tokens: [7]
    ),
}

BERT: dict[str, Change] = {
    **ANY_TOKENIZER,
    "do_lower_case": lambda t: setattr(t, "do_lower_case", False),
    "never_split": lambda t: setattr(t, "never_split", ("[x]", "The")),
    "never_split of the inner one": lambda t: setattr(t.basic_tokenizer, "never_split", ["The"]),
    "do_basic_tokenize": lambda t: setattr(t, "do_basic_tokenize", False),
    "basic_tokenizer": lambda t: setattr(t, "basic_tokenizer", Words()),
    "another BasicTokenizer": lambda t: setattr(t, "basic_tokenizer", BasicTokenizer(False)),
    "wordpiece_tokenizer": lambda t: setattr(t, "wordpiece_tokenizer", WordpieceTokenizer({})),
    "unk_token": lambda t: setattr(t.wordpiece_tokenizer, "unk_token", "sea"),
    "max_input_chars_per_word": lambda t: setattr(
        t.wordpiece_tokenizer, "max_input_chars_per_word", 2
    ),
    "an entry": lambda t: t.vocab.update(sea=77),
    "an entry less": lambda t: t.vocab.pop("sea"),
    "vocab": lambda t: setattr(t, "vocab", type(t.vocab)({k: 9 for k in t.vocab})),
    "vocab of the inner one": lambda t: setattr(
        t.wordpiece_tokenizer, "vocab", type(t.vocab)({"the": 1, "[UNK]": 2})
    ),
}

ANY_BPE: dict[str, Change] = {
    **ANY_TOKENIZER,
    "bpe": replace_own_method("bpe", lambda self, token: "a b"),
    "bpe of the class": replace_class_method("bpe", lambda self, token: "a b"),
    "an entry": lambda t: t.encoder.update(dict.fromkeys(t.tokenize(TEXT), 77)),
    "encoder": lambda t: setattr(t, "encoder", {"t": 3}),
    "ranks": lambda t: t.bpe_ranks.clear(),
    "special tokens": lambda t: t.special_tokens.update(dict.fromkeys(t.tokenize(TEXT), 5)),
}

OPENAI: dict[str, Change] = {
    **ANY_BPE,
    "nlp": lambda t: setattr(t, "nlp", Words()),
    "do_lower_case": lambda t: setattr(t.nlp, "do_lower_case", False),
    "never_split": lambda t: setattr(t.nlp, "never_split", ("[x]",)),
}


def bert() -> Any:
    return type("Bert", (BertTokenizer,), {})(VOCABULARY)


def gpt2() -> Any:
    return type("Gpt2", (GPT2Tokenizer,), {}).from_pretrained(DATA / "gpt2")  # type: ignore[attr-defined]


def openai() -> Any:
    return type("Gpt", (OpenAIGPTTokenizer,), {}).from_pretrained(DATA / "openai-gpt")  # type: ignore[attr-defined]


CASES = [
    pytest.param(make, change, id=f"{make.__name__}: {name}")
    for make, changes in ((bert, BERT), (gpt2, ANY_BPE), (openai, OPENAI))
    for name, change in changes.items()
]


@pytest.fixture(autouse=True)
def words_of_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)


def results(tokenizer: Any) -> list[Any]:
    found = []
    for method in (tokenizer.encode, tokenizer.tokenize):
        try:
            found.append(method(TEXT))
        except KeyError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize(("make", "change"), CASES)
def test_change_after_use_counts(make: Callable[[], Any], change: Change) -> None:
    used, fresh = make(), make()
    before = results(used)
    assert used._guarded.get(used) is not None
    change(used)
    change(fresh)
    assert results(used) == results(fresh) != before


@pytest.mark.parametrize("make", [bert, gpt2, openai])
def test_a_method_that_is_put_back_counts(make: Callable[[], Any]) -> None:
    tokenizer = make()
    before = results(tokenizer)
    tokenizer.tokenize = lambda text: []
    assert tokenizer.encode(TEXT) == []
    del tokenizer.tokenize
    assert results(tokenizer) == before


def test_list_that_changes_from_inside_counts() -> None:
    tokenizer = bert()
    tokenizer.never_split = split = ["[x]"]
    before = results(tokenizer)
    split.append("sea!")
    assert results(tokenizer) != before
    split.remove("sea!")
    assert results(tokenizer) == before


def test_class_that_is_another_counts() -> None:
    tokenizer = bert()
    tokenizer.encode(TEXT)
    tokenizer.__class__ = type("First", (BertTokenizer,), {"tokenize": first_only})
    assert len(tokenizer.encode(TEXT)) == 1


# What is not an ordinary change


def test_change_while_the_native_tokenizer_is_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = bert()
    make = _C.WordpieceTokenizer

    def interrupted(*state: Any) -> Any:
        native = make(*state)
        monkeypatch.undo()
        tokenizer.wordpiece_tokenizer.unk_token = "sea"  # as another thread may do now
        return native

    monkeypatch.setattr(_C, "WordpieceTokenizer", interrupted)
    tokenizer.tokenize("zz")
    assert tokenizer.tokenize("zz") == ["sea"]
    assert tokenizer.encode("zz") == tokenizer.encode("sea")


def test_table_that_changes_while_the_native_tokenizer_is_made_counts() -> None:
    tokenizer = gpt2()
    native_class = type(tokenizer)._native_class

    class Interrupted:
        @staticmethod
        def from_tables(*tables: Any) -> Any:
            native = native_class.from_tables(*tables)
            tokenizer._native_class = native_class
            tokenizer.encoder["t"] = 78
            return native

    tokenizer.encoder["t"] = 77
    tokenizer._native_class = Interrupted
    tokenizer.encode("t")
    assert tokenizer.encode("t") == [78]


def test_attributes_of_a_subclass_that_are_properties_count() -> None:
    class Cased(BertTokenizer):
        inner: Any = None

        @property
        def basic_tokenizer(self) -> Any:
            return self.inner

        @basic_tokenizer.setter
        def basic_tokenizer(self, value: Any) -> None:
            self.inner = value

    tokenizer: Any = Cased(VOCABULARY)
    before = results(tokenizer)
    tokenizer.basic_tokenizer = BasicTokenizer(False)
    assert results(tokenizer) != before


def test_state_that_is_set_counts() -> None:
    changed, used = gpt2(), gpt2()
    changed.encoder["t"] = 77
    used.encode("t")
    used.__setstate__(changed.__getstate__())
    assert used.encode("t") == [77]


def test_attribute_that_is_deleted_is_missed() -> None:
    tokenizer = bert()
    tokenizer.encode(TEXT)
    del tokenizer.wordpiece_tokenizer.unk_token
    with pytest.raises(AttributeError, match="unk_token"):
        tokenizer.encode(TEXT)


def test_other_attributes_of_a_subclass_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(WordpieceTokenizer):
        calls = 0

        def tokenize(self, text: str) -> list[str]:
            self.calls += 1
            return super().tokenize(text)

    tokenizer = bert()
    counting = Counting(tokenizer.vocab)
    expected = counting.tokenize("sea")
    monkeypatch.setattr(_C, "WordpieceTokenizer", None)  # would be called to make another
    counting.unk_token = counting.unk_token
    assert counting.tokenize("sea") == expected
    assert counting.calls == 2


def test_tokenizers_in_cycles_are_collected() -> None:
    tokenizer = bert()
    tokenizer.vocab.owner = tokenizer
    tokenizer.encode(TEXT)
    assert tokenizer._guarded.get(tokenizer) is not None
    reference = weakref.ref(tokenizer)
    del tokenizer
    gc.collect()
    assert reference() is None


def test_lists_of_a_batch_are_known_to_the_garbage_collector() -> None:
    assert gc.is_tracked(bert().encode_batch(["sea"] * 3))
