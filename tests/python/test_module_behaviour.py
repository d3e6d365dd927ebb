"""docs/MODULE_BEHAVIOUR.md names tests that exist."""

from __future__ import annotations

import re

import pytest

from support import REPOSITORY

TABLE = (REPOSITORY / "docs" / "MODULE_BEHAVIOUR.md").read_text(encoding="utf-8")


NAMES = re.findall(r"`(test_\w+\.py[^`]*)`", TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_named_test_exists(name: str) -> None:
    file, function = name.split("::")
    source = (REPOSITORY / "tests" / "python" / file).read_text(encoding="utf-8")
    assert f"def {function}(" in source


def test_every_row_names_tests() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 30
    assert all("::" in row for row in rows)


def test_every_change_of_surgery_is_counted() -> None:
    surgery = (REPOSITORY / "tests" / "python" / "test_bridge_surgery.py").read_text(
        encoding="utf-8"
    )
    changes = re.findall(r"^@change\w*$", surgery, re.MULTILINE)
    assert f"each of {len(changes)} changes" in TABLE
