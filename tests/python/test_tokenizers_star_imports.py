"""`from ptbert.tokenization import *` gives what it gave in 2019, without an `__all__`."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType
from typing import Any

import pytest

from support import import_or_skip

# The public names of the modules of pytorch-pretrained-bert 0.6.2, as printed by
# [name for name in sorted(vars(module)) if not name.startswith("_")]
NAMES_OF_2019 = {
    "tokenization": """
        BasicTokenizer BertTokenizer PRETRAINED_VOCAB_ARCHIVE_MAP
        PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP VOCAB_NAME WordpieceTokenizer
        absolute_import cached_path collections division load_vocab logger logging open os
        print_function unicode_literals unicodedata whitespace_tokenize
    """,
    "tokenization_gpt2": """
        GPT2Tokenizer MERGES_NAME PRETRAINED_MERGES_ARCHIVE_MAP PRETRAINED_VOCAB_ARCHIVE_MAP
        PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP SPECIAL_TOKENS_NAME VOCAB_NAME
        absolute_import bytes_to_unicode cached_path division get_pairs json logger logging
        lru_cache open os print_function re sys unicode_literals
    """,
    "tokenization_openai": """
        BasicTokenizer MERGES_NAME OpenAIGPTTokenizer PRETRAINED_MERGES_ARCHIVE_MAP
        PRETRAINED_VOCAB_ARCHIVE_MAP PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP
        SPECIAL_TOKENS_NAME VOCAB_NAME absolute_import cached_path division get_pairs json logger
        logging open os print_function re sys text_standardize tqdm unicode_literals
    """,
    "tokenization_transfo_xl": """
        CORPUS_NAME Counter LMMultiFileIterator LMOrderedIterator LMShuffledIterator OrderedDict
        PRETRAINED_CORPUS_ARCHIVE_MAP PRETRAINED_VOCAB_ARCHIVE_MAP TransfoXLCorpus
        TransfoXLTokenizer VOCAB_NAME absolute_import cached_path division get_lm_corpus glob
        logger logging np open os pickle print_function sys torch unicode_literals unicodedata
    """,
}
# On purpose: the `__future__` features of Python 2, and `io.open`, which is the built-in `open`.
LEFT_OUT = {"absolute_import", "division", "open", "print_function", "unicode_literals"}
# Public names that are ours, and the predicates of BERT, for `import *` of code that used them.
OURS = {"Vocabulary", "_is_control", "_is_punctuation", "_is_whitespace"}


def star(module: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(f"from ptbert.{module} import *", names)
    del names["__builtins__"]
    return names


@pytest.mark.parametrize("module", NAMES_OF_2019)
def test_star_import_gives_the_names_of_2019(module: str) -> None:
    expected = set(NAMES_OF_2019[module].split()) - LEFT_OUT
    assert set(star(module)) - OURS == expected


@pytest.mark.parametrize("module", NAMES_OF_2019)
def test_names_that_came_along_are_the_real_objects(module: str) -> None:
    names = star(module)
    ours = importlib.import_module(f"ptbert.{module}")
    assert names["cached_path"] is importlib.import_module("ptbert.file_utils").cached_path
    assert isinstance(names["logger"], logging.Logger) and names["logger"].name == ours.__name__
    for name, value in names.items():
        if isinstance(value, ModuleType):
            assert value is importlib.import_module({"np": "numpy"}.get(name, name))
    origins = {"Counter": "collections", "OrderedDict": "collections", "lru_cache": "functools"}
    for name in names.keys() & {**origins, "tqdm": "tqdm"}.keys():
        assert names[name] is getattr(importlib.import_module(origins.get(name, "tqdm")), name)


@pytest.mark.parametrize("module", NAMES_OF_2019)
def test_list_of_2019_is_that_of_the_library(module: str) -> None:
    old = import_or_skip(f"pytorch_pretrained_bert.{module}")
    public = [name for name in sorted(vars(old)) if not name.startswith("_")]
    assert public == sorted(NAMES_OF_2019[module].split())
