"""What a user is told when the build or the installed torch does not fit."""

from __future__ import annotations

import os
import subprocess
import sys

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
