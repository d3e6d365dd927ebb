"""Batches for language models, side by side with pytorch-pretrained-bert and on their own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ptbert.tokenization_transfo_xl import (
    LMMultiFileIterator,
    LMOrderedIterator,
    LMShuffledIterator,
    TransfoXLTokenizer,
)
from transfo_xl_support import assert_same_ids, oracle, write


def assert_same_batches(actual: Iterable[Any], expected: Iterable[Any]) -> int:
    """Compares all batches and returns how many there are."""
    ours, theirs = drawn_from(actual), drawn_from(expected)
    assert len(ours) == len(theirs)
    for (data, target, size), (data_2, target_2, size_2) in zip(ours, theirs, strict=True):
        assert_same_ids(data, data_2)
        assert_same_ids(target, target_2)
        assert size == size_2
    return len(ours)


def drawn_from(iterator: Iterable[Any]) -> list[Any]:
    """Copies of the batches: those of the original share memory where bsz is 1."""
    return [(data.clone(), target.clone(), size) for data, target, size in iterator]


def sentences(lengths: Iterable[int]) -> list[Tensor]:
    """Sentences of these lengths, of ids that occur once."""
    lengths = list(lengths)
    return list(torch.arange(sum(lengths)).split(lengths)) if lengths else []


@settings(deadline=None)
@given(
    tokens=st.integers(1, 80),
    bsz=st.integers(1, 6),
    bptt=st.integers(1, 9),
    ext_len=st.sampled_from([None, 0, 1, 4, 20]),
    start=st.integers(0, 3),
)
def test_ordered_batches_equal_oracle(
    tokens: int, bsz: int, bptt: int, ext_len: int | None, start: int
) -> None:
    data = torch.arange(max(tokens, bsz))
    ours = LMOrderedIterator(data, bsz, bptt, ext_len=ext_len)
    theirs = oracle().LMOrderedIterator(data, bsz, bptt, ext_len=ext_len)
    assert (ours.n_step, ours.n_batch) == (theirs.n_step, theirs.n_batch)
    assert_same_ids(ours.data, theirs.data)
    assert_same_batches(ours, theirs)
    assert_same_batches(ours.get_fixlen_iter(start), theirs.get_fixlen_iter(start))
    assert_same_batches([ours.get_batch(0, 2)], [theirs.get_batch(0, 2)])


@pytest.mark.parametrize("seed", range(20))
def test_batches_of_random_lengths_equal_oracle(seed: int) -> None:
    arguments = (torch.arange(3000), 3, 12)
    ours = LMOrderedIterator(*arguments, ext_len=2)
    theirs = oracle().LMOrderedIterator(*arguments, ext_len=2)
    drawn = []
    for iterator in (ours, theirs):
        np.random.seed(seed)
        drawn.append(list(iterator.get_varlen_iter(start=1, std=3, min_len=2)))
    assert assert_same_batches(*drawn) > 50


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), max_size=30),
    bsz=st.integers(1, 4),
    bptt=st.integers(2, 7),
    ext_len=st.sampled_from([None, 0, 1]),
    shuffle=st.booleans(),
)
def test_shuffled_batches_equal_oracle(
    lengths: list[int], bsz: int, bptt: int, ext_len: int | None, shuffle: bool
) -> None:
    arguments: Any = (sentences(lengths), bsz, bptt, "cpu", ext_len, shuffle)
    drawn = []
    for iterator in (LMShuffledIterator(*arguments), oracle().LMShuffledIterator(*arguments)):
        np.random.seed(7)
        drawn.append([batch for _ in range(2) for batch in drawn_from(iterator)])
    assert_same_batches(*drawn)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_files_equal_oracle(tmp_path: Path, shuffle: bool) -> None:
    words = [" ".join(f"w{i * j % 11}" for j in range(i % 9 + 1)) for i in range(60)]
    paths = [
        str(write(tmp_path, "\n".join(words[i : i + 15]) + "\n", f"{i}.txt"))
        for i in range(0, 60, 15)
    ]
    drawn = []
    for module in (oracle(), None):
        tokenizer = (module.TransfoXLTokenizer if module else TransfoXLTokenizer)(
            special=["<unk>", "<S>"], min_freq=3
        )
        tokenizer.count_file(paths[0])
        tokenizer.build_vocab()
        make = module.LMMultiFileIterator if module else LMMultiFileIterator
        iterator = make(list(paths), tokenizer, 2, 5, ext_len=2, shuffle=shuffle)
        np.random.seed(3)
        drawn.append([batch for _ in range(3) for batch in drawn_from(iterator)])
    assert assert_same_batches(*drawn) > 50


def test_extension_longer_than_a_batch_repeats_all_there_is() -> None:
    """The 2019 library raises or repeats the wrong ids here."""
    batches = list(LMShuffledIterator([torch.arange(10)], bsz=1, bptt=2, ext_len=5))
    assert [data.tolist() for data, _, _ in batches] == [
        [[0, 1]],
        [[0, 1, 2, 3]],
        [[0, 1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, 6, 7]],
    ]
    assert [target.tolist() for _, target, _ in batches[:2]] == [[[1, 2]], [[3, 4]]]


def test_sentences_without_a_target_are_passed_over() -> None:
    data = [torch.tensor(ids, dtype=torch.long) for ids in ([], [9], [1, 2, 3], [], [4, 5])]
    ((ids, target, size),) = LMShuffledIterator(data, bsz=1, bptt=3)
    assert (ids.tolist(), target.tolist(), size) == ([[1, 2, 4]], [[2, 3, 5]], 3)


def test_batches_are_the_callers_own() -> None:
    data = sentences([4, 5, 6])
    for iterator in (
        LMShuffledIterator(data, bsz=1, bptt=3, ext_len=2),
        LMOrderedIterator(torch.cat(data), bsz=1, bptt=3, ext_len=2),
    ):
        expected = [[part.clone() for part in batch[:2]] for batch in iterator]
        for batch, clean in zip(iterator, expected, strict=True):
            for part, value in zip(batch[:2], clean, strict=True):
                assert torch.equal(part, value)
                part.zero_()
    assert torch.equal(torch.cat(data), torch.arange(15))


def test_shuffling_leaves_the_callers_paths_alone() -> None:
    paths: list[str | Any] = [f"{i}.txt" for i in range(20)]
    iterator = LMMultiFileIterator(paths, TransfoXLTokenizer(), 1, 2, shuffle=True)
    with pytest.raises(FileNotFoundError):
        next(iter(iterator))
    assert paths == [f"{i}.txt" for i in range(20)]
    assert iterator.paths != paths


def test_messages() -> None:
    data = torch.arange(10)
    for arguments, message in (
        ((data, 0, 2), "`bsz` must be at least 1, but is 0."),
        ((data, 1, 0), "`bptt` must be at least 1, but is 0."),
        ((data, 1, 1, "cpu", -1), "`ext_len` must be at least 0, but is -1."),
    ):
        for kind in (LMOrderedIterator, LMShuffledIterator):
            with pytest.raises(ValueError) as error:
                kind(*arguments)
            assert str(error.value) == message
    with pytest.raises(
        ValueError, match=r"`data` must hold at least `bsz` \(11\) ids, but holds 10"
    ):
        LMOrderedIterator(data, 11, 1)
    iterator = LMOrderedIterator(data, 2, 2)
    with pytest.raises(IndexError, match="`i` must be from 0 to 4, but is 5"):
        iterator.get_batch(5)
    with pytest.raises(ValueError, match="`min_len` must be at least 1, but is 0"):
        next(iterator.get_varlen_iter(min_len=0))
