"""A tokenizer changed after use behaves like one constructed with the change."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import MethodType
from typing import Any, Protocol

import pytest

from ptbert import _C, BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer
from ptbert.tokenization import BasicTokenizer, Vocabulary, WordpieceTokenizer
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
    assert used._made.native is not None
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


@pytest.mark.parametrize("make", [bert, gpt2, openai])
def test_method_of_a_base_class_or_mixin_counts(make: Callable[[], Any]) -> None:
    class Mixin:
        pass

    tokenizer = make()
    tokenizer.__class__ = type("Mixed", (Mixin, type(tokenizer)), {})
    before = results(tokenizer)
    for cls in (Mixin, type(tokenizer).__mro__[2], type(tokenizer).__mro__[3]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cls, "tokenize", lambda self, text: ["the"], raising=False)
            assert tokenizer.encode(TEXT) == tokenizer.convert_tokens_to_ids(["the"])
        assert results(tokenizer) == before


def test_dict_that_was_made_after_use_counts() -> None:
    tokenizer = bert()
    tokenizer.encode("sea")
    tokenizer.vocab["sea"] = 77
    assert tokenizer.encode("sea") == [77]
    tokenizer = gpt2()
    tokenizer.encode("the")
    tokenizer.bpe_ranks.clear()
    assert tokenizer.tokenize("the") == ["t", "h", "e"]


def test_dict_that_was_replaced_counts_no_more() -> None:
    tokenizer = gpt2()
    encoder = tokenizer.encoder
    tokenizer.encoder = {"t": 3}
    encoder["t"] = 77
    assert tokenizer.encode("t") == [3]
    tokenizer.encoder["t"] = 4
    assert tokenizer.encode("t") == [4]


def test_vocabulary_that_tokenizers_share_counts_in_all() -> None:
    tokenizers, vocab = (bert(), bert()), Vocabulary({"[UNK]": 1, "sea": 2})
    alone = WordpieceTokenizer(vocab)
    for tokenizer in tokenizers:
        tokenizer.vocab = tokenizer.wordpiece_tokenizer.vocab = vocab
        assert tokenizer.encode("sea") == [2]
    assert alone.tokenize("sea") == ["sea"]
    vocab["sea"] = 3
    assert [tokenizer.encode("sea") for tokenizer in tokenizers] == [[3], [3]]
    del vocab["sea"]
    assert [tokenizer.encode("sea") for tokenizer in tokenizers] == [[1], [1]]
    assert alone.tokenize("sea") == ["[UNK]"]


def test_vocabulary_that_is_extended_in_place_stays_that_of_all_steps() -> None:
    tokenizer = bert()
    tokenizer.vocab |= {"sea": 77}
    assert tokenizer.encode("sea") == [77]
    assert tokenizer.encode_batch(["sea"]) == [[77]]


def test_inner_tokenizer_that_copies_share_counts_in_both() -> None:
    tokenizer = bert()
    tokenizer.encode("The")
    other = copy.copy(tokenizer)
    assert other._native() is not tokenizer._native()
    before = results(other)
    tokenizer.do_lower_case = False
    assert results(tokenizer) == results(other) != before


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_all_protocols(protocol: int) -> None:
    tokenizer = BertTokenizer(VOCABULARY)
    tokenizer.encode(TEXT)
    other = pickle.loads(pickle.dumps(tokenizer, protocol))
    assert results(other) == results(tokenizer)
    other.vocab["sea"] = 77
    assert other.encode("sea") == [77] != tokenizer.encode("sea")


def test_vocabulary_with_a_setter_of_its_own_is_filled_by_it() -> None:
    class Lower(Vocabulary):
        def __setitem__(self, token: str, index: int) -> None:
            super().__setitem__(token.lower(), index)

    vocab = Lower([("[UNK]", 0)], SEA=1)
    assert dict(vocab) == {"[unk]": 0, "sea": 1}
    assert dict(Vocabulary([("b", 1), ("a", 0), ("b", 2)], c=3)) == {"b": 2, "a": 0, "c": 3}


# What is not an ordinary change


def test_changes_by_many_threads_count_at_once() -> None:
    tokenizer = bert()

    def changed(thread: int) -> list[list[int]]:
        found = []
        for index in range(1000, 1040):
            tokenizer.vocab[f"thread{thread}"] = index
            found.append(tokenizer.encode(f"thread{thread}"))
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(changed, range(4))) == [[[i] for i in range(1000, 1040)]] * 4
    finally:
        sys.setswitchinterval(interval)


def test_table_that_cannot_be_used_raises_each_time() -> None:
    tokenizer = gpt2()
    tokenizer.encoder["t"] = "x"
    for _ in range(2):
        with pytest.raises(TypeError, match="must be an int"):
            tokenizer.encode("t")
    tokenizer.encoder["t"] = 77
    assert tokenizer.encode("t") == [77]


def test_attribute_that_is_computed_from_elsewhere_counts() -> None:
    steps = [BasicTokenizer(), BasicTokenizer(False)]

    class Computing(BertTokenizer):
        @property
        def basic_tokenizer(self) -> Any:
            return steps[0]

        @basic_tokenizer.setter
        def basic_tokenizer(self, value: Any) -> None:
            pass

    tokenizer: Any = Computing(VOCABULARY)
    before = results(tokenizer)
    steps.reverse()
    assert results(tokenizer) != before


def test_computed_attribute_of_an_inner_tokenizer_counts() -> None:
    cased: list[bool] = []

    class Computing(BasicTokenizer):
        @property
        def do_lower_case(self) -> bool:
            return not cased

        @do_lower_case.setter
        def do_lower_case(self, value: bool) -> None:
            pass

    tokenizer: Any = Computing()
    assert tokenizer.tokenize("The") == ["the"]
    cased.append(True)
    assert tokenizer.tokenize("The") == ["The"]


def test_attribute_that_is_set_past_the_tokenizer_counts() -> None:
    class Silent(BertTokenizer):
        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

    tokenizer: Any = Silent(VOCABULARY)
    before = results(tokenizer)
    tokenizer.basic_tokenizer = BasicTokenizer(False)
    assert results(tokenizer) != before


def test_list_inside_the_words_of_gpt_counts() -> None:
    tokenizer, never_split = openai(), ["[x]"]
    tokenizer.nlp = BasicTokenizer(never_split=never_split)
    before = results(tokenizer)
    never_split.append("sea!")
    assert results(tokenizer) != before
    tokenizer.nlp.never_split = ("[x]",)
    assert results(tokenizer) == before


def test_subclass_with_another_metaclass_is_allowed() -> None:
    class Tokenizes(Protocol):
        def tokenize(self, text: str) -> list[str]: ...

    class Meta(type):
        pass

    class Implementing(GPT2Tokenizer, Tokenizes):
        pass

    class Special(BertTokenizer, metaclass=Meta):
        pass

    assert Special(VOCABULARY).tokenize("sea") == ["sea"]
    assert Implementing.from_pretrained(DATA / "gpt2").tokenize("t") == ["t"]


def test_change_while_the_native_tokenizer_is_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = bert()
    make = _C.WordpieceTokenizer

    def interrupted(*state: Any) -> Any:
        native = make(*state)
        monkeypatch.undo()
        tokenizer.wordpiece_tokenizer.unk_token = "sea"  # as if changed by another thread
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


def test_attributes_of_the_user_s_own_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = bert()
    native = tokenizer._native()
    tokenizer.calls = 1
    tokenizer.max_len = 5
    tokenizer.do_basic_tokenize = True  # as it was
    assert tokenizer._native() is native
    assert tokenizer._made.native is native


def test_vocabulary_keeps_no_tokenizers_alive() -> None:
    vocab = Vocabulary({"sea": 0})
    for _ in range(3):
        WordpieceTokenizer(vocab).tokenize("sea")
    gc.collect()
    assert not vocab._dependents


def test_tokenizers_in_cycles_are_collected() -> None:
    tokenizer = bert()
    tokenizer.vocab.owner = tokenizer
    tokenizer.encode(TEXT)
    assert tokenizer._made.native is not None
    reference = weakref.ref(tokenizer)
    del tokenizer
    gc.collect()
    assert reference() is None


def test_lists_of_a_batch_are_known_to_the_garbage_collector() -> None:
    assert gc.is_tracked(bert().encode_batch(["sea"] * 3))
