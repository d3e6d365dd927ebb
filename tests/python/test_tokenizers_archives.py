"""`from_pretrained` of every tokenizer reads a .tar.gz archive, as that of models does."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import (
    BertTokenizer,
    GPT2Tokenizer,
    OpenAIGPTTokenizer,
    TransfoXLCorpus,
    TransfoXLTokenizer,
)
from support import GOLDEN
from test_file_utils import FileServer, server
from test_tokenization import VOCABULARY

__all__ = ["server"]  # a fixture

DATA = GOLDEN.parent / "data"
TEXT = "the sea"
CLASSES: dict[str, Any] = {
    "bert": BertTokenizer,
    "gpt2": GPT2Tokenizer,
    "openai-gpt": OpenAIGPTTokenizer,
    "transfo-xl": TransfoXLTokenizer,
}


@pytest.fixture(autouse=True)
def words_of_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)


@pytest.fixture(params=CLASSES)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Path]:
    """A tokenizer and a folder that it is saved in."""
    folder = tmp_path / "saved"
    folder.mkdir()
    cls = CLASSES[request.param]
    if cls is BertTokenizer:
        tokenizer: Any = BertTokenizer(VOCABULARY)
    elif cls is TransfoXLTokenizer:
        tokenizer = TransfoXLTokenizer(special=["<unk>"])
        tokenizer.count_sents([["the", "sea"]])
        tokenizer.build_vocab()
    else:
        tokenizer = cls.from_pretrained(DATA / request.param, special_tokens=["<s>", "<e>"])
    tokenizer.save_vocabulary(folder)
    return tokenizer, folder


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, top or ".")
    return archive


def check(loaded: Any, tokenizer: Any) -> None:
    assert type(loaded) is type(tokenizer)
    assert len(loaded) == len(tokenizer)
    assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    if hasattr(tokenizer, "special_tokens"):
        assert loaded.special_tokens == tokenizer.special_tokens


@pytest.mark.parametrize("top", ["", "model"])
@pytest.mark.parametrize("convert", [str, Path])
def test_archive_is_read(
    saved: tuple[Any, Path], tmp_path: Path, top: str, convert: Callable[[Path], Any]
) -> None:
    tokenizer, folder = saved
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    archive = pack(folder, tmp_path / "model.tar.gz", top)
    check(type(tokenizer).from_pretrained(convert(archive)), tokenizer)


def test_archive_of_another_name_is_read(saved: tuple[Any, Path], tmp_path: Path) -> None:
    tokenizer, folder = saved
    check(type(tokenizer).from_pretrained(pack(folder, tmp_path / "0123abc")), tokenizer)


def test_archive_is_read_from_a_url(
    saved: tuple[Any, Path], tmp_path: Path, server: FileServer
) -> None:
    tokenizer, folder = saved
    server.content = pack(folder, tmp_path / "model.tar.gz").read_bytes()
    url = server.url.replace("vocab.txt", "model.tar.gz")
    check(type(tokenizer).from_pretrained(url, cache_dir=tmp_path / "cache"), tokenizer)


def test_extracted_files_are_deleted(
    saved: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, folder = saved
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    loaded = type(tokenizer).from_pretrained(pack(folder, tmp_path / "model.tar.gz"))
    assert not list((tmp_path / "temporary").iterdir())
    check(loaded, tokenizer)


def test_archive_without_vocabulary_raises(saved: tuple[Any, Path], tmp_path: Path) -> None:
    tokenizer, folder = saved
    names = (
        "merges.txt" if (folder / "merges.txt").exists() else r"vocab\.(txt|bin` or `vocab\.pkl)"
    )
    for path in folder.iterdir():
        if path.name != "vocab.json":
            path.unlink()
    archive = pack(folder, tmp_path / "model.tar.gz")
    with pytest.raises(FileNotFoundError, match=rf"model.tar.gz` must contain `{names}`, but does"):
        type(tokenizer).from_pretrained(archive)


def test_archive_with_two_vocabularies_raises(saved: tuple[Any, Path], tmp_path: Path) -> None:
    tokenizer, folder = saved
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "b")
        file.add(folder, "a")
    with pytest.raises(OSError, match=r"must contain `vocab.* once, but does in .* `a`, `b`\."):
        type(tokenizer).from_pretrained(archive)


def test_damaged_archive_raises(saved: tuple[Any, Path], tmp_path: Path) -> None:
    tokenizer, folder = saved
    archive = pack(folder, tmp_path / "model.tar.gz")
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>not found</html>", b""):
        archive.write_bytes(content)
        with pytest.raises(OSError, match=r"complete .tar.gz archive with `vocab.* cannot be read"):
            type(tokenizer).from_pretrained(archive)


def test_archive_with_links_raises(saved: tuple[Any, Path], tmp_path: Path) -> None:
    tokenizer, folder = saved
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="is a link or a device"):
        type(tokenizer).from_pretrained(pack(folder, tmp_path / "model.tar.gz"))


def test_special_tokens_replace_those_of_the_archive(
    saved: tuple[Any, Path], tmp_path: Path
) -> None:
    tokenizer, folder = saved
    if not hasattr(tokenizer, "special_tokens"):
        pytest.skip("has no special tokens")
    archive = pack(folder, tmp_path / "model.tar.gz")
    loaded = type(tokenizer).from_pretrained(archive, special_tokens=["<x>"])
    assert list(loaded.special_tokens) == ["<x>"]


@pytest.fixture
def corpus_archive(tmp_path: Path) -> Iterator[Path]:
    corpus = TransfoXLCorpus(special=["<eos>"])
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text("a b a\nb c\n")
    corpus.build_corpus(tmp_path, "wt2")
    corpus.save_corpus(tmp_path / "corpus")
    yield pack(tmp_path / "corpus", tmp_path / "corpus.tar.gz", "corpus")


def test_corpus_is_read_from_an_archive(corpus_archive: Path) -> None:
    corpus = TransfoXLCorpus.from_pretrained(corpus_archive)
    assert torch.equal(corpus.valid, torch.tensor([1, 2, 1, 0, 2, 3, 0]))
    assert corpus.vocab.decode(corpus.test) == "a b a <eos> b c <eos>"
