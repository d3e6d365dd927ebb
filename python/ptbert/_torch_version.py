"""Checks torch's version: the extension needs exactly the build that it was compiled against."""

from __future__ import annotations

from ._build_info import TORCH_VERSION


def check_torch_version(installed: str) -> None:
    """Raises ImportError, which says how to rebuild, unless `installed` is that version."""
    if installed != TORCH_VERSION:
        raise ImportError(
            f"ptbert was built against torch {TORCH_VERSION}, but torch {installed} is installed: "
            "build it again with `pip install --no-build-isolation --force-reinstall --no-deps .`"
        )
