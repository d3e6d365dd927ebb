"""GPT's tokenizer: text to ids and back by byte-pair encoding of lower-cased words."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from tqdm import tqdm

from . import _C
from ._files.pretrained import MERGES_NAME, SPECIAL_TOKENS_NAME
from ._files.published import archive_map, max_len_map
from ._text.arguments import token_list
from ._text.bpe import VOCAB_NAME, BpeTokenizer, get_pairs
from ._text.native import Source
from ._text.train_vocab import train_bpe
from ._text.word_pieces import native_basic
from .file_utils import cached_path
from .tokenization import BasicTokenizer

__all__ = [
    "MERGES_NAME",
    "PRETRAINED_MERGES_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_ARCHIVE_MAP",
    "PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP",
    "SPECIAL_TOKENS_NAME",
    "VOCAB_NAME",
    "OpenAIGPTTokenizer",
    "get_pairs",
    "text_standardize",
]
# Names that came along in 2019: without `__all__`, `import *` gave what the module imported, too.
__all__ += ["BasicTokenizer", "cached_path", "json", "logger", "logging", "os", "re", "sys", "tqdm"]

logger = logging.getLogger(__name__)

PRETRAINED_VOCAB_ARCHIVE_MAP = archive_map("openai-gpt", VOCAB_NAME)
PRETRAINED_MERGES_ARCHIVE_MAP = archive_map("openai-gpt", MERGES_NAME)
PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP = max_len_map("openai-gpt")


def text_standardize(text: str) -> str:
    """Prepares text for spaCy, as the original code of GPT did.

    Replaces dashes, ellipses and acute accents by ASCII, puts spaces around runs of punctuation,
    and folds white space to " ", or to " \\n " if it contains a newline.

    Example:
        >>> text_standardize("well—yes!")
        'well - yes !'
    """
    return _C.standardize_text(text)


class OpenAIGPTTokenizer(BpeTokenizer):
    """GPT's tokenizer, from text to ids and back.

    With the packages ftfy and spaCy (`pip install ptbert[openai]`), text is split into words as for
    the published model: `ftfy.fix_text`, `text_standardize`, spaCy's English tokenizer,
    lower-casing. Without them BERT's `BasicTokenizer` is used, which differs little; tokenization
    then runs entirely in C++. `train` uses it even with them; it puts "<unk>" first, then all
    characters of the words (with "</w>" after those that end a word), then merged tokens.

    Args:
        vocab_file: Path of vocab.json, an object of tokens and ids.
        merges_file: Path of merges.txt: a first line that is ignored, then the two symbols of one
            merge per line, in the order of merging.
        special_tokens: Tokens whose ids follow those of the vocabulary. `BasicTokenizer` does not
            split them if they are whole white-space separated words; byte-pair encoding still
            spells them, as in 2019, so their ids come from `convert_tokens_to_ids` only.
        max_len: The longest input of the model; a warning is logged beyond it.

    Attributes:
        encoder: Token to id.
        decoder: Id to token.
        bpe_ranks: Pair of symbols to rank. These three may be changed at any time.
        special_tokens: Special token to id; `special_tokens_decoder` is the inverse.
        nlp: spaCy's pipeline, called with a text; if `fix_text` is None, an object with `tokenize`.
        fix_text: The function of ftfy, or None.

    Raises:
        FileNotFoundError: A file cannot be read.
        ValueError: A file is invalid.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     vocab, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        ...     _ = vocab.write_text('{"<unk>": 0, "l": 1, "o</w>": 2, "lo</w>": 3}')
        ...     _ = merges.write_text("#version: 0.2\\nl o</w>\\n")
        ...     tokenizer = OpenAIGPTTokenizer(vocab, merges)
        >>> tokenizer.tokenize("Lo llo")
        ['lo</w>', 'l', 'lo</w>']
        >>> tokenizer.decode(tokenizer.encode("Lo llo"))
        'lo llo'
    """

    _native_class = _C.OpenAIGPTTokenizer
    _family = "openai-gpt"
    _logger = logger
    _write_trained_files = staticmethod(train_bpe)
    _attributes = BpeTokenizer._attributes | {"fix_text", "nlp"}
    _exceptions: ClassVar[dict[str, str]] = {"\n  </w>": "\n</w>"}  # as in 2019

    nlp: Any
    fix_text: Callable[[str], str] | None

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        merges_file: str | os.PathLike[str],
        special_tokens: Iterable[str] | None = None,
        max_len: int | None = None,
    ) -> None:
        tokens = token_list(special_tokens, "special_tokens")
        try:
            import ftfy
            import spacy

            self.nlp = spacy.blank("en")
            self.fix_text = ftfy.fix_text
        except ImportError:
            logger.warning(
                "ftfy or spaCy is not installed: words are made by BERT's BasicTokenizer. "
                "`pip install ptbert[openai]` gives the words of the published model."
            )
            self.nlp = BasicTokenizer(do_lower_case=True, never_split=tuple(tokens))
            self.fix_text = None
        super().__init__(vocab_file, merges_file, tokens, max_len)

    def set_special_tokens(self, special_tokens: Iterable[str] | None) -> None:
        """Replaces the special tokens; their ids follow those of the vocabulary.

        `BasicTokenizer` does not split them if they are whole white-space separated words.

        Raises:
            TypeError: `special_tokens` is a str.
        """
        tokens = tuple(token_list(special_tokens, "special_tokens"))
        super().set_special_tokens(tokens)
        if tokens and self.fix_text is None:
            self.nlp.never_split = tokens

    def _words(self, text: str) -> list[str]:
        if self.fix_text is None:
            return self.nlp.tokenize(text)
        return [word.text.lower() for word in self.nlp(text_standardize(self.fix_text(text)))]

    def _sources(self) -> list[Source]:
        return [self.nlp] if isinstance(self.nlp, Source) else []

    def _state(self) -> tuple[Any, ...]:
        return (*super()._state(), native_basic(self.nlp) if self.fix_text is None else None)

    def _new_native(self, *state: Any) -> tuple[Any, Any]:
        *tables, basic = state
        native, methods = super()._new_native(*tables)
        if basic is None or methods is None:
            return native, None
        return native, native.with_basic_tokenizer(basic)

    def _tokenize(self, text: str) -> list[str]:
        if self._replaces_methods():
            return super()._tokenize(text)
        return self._current().tokenize_words(self._words(text))
