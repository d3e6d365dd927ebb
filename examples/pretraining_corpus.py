"""Text for BERT's pre-training: documents of sentences, tokenized once, in memory or on disk."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from inputs import stream_lines, without_limit
from ptbert import BertTokenizer
from ptbert.training import track

Array = npt.NDArray[Any]

# Tokenized together.
LINES_AT_ONCE = 4096
NAMES = ("ids.bin", "sentence_ends.bin", "document_ends.bin")


@dataclass(frozen=True)
class Corpus:
    """Token ids of sentences one behind the other, and where sentences and documents end."""

    ids: Array
    """int32 `[tokens]`."""
    sentence_ends: Array
    """int64 `[sentences]`, places in `ids`."""
    document_ends: Array
    """int64 `[documents]`, places in `sentence_ends`."""

    def sentences_of(self, document: int) -> range:
        """The numbers of a document's sentences."""
        first = int(self.document_ends[document - 1]) if document else 0
        return range(first, int(self.document_ends[document]))

    def sentence(self, number: int) -> Array:
        """The ids of a sentence."""
        first = int(self.sentence_ends[number - 1]) if number else 0
        return self.ids[first : int(self.sentence_ends[number])]

    def document_of(self, sentence: int) -> int:
        """The document that a sentence is in."""
        return int(np.searchsorted(self.document_ends, sentence, side="right"))


def read_corpus(
    paths: Sequence[Path], tokenizer: BertTokenizer, folder: Path | None = None
) -> Corpus:
    """Tokenize text files with a sentence in each line and an empty line between documents.

    Args:
        paths: UTF-8 text files; a file ends a document, too.
        tokenizer: Makes the ids.
        folder: Where the numbers are kept, for text larger than the memory; `None`: in memory.

    Raises:
        ValueError: There are fewer than two documents, between which sentences are exchanged.
    """
    tokenizer = without_limit(tokenizer)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        files = [(Path(name) / file_name).open("wb+") for file_name in NAMES]
        try:
            _write(paths, tokenizer, files)
            arrays = [
                _read(file, dtype, on_disk=folder is not None)
                for file, dtype in zip(files, (np.int32, np.int64, np.int64), strict=True)
            ]
        finally:
            for file in files:
                file.close()
        corpus = Corpus(*arrays)  # maps of deleted files stay readable
    if len(corpus.document_ends) < 2:
        raise ValueError(
            f"The text must have at least two documents, with an empty line between them, but "
            f"{', '.join(map(str, paths))} has {len(corpus.document_ends)}."
        )
    return corpus


def _write(paths: Sequence[Path], tokenizer: BertTokenizer, files: Sequence[BinaryIO]) -> None:
    ids_file, sentences_file, documents_file = files
    tokens = sentences = in_document = 0
    for path in paths:
        with path.open("rb") as text:
            lines = stream_lines(text, path)
            with track(total=path.stat().st_size, desc=f"Reading {path.name}", unit="B") as bar:
                while part := list(itertools.islice(lines, LINES_AT_ONCE)):
                    ends = []
                    encoded = tokenizer.encode_batch([line for line, _ in part])
                    for (line, size), row in zip(part, encoded, strict=True):
                        bar.update(size)
                        if row:
                            np.asarray(row, np.int32).tofile(ids_file)
                            tokens += len(row)
                            ends.append(tokens)
                            in_document += 1
                        elif not line.strip() and in_document:
                            sentences += in_document
                            in_document = 0
                            np.asarray([sentences], np.int64).tofile(documents_file)
                    np.asarray(ends, np.int64).tofile(sentences_file)
        if in_document:
            sentences += in_document
            in_document = 0
            np.asarray([sentences], np.int64).tofile(documents_file)


def _read(file: BinaryIO, dtype: type, *, on_disk: bool) -> Array:
    file.flush()
    file.seek(0)
    if not on_disk:
        return np.fromfile(file, dtype)
    empty = file.seek(0, 2) == 0
    return np.empty(0, dtype) if empty else np.memmap(file, dtype, "r")
