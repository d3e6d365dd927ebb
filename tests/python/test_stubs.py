"""The committed stubs are those of the extension."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support import REPOSITORY


def test_stubs_are_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("pybind11_stubgen")
    command = [sys.executable, "-m", "pybind11_stubgen", "ptbert._C", "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    written = (tmp_path / "ptbert" / "_C.pyi").read_text(encoding="utf-8")
    committed = (REPOSITORY / "python" / "ptbert" / "_C.pyi").read_text(encoding="utf-8")
    assert ast.dump(ast.parse(committed)) == ast.dump(ast.parse(written)), "run `make stubs`"
