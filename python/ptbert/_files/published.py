"""The table of published models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..file_utils import StrPath

Family = Literal["bert", "openai-gpt", "gpt2", "transfo-xl"]


@dataclass(frozen=True)
class Pretrained:
    """One published model.

    Attributes:
        name: The shortcut name that `from_pretrained` takes.
        family: The architecture it belongs to.
        hub_id: Its repository on the Hugging Face Hub.
        max_len: The longest input in tokens; None for no limit.

    Example:
        >>> PRETRAINED["gpt2"].url("config.json")
        'https://huggingface.co/openai-community/gpt2/resolve/main/config.json'
    """

    name: str
    family: Family
    hub_id: str
    max_len: int | None

    def url(self, filename: str) -> str:
        """Returns the URL of one of its files."""
        return f"https://huggingface.co/{self.hub_id}/resolve/main/{filename}"


def _bert(name: str) -> Pretrained:
    return Pretrained(name, "bert", f"google-bert/{name}", 512)


PRETRAINED: dict[str, Pretrained] = {
    model.name: model
    for model in (
        _bert("bert-base-uncased"),
        _bert("bert-large-uncased"),
        _bert("bert-base-cased"),
        _bert("bert-large-cased"),
        _bert("bert-base-multilingual-uncased"),
        _bert("bert-base-multilingual-cased"),
        _bert("bert-base-chinese"),
        _bert("bert-base-german-cased"),
        _bert("bert-large-uncased-whole-word-masking"),
        _bert("bert-large-cased-whole-word-masking"),
        _bert("bert-large-uncased-whole-word-masking-finetuned-squad"),
        _bert("bert-large-cased-whole-word-masking-finetuned-squad"),
        _bert("bert-base-cased-finetuned-mrpc"),
        Pretrained("openai-gpt", "openai-gpt", "openai-community/openai-gpt", 512),
        Pretrained("gpt2", "gpt2", "openai-community/gpt2", 1024),
        Pretrained("gpt2-medium", "gpt2", "openai-community/gpt2-medium", 1024),
        Pretrained("transfo-xl-wt103", "transfo-xl", "transfo-xl/transfo-xl-wt103", None),
    )
}

# Hub ids by names without an owner that users know them by. They are not of 2019: no dictionary of
# that time has them, and a directory of that name comes first.
LATER_NAMES = {
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
}


def published(name: StrPath) -> Pretrained | None:
    """Returns the published model that `NAME` or `NAME@REVISION` stands for, or None.

    An existing path of the second form comes before the name.

    Example:
        >>> published("gpt2@main").hub_id
        'openai-community/gpt2'
    """
    if not isinstance(name, str):
        return None
    bare, at, _ = name.partition("@")
    return None if at and Path(name).exists() else PRETRAINED.get(bare)


def archive_map(family: Family, filename: str) -> dict[str, str]:
    """Returns {name: URL of `filename`}: the PRETRAINED_*_ARCHIVE_MAP dictionaries."""
    return {model.name: model.url(filename) for model in models_of(family)}


def max_len_map(family: Family) -> dict[str, int]:
    """Returns {name: longest input}: PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP."""
    return {m.name: m.max_len for m in models_of(family) if m.max_len is not None}


def models_of(family: Family) -> list[Pretrained]:
    """Returns the published models of a family."""
    return [model for model in PRETRAINED.values() if model.family == family]
