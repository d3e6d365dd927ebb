"""Checkpoints in several files, called shards, beside an index that says what is in which."""

from __future__ import annotations

from pathlib import Path

from .json_files import read_json

INDEX_SUFFIX = ".index.json"


def is_index(path: Path) -> bool:
    """Whether a file is, by its name, the index of a checkpoint in shards."""
    return path.name.endswith(INDEX_SUFFIX)


def read_index(path: Path) -> dict[str, str]:
    """Returns {name of a weight: name of the shard that holds it}; shards lie beside the index.

    Raises:
        ValueError: It is no such index, or has a shard that is elsewhere.
    """
    content = read_json(path)
    shard_of = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise ValueError(
            f"`{path}` must hold a JSON object with the file of each weight under `weight_map`, "
            "but does not. Download or save it again."
        )
    for name, shard in shard_of.items():
        if not _is_plain_name(shard):
            raise ValueError(
                f"`{path}` must give each weight the name of a file beside it, but gives `{name}` "
                f"{shard!r}."
            )
    return shard_of


def shards_of(weights: Path) -> list[str]:
    """Returns the names of the shards, sorted, if a checkpoint is an index; else nothing."""
    return sorted(set(read_index(weights).values())) if is_index(weights) else []


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
