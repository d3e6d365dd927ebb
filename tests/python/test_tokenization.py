from __future__ import annotations

import copy
import inspect
import json
import logging
import multiprocessing
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenization_reference as reference
from ptbert import tokenization
from ptbert.tokenization import BasicTokenizer, BertTokenizer, Vocabulary, WordpieceTokenizer
from support import GOLDEN, without_root

VOCABULARY = GOLDEN.parent / "data" / "vocab.txt"
RECORD = json.loads((GOLDEN / "tokenization.json").read_text())

# Characters of all kinds, those that the tokenizers treat specially often.
CHARACTERS = st.one_of(
    st.sampled_from("aAbs ΣσİıÉß\u0301\u0323[]-.水\u3000\u2028\u00a0\t\n\0\u200b\ufffd\u00ad한क्"),
    st.characters(exclude_categories=("Cs", "Cn")).filter(reference.is_assigned),
)
TEXTS = st.text(CHARACTERS, max_size=40)


@pytest.fixture
def tokenizer() -> BertTokenizer:
    return BertTokenizer(VOCABULARY)


# Values


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_tokens_and_ids_equal_golden(case: dict[str, Any]) -> None:
    tokenizer = BertTokenizer(VOCABULARY, **case["options"])
    tokens = tokenizer.tokenize(case["text"])
    assert tokens == case["tokens"]
    assert tokenizer.convert_tokens_to_ids(tokens) == case["ids"]
    if tokenizer.do_basic_tokenize:
        assert tokenizer.basic_tokenizer.tokenize(case["text"]) == case["words"]


def test_literal_ids(tokenizer: BertTokenizer) -> None:
    tokens = tokenizer.tokenize("[CLS] The boats sailed quietly. [SEP]")
    assert tokens == ["[CLS]", "the", "boats", "sailed", "quiet", "##ly", ".", "[SEP]"]
    ids = [2, 65, 80, 87, 84, 59, 15, 3]
    assert tokenizer.convert_tokens_to_ids(tokens) == ids
    assert tokenizer.convert_ids_to_tokens(ids) == tokens


@given(
    TEXTS,
    st.booleans(),
    st.lists(st.text(CHARACTERS, max_size=4), max_size=3),
)
def test_basic_tokenizer_equals_plain_python(
    text: str, do_lower_case: bool, never_split: list[str]
) -> None:
    tokenizer = BasicTokenizer(do_lower_case, never_split)
    expected = reference.basic_tokens(text, do_lower_case, never_split)
    assert tokenizer.tokenize(text) == expected


@given(
    st.text("ab水é \u2028\x1c\x85", max_size=30),
    st.sets(st.tuples(st.sampled_from(["", "##"]), st.text("ab水é", min_size=1, max_size=3))),
    st.integers(-1, 12),
)
def test_wordpiece_tokenizer_equals_plain_python(
    text: str, pieces: set[tuple[str, str]], limit: int
) -> None:
    vocab = dict.fromkeys(map("".join, pieces), 0)
    expected = reference.word_pieces(text, vocab, "<unk>", limit)
    assert WordpieceTokenizer(vocab, "<unk>", limit).tokenize(text) == expected
    assert WordpieceTokenizer(Vocabulary(vocab), "<unk>", limit).tokenize(text) == expected


@given(TEXTS)
def test_bert_tokenizer_is_basic_then_wordpiece(text: str) -> None:
    tokenizer = BertTokenizer(VOCABULARY)
    words = reference.basic_tokens(text)
    expected = [p for word in words for p in reference.word_pieces(word, tokenizer.vocab)]
    assert tokenizer.tokenize(text) == expected


def test_wordpiece_length_limit_counts_characters() -> None:
    tokenizer = WordpieceTokenizer({"🌊": 0, "##🌊": 1}, max_input_chars_per_word=3)
    assert tokenizer.tokenize("🌊🌊🌊 🌊🌊🌊🌊") == ["🌊", "##🌊", "##🌊", "[UNK]"]


def test_many_threads_tokenize_with_one_tokenizer(tokenizer: BertTokenizer) -> None:
    texts = [case["text"] for case in RECORD["cases"]] * 5
    expected = [tokenizer.tokenize(text) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tokenizer.tokenize, texts)) == expected


# The classes of 2019


def test_signatures() -> None:
    special = "('[UNK]', '[SEP]', '[PAD]', '[CLS]', '[MASK]')"
    assert _arguments(BertTokenizer) == (
        f"vocab_file, do_lower_case=True, max_len=None, do_basic_tokenize=True, "
        f"never_split={special}"
    )
    assert _arguments(BasicTokenizer) == f"do_lower_case=True, never_split={special}"
    assert _arguments(WordpieceTokenizer) == (
        "vocab, unk_token='[UNK]', max_input_chars_per_word=100"
    )
    assert _arguments(BertTokenizer.from_pretrained) == (
        "pretrained_model_name_or_path, cache_dir=None, *inputs, **kwargs"
    )


def _arguments(function: Callable[..., Any]) -> str:
    empty = inspect.Parameter.empty
    parameters = inspect.signature(function).parameters.values()
    return ", ".join(str(parameter.replace(annotation=empty)) for parameter in parameters)


def test_attributes(tokenizer: BertTokenizer) -> None:
    assert isinstance(tokenizer.vocab, OrderedDict)
    assert isinstance(tokenizer.ids_to_tokens, OrderedDict)
    assert list(tokenizer.vocab)[:3] == ["[PAD]", "[UNK]", "[CLS]"]
    assert tokenizer.ids_to_tokens == {i: token for token, i in tokenizer.vocab.items()}
    assert tokenizer.wordpiece_tokenizer.vocab is tokenizer.vocab
    assert tokenizer.max_len == int(1e12)
    assert tokenizer.do_basic_tokenize
    assert tokenizer.do_lower_case
    assert tokenizer.never_split == reference.SPECIAL_TOKENS
    assert len(tokenizer) == 140


def test_repr(tokenizer: BertTokenizer) -> None:
    basic = BasicTokenizer(False, ["x"])
    assert repr(basic) == "BasicTokenizer(do_lower_case=False, never_split=['x'])"
    assert repr(WordpieceTokenizer({"a": 0})) == (
        "WordpieceTokenizer(vocab=dict, unk_token='[UNK]', max_input_chars_per_word=100)"
    )
    tokenizer.basic_tokenizer = basic
    assert repr(tokenizer) == (
        "BertTokenizer(vocab_size=140, max_len=1000000000000, do_basic_tokenize=True, "
        "basic_tokenizer=BasicTokenizer(do_lower_case=False, never_split=['x']))"
    )


def test_pretrained_maps_name_the_bert_models() -> None:
    urls = tokenization.PRETRAINED_VOCAB_ARCHIVE_MAP
    sizes = tokenization.PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP
    assert len(urls) == 13
    assert urls["bert-base-uncased"] == (
        "https://huggingface.co/google-bert/bert-base-uncased/resolve/main/vocab.txt"
    )
    assert sizes == dict.fromkeys(urls, 512)
    assert tokenization.VOCAB_NAME == "vocab.txt"


# Changes after construction


def test_changed_never_split_takes_effect() -> None:
    never_split = ["x-y"]
    tokenizer = BasicTokenizer(never_split=never_split)
    assert tokenizer.tokenize("x-y A-b") == ["x-y", "a", "-", "b"]
    never_split.append("A-b")
    assert tokenizer.tokenize("x-y A-b") == ["x-y", "A-b"]
    tokenizer.never_split = {"A-b"}
    assert tokenizer.tokenize("x-y A-b") == ["x", "-", "y", "A-b"]


def test_changed_do_lower_case_takes_effect(tokenizer: BertTokenizer) -> None:
    assert tokenizer.tokenize("Sea É") == ["sea", "e"]
    tokenizer.basic_tokenizer.do_lower_case = False
    assert tokenizer.tokenize("Sea É") == ["Sea", "É"]
    tokenizer.do_lower_case = True
    assert tokenizer.basic_tokenizer.do_lower_case
    tokenizer.never_split = ["É"]
    assert tokenizer.tokenize("Sea É") == ["sea", "É"]


def test_changed_do_basic_tokenize_takes_effect() -> None:
    tokenizer = BertTokenizer(VOCABULARY, do_basic_tokenize=False)
    assert tokenizer.tokenize("Sea Tide") == ["Sea", "[UNK]"]
    tokenizer.do_basic_tokenize = True
    assert tokenizer.tokenize("Sea Tide") == ["sea", "tide"]


def test_changed_wordpiece_attributes_take_effect(tokenizer: BertTokenizer) -> None:
    tokenizer.wordpiece_tokenizer.unk_token = "<unk>"
    assert tokenizer.tokenize("sea zzz") == ["sea", "<unk>"]
    tokenizer.wordpiece_tokenizer.max_input_chars_per_word = 2
    assert tokenizer.tokenize("sea in") == ["<unk>", "in"]
    tokenizer.wordpiece_tokenizer.vocab = {"se": 0, "##a": 1}
    tokenizer.wordpiece_tokenizer.max_input_chars_per_word = 100
    assert tokenizer.tokenize("sea in") == ["se", "##a", "<unk>"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v.__setitem__("zz", 7), ["quick", "zz"]),
        (lambda v: v.setdefault("zz", 7), ["quick", "zz"]),
        (lambda v: v.update({"zz": 7}), ["quick", "zz"]),
        (lambda v: v.update([("zz", 7)]), ["quick", "zz"]),
        (lambda v: v.__ior__({"zz": 7}), ["quick", "zz"]),
        (lambda v: v.__setitem__("zz", v.pop("quick")), ["[UNK]", "zz"]),
        (lambda v: v.__delitem__("quick"), ["[UNK]", "[UNK]"]),
        (lambda v: v.clear(), ["[UNK]", "[UNK]"]),
        (lambda v: (v.move_to_end("quick"), v.popitem()), ["[UNK]", "[UNK]"]),
    ],
)
def test_changed_vocabulary_takes_effect(
    tokenizer: BertTokenizer, change: Callable[[Any], object], expected: list[str]
) -> None:
    assert tokenizer.tokenize("quick zz") == ["quick", "[UNK]"]
    change(tokenizer.vocab)
    assert tokenizer.tokenize("quick zz") == expected
    assert tokenizer.wordpiece_tokenizer.tokenize("quick zz") == expected


def test_changed_dict_of_the_caller_takes_effect() -> None:
    vocab = {"a": 0, "b": 1}
    tokenizer = WordpieceTokenizer(vocab)
    assert tokenizer.vocab is vocab
    assert tokenizer.tokenize("a b c") == ["a", "b", "[UNK]"]
    vocab["c"] = vocab.pop("a")
    assert tokenizer.tokenize("a b c") == ["[UNK]", "b", "c"]


def test_replaced_tokenizers_are_used(tokenizer: BertTokenizer) -> None:
    class Halves:
        def tokenize(self, text: str) -> list[str]:
            return [text[: len(text) // 2], text[len(text) // 2 :]]

    class Shouting(BasicTokenizer):
        def tokenize(self, text: str) -> list[str]:
            return [token.upper() for token in super().tokenize(text)]

    tokenizer.basic_tokenizer = Shouting()
    tokenizer.wordpiece_tokenizer = Halves()  # type: ignore[assignment]
    assert tokenizer.tokenize("sea boat") == ["S", "EA", "BO", "AT"]


# Copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copy_is_equal_and_independent(
    tokenizer: BertTokenizer, copied: Callable[[BertTokenizer], BertTokenizer]
) -> None:
    tokenizer.max_len = 7
    tokenizer.never_split = ["A-b"]
    other = copied(tokenizer)
    assert other.tokenize("A-b quick") == tokenizer.tokenize("A-b quick") == ["[UNK]", "quick"]
    assert repr(other) == repr(tokenizer)
    assert type(other.vocab) is Vocabulary
    assert other.vocab == tokenizer.vocab
    assert other.wordpiece_tokenizer.vocab is other.vocab
    del other.vocab["quick"]
    assert other.tokenize("quick") == ["[UNK]"]
    assert tokenizer.tokenize("quick") == ["quick"]


def test_pickle_keeps_attributes_of_a_subclass() -> None:
    tokenizer = _NamedTokenizer(False)
    tokenizer.name = "harbour"
    other = pickle.loads(pickle.dumps(tokenizer))
    assert (other.name, other.do_lower_case, other.tokenize("Ab")) == ("harbour", False, ["Ab"])


class _NamedTokenizer(BasicTokenizer):
    name = ""


def test_spawned_process_tokenizes_alike(tokenizer: BertTokenizer) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(tokenizer.tokenize, ["Sea é", "tide"]) == [["sea", "e"], ["tide"]]


# Files


def test_load_vocab_strips_lines_and_keeps_the_last_of_equal_tokens(tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.write_bytes("a\r\n \tb\u00a0\u3000\rc\n\na\n\ufeffd".encode())
    vocab = tokenization.load_vocab(str(file))
    assert list(vocab.items()) == [("a", 4), ("b", 1), ("c", 2), ("", 3), ("\ufeffd", 5)]
    assert BertTokenizer(file).ids_to_tokens == {4: "a", 1: "b", 2: "c", 3: "", 5: "\ufeffd"}


@pytest.mark.parametrize("name", ["", "words.txt"])
def test_save_vocabulary_round_trip(tokenizer: BertTokenizer, tmp_path: Path, name: str) -> None:
    saved = tokenizer.save_vocabulary(tmp_path / name)
    assert saved == str(tmp_path / (name or "vocab.txt"))
    assert Path(saved).read_bytes() == VOCABULARY.read_bytes()
    again = BertTokenizer.from_pretrained(tmp_path / name, do_lower_case=False)
    assert list(again.vocab.items()) == list(tokenizer.vocab.items())
    assert not again.do_lower_case


def test_save_vocabulary_writes_in_the_order_of_ids(
    tokenizer: BertTokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer.vocab = OrderedDict([("b", 1), ("a", 0)])
    tokenizer.save_vocabulary(tmp_path)
    assert (tmp_path / "vocab.txt").read_text() == "a\nb\n"
    assert caplog.messages == []
    tokenizer.vocab["c"] = 5
    tokenizer.save_vocabulary(tmp_path)
    assert (tmp_path / "vocab.txt").read_text() == "a\nb\nc\n"
    assert caplog.messages == [
        f"`vocab` should have the ids 0 to 2, but has others: tokens loaded from "
        f"{tmp_path}/vocab.txt will have other ids than now."
    ]


def test_save_vocabulary_without_directory_raises(tokenizer: BertTokenizer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        tokenizer.save_vocabulary(tmp_path / "absent" / "vocab.txt")
    assert str(error.value) == (
        "`vocab_path` must be a writable file or an existing directory, but "
        f"{tmp_path}/absent/vocab.txt cannot be written."
    )


def test_file_without_permission_raises(tokenizer: BertTokenizer, tmp_path: Path) -> None:
    file = tmp_path / "vocab.txt"
    file.touch()
    file.chmod(0)
    with without_root(), pytest.raises(PermissionError) as error:
        tokenization.load_vocab(file)
    assert str(error.value) == f"`vocab_file` must be readable, but {file} is not."
    with without_root(), pytest.raises(PermissionError) as error:
        tokenizer.save_vocabulary("/vocab.txt")
    assert str(error.value) == (
        "`vocab_path` must be a writable file or an existing directory, but /vocab.txt cannot be "
        "written."
    )


def test_path_that_is_not_utf8(tmp_path: Path) -> None:
    file = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    shutil.copy(VOCABULARY, file)
    assert len(BertTokenizer(file)) == 140


def test_missing_vocabulary_raises(tmp_path: Path) -> None:
    absent = tmp_path / "absent.txt"
    with pytest.raises(ValueError) as error:
        BertTokenizer(absent)
    assert str(error.value) == (
        f"`vocab_file` must be an existing file, but is {absent}; use "
        "`BertTokenizer.from_pretrained` to load from a directory or by name."
    )
    with pytest.raises(FileNotFoundError) as missing:
        tokenization.load_vocab(absent)
    assert str(missing.value) == (
        f"`vocab_file` must be an existing file, but {absent} does not exist."
    )
    with pytest.raises(FileNotFoundError) as directory:
        tokenization.load_vocab(tmp_path)
    assert str(directory.value) == f"`vocab_file` must be a file, but {tmp_path} is a directory."
    with pytest.raises(OSError, match=r"vocab\.txt"):
        BertTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`vocab_file` must hold one token a line, but {} is empty."),
        (b"a\n\xff\n", "`vocab_file` must be UTF-8, but byte 2 of {} is not."),
        (b"a\n\xe6\xb0", "`vocab_file` must be UTF-8, but byte 2 of {} is not."),
        (b"\xed\xa0\x80", "`vocab_file` must be UTF-8, but byte 0 of {} is not."),
    ],
)
def test_broken_vocabulary_raises(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        BertTokenizer(file)
    assert str(error.value) == message.format(file)


# from_pretrained


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name stands for the vocabulary of these tests."""
    monkeypatch.setattr(tokenization, "resolve_vocabulary", lambda name, cache_dir: VOCABULARY)


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize(
    ("name", "arguments", "lower_case", "warned"),
    [
        ("bert-base-uncased", {}, True, False),
        ("bert-base-chinese", {"do_lower_case": False}, True, True),
        ("bert-base-cased", {}, False, False),
        ("bert-base-cased", {"do_lower_case": True}, False, True),
        ("bert-base-multilingual-cased", {"do_lower_case": False}, False, False),
        ("a/folder/bert-base-cased", {}, True, False),
        ("a/folder/bert-base-cased", {"do_lower_case": False}, False, False),
    ],
)
def test_shortcut_name_decides_over_lower_case(
    caplog: pytest.LogCaptureFixture,
    name: str,
    arguments: dict[str, Any],
    lower_case: bool,
    warned: bool,
) -> None:
    tokenizer = BertTokenizer.from_pretrained(name, **arguments)
    assert tokenizer.do_lower_case is lower_case
    expected = f"`do_lower_case` must be {lower_case} for {name}, but is {not lower_case}"
    assert caplog.messages == ([f"{expected}: using {lower_case}."] if warned else [])


@pytest.mark.usefixtures("resolved")
def test_shortcut_name_limits_max_len() -> None:
    load = BertTokenizer.from_pretrained
    assert load("bert-base-uncased").max_len == 512
    assert load("bert-base-uncased", max_len=1000).max_len == 512
    assert load("bert-base-uncased", None, True, 64).max_len == 64
    assert load("folder", max_len=1000).max_len == 1000
    assert load("folder", None, False, 64).max_len == 64


def test_cache_dir_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def resolve(name: str, cache_dir: Path) -> Path:
        calls.append((name, cache_dir))
        return VOCABULARY

    monkeypatch.setattr(tokenization, "resolve_vocabulary", resolve)
    BertTokenizer.from_pretrained("bert-base-uncased", tmp_path)
    BertTokenizer.from_pretrained("bert-base-uncased", cache_dir=tmp_path)
    assert calls == [("bert-base-uncased", tmp_path)] * 2


def test_directory_and_file_are_loaded(tmp_path: Path) -> None:
    shutil.copy(VOCABULARY, tmp_path / "vocab.txt")
    for path in (tmp_path, str(tmp_path), tmp_path / "vocab.txt"):
        assert BertTokenizer.from_pretrained(path).tokenize("sea") == ["sea"]


# Errors and warnings


def test_unknown_token_and_id_raise(tokenizer: BertTokenizer) -> None:
    with pytest.raises(KeyError) as token:
        tokenizer.convert_tokens_to_ids(["sea", "ocean"])
    assert token.value.args == (
        '`tokens` must be in the vocabulary of 140 tokens, but "ocean" is not.',
    )
    with pytest.raises(KeyError) as index:
        tokenizer.convert_ids_to_tokens([0, 140])
    assert index.value.args == ("`ids` must be in the vocabulary of 140 tokens, but 140 is not.",)


def test_more_tokens_than_max_len_warns(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = BertTokenizer(VOCABULARY, max_len=2)
    assert tokenizer.convert_tokens_to_ids(["sea", "tide"]) == [76, 77]
    assert caplog.messages == []
    assert tokenizer.convert_tokens_to_ids(["sea", "tide", "sea"]) == [76, 77, 76]
    assert caplog.record_tuples == [
        (
            "ptbert.tokenization",
            logging.WARNING,
            "`tokens` should hold at most 2 tokens (`max_len`), but holds 3: cut or split the "
            "text, a model of this size cannot take it.",
        )
    ]


def test_lone_surrogate_raises_with_its_position(tokenizer: BertTokenizer) -> None:
    for tokenize in (
        tokenizer.tokenize,
        tokenizer.basic_tokenizer.tokenize,
        tokenizer.wordpiece_tokenizer.tokenize,
        WordpieceTokenizer({}).tokenize,
        tokenization.whitespace_tokenize,
    ):
        with pytest.raises(UnicodeEncodeError) as error:
            tokenize("sea \ud83c")
        assert error.value.start == 4


def test_wrong_types_raise(tokenizer: BertTokenizer) -> None:
    with pytest.raises(TypeError) as error:
        tokenizer.tokenize(b"sea")  # type: ignore[arg-type]
    assert str(error.value) == "`text` must be a str, but is a bytes."
    with pytest.raises(TypeError) as error:
        BasicTokenizer(never_split="[UNK]")
    assert str(error.value) == (
        '`never_split` must be a collection of tokens, but is the str "[UNK]".'
    )
    with pytest.raises(TypeError) as error:
        BasicTokenizer(never_split=[3])  # type: ignore[list-item]
    assert str(error.value) == "`never_split[...]` must be a str, but is an int."
    tokenizer.vocab["ocean"] = "140"  # type: ignore[assignment]
    with pytest.raises(TypeError) as error:
        tokenizer.tokenize("sea")
    assert str(error.value) == "`vocab` must map tokens to ints, but maps one to a str."
