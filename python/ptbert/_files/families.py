"""Which family a model in files is of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..file_utils import StrPath
from .pretrained import ModelFiles, resolve_model
from .published import published

# A key that the configurations of a family have, and those of no other.
_KEYS = {"n_embd": "gpt2", "type_vocab_size": "bert", "d_inner": "transfo-xl"}


def family_of(name: str, cache_dir: StrPath | None = None) -> str:
    """Tells the family by the name of a published model, or by its configuration; one that is none
    of ours by what the configuration calls it.

    Raises:
        OSError: There is no configuration.
        ValueError: It is no JSON.
    """
    if (model := published(name)) is not None:
        return model.family
    with _configuration(name, cache_dir) as files:
        config = _read_config(files.config)
        if files.config.name == "openai_gpt_config.json" or "afn" in config:
            return "openai-gpt"
    known = (family for key, family in _KEYS.items() if key in config)
    found: str = config.get("model_type") or next(known, "another family")
    return found


@contextlib.contextmanager
def _configuration(name: str, cache_dir: StrPath | None) -> Iterator[ModelFiles]:
    with contextlib.ExitStack() as stack:
        try:
            # The names of GPT's files include those of GPT-2's, and one of BERT's.
            found = resolve_model(name, cache_dir, "openai-gpt", need_weights=False)
            files = stack.enter_context(found)
        except OSError as error:
            try:
                found = resolve_model(name, cache_dir, "bert", need_weights=False)
                files = stack.enter_context(found)
            except OSError:
                raise error from None
        yield files


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"`--model`: {path} must be JSON, but is not: {error}.") from None
    return config if isinstance(config, dict) else {}
