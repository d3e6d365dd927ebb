"""Corpora for Transformer-XL, side by side with pytorch-pretrained-bert and on their own."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ptbert
from ptbert.tokenization_transfo_xl import (
    CORPUS_NAME,
    PRETRAINED_CORPUS_ARCHIVE_MAP,
    LMMultiFileIterator,
    LMOrderedIterator,
    LMShuffledIterator,
    TransfoXLCorpus,
    TransfoXLTokenizer,
    get_lm_corpus,
)
from transfo_xl_support import TEXT, assert_same_ids, oracle, write

SHARDS = Path("1-billion-word-language-modeling-benchmark-r13output") / (
    "training-monolingual.tokenized.shuffled"
)
OPTIONS: dict[str, dict[str, Any]] = {
    "ptb": {"special": ["<eos>"], "lower_case": True},
    "wt2": {"special": ["<eos>"], "lower_case": False},
    "wt103": {"special": ["<eos>", "<unk>"], "lower_case": False},
    "enwik8": {},
    "text8": {},
    "lm1b": {"special": [], "lower_case": False},
}
every_dataset = pytest.mark.parametrize("dataset", OPTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of every corpus."""
    write(tmp_path, TEXT, "train.txt")
    write(tmp_path, "the Tower\nrare <unk>\n\nwords\n", "valid.txt")
    write(tmp_path, "once , the sea\n" * 3, "test.txt")
    write(tmp_path, "<S>\n<UNK>\nthe\nTower\n,\nonce\n", "1b_word_vocab.txt")
    (tmp_path / SHARDS).mkdir(parents=True)
    for i in range(3):
        write(tmp_path / SHARDS, f"the Tower {i}\nonce the the , sea\n" * 4, f"news.en-{i}")
    return tmp_path


def options_of(dataset: str, folder: Path) -> dict[str, Any]:
    extra = {"vocab_file": str(folder / "1b_word_vocab.txt")} if dataset == "lm1b" else {}
    return {**OPTIONS[dataset], **extra}


def build_both(dataset: str, folder: Path) -> tuple[TransfoXLCorpus, Any]:
    ours, theirs = (
        kind(**options_of(dataset, folder)) for kind in (TransfoXLCorpus, oracle().TransfoXLCorpus)
    )
    ours.build_corpus(folder, dataset)
    theirs.build_corpus(str(folder), dataset)
    if dataset == "lm1b":
        theirs.train.sort()  # it has the order of the file system
    return ours, theirs


def assert_same_corpus(ours: Any, theirs: Any) -> None:
    assert ours.dataset == theirs.dataset
    assert list(ours.vocab.counter.items()) == list(theirs.vocab.counter.items())
    assert ours.vocab.idx2sym == theirs.vocab.idx2sym
    assert ours.vocab.sym2idx == theirs.vocab.sym2idx
    for split in ("train", "valid", "test"):
        expected = getattr(theirs, split)
        if isinstance(expected, list) and isinstance(expected[0], str):
            assert getattr(ours, split) == expected
        else:
            assert_same_ids(getattr(ours, split), expected)


@every_dataset
def test_corpus_and_batches_equal_oracle(folder: Path, dataset: str) -> None:
    ours, theirs = build_both(dataset, folder)
    assert_same_corpus(ours, theirs)
    kinds = {
        "train": LMMultiFileIterator if dataset == "lm1b" else LMOrderedIterator,
        "valid": LMShuffledIterator if dataset == "lm1b" else LMOrderedIterator,
    }
    for split in ("train", "valid", "test"):
        drawn = []
        for corpus in (ours, theirs):
            np.random.seed(1)
            iterator = corpus.get_iterator(split, 2, 3, ext_len=1)
            drawn.append([[data.tolist(), target.tolist(), n] for data, target, n in iterator])
        assert drawn[0] == drawn[1]
        assert drawn[0]
        assert type(ours.get_iterator(split, bsz=1, bptt=2)) is kinds.get(split, kinds["valid"])


@pytest.mark.parametrize("dataset", ["ptb", "wt2", "wt103"])
def test_real_corpora_equal_oracle(test_data: Path, tmp_path: Path, dataset: str) -> None:
    """The available files, each used for all three splits."""
    source = {"ptb": "ptb/valid", "wt2": "wikitext-2/valid", "wt103": "wikitext-103/test"}[dataset]
    for split in ("train", "valid", "test"):
        shutil.copy(test_data / "lm" / f"{source}.txt", tmp_path / f"{split}.txt")
    ours, theirs = build_both(dataset, tmp_path)
    assert_same_corpus(ours, theirs)
    for (data, target, size), expected in zip(
        ours.get_iterator("train", 10, 128), theirs.get_iterator("train", 10, 128), strict=True
    ):
        assert_same_ids(data, expected[0])
        assert_same_ids(target, expected[1])
        assert size == expected[2]


@every_dataset
def test_saved_corpus_loads(folder: Path, tmp_path: Path, dataset: str) -> None:
    ours = TransfoXLCorpus(**options_of(dataset, folder))
    ours.build_corpus(folder, dataset)
    ours.save_corpus(tmp_path / "saved")
    loaded = ptbert.TransfoXLCorpus.from_pretrained(str(tmp_path / "saved"))
    assert_same_corpus(loaded, ours)
    if dataset == "lm1b":
        return  # the 2019 library mistakes lists for numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about how the 2019 library copies tensors
        theirs = oracle().TransfoXLCorpus.from_pretrained(str(tmp_path / "saved"))
    assert_same_corpus(ours, theirs)


@pytest.mark.parametrize("kind", [torch.tensor, np.int64, np.int32])
def test_corpus_of_the_original_loads(folder: Path, kind: Any) -> None:
    """Its converter saves the attributes of the authors' corpus, which has arrays."""
    ours, theirs = build_both("wt2", folder)
    attributes = dict(vars(theirs), cutoffs=[0, 2, 5])
    torch.save(attributes.pop("vocab").__dict__, folder / "vocab.bin")
    if kind is not torch.tensor:
        for split in ("train", "valid", "test"):
            attributes[split] = attributes[split].numpy().astype(kind)
    for zipped in (False, True):
        torch.save(attributes, folder / CORPUS_NAME, _use_new_zipfile_serialization=zipped)
        loaded: Any = TransfoXLCorpus.from_pretrained(folder)
        assert_same_corpus(loaded, ours)
        assert loaded.cutoffs == [0, 2, 5]


def test_array_of_an_older_numpy_loads(folder: Path) -> None:
    corpus = TransfoXLCorpus()
    corpus.build_corpus(folder, "wt2")
    corpus.save_corpus(folder)
    arrays = {"dataset": "wt2", "train": np.arange(5), "valid": None, "test": None}
    torch.save(arrays, folder / CORPUS_NAME, _use_new_zipfile_serialization=False)
    content = (folder / CORPUS_NAME).read_bytes()
    names = (b"numpy._core.multiarray\n_rec", b"numpy.core.multiarray\n_rec")
    assert names[0] in content or names[1] in content
    for name in names:
        changed = content.replace(names[0], name).replace(names[1], name)
        (folder / CORPUS_NAME).write_bytes(changed)
        assert_same_ids(TransfoXLCorpus.from_pretrained(folder).train, torch.arange(5))


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


@pytest.mark.parametrize(
    "content",
    [Hostile(), np.array([Hostile()], dtype=object), [Hostile()]],
    ids=["object", "array", "list"],
)
def test_hostile_pickle_is_refused(folder: Path, content: Any, capsys: Any) -> None:
    corpus = TransfoXLCorpus()
    corpus.build_corpus(folder, "wt2")
    corpus.save_corpus(folder)
    for name in (CORPUS_NAME, "cache.pt"):
        torch.save({"train": content}, folder / name, _use_new_zipfile_serialization=False)
    loaders: tuple[Callable[[], TransfoXLCorpus], ...] = (
        lambda: TransfoXLCorpus.from_pretrained(folder),
        lambda: get_lm_corpus(folder, "wt2"),
    )
    for load in loaders:
        with pytest.raises(ValueError, match="but contains the Python object `"):
            load()
    assert capsys.readouterr().out == ""


def test_inconsistent_corpus_is_refused(folder: Path) -> None:
    corpus = TransfoXLCorpus()
    corpus.build_corpus(folder, "wt2")
    corpus.save_corpus(folder)
    torch.save({"get_iterator": 1}, folder / CORPUS_NAME)
    with pytest.raises(ValueError, match="has one of the name of its method `get_iterator`"):
        TransfoXLCorpus.from_pretrained(folder)
    (folder / CORPUS_NAME).unlink()
    with pytest.raises(OSError, match=r"must contain `corpus\.bin`, but does not"):
        TransfoXLCorpus.from_pretrained(folder)


@every_dataset
def test_get_lm_corpus_encodes_once(
    folder: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = get_lm_corpus(folder, dataset, verbose=False)
    expected = TransfoXLCorpus(**options_of(dataset, folder))
    if dataset == "wt103":  # its own vocabulary has <unk>, since its text has
        expected = TransfoXLCorpus(special=["<eos>"])
    expected.build_corpus(folder, dataset)
    assert_same_corpus(first, expected)
    monkeypatch.setattr(TransfoXLCorpus, "build_corpus", None)
    cached = get_lm_corpus(folder, dataset)
    assert_same_corpus(cached, first)
    assert vars(cached.vocab) == vars(first.vocab)
    other = "ptb" if dataset != "ptb" else "wt2"
    with pytest.raises(
        ValueError, match=rf"`dataset` \({other}\) must be that of .*cache\.pt, but"
    ):
        get_lm_corpus(folder, other)


def test_interrupted_encoding_leaves_no_cache(folder: Path) -> None:
    (folder / "test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"`path` must be an existing file, but .*test.txt"):
        get_lm_corpus(folder, "wt2")
    assert not (folder / "cache.pt").exists()


class Reversed(TransfoXLTokenizer):
    def tokenize(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> list[str]:
        return super().tokenize(line[::-1], add_eos, add_double_eos)


def test_tokenizer_of_the_users_own(folder: Path) -> None:
    corpus = TransfoXLCorpus()
    corpus.vocab = Reversed(special=["<unk>", "<eos>"])
    corpus.build_corpus(folder, "wt2")
    assert corpus.vocab.decode(corpus.valid) == (
        "rewoT eht <eos> >knu< erar <eos> <eos> sdrow <eos>"
    )


def test_messages(folder: Path) -> None:
    corpus = TransfoXLCorpus()
    names = "ptb, wt2, wt103, enwik8, text8, lm1b"
    with pytest.raises(ValueError, match=f"`dataset` must be one of {names}, but is 'imdb'."):
        corpus.build_corpus(folder, "imdb")
    with pytest.raises(ValueError, match="`dataset` must be one of"):
        get_lm_corpus(folder, "imdb")
    with pytest.raises(ValueError, match="`split` must be one of train, valid, test, but is 'dev'"):
        corpus.get_iterator("dev")
    with pytest.raises(ValueError, match="`valid` must be made by `build_corpus` or"):
        corpus.get_iterator("valid", 1, 2)
    shutil.rmtree(folder / SHARDS)
    with pytest.raises(FileNotFoundError, match=r"`path` must contain .*news\.en-\*, but"):
        corpus.build_corpus(folder, "lm1b")


def test_nothing_is_printed_where_there_is_no_terminal(folder: Path) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        get_lm_corpus(folder, "wt2")
    assert output.getvalue() == ""


def test_names_and_repr(folder: Path) -> None:
    assert PRETRAINED_CORPUS_ARCHIVE_MAP == {
        "transfo-xl-wt103": "https://huggingface.co/transfo-xl/transfo-xl-wt103/resolve/main/"
        "corpus.bin"
    }
    assert repr(TransfoXLCorpus(min_freq=3)).startswith(
        "TransfoXLCorpus(dataset=None, train=None, valid=None, test=None, vocab=TransfoXLTokenizer("
    )
