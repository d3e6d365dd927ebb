"""How the core computes, for those who measure, debug or repeat runs of 2019."""

from __future__ import annotations

from . import _C


def fast_paths_enabled() -> bool:
    """Whether forward passes on the CPU may save work."""
    return _C.fast_paths_enabled()


def enable_fast_paths(enabled: bool) -> None:
    """Let forward passes on the CPU save work, or not.

    They do unless told otherwise: sentence-level models and losses of tokens compute nothing for
    padding, and most of the last layer only for the tokens that they use; attention is one kernel
    in inference; dropout of float32 is drawn in parallel. Results differ from those of the plain
    path by rounding, and dropout draws other elements from the same distribution.

    Args:
        enabled: `False` makes every forward pass of this process do the operations and the random
            draws of the original, in its order, so that equal seeds repeat its runs.
    """
    _C.enable_fast_paths(enabled)
