from __future__ import annotations

import copy
import json
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpe_reference as reference
import tokenization_reference
from ptbert import tokenization_gpt2
from ptbert.tokenization_gpt2 import GPT2Tokenizer, bytes_to_unicode, get_pairs
from support import GOLDEN, without_root

FOLDER = GOLDEN.parent / "data" / "gpt2"
RECORD = json.loads((GOLDEN / "bpe.json").read_text())
RANKS = {
    (pair[0], pair[1]): rank
    for rank, line in enumerate((FOLDER / "merges.txt").read_text("utf-8").split("\n")[1:-1])
    if (pair := line.split())
}

BYTE_CHARACTERS = reference.byte_characters()

# Characters of all kinds, those that the pattern treats specially often.
CHARACTERS = st.one_of(
    st.sampled_from("'stremvld  \n\t\r\x1c\x85\u00a0\u2028\u3000\u200b\u180e09½Ⅷ.,!é水\U0001f30a"),
    st.characters(exclude_categories=("Cs", "Cn")).filter(tokenization_reference.is_assigned),
)
TEXTS = st.text(CHARACTERS, max_size=40)


@pytest.fixture(scope="module")
def shared() -> GPT2Tokenizer:
    return GPT2Tokenizer.from_pretrained(FOLDER)


@pytest.fixture
def tokenizer() -> GPT2Tokenizer:
    return GPT2Tokenizer.from_pretrained(FOLDER)


def write(
    folder: Path, vocab: str | bytes, merges: str | bytes = "#version: 0.2\n"
) -> tuple[Path, Path]:
    files = folder / "vocab.json", folder / "merges.txt"
    for file, content in zip(files, (vocab, merges), strict=True):
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return files


# Values


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_ids_equal_golden(shared: GPT2Tokenizer, case: dict[str, Any]) -> None:
    ids, text = shared.encode(case["text"]), case["text"]
    assert ids == case["gpt2_ids"]
    assert shared.convert_tokens_to_ids(shared.tokenize(text)) == ids
    assert shared.decode(ids, clean_up_tokenization_spaces=False) == text


@given(TEXTS)
def test_tokens_equal_plain_python(text: str) -> None:
    tokenizer = GPT2Tokenizer.from_pretrained(FOLDER)
    assert tokenizer.tokenize(text) == reference.gpt2_tokens(text, RANKS)


def test_every_character_alone_and_between_letters(shared: GPT2Tokenizer) -> None:
    chars = [c for c in map(chr, range(0x110000)) if tokenization_reference.is_assigned(c)]
    for start in range(0, len(chars), 256):
        for c in chars[start : start + 256]:
            assert shared._current().words(c) == [_encoded(w) for w in reference.split_words(c)]
        text = "".join(f"x{c}y {c}" for c in chars[start : start + 256])
        assert shared._current().words(text) == [_encoded(w) for w in reference.split_words(text)]


def _encoded(word: str) -> str:
    return "".join(map(BYTE_CHARACTERS.__getitem__, word.encode()))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_decoding_gives_the_text_back(text: str) -> None:
    tokenizer = GPT2Tokenizer.from_pretrained(FOLDER)
    assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


@given(
    st.lists(st.tuples(*2 * [st.text("ab", min_size=1, max_size=3)]), max_size=12),
    st.text("ab", min_size=1, max_size=120),
)
def test_any_merges_equal_plain_python(merges: list[tuple[str, str]], word: str) -> None:
    tokenizer = GPT2Tokenizer.from_pretrained(FOLDER)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    tokenizer.bpe_ranks = ranks
    assert tokenizer.bpe(word).split(" ") == reference.merge(list(word), ranks)
    assert tokenizer.tokenize(word) == reference.merge(list(word), ranks)


@given(st.binary(max_size=20), st.sampled_from(["replace", "ignore", "strict", "backslashreplace"]))
def test_decoding_treats_broken_utf8_as_python(data: bytes, errors: str) -> None:
    tokenizer = GPT2Tokenizer.from_pretrained(FOLDER, errors=errors)
    ids = [tokenizer.encoder[tokenizer.byte_encoder[byte]] for byte in data]
    try:
        expected = data.decode(errors=errors)
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            tokenizer.decode(ids)
    else:
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == expected


def test_surrogates_of_an_error_handler_survive_cleaning(shared: GPT2Tokenizer) -> None:
    shared = copy.copy(shared)
    shared.errors = "surrogateescape"
    assert shared.decode([shared.encoder["ÿ"], *shared.encode(" .")]) == "\udcff."


def test_cleaning_joins_punctuation_and_contractions(shared: GPT2Tokenizer) -> None:
    text = "<unk>a . b ? c ! d , e ' f do n't I 'm you do not it 's we 've they 're"
    expected = "a. b? c! d, e'f don't I'm you don't it's we've they're"
    assert shared.decode(shared.encode(text)) == expected


def test_long_words_come_back(shared: GPT2Tokenizer) -> None:
    for text in ("a" * 1_000_000, "the" * 300_000, " " * 1_000_000, "." * 1_000_000):
        ids = shared.encode(text)
        assert shared.decode(ids, clean_up_tokenization_spaces=False) == text


def test_lone_surrogate_raises(shared: GPT2Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        shared.encode("a\ud800")
    with pytest.raises(TypeError, match=r"^`text` must be a str, but is an int\.$"):
        shared.encode(3)  # type: ignore[arg-type]


# Names of 2019


def test_names_of_2019() -> None:
    assert tokenization_gpt2.VOCAB_NAME == "vocab.json"
    assert tokenization_gpt2.MERGES_NAME == "merges.txt"
    assert tokenization_gpt2.SPECIAL_TOKENS_NAME == "special_tokens.txt"
    assert tokenization_gpt2.PRETRAINED_VOCAB_ARCHIVE_MAP["gpt2"].endswith(
        "gpt2/resolve/main/vocab.json"
    )
    assert tokenization_gpt2.PRETRAINED_MERGES_ARCHIVE_MAP["gpt2"].endswith("merges.txt")
    assert tokenization_gpt2.PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP["gpt2"] == 1024


def test_bytes_to_unicode_and_get_pairs() -> None:
    assert [bytes_to_unicode()[byte] for byte in range(256)] == reference.byte_characters()
    assert get_pairs("aba") == {("a", "b"), ("b", "a")}
    assert get_pairs(("x",)) == set()
    with pytest.raises(IndexError, match="`word` must have at least one symbol"):
        get_pairs("")


def test_bpe_of_one_word(shared: GPT2Tokenizer) -> None:
    assert shared.bpe("Ġthe") == "Ġthe"
    assert shared.bpe("x 水") == "x   水"
    with pytest.raises(ValueError, match=r"`token` must have at least one character"):
        shared.bpe("")


def test_literal_ids_and_unknown_tokens(shared: GPT2Tokenizer) -> None:
    the = json.loads((FOLDER / "vocab.json").read_text())["Ġthe"]
    assert shared.convert_tokens_to_ids("Ġthe") == the
    assert shared.convert_tokens_to_ids(["Ġthe", "no such token"]) == [the, 0]
    assert shared.convert_ids_to_tokens([the]) == ["Ġthe"]
    message = rf"`ids` must be in the vocabulary of {len(shared)} tokens, but 99999 is not\."
    for convert in (shared.convert_ids_to_tokens, shared.decode):
        with pytest.raises(KeyError, match=message):
            convert([99999])


def test_special_tokens_follow_the_vocabulary(tokenizer: GPT2Tokenizer) -> None:
    count = len(tokenizer)
    tokenizer.set_special_tokens(["<a b>", "Ġthe"])
    assert len(tokenizer) == count + 2
    assert tokenizer.special_tokens == {"<a b>": count, "Ġthe": count + 1}
    assert tokenizer.special_tokens_decoder == {count: "<a b>", count + 1: "Ġthe"}
    assert tokenizer.convert_tokens_to_ids(["<a b>"]) == [count]
    assert tokenizer.encode("in the")[-1] == count + 1  # special ones count first, as in 2019
    assert tokenizer.convert_ids_to_tokens([count, 5], skip_special_tokens=True) == [
        tokenizer.decoder[5]
    ]
    assert tokenizer.decode([count, *tokenizer.encode("x")]) == "<a b>x"
    assert tokenizer.decode([count, *tokenizer.encode("x")], skip_special_tokens=True) == "x"
    tokenizer.set_special_tokens(None)
    assert len(tokenizer) == count
    assert (tokenizer.special_tokens, tokenizer.special_tokens_decoder) == ({}, {})


def test_more_tokens_than_max_len_warn(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = GPT2Tokenizer.from_pretrained(FOLDER, max_len=2)
    for call in (tokenizer.encode, tokenizer.tokenize, lambda t: tokenizer.encode_batch([t])):
        caplog.clear()
        call("xy")
        assert not caplog.records
        call("xyz")
        expected = 0 if call == tokenizer.tokenize else 1
        assert [
            "at most 2 tokens (`max_len`), but holds 3" in message for message in caplog.messages
        ] == [True] * expected
    assert GPT2Tokenizer.from_pretrained(FOLDER).max_len == int(1e12)


# Tables


def test_tables_hold_the_files(tokenizer: GPT2Tokenizer) -> None:
    vocabulary = json.loads((FOLDER / "vocab.json").read_text())
    assert list(tokenizer.encoder.items()) == list(vocabulary.items())
    assert tokenizer.decoder == {number: token for token, number in vocabulary.items()}
    assert tokenizer.bpe_ranks == RANKS


def test_changed_tables_count(tokenizer: GPT2Tokenizer) -> None:
    tokenizer.encoder["x"] = 1000
    assert tokenizer.encode("x") == [1000]
    tokenizer.decoder[1000] = "x"
    assert tokenizer.decode([1000]) == "x"
    tokenizer.bpe_ranks.clear()
    assert tokenizer.tokenize(" the") == ["Ġ", "t", "h", "e"]
    tokenizer.bpe_ranks[("t", "h")] = 0
    assert tokenizer.tokenize(" the") == ["Ġ", "th", "e"]
    tokenizer.special_tokens["th"] = 7
    assert tokenizer.encode("th") == [7]
    tokenizer.encoder = {"t": 3}
    assert tokenizer.encode("ta") == [3, 0]
    assert tokenizer.decode([1000]) == "x"


def test_read_only_tables_raise(tokenizer: GPT2Tokenizer) -> None:
    for table in (tokenizer.byte_encoder, tokenizer.byte_decoder, tokenizer.cache):
        with pytest.raises(TypeError, match="must not be changed"):
            table.clear()
    for name in ("byte_encoder", "byte_decoder", "cache", "pat"):
        with pytest.raises(AttributeError):
            setattr(tokenizer, name, {})


def test_replaced_methods_count(tokenizer: GPT2Tokenizer) -> None:
    tokenizer.bpe = lambda token: "a b"  # type: ignore[method-assign]
    assert tokenizer.tokenize("x y") == ["a", "b", "a", "b"]
    assert len(tokenizer.encode("x")) == len(tokenizer.encode_batch(["x"])[0]) == 2

    class Upper(GPT2Tokenizer):
        def tokenize(self, text: str) -> list[str]:
            return super().tokenize(text.upper())

    upper = Upper.from_pretrained(FOLDER)
    assert upper.encode("a") == tokenizer.convert_tokens_to_ids(["A"])


def test_assigned_tables_are_copied(tokenizer: GPT2Tokenizer) -> None:
    table = dict(tokenizer.encoder)
    tokenizer.encoder = table
    table["x"] = 5000
    assert tokenizer.encoder["x"] != 5000
    encoder = tokenizer.encoder
    tokenizer.encoder |= {"x": 5000}
    encoder["y"] = 5001
    assert tokenizer.encode("xy") == [5000, 5001]


def test_keys_that_are_no_pairs_raise(tokenizer: GPT2Tokenizer) -> None:
    tokenizer.bpe_ranks["ab"] = 3  # type: ignore[index]
    with pytest.raises(
        TypeError, match="`bpe_ranks` must have pairs of symbols for keys, but has a"
    ):
        tokenizer.encode("ab")


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies_are_equal(duplicate: Any, tokenizer: GPT2Tokenizer) -> None:
    tokenizer.set_special_tokens(["<a>"])
    tokenizer.encoder["x"] = 1000
    other = duplicate(tokenizer)
    assert other.encode("x the") == tokenizer.encode("x the")
    assert other.decoder == tokenizer.decoder
    assert (len(other), other.special_tokens) == (len(tokenizer), tokenizer.special_tokens)


# Threads and batches


def test_batches_equal_single_texts(shared: GPT2Tokenizer) -> None:
    texts = [case["text"] for case in RECORD["cases"]] * 5
    expected = [shared.encode(text) for text in texts]
    for num_threads in (0, 1, 2, 7):
        assert shared.encode_batch(texts, num_threads) == expected
    assert shared.encode_batch(iter(texts[:3])) == expected[:3]
    assert shared.encode_batch([]) == []


def test_bad_batches_raise(shared: GPT2Tokenizer) -> None:
    with pytest.raises(
        TypeError, match=r'`texts` must be an iterable of texts, but is the str "x"\.'
    ):
        shared.encode_batch("x")
    with pytest.raises(ValueError, match=r"`num_threads` must not be negative, but is -1\."):
        shared.encode_batch(["x"], -1)
    with pytest.raises(UnicodeEncodeError):
        shared.encode_batch(["x", "\ud800"])


def test_threads_share_a_tokenizer(shared: GPT2Tokenizer) -> None:
    texts = [case["text"] for case in RECORD["cases"]] * 20
    expected = [shared.encode(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shared.encode, texts)) == expected


# Files


def test_saving_and_loading(tokenizer: GPT2Tokenizer, tmp_path: Path) -> None:
    tokenizer.set_special_tokens(["<a>", "<b>"])
    tokenizer.encoder['quote " \\ \n \x01 \x7f 水'] = len(tokenizer.encoder)
    files = tokenizer.save_vocabulary(tmp_path)
    assert files == tuple(
        str(tmp_path / n) for n in ("vocab.json", "merges.txt", "special_tokens.txt")
    )
    text = (tmp_path / "vocab.json").read_text("utf-8")
    assert text == json.dumps(tokenizer.encoder, ensure_ascii=False)
    assert (tmp_path / "merges.txt").read_bytes() == (FOLDER / "merges.txt").read_bytes()
    assert (tmp_path / "special_tokens.txt").read_text() == "<a>\n<b>\n"
    again = GPT2Tokenizer.from_pretrained(tmp_path)
    assert (again.encoder, again.bpe_ranks) == (tokenizer.encoder, tokenizer.bpe_ranks)
    assert list(again.special_tokens) == ["<a>", "<b>"]
    assert GPT2Tokenizer.from_pretrained(
        tmp_path, special_tokens=["<c>"]
    ).special_tokens.keys() == {"<c>"}


def test_saving_gaps_warns(
    tokenizer: GPT2Tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer.bpe_ranks = {("a", "b"): 0, ("c", "d"): 2}
    with caplog.at_level(logging.WARNING):
        tokenizer.save_vocabulary(tmp_path)
    assert "The numbers of the lines of" in caplog.text
    with pytest.raises(NotADirectoryError, match="`vocab_path` must be an existing directory"):
        tokenizer.save_vocabulary(tmp_path / "absent")


def test_saving_without_permission_raises(tokenizer: GPT2Tokenizer) -> None:
    with without_root(), pytest.raises(PermissionError) as error:
        tokenizer.save_vocabulary("/")
    assert str(error.value) == (
        "`vocab_path` must be an existing directory that can be written to, but /vocab.json cannot "
        "be written."
    )


def test_merges_are_read_as_in_2019(tmp_path: Path) -> None:
    lines = "a b\r\nb c\rx\nx y z\n\nc\u3000d\nb c\nd e\n"
    files = write(tmp_path, '{"a": 0}', "ignored first\n" + lines)
    ranks = GPT2Tokenizer(*files).bpe_ranks
    assert ranks == {("a", "b"): 0, ("c", "d"): 5, ("b", "c"): 6, ("d", "e"): 7}
    assert GPT2Tokenizer(*write(tmp_path, "{}", "")).encode("ab") == [0, 0]


def test_json_is_read_as_by_python(tmp_path: Path) -> None:
    text = (
        ' {"a\\u00e9\\ud83c\\udf0a\\n\\/\\"": 0 , "b" :\t-5,\n"a": 12345678901, "b": 7, "c": 7}\r\n'
    )
    tokenizer = GPT2Tokenizer(*write(tmp_path, text))
    assert list(tokenizer.encoder.items()) == list(json.loads(text).items())
    assert tokenizer.convert_ids_to_tokens([12345678901, 7]) == ["a", "c"]
    assert tokenizer.decoder == {v: k for k, v in json.loads(text).items()}


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ("", "byte 0 of .* is not an object"),
        ("[]", "byte 0 of .* is not an object"),
        ('{"a": 1', "byte 7 of .* is not a comma or the object's end"),
        ('{"a": 1.5}', "byte 6 of .* is not an integer of 64 bits"),
        ('{"a": 99999999999999999999}', "is not an integer of 64 bits"),
        ('{"a": 01}', "is not an integer of 64 bits"),
        ('{"a": "b"}', "is not an integer of 64 bits"),
        ('{"a" 1}', "is not a colon"),
        ('{"a": 1,}', "is not a string"),
        ('{"a": 1} x', "is not the end of the file"),
        ('{"a\n": 1}', "is not a character of a string"),
        ('{"a', "is not a character of a string"),
        ('{"\\x": 1}', "is not an escape"),
        ('{"\\u12', "is not a hexadecimal number of 4 digits"),
        ('{"\\ud800": 1}', "is not a pair of surrogates"),
        ('{"\\udc00": 1}', "is not a pair of surrogates"),
        ('{"\\ud800\\u0041": 1}', "is not a pair of surrogates"),
        (b'{"\xff": 1}', "`vocab_file` must be UTF-8, but byte 2 of"),
    ],
)
def test_broken_vocabulary_raises(tmp_path: Path, vocab: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GPT2Tokenizer(*write(tmp_path, vocab))


def test_file_without_permission_raises(tmp_path: Path) -> None:
    vocab, merges = write(tmp_path, "{}", b"#\n")
    for file in (vocab, merges):
        Path(file).chmod(0)
    with without_root(), pytest.raises(PermissionError) as error:
        GPT2Tokenizer(vocab, merges)
    assert str(error.value) == f"`vocab_file` must be readable, but {vocab} is not."


def test_broken_or_missing_files_raise(tmp_path: Path) -> None:
    vocab, merges = write(tmp_path, "{}", b"#\n\xff a\n")
    with pytest.raises(ValueError, match="`merges_file` must be UTF-8, but byte 2 of"):
        GPT2Tokenizer(vocab, merges)
    with pytest.raises(FileNotFoundError, match="`merges_file` must be an existing file"):
        GPT2Tokenizer(vocab, tmp_path / "absent")
    with pytest.raises(
        FileNotFoundError, match=r"`vocab_file` must be a file, but .* is a directory"
    ):
        GPT2Tokenizer(tmp_path, merges)
    with pytest.raises(
        NotADirectoryError, match=r"must be a directory or a .tar.gz archive with `vocab.json`"
    ):
        GPT2Tokenizer.from_pretrained(vocab)
    merges.unlink()
    with pytest.raises(FileNotFoundError, match=r"must contain `merges.txt`, but does not"):
        GPT2Tokenizer.from_pretrained(tmp_path)


def test_bad_tables_raise(tokenizer: GPT2Tokenizer) -> None:
    tokenizer.bpe_ranks[("a", "b")] = -1
    with pytest.raises(ValueError, match=r"`bpe_ranks` must map pairs to ranks .* maps one to -1"):
        tokenizer.encode("a")
    tokenizer.bpe_ranks = {}
    tokenizer.encoder["a"] = "b"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"`encoder\[\.\.\.\]` must be an int, but is a str\."):
        tokenizer.encode("a")
