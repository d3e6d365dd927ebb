"""Messages when the build or the installed torch does not fit."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ptbert._build_info import TORCH_VERSION
from ptbert._torch_version import check_torch_version
from support import REPOSITORY


def test_other_torch_than_that_of_the_build_raises() -> None:
    check_torch_version(TORCH_VERSION)
    with pytest.raises(ImportError) as error:
        check_torch_version("1.0.0")
    assert str(error.value).startswith(
        f"ptbert was built against torch {TORCH_VERSION}, but torch 1.0.0 is installed: "
    )


def load_check() -> ModuleType:
    """tools/check_environment.py as a module."""
    path = REPOSITORY / "tools" / "check_environment.py"
    spec = importlib.util.spec_from_file_location("check_environment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_environment_lacks_nothing() -> None:
    assert load_check().missing() is None


def test_missing_compiler_is_told_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "check_environment.py")],
        env={**os.environ, "CXX": "no-such-compiler"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "There is no C++ compiler `no-such-compiler`: install one (Debian: apt-get install g++).\n"
    )


def test_old_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "old-g++"
    compiler.write_text("#!/bin/sh\necho '#define __GNUC__ 11'\n", encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert load_check().missing() == (
        f"The C++ compiler must be g++ 12 or newer, but `{compiler}` is 11."
    )


def test_missing_headers_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert load_check().missing() == (
        "The Python headers are missing: install them (Debian: apt-get install python3-dev)."
    )


def test_missing_venv_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert load_check().missing() == (
        "Python's venv module is missing: install it (Debian: apt-get install python3-venv)."
    )


def test_other_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert load_check().missing() == (
        "Python must be 3.10 to 3.13, but is 3.9: choose another with `make PYTHON=...`."
    )
