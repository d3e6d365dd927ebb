"""Imports run downward only: docs/ARCHITECTURE.md draws the floors of the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import REPOSITORY

PACKAGE = REPOSITORY / "python" / "ptbert"
CPP = REPOSITORY / "cpp"

# What the modules of each private folder may import from the package, besides the extension and
# their own folder. The top level may import everything; `file_utils` imports nothing.
PYTHON_BELOW = {
    "_files": {"file_utils"},
    "_text": {"_files", "file_utils"},
    "_models": {"_files", "file_utils"},
    "_training": {"optimization"},
    "amp": {"_training", "optimization"},
    "_analysis": {"_models", "_training", "file_utils", "tokenization", "tokenization_gpt2"},
}

# What each folder of C++ may include, besides its own files and `errors.h`.
CPP_BELOW: dict[str, set[str]] = {
    "text": set(),
    "speed": set(),
    "files": {"text"},
    "optim": {"speed"},
    "analysis": set(),
    "models": {"files", "speed"},
    "generation": {"models", "speed"},
    "bindings": {"analysis", "files", "generation", "models", "optim", "speed", "text"},
}

PYTHON_FILES = sorted(path for folder in PYTHON_BELOW for path in (PACKAGE / folder).glob("*.py"))
CPP_FILES = sorted(
    path
    for root in (CPP / "include" / "ptbert", CPP / "src")
    for path in root.rglob("*")
    if path.suffix in (".h", ".cpp") and path.parent != root
)


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def imported_parts(path: Path) -> Iterator[str]:
    """The folders and modules, directly in the package, that a module imports from."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [base] if len(base) > 1 else [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "ptbert" and len(name) > 1)


def folder_of(path: Path) -> str:
    base = CPP / "include" / "ptbert" if CPP / "include" in path.parents else CPP / "src"
    return path.relative_to(base).parts[0]


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_python_imports_run_downward(path: Path) -> None:
    folder = path.parent.name
    allowed = PYTHON_BELOW[folder] | {folder, "_C"}
    assert set(imported_parts(path)) <= allowed


def test_file_utils_imports_nothing_of_the_package() -> None:
    assert list(imported_parts(PACKAGE / "file_utils.py")) == []


def test_architecture_has_every_folder_of_the_package() -> None:
    text = (REPOSITORY / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(PYTHON_BELOW)
    for folder in folders:
        assert f"\n   {folder}/ " in text


def test_contributing_has_every_benchmark() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in (REPOSITORY / "benchmarks").glob("*.py"):
        is_script = '__name__ == "__main__"' in path.read_text(encoding="utf-8")
        if is_script and not path.stem.endswith("_worker"):
            assert f"benchmarks/{path.name}" in text


@pytest.mark.parametrize("path", CPP_FILES, ids=relative)
def test_cpp_includes_run_downward(path: Path) -> None:
    folder = folder_of(path)
    included = re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    found = {Path(name.removeprefix("ptbert/")).parts[0] for name in included if "/" in name}
    found = {name.removesuffix(".h") if name == "generation.h" else name for name in found}
    assert found - {"bridge"} <= CPP_BELOW[folder] | {folder, "errors.h"}
    assert "bridge" not in found or folder == "bindings"


@pytest.mark.parametrize(
    "path", [path for path in CPP_FILES if folder_of(path) == "text"], ids=relative
)
def test_tokenizers_know_no_torch(path: Path) -> None:
    assert not re.search(r"#include [<\"](torch|ATen|c10)/", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", [path for path in CPP_FILES if folder_of(path) != "bindings"], ids=relative
)
def test_the_core_knows_no_python(path: Path) -> None:
    assert not re.search(
        r"#include [<\"](Python\.h|pybind11/|torch/csrc/utils/pybind)",
        path.read_text(encoding="utf-8"),
    )


def test_headers_of_the_tokenizers_are_compiled_alone() -> None:
    listed = (REPOSITORY / "tests" / "cpp" / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in (CPP / "include" / "ptbert" / "text").glob("*.h"):
        assert f"  ptbert/text/{path.name}\n" in listed


def test_one_header_includes_all() -> None:
    headers = {
        path.relative_to(CPP / "include").as_posix()
        for path in (CPP / "include" / "ptbert").rglob("*.h")
    }
    text = (CPP / "include" / "ptbert" / "ptbert.h").read_text(encoding="utf-8")
    # generation.h stands for the headers of its folder.
    parts = {name for name in headers if name.startswith("ptbert/generation/")}
    assert set(re.findall(r'#include "([^"]+)"', text)) == headers - parts - {"ptbert/ptbert.h"}
