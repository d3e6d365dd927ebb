"""What the tests of Transformer-XL's tokenizer, corpora and batches share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from support import import_or_skip

# White space that is not ASCII, a final sigma, a letter that lower-cases to two, blank lines, all
# ends of lines, symbols that are repeated, ties, and no end of line at the end.
TEXT = (
    " = Robert <unk> = \n \n the Tower , the tower\u3000\u00a0and\u2028THE sea\n"
    "\u039f\u0394\u039f\u03a3 \u0130stanbul \u6c34\u00e9\r\n\rone\x1ctwo\u0085three\x0b\n"
    "rare words once\t\ttwice twice <eos>\n\n the the"
)


def oracle() -> Any:
    """The module of 2019, or a skip."""
    return import_or_skip("pytorch_pretrained_bert.tokenization_transfo_xl")


def write(folder: Path, text: str = TEXT, name: str = "train.txt") -> Path:
    """Writes a text as it is, whatever its line ends."""
    path = folder / name
    path.write_bytes(text.encode())
    return path


def assert_same_ids(actual: Any, expected: Any) -> None:
    """Compares tensors, and lists of tensors one by one."""
    if isinstance(expected, list):
        assert isinstance(actual, list)
        assert len(actual) == len(expected)
        for ours, theirs in zip(actual, expected, strict=True):
            assert_same_ids(ours, theirs)
    else:
        assert actual.dtype == expected.dtype == torch.long
        assert actual.is_contiguous()
        assert torch.equal(actual, expected)
