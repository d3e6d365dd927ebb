"""Text files as editors leave them: byte order marks, other line ends, no end of the last line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer, TransfoXLTokenizer
from support import import_or_skip

BOM = b"\xef\xbb\xbf"
ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}
BPE = [GPT2Tokenizer, OpenAIGPTTokenizer]
LINES = ["#version: 0.2", "a b", "ab c"]
TOKENS = ["[UNK]", "sea", "##s", "tide"]

every_end = pytest.mark.parametrize("end", ENDS)
with_and_without_bom = pytest.mark.parametrize("bom", [b"", BOM], ids=["", "BOM"])
with_and_without_last_end = pytest.mark.parametrize("last", [True, False], ids=["", "no last end"])


@pytest.fixture(autouse=True)
def words_of_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)


def write(path: Path, lines: list[str], end: str, bom: bytes, last: bool) -> Path:
    text = ENDS[end].join(line.encode() for line in lines)
    path.write_bytes(bom + text + (ENDS[end] if last else b""))
    return path


def bpe(cls: Any, folder: Path, special: bytes = b"") -> Any:
    (folder / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2, "abc": 3, "c": 4}')
    if not (folder / "merges.txt").exists():
        (folder / "merges.txt").write_text("\n".join([*LINES, ""]))
    (folder / "special_tokens.txt").write_bytes(special)
    return cls.from_pretrained(folder)


# Each kind of file


@every_end
@with_and_without_bom
@with_and_without_last_end
def test_vocabulary_of_bert(tmp_path: Path, end: str, bom: bytes, last: bool) -> None:
    file = write(tmp_path / "vocab.txt", TOKENS, end, bom, last)
    assert dict(BertTokenizer(file).vocab) == {token: i for i, token in enumerate(TOKENS)}


@every_end
@with_and_without_last_end
def test_ids_of_bert_are_those_of_2019(tmp_path: Path, end: str, last: bool) -> None:
    old = import_or_skip("pytorch_pretrained_bert.tokenization")
    tokens = [*TOKENS, "", " a\u00a0", "x\x85y", "\u2028z", "\ufeff", "", "sea", "b\tc"]
    for odd in ("", "\r", "\n\r", "\r\n\n"):
        file = write(tmp_path / "vocab.txt", [*tokens, odd, "end"], end, b"", last)
        assert list(BertTokenizer(file).vocab.items()) == list(old.load_vocab(file).items())


@pytest.mark.parametrize("cls", BPE)
@every_end
@with_and_without_bom
@with_and_without_last_end
def test_merges(tmp_path: Path, cls: Any, end: str, bom: bytes, last: bool) -> None:
    write(tmp_path / "merges.txt", LINES, end, bom, last)
    assert bpe(cls, tmp_path).bpe_ranks == {("a", "b"): 0, ("ab", "c"): 1}


@pytest.mark.parametrize("cls", BPE)
def test_last_merge_without_an_end_is_used_and_saved(tmp_path: Path, cls: Any) -> None:
    end = "" if cls is GPT2Tokenizer else "</w>"
    write(tmp_path / "merges.txt", [LINES[0], f"a b{end}"], "LF", b"", False)
    tokenizer = bpe(cls, tmp_path)
    assert tokenizer.bpe("ab") == f"ab{end}"
    tokenizer.save_vocabulary(tmp_path)
    assert cls.from_pretrained(tmp_path).bpe_ranks == tokenizer.bpe_ranks


@pytest.mark.parametrize("cls", BPE)
@pytest.mark.parametrize("text", ["", "#version: 0.2", "#version: 0.2\n", "a b", "\n", "\n\n\n"])
def test_merges_without_any(tmp_path: Path, cls: Any, text: str) -> None:
    (tmp_path / "merges.txt").write_text(text)
    assert bpe(cls, tmp_path).bpe_ranks == {}


@pytest.mark.parametrize("cls", BPE)
@every_end
@with_and_without_bom
def test_vocabulary_of_gpt(tmp_path: Path, cls: Any, end: str, bom: bytes) -> None:
    tokenizer = bpe(cls, tmp_path)
    table = {"a": 5, "é": 7}
    text = json.dumps(table, indent=1, ensure_ascii=False).encode().replace(b"\n", ENDS[end])
    (tmp_path / "vocab.json").write_bytes(bom + text)
    assert tokenizer.from_pretrained(tmp_path).encoder == table


def test_faults_are_counted_from_the_first_byte_of_the_file(tmp_path: Path) -> None:
    tokenizer = bpe(GPT2Tokenizer, tmp_path)
    (tmp_path / "vocab.json").write_bytes(BOM + b"[]")
    with pytest.raises(ValueError, match=r"byte 3 of .*vocab\.json is not an object"):
        tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("cls", BPE)
@every_end
@with_and_without_bom
@with_and_without_last_end
def test_special_tokens(tmp_path: Path, cls: Any, end: str, bom: bytes, last: bool) -> None:
    special = write(tmp_path / "special", ["<s>", "<é>"], end, bom, last).read_bytes()
    assert bpe(cls, tmp_path, special).special_tokens == {"<s>": 5, "<é>": 6}


@pytest.mark.parametrize("cls", BPE)
def test_special_tokens_that_are_blank_keep_their_ids(tmp_path: Path, cls: Any) -> None:
    assert bpe(cls, tmp_path, b"<s>\n\n<e>\n").special_tokens == {"<s>": 5, "": 6, "<e>": 7}
    assert bpe(cls, tmp_path, b"").special_tokens == {}


@every_end
@with_and_without_bom
@with_and_without_last_end
def test_texts_of_transformer_xl(tmp_path: Path, end: str, bom: bytes, last: bool) -> None:
    file = write(tmp_path / "train.txt", ["the sea", "", "the tide"], end, bom, last)

    class Python(TransfoXLTokenizer):
        def tokenize(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> Any:
            return super().tokenize(line, add_eos, add_double_eos)

    for cls in (TransfoXLTokenizer, Python):
        tokenizer = cls(special=["<eos>"])
        assert tokenizer.count_file(file) == [["the", "sea"], [], ["the", "tide"]]
        tokenizer.build_vocab()
        assert tokenizer.idx2sym == ["<eos>", "the", "sea", "tide"]
        encoded = tokenizer.encode_file(file, ordered=True)
        assert torch.equal(encoded, torch.tensor([1, 2, 0, 0, 1, 3, 0]))


@every_end
@with_and_without_bom
@with_and_without_last_end
def test_vocabulary_of_transformer_xl(tmp_path: Path, end: str, bom: bytes, last: bool) -> None:
    file = write(tmp_path / "vocab.txt", ["<S> 5", "the 3", "<UNK> 1"], end, bom, last)
    tokenizer = TransfoXLTokenizer(vocab_file=file)
    tokenizer.build_vocab()
    assert tokenizer.idx2sym == ["<S>", "the", "<UNK>"]


@pytest.mark.parametrize("cls", [BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer])
@every_end
@with_and_without_bom
@with_and_without_last_end
def test_texts_to_learn_from(tmp_path: Path, cls: Any, end: str, bom: bytes, last: bool) -> None:
    import_or_skip("sentencepiece")
    lines = ["low lower  lowest", "", "  slow  ", "lower slow"] * 3
    plain = write(tmp_path / "plain.txt", lines, "LF", b"", last)
    other = write(tmp_path / "other.txt", lines, end, bom, last)
    size = 265 if cls is GPT2Tokenizer else 20
    for file in (plain, other):
        cls.train(file, size, file.with_suffix(""))
    for name in ("vocab.txt",) if cls is BertTokenizer else ("vocab.json", "merges.txt"):
        found, expected = ((f.with_suffix("") / name).read_bytes() for f in (other, plain))
        assert found == expected


# What is not UTF-8


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "merges.txt", "special_tokens.txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_files_in_another_encoding_are_named(tmp_path: Path, name: str, encoding: str) -> None:
    cls: Any = BertTokenizer if name == "vocab.txt" else GPT2Tokenizer
    if cls is GPT2Tokenizer:
        bpe(cls, tmp_path)
    (tmp_path / name).write_bytes("é\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"must be UTF-8, but byte 0 of .*{name} is not"):
        cls.from_pretrained(tmp_path)
