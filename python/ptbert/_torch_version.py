"""The extension works with the exact build of torch that it was compiled against."""

from __future__ import annotations

from ._build_info import TORCH_VERSION


def check_torch_version(installed: str) -> None:
    """Raises ImportError, with the remedy, unless torch is the version of the build."""
    if installed != TORCH_VERSION:
        raise ImportError(
            f"ptbert was built against torch {TORCH_VERSION}, but torch {installed} is installed: "
            "build it again with `pip install --no-build-isolation --force-reinstall --no-deps .`"
        )
