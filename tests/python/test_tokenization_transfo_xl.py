"""Transformer-XL's tokenizer, side by side with pytorch-pretrained-bert and on its own."""

from __future__ import annotations

import copy
import datetime
import pickle
import random
import re
from collections import Counter, OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ptbert
import tokenization_reference as reference
from ptbert.tokenization_transfo_xl import (
    PRETRAINED_VOCAB_ARCHIVE_MAP,
    VOCAB_NAME,
    TransfoXLTokenizer,
)
from support import without_root
from transfo_xl_support import TEXT, assert_same_ids, oracle, write

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"special": ["<eos>"], "lower_case": True},
    {"special": ["<unk>", "<eos>"], "min_freq": 2},
    {"special": ["<UNK>"], "max_size": 3},
    {"special": ["<unk>"], "max_size": 4, "min_freq": 2, "lower_case": True},
    {"special": ["<unk>"], "delimiter": " "},
    {"special": ["<unk>"], "delimiter": "th", "max_size": 2},
)
LINE_ENDS: tuple[dict[str, bool], ...] = (
    {},
    {"add_eos": False},
    {"add_double_eos": True},
    {"add_eos": False, "add_double_eos": True},
)


def assert_same_vocabulary(ours: Any, theirs: Any) -> None:
    assert list(ours.counter.items()) == list(theirs.counter.items())
    assert ours.idx2sym == theirs.idx2sym
    assert list(ours.sym2idx.items()) == list(theirs.sym2idx.items())
    assert len(ours) == len(theirs)
    ids = {name: value for name, value in vars(theirs).items() if name.endswith("_idx")}
    assert {name: value for name, value in vars(ours).items() if name.endswith("_idx")} == ids


def assert_same_on(path: Path, lines: list[str], options: dict[str, Any]) -> None:
    ours, theirs = TransfoXLTokenizer(**options), oracle().TransfoXLTokenizer(**options)
    for line in lines:
        for ends in LINE_ENDS:
            assert ours.tokenize(line, **ends) == theirs.tokenize(line, **ends)
    sents = ours.count_file(path)
    assert sents == theirs.count_file(str(path))
    assert ours.count_file(path, add_eos=True) == theirs.count_file(str(path), add_eos=True)
    ours.count_sents(sents[:5])
    theirs.count_sents(sents[:5])
    ours.build_vocab()
    theirs.build_vocab()
    assert_same_vocabulary(ours, theirs)

    for ends in LINE_ENDS:
        for ordered in (False, True) if sents else (False,):  # 2019 cannot join nothing
            try:
                expected = theirs.encode_file(str(path), ordered=ordered, **ends)
            except ValueError:
                with pytest.raises(ValueError, match="`path` must hold symbols of the vocabulary"):
                    ours.encode_file(path, ordered=ordered, **ends)
                continue
            assert_same_ids(ours.encode_file(path, ordered=ordered, **ends), expected)
    known = [symbols for symbols in sents if all(symbol in theirs.sym2idx for symbol in symbols)]
    assert_same_ids(ours.encode_sents(known), theirs.encode_sents(known))
    if known:
        ids = theirs.encode_sents(known, ordered=True)
        assert_same_ids(ours.encode_sents(known, ordered=True), ids)
        assert ours.decode(ids) == ours.decode(ids.tolist()) == theirs.decode(ids.tolist())
        assert ours.decode(ids.tolist(), exclude=[0]) == theirs.decode(ids.tolist(), exclude=[0])
        assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_sample_equals_oracle(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert_same_on(path, lines, options)


@pytest.mark.parametrize("name", ["ptb/valid", "wikitext-2/valid", "wikitext-103/test"])
@pytest.mark.parametrize("options", OPTIONS[1:4], ids=str)
def test_real_corpora_equal_oracle(test_data: Path, name: str, options: dict[str, Any]) -> None:
    path = test_data / "lm" / f"{name}.txt"
    assert_same_on(path, path.read_text(encoding="utf-8").split("\n")[:500], options)


def test_real_languages_equal_oracle(test_data: Path) -> None:
    for path in sorted((test_data / "text" / "udhr").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").split("\n")
        assert_same_on(path, lines[:20], {"special": ["<unk>"], "lower_case": True, "min_freq": 2})


ALPHABET = st.one_of(
    st.sampled_from("aAbB \t\n\r\x1c\x85\u00a0\u1680\u2003\u2028\u3000\ufeff\u200b\u03a3\u0130'"),
    st.characters(exclude_categories=["Cs"]).filter(reference.is_assigned),
)


@settings(deadline=None)
@given(
    text=st.text(ALPHABET, max_size=60),
    delimiter=st.sampled_from([None, " ", "a", "aA", "\u2003"]),
    lower_case=st.booleans(),
)
def test_any_text_equals_oracle(text: str, delimiter: str | None, lower_case: bool) -> None:
    options = {"special": ["<unk>"], "delimiter": delimiter, "lower_case": lower_case}
    with TemporaryDirectory() as folder:
        # A byte order mark before the text of a file is skipped, unlike in 2019.
        assert_same_on(write(Path(folder), text.lstrip("\ufeff")), [text], options)


def test_characters_equal_oracle(tmp_path: Path) -> None:
    path = write(tmp_path)
    options: dict[str, Any] = {"special": ["<unk>"], "delimiter": "", "lower_case": True}
    ours, theirs = TransfoXLTokenizer(**options), oracle().TransfoXLTokenizer(**options)
    assert ours.count_file(path) == [list(line) for line in theirs.count_file(str(path))]
    ours.build_vocab()
    theirs.build_vocab()
    assert_same_vocabulary(ours, theirs)
    expected = theirs.encode_file(str(path), ordered=True, add_eos=False)
    assert_same_ids(ours.encode_file(path, ordered=True, add_eos=False), expected)
    assert ours.tokenize(" a b", add_eos=True) == ["a", " ", "b", "<eos>"]  # 2019: TypeError


@pytest.mark.parametrize("content", ["<S>\nthe 12\n<UNK> 3\n<unk>\nthe\n", "a\n<unk>\n", "<UNK>"])
def test_vocabulary_file_equals_oracle(tmp_path: Path, content: str) -> None:
    options: dict[str, Any] = {
        "vocab_file": str(write(tmp_path, content, "vocab.txt")),
        "special": ["ignored"],
    }
    ours, theirs = TransfoXLTokenizer(**options), oracle().TransfoXLTokenizer(**options)
    ours.build_vocab()
    theirs.build_vocab()
    assert_same_vocabulary(ours, theirs)
    path = write(tmp_path)
    assert_same_ids(ours.encode_file(path), theirs.encode_file(str(path)))


def test_large_random_corpus_equals_oracle(tmp_path: Path) -> None:
    random.seed(0)
    words = [f"w{int(random.paretovariate(0.4))}" for _ in range(300_000)]
    lines = (" ".join(words[i : i + 19]) for i in range(0, len(words), 19))
    path = write(tmp_path, "\n".join(lines))
    assert_same_on(path, [], {"special": ["<unk>"], "min_freq": 2, "max_size": 5000})


@pytest.fixture
def tokenizer(tmp_path: Path) -> TransfoXLTokenizer:
    built = TransfoXLTokenizer(special=["<unk>", "<eos>"], lower_case=True, min_freq=2)
    built.count_file(write(tmp_path))
    built.build_vocab()
    return built


def test_files_of_the_original_load(tmp_path: Path) -> None:
    theirs = oracle().TransfoXLTokenizer(special=["<unk>", "<eos>"], lower_case=True)
    theirs.count_file(str(write(tmp_path)))
    theirs.build_vocab()
    theirs.save_vocabulary(str(tmp_path))
    for source in (tmp_path, str(tmp_path), tmp_path / VOCAB_NAME):
        ours = ptbert.TransfoXLTokenizer.from_pretrained(source, lower_case=False)
        assert_same_vocabulary(ours, theirs)
        assert vars(ours) == vars(theirs)


def test_the_original_loads_our_files(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    tokenizer.vocab_file = tmp_path / "kept.txt"
    assert tokenizer.save_vocabulary(tmp_path) == str(tmp_path / VOCAB_NAME)
    theirs = oracle().TransfoXLTokenizer.from_pretrained(str(tmp_path))
    assert_same_vocabulary(tokenizer, theirs)
    assert vars(theirs) == {**vars(tokenizer), "vocab_file": str(tmp_path / "kept.txt")}
    assert (tmp_path / VOCAB_NAME).read_bytes()[:2] == b"\x80\x02"  # what torch 1.0 reads, no zip


def test_vocabulary_is_saved_under_any_name(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    path = tokenizer.save_vocabulary(tmp_path / "words.bin")
    assert path == str(tmp_path / "words.bin")
    assert vars(TransfoXLTokenizer.from_pretrained(path)) == vars(tokenizer)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["train.txt", "words.bin"]


def test_tokenizer_is_copied_and_pickled(tokenizer: TransfoXLTokenizer) -> None:
    for copied in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert vars(copied) == vars(tokenizer)
        copied.add_symbol("new")
        assert copied.get_idx("new") == len(tokenizer)
        assert "new" not in tokenizer.sym2idx


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


@pytest.mark.parametrize("zipped", [False, True])
def test_hostile_pickle_is_refused(tmp_path: Path, capsys: Any, zipped: bool) -> None:
    torch.save({"idx2sym": Hostile()}, tmp_path / VOCAB_NAME, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"contains the Python object `print`, and unpi"):
        TransfoXLTokenizer.from_pretrained(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_other_libraries_load(
    tmp_path: Path,
    tokenizer: TransfoXLTokenizer,
    protocol: int,
    capsys: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They hold objects as well, which are left out."""
    objects = {
        "pattern": re.compile("a+"),
        "hostile": Hostile(),
        "date": datetime.date(2019, 4, 25),
        "table": {"a": {1: 2}},
        "more": {"set": {1, 2}, "bytes": b"12", "float": [1.5]},
        "again": [Hostile()] * 2,
    }
    content = pickle.dumps({**vars(tokenizer), **objects, "share": 0.25}, protocol)
    (tmp_path / "vocab.pkl").write_bytes(content)
    loaded = TransfoXLTokenizer.from_pretrained(tmp_path)
    share = vars(loaded).pop("share")
    assert share == 0.25
    expected = {**vars(tokenizer), "never_split": list(tokenizer.never_split)}
    assert vars(loaded) == expected
    assert {name: type(value) for name, value in vars(loaded).items()} == {
        name: type(value) for name, value in expected.items()
    }
    assert f"left out, which are no plain data: {', '.join(objects)}" in caplog.text
    assert capsys.readouterr().out == ""
    for size in (5, 40, len(content) - 1):
        (tmp_path / "vocab.pkl").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"must hold a dictionary of plain data, .* but its p"):
            TransfoXLTokenizer.from_pretrained(tmp_path)


def test_pickle_of_another_value_is_refused(tmp_path: Path) -> None:
    for value, why in (
        ([1], "holds another value"),
        ({1: 2}, "has a key that is no text"),
        ({"n": 1 << 80}, "its pickle has a number of 11 bytes"),
        ({"n": ["a" * 1000] * 1000}, "repeats its texts too often"),
    ):
        (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(ValueError, match=f"saved by torch.save or pickle, but {why}"):
            TransfoXLTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "must hold a dict of attributes, but holds list"),
        ({"idx2sym": ["a"], "sym2idx": {"a": 1}}, "must number in `sym2idx` the symbols of"),
        ({"idx2sym": ["a"], "sym2idx": {"a": 0, "b": 1}}, "must number in `sym2idx` the symbols"),
        ({"idx2sym": ["a"]}, "must hold a list `idx2sym` and a dict `sym2idx`"),
        ({"tokenize": "x"}, "has one of the name of its method `tokenize`"),
    ],
)
def test_inconsistent_file_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / VOCAB_NAME)
    with pytest.raises(ValueError, match=message):
        TransfoXLTokenizer.from_pretrained(tmp_path)


def test_text_without_permission_raises(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    path = Path(write(tmp_path))
    path.chmod(0)
    with without_root(), pytest.raises(PermissionError) as error:
        tokenizer.count_file(path)
    assert str(error.value) == f"`path` must be readable, but {path} is not."


def test_damaged_file_is_refused(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    path = Path(tokenizer.save_vocabulary(tmp_path))
    content = path.read_bytes()
    for size in (0, 1, 10, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="is truncated or of another format"):
            TransfoXLTokenizer.from_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"must contain `vocab\.bin` or `vocab\.pkl`, but does not"):
        (tmp_path / "empty").mkdir()
        TransfoXLTokenizer.from_pretrained(tmp_path / "empty")


def test_attribute_that_cannot_be_loaded_is_not_saved(
    tmp_path: Path, tokenizer: TransfoXLTokenizer
) -> None:
    tokenizer.extra = object()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="`extra` must be plain data or a tensor to be saved, but"):
        tokenizer.save_vocabulary(tmp_path)
    assert not (tmp_path / VOCAB_NAME).exists()


def test_changed_vocabulary_takes_effect(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    path = write(tmp_path, "the once", "line.txt")
    the = tokenizer.get_idx("the")
    assert tokenizer.encode_file(path, ordered=True).tolist() == [the, 0, 1]
    tokenizer.sym2idx["once"] = 77
    assert tokenizer.encode_file(path, ordered=True).tolist() == [the, 77, 1]
    tokenizer.unk_idx = 5
    del tokenizer.sym2idx["the"]
    assert tokenizer.encode_file(path, ordered=True).tolist() == [5, 77, 1]
    tokenizer.sym2idx = OrderedDict({"<eos>": 9})
    assert tokenizer.encode_file(path, ordered=True).tolist() == [5, 5, 9]
    tokenizer.idx2sym[the] = "THE"
    assert tokenizer.decode([the]) == "THE"
    tokenizer.lower_case = False
    assert tokenizer.tokenize("The") == ["The"]
    tokenizer.delimiter = "h"
    assert tokenizer.count_file(path) == [["t", "e once"]]


class Initials(TransfoXLTokenizer):
    def tokenize(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> list[str]:
        return [word[0] for word in super().tokenize(line, add_eos, add_double_eos)]


def test_overridden_tokenize_takes_effect(tmp_path: Path) -> None:
    tokenizer, path = Initials(special=["<"]), write(tmp_path, "alpha beta\nbravo\n")
    assert tokenizer.count_file(path, verbose=True) == [["a", "b"], ["b"]]
    tokenizer.build_vocab()
    assert tokenizer.idx2sym == ["<", "b", "a"]
    assert tokenizer.encode_file(path, ordered=True).tolist() == [2, 1, 0, 1, 0]


def test_replaced_methods_take_effect(
    tmp_path: Path, tokenizer: TransfoXLTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "the once", "line.txt")
    monkeypatch.setattr(tokenizer, "get_idx", len)
    assert tokenizer.encode_file(path, ordered=True).tolist() == [3, 4, 5]
    monkeypatch.setattr(TransfoXLTokenizer, "tokenize", lambda self, line, **ends: ["x"])
    assert tokenizer.encode_file(path, ordered=True).tolist() == [1]


def test_unknown_symbol_without_unk_names_file_and_line(tmp_path: Path) -> None:
    tokenizer = TransfoXLTokenizer(special=["<eos>"])
    tokenizer.count_sents([["a", "b"]])
    tokenizer.build_vocab()
    path = write(tmp_path, "a\nb a\n\na c d\n")
    with pytest.raises(ValueError) as error:
        tokenizer.encode_file(path)
    assert str(error.value) == (
        "`path` must hold symbols of the vocabulary, which has no <unk>, but line 4 of "
        f'{path} holds "c".'
    )
    with pytest.raises(ValueError) as error:
        tokenizer.convert_tokens_to_ids(["a", "c"])
    assert str(error.value) == (
        '`sym` must be in the vocabulary of 3 symbols, which has no <unk>, but "c" is not.'
    )


def test_bad_files_name_file_and_line(tmp_path: Path) -> None:
    tokenizer = TransfoXLTokenizer(vocab_file=write(tmp_path, "a\n\n", "vocab.txt"))
    with pytest.raises(ValueError, match=r"must hold one token a line, but line 2 of .*vocab.txt"):
        tokenizer.build_vocab()
    tokenizer.vocab_file = write(tmp_path, "a\n", "vocab.txt")
    with pytest.raises(ValueError, match=r"must hold <unk> or <UNK>, but .*vocab.txt holds neith"):
        tokenizer.build_vocab()
    path = tmp_path / "latin-1.txt"
    path.write_bytes("fine\ncaf\u00e9 noir\n".encode("latin-1"))
    for verbose in (False, True):
        with pytest.raises(ValueError, match=r"must be UTF-8, but line 2 of .* byte 0xE9, its num"):
            tokenizer.count_file(path, verbose)
        with pytest.raises(FileNotFoundError, match=r"`path` must be an existing file, but .*no"):
            tokenizer.encode_file(tmp_path / "no.txt", verbose=verbose)
    assert tokenizer.counter == {}


def test_empty_file_gives_nothing(tmp_path: Path, tokenizer: TransfoXLTokenizer) -> None:
    path = write(tmp_path, "", "empty.txt")
    assert tokenizer.count_file(path) == []
    assert tokenizer.encode_file(path) == []
    assert tokenizer.encode_file(path, ordered=True).shape == (0,)
    assert tokenizer.encode_sents([], ordered=True).shape == (0,)


def test_ids_and_symbols_are_checked(tokenizer: TransfoXLTokenizer) -> None:
    for bad in (-1, len(tokenizer)):
        with pytest.raises(IndexError, match=rf"vocabulary of {len(tokenizer)} symbols, but is"):
            tokenizer.convert_ids_to_tokens([0, bad])
    with pytest.raises(UnicodeEncodeError):
        tokenizer.tokenize("\ud800")
    with pytest.raises(TypeError, match="`line` must be a str, but is a bytes"):
        tokenizer.tokenize(b"x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`delimiter` must be a str, but is an int"):
        TransfoXLTokenizer(delimiter=3).tokenize("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`special` must be a list of symbols, but is the str"):
        TransfoXLTokenizer(special="<eos>")
    assert tokenizer.decode(np.array([1, 0]), exclude={0}) == "<eos>"


def test_vocabulary_before_it_is_built() -> None:
    tokenizer = TransfoXLTokenizer()
    assert not hasattr(tokenizer, "sym2idx")
    assert not hasattr(tokenizer, "nothing")
    with pytest.raises(AttributeError, match="`idx2sym` must be made by `build_vocab` or loaded"):
        len(tokenizer)
    assert repr(tokenizer).startswith("TransfoXLTokenizer(vocab_size=0, special=[], min_freq=0")
    assert TransfoXLTokenizer().special is not tokenizer.special
    assert tokenizer.counter == Counter()
    assert tokenizer.never_split == ("<unk>", "<eos>", "<formula>")


def test_progress_bar_shows_on_a_terminal_only(tmp_path: Path, capsys: Any) -> None:
    tokenizer = TransfoXLTokenizer()
    tokenizer.count_file(write(tmp_path), verbose=True)
    tokenizer.count_sents([["a"]], verbose=True)
    tokenizer.build_vocab()
    assert capsys.readouterr() == ("", "")


def test_interrupted_work_raises(
    tmp_path: Path, tokenizer: TransfoXLTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.tqdm.update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode_file(write(tmp_path, TEXT), verbose=True)


def test_shortcut_name_leads_to_the_hub() -> None:
    assert PRETRAINED_VOCAB_ARCHIVE_MAP == {
        "transfo-xl-wt103": "https://huggingface.co/transfo-xl/transfo-xl-wt103/resolve/main/"
        "vocab.bin"
    }
