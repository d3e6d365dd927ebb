"""Transformer-XL's tokenizer, the corpora it was trained and measured on, and their batches."""

from __future__ import annotations

import glob
import logging
import os
import pickle
import sys
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ._files.plain_files import read_attributes, write_attributes
from ._files.pretrained import CORPUS_NAME, resolve_corpus
from ._files.published import archive_map
from ._text.lm_iterators import LMMultiFileIterator, LMOrderedIterator, LMShuffledIterator
from ._text.transfo_xl_tokenizer import (
    PRETRAINED_VOCAB_ARCHIVE_MAP,
    VOCAB_NAME,
    TransfoXLTokenizer,
)
from .file_utils import StrPath, cached_path

__all__ = [
    "CORPUS_NAME",
    "PRETRAINED_CORPUS_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_ARCHIVE_MAP",
    "VOCAB_NAME",
    "LMMultiFileIterator",
    "LMOrderedIterator",
    "LMShuffledIterator",
    "TransfoXLCorpus",
    "TransfoXLTokenizer",
    "get_lm_corpus",
]
# Names that came along in 2019: without `__all__`, `import *` gave what the module imported, too.
__all__ += ["Counter", "OrderedDict", "cached_path", "glob", "logger", "logging", "np", "os"]
__all__ += ["pickle", "sys", "torch", "unicodedata"]

logger = logging.getLogger(__name__)

PRETRAINED_CORPUS_ARCHIVE_MAP = archive_map("transfo-xl", CORPUS_NAME)

_SPLITS = ("train", "valid", "test")
_CACHE_NAME = "cache.pt"
_SHARDS = Path("1-billion-word-language-modeling-benchmark-r13output") / (
    "training-monolingual.tokenized.shuffled"
)

_Self = TypeVar("_Self", bound="TransfoXLCorpus")


@dataclass(frozen=True)
class _Dataset:
    """How to read a corpus.

    Attributes:
        counted: The splits from whose symbols the vocabulary is built.
        add_eos: Whether to append <eos> to lines.
        ordered: Whether the lines are one continuous text. If not, they are sentences between <S>,
            the training split is all files of a folder, and the vocabulary is read from a file.
        options: Arguments that `get_lm_corpus` passes to the tokenizer.
    """

    counted: tuple[str, ...] = _SPLITS
    add_eos: bool = True
    ordered: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


_DATASETS = {
    "ptb": _Dataset(options={"special": ["<eos>"], "lower_case": True}),
    "wt2": _Dataset(options={"special": ["<eos>"], "lower_case": False}),
    "wt103": _Dataset(("train",), options={"special": ["<eos>"], "lower_case": False}),
    "enwik8": _Dataset(add_eos=False),
    "text8": _Dataset(add_eos=False),
    "lm1b": _Dataset((), ordered=False, options={"special": [], "lower_case": False}),
}


def _check_split(split: str) -> None:
    if split not in _SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(_SPLITS)}, but is {split!r}.")


class TransfoXLCorpus:
    """A corpus, encoded to ids, with its vocabulary.

    Args:
        args: Arguments of `TransfoXLTokenizer`, by position.
        kwargs: Arguments of `TransfoXLTokenizer`, by name.

    Attributes:
        vocab: The `TransfoXLTokenizer`.
        dataset: The name passed to `build_corpus`.
        train: The ids of the training split [tokens]; for lm1b the paths of its files.
        valid: The ids of the validation split [tokens]; for lm1b a list of a tensor per sentence.
        test: The ids of the test split, as `valid`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> corpus = TransfoXLCorpus(special=["<eos>"])
        >>> with TemporaryDirectory() as folder:
        ...     for split in ("train", "valid", "test"):
        ...         _ = (Path(folder) / f"{split}.txt").write_text("a b a\\nb c\\n")
        ...     corpus.build_corpus(folder, "wt2")
        >>> corpus.valid
        tensor([1, 2, 1, 0, 2, 3, 0])
        >>> data, target, seq_len = next(iter(corpus.get_iterator("valid", bsz=1, bptt=4)))
        >>> corpus.vocab.decode(target[0])
        'b a <eos> b'
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.vocab = TransfoXLTokenizer(*args, **kwargs)
        self.dataset: str | None = None
        self.train: Any = None
        self.valid: Any = None
        self.test: Any = None

    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: StrPath,
        cache_dir: StrPath | None = None,
        *inputs: Any,
        **kwargs: Any,
    ) -> _Self:
        """Loads a corpus that `save_corpus` has written.

        Args:
            pretrained_model_name_or_path: A shortcut name (see `PRETRAINED_CORPUS_ARCHIVE_MAP`), or
                a directory or a .tar.gz archive (also by URL) with vocab.bin and corpus.bin.
            cache_dir: Where downloaded files are kept.
            inputs: Arguments of `TransfoXLTokenizer`, by position.
            kwargs: Arguments of `TransfoXLTokenizer`, by name.

        Raises:
            OSError: No corpus was found; the message says where it was looked for.
            ValueError: A file is damaged or holds more than plain data, arrays and tensors.
        """
        vocab = TransfoXLTokenizer.from_pretrained(
            pretrained_model_name_or_path, cache_dir, *inputs, **kwargs
        )
        corpus = cls(*inputs, **kwargs)
        with resolve_corpus(pretrained_model_name_or_path, cache_dir) as path:
            logger.info("loading corpus file %s", path)
            corpus._restore(read_attributes(path), path)
        corpus.vocab = vocab
        return corpus

    def save_corpus(self, directory: StrPath) -> None:
        """Writes vocab.bin and corpus.bin; `from_pretrained` reads them, here and in the 2019
        library.

        Raises:
            TypeError: An attribute is not plain data.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.vocab.save_vocabulary(directory)
        write_attributes(directory / CORPUS_NAME, self._attributes())

    def _attributes(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "vocab"}

    def _restore(self, attributes: Mapping[str, Any], path: Path) -> None:
        for name, value in attributes.items():
            if hasattr(type(self), name):
                raise ValueError(
                    f"`{path}` must hold the attributes of a corpus, but has one of the name of "
                    f"its method `{name}`."
                )
            setattr(self, name, _to_ids(value) if name in _SPLITS else value)

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{split}={None if data is None else len(data)}"
            for split, data in ((name, getattr(self, name)) for name in _SPLITS)
        )
        return f"{type(self).__name__}(dataset={self.dataset!r}, {sizes}, vocab={self.vocab!r})"

    def build_corpus(self, path: StrPath, dataset: str, verbose: bool = True) -> None:
        """Builds the vocabulary of a corpus and encodes it.

        Args:
            path: A directory with train.txt, valid.txt and test.txt; for lm1b with the benchmark's
                folder instead of train.txt.
            dataset: "ptb", "wt2", "wt103", "enwik8", "text8" or "lm1b".
            verbose: Whether to show progress bars if stderr is a terminal.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: There is no such dataset, a line is not UTF-8, or a symbol has no id.
        """
        rules, folder = _rules(dataset), Path(path)
        self.dataset = dataset
        for split in rules.counted:
            self.vocab._count_only(folder / f"{split}.txt", verbose)
        shards = [] if rules.ordered else _shards(folder)
        self.vocab.build_vocab()
        for split in _SPLITS:
            if split == "train" and not rules.ordered:
                self.train = shards
            else:
                self.encode_split(folder, dataset, split, verbose)

    def encode_split(self, path: StrPath, dataset: str, split: str, verbose: bool = True) -> None:
        """Encodes one file of a corpus with the vocabulary that is there, such as a model's.

        Args:
            path: The directory with the file, train.txt, valid.txt or test.txt.
            dataset: As in `build_corpus`.
            split: "train", "valid" or "test"; of lm1b not "train".
            verbose: Whether to show a progress bar if stderr is a terminal.

        Raises:
            FileNotFoundError: The file is missing.
            ValueError: There is no such dataset or split, a line is not UTF-8, or a symbol has no
                id.
        """
        rules = _rules(dataset)
        _check_split(split)
        if split == "train" and not rules.ordered:
            raise ValueError(
                f"`split` must be 'valid' or 'test' for {dataset}, whose training text is not one "
                "file, but is 'train'."
            )
        self.dataset = dataset
        ids = self.vocab.encode_file(
            Path(path) / f"{split}.txt",
            ordered=rules.ordered,
            verbose=verbose,
            add_eos=rules.add_eos,
            add_double_eos=not rules.ordered,
        )
        setattr(self, split, ids)

    def get_iterator(self, split: str, *args: Any, **kwargs: Any) -> Any:
        """Returns an iterator over the batches of a split.

        Args:
            split: "train", "valid" or "test".
            args: Further arguments of the iterator, by position: bsz, bptt, device, ext_len.
            kwargs: Further arguments of the iterator, by name.

        Returns:
            An `LMOrderedIterator`; for lm1b an `LMMultiFileIterator` of shuffled files for "train",
            an `LMShuffledIterator` for the others.
        """
        _check_split(split)
        data = getattr(self, split)
        if self.dataset is None or data is None:
            raise ValueError(
                f"`{split}` must be made by `build_corpus` or `from_pretrained` before it is used."
            )
        if _rules(self.dataset).ordered:
            return LMOrderedIterator(data, *args, **kwargs)
        if split == "train":
            return LMMultiFileIterator(data, self.vocab, *args, **{**kwargs, "shuffle": True})
        return LMShuffledIterator(data, *args, **kwargs)


def get_lm_corpus(datadir: StrPath, dataset: str, verbose: bool = True) -> TransfoXLCorpus:
    """Returns a corpus with the vocabulary options of Transformer-XL's authors.

    It is encoded once and cached in `datadir` as cache.pt.

    Args:
        datadir: As `path` of `TransfoXLCorpus.build_corpus`; for lm1b also with 1b_word_vocab.txt.
        dataset: As in `TransfoXLCorpus.build_corpus`.
        verbose: Whether to show progress bars if stderr is a terminal.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: There is no such dataset, a file is damaged, or cache.pt is of another dataset.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for split in ("train", "valid", "test"):
        ...         _ = (Path(folder) / f"{split}.txt").write_text("a b a\\nb c\\n")
        ...     get_lm_corpus(folder, "wt2").valid
        tensor([1, 2, 1, 0, 2, 3, 0])
    """
    rules, cache = _rules(dataset), Path(datadir) / _CACHE_NAME
    if cache.is_file():
        logger.info("loading cached dataset %s", cache)
        attributes = read_attributes(cache)
        vocab, found = attributes.pop("vocab", None), attributes.get("dataset")
        if not isinstance(vocab, dict) or found != dataset:
            raise ValueError(
                f"`dataset` ({dataset}) must be that of {cache}, but it is of {found}. Delete the "
                "file to have it made again."
            )
        corpus = TransfoXLCorpus()
        corpus.vocab._restore(vocab, cache)
        corpus._restore(attributes, cache)
        return corpus
    logger.info("producing dataset %s", dataset)
    options = dict(rules.options)
    if not rules.ordered:
        options["vocab_file"] = str(Path(datadir) / "1b_word_vocab.txt")
    corpus = TransfoXLCorpus(**options)
    corpus.build_corpus(datadir, dataset, verbose)
    write_attributes(cache, {**corpus._attributes(), "vocab": dict(corpus.vocab.__dict__)})
    return corpus


def _rules(dataset: str) -> _Dataset:
    if dataset not in _DATASETS:
        raise ValueError(f"`dataset` must be one of {', '.join(_DATASETS)}, but is {dataset!r}.")
    return _DATASETS[dataset]


def _shards(folder: Path) -> list[str]:
    """Returns the training files of lm1b, sorted; the 2019 library took directory order."""
    shards = sorted(str(path) for path in (folder / _SHARDS).glob("news.en-*"))
    if not shards:
        raise FileNotFoundError(
            f"`path` must contain {_SHARDS / 'news.en-*'}, but {folder} does not."
        )
    return shards


def _to_ids(value: Any) -> Any:
    """Converts tensors, and the arrays in files of Transformer-XL's authors, to int64 tensors."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.to(torch.long) if isinstance(value, Tensor) else value
