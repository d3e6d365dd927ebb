"""PARITY.md tells the truth about every public name of the 2019 library."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from typing import NamedTuple

import pytest

from support import GOLDEN, REPOSITORY

TABLE = REPOSITORY / "PARITY.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (yes|not yet) \|(?: `([\w./]+)`)? \|$")


class Row(NamedTuple):
    name: str
    status: str
    tested_in: str | None


def read_rows() -> list[Row]:
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            match = ROW.match(line)
            assert match, f"not a row of name, status and test file: {line}"
            rows.append(Row(*match.groups()))
    return rows


ROWS = read_rows()
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


ABSENT = object()


def find(name: str) -> object:
    """What a public name stands for, or ABSENT."""
    module_name, _, attribute = name.rpartition(".")
    if module_name == "hubconf":
        path = REPOSITORY / "hubconf.py"
        found = path.exists() and re.search(rf"\b{attribute}\b", path.read_text())
        return found or ABSENT
    full_name = f"ptbert.{module_name}".rstrip(".")
    if importlib.util.find_spec(full_name) is None:
        return ABSENT
    return getattr(importlib.import_module(full_name), attribute, ABSENT)


def test_every_name_of_2019_has_one_row() -> None:
    names = json.loads((GOLDEN / "names.json").read_text())["names"]
    assert sorted(row.name for row in ROWS) == names


@every_row
def test_row_says_whether_the_name_exists(row: Row) -> None:
    assert (find(row.name) is not ABSENT) is (row.status == "yes")


@every_row
def test_row_names_a_test_file_when_the_name_exists(row: Row) -> None:
    if row.status == "not yet":
        assert row.tested_in is None
    else:
        assert row.tested_in is not None
        assert (REPOSITORY / row.tested_in).is_file()
