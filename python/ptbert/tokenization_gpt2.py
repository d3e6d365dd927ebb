"""GPT-2's tokenizer: text to ids and back by byte-level byte-pair encoding."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from collections.abc import Iterable
from functools import lru_cache

from . import _C
from ._files.pretrained import MERGES_NAME, SPECIAL_TOKENS_NAME
from ._files.published import archive_map, max_len_map
from ._text.bpe import VOCAB_NAME, BpeTokenizer, get_pairs
from ._text.tables import ReadOnlyTable
from ._text.train_vocab import train_byte_level_bpe
from .file_utils import cached_path

__all__ = [
    "MERGES_NAME",
    "PRETRAINED_MERGES_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP",
    "SPECIAL_TOKENS_NAME",
    "VOCAB_NAME",
    "GPT2Tokenizer",
    "bytes_to_unicode",
    "get_pairs",
]
# Names that came along in 2019: without `__all__`, `import *` gave what the module imported, too.
__all__ += ["cached_path", "json", "logger", "logging", "lru_cache", "os", "re", "sys"]

logger = logging.getLogger(__name__)

PRETRAINED_VOCAB_ARCHIVE_MAP = archive_map("gpt2", VOCAB_NAME)
PRETRAINED_MERGES_ARCHIVE_MAP = archive_map("gpt2", MERGES_NAME)
PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP = max_len_map("gpt2")


@functools.cache
def bytes_to_unicode() -> dict[int, str]:
    """Returns the character that represents each byte in GPT-2's files.

    Bytes of visible Latin-1 characters map to these; all others, such as white space and controls,
    to U+0100, U+0101, ... The dict is read-only.

    Example:
        >>> characters = bytes_to_unicode()
        >>> characters[ord("a")], characters[ord(" ")]
        ('a', 'Ġ')
    """
    items = dict(_C.bytes_to_unicode())
    return ReadOnlyTable((b, items[b]) for b in sorted(items, key=lambda b: ord(items[b])))


class GPT2Tokenizer(BpeTokenizer):
    """GPT-2's tokenizer, from text to ids and back.

    Text is split into words by `pat`, a word's UTF-8 bytes are written in the characters of
    `bytes_to_unicode`, and byte-pair encoding merges them. Any text can be tokenized and decoded
    without loss. Character data is that of Unicode 15.0 on every Python. `train` puts the
    characters of the 256 bytes first, then merged tokens, and <|endoftext|> last, as in the
    published vocabulary.

    Args:
        vocab_file: Path of vocab.json, an object of tokens and ids.
        merges_file: Path of merges.txt: a first line that is ignored, then the two symbols of one
            merge per line, in the order of merging.
        errors: How `decode` handles bytes that are not UTF-8, as in `bytes.decode`.
        special_tokens: Tokens whose ids follow those of the vocabulary. Texts are not searched for
            them.
        max_len: The longest input of the model; a warning is logged beyond it.

    Attributes:
        encoder: Token to id.
        decoder: Id to token.
        bpe_ranks: Pair of symbols to rank. These three may be changed at any time.
        special_tokens: Special token to id; `special_tokens_decoder` is the inverse.
        byte_encoder: Byte to character; `byte_decoder` is the inverse. Both are read-only.

    Raises:
        FileNotFoundError: A file cannot be read.
        ValueError: A file is invalid.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     vocab, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        ...     _ = vocab.write_text('{"l": 0, "o": 1, "w": 2, "lo": 3, "low": 4}')
        ...     _ = merges.write_text("#version: 0.2\\nl o\\nlo w\\n")
        ...     tokenizer = GPT2Tokenizer(vocab, merges)
        >>> tokenizer.tokenize("lowlo")
        ['low', 'lo']
        >>> tokenizer.encode("lowlo")
        [4, 3]
        >>> tokenizer.decode([4, 3])
        'lowlo'
    """

    _native_class = _C.GPT2Tokenizer
    _family = "gpt2"
    _logger = logger
    _write_trained_files = staticmethod(train_byte_level_bpe)

    errors: str

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        merges_file: str | os.PathLike[str],
        errors: str = "replace",
        special_tokens: Iterable[str] | None = None,
        max_len: int | None = None,
    ) -> None:
        self.errors = errors
        super().__init__(vocab_file, merges_file, special_tokens, max_len)

    @property
    def byte_encoder(self) -> dict[int, str]:
        """Byte to character, read-only."""
        return bytes_to_unicode()

    @property
    def byte_decoder(self) -> dict[str, int]:
        """Character to byte, read-only."""
        return ReadOnlyTable((char, byte) for byte, char in bytes_to_unicode().items())

    @property
    def pat(self) -> str:
        """The pattern that words match, for the package `regex`; it cannot be changed."""
        return _C.GPT2_PATTERN

    def _utf8_errors(self) -> str:
        return self.errors

    def _words(self, text: str) -> list[str]:
        return self._current().words(text)
