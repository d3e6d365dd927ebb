"""Reads JSON files of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Returns what a JSON file holds.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or nested too deep for Python to read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"`{path}` must hold JSON, but does not: {error}.") from error
