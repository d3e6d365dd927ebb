"""Arguments that have two names: that of the code of 2019 and that of its documents."""

from __future__ import annotations

from torch import Tensor

# By its name in the code.
_ALIASES = {
    "mc_token_ids": "multiple_choice_token_ids",
    "mc_labels": "multiple_choice_labels",
}


def either(name: str, value: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Returns the argument `name`, given under it or under its other name.

    Raises:
        TypeError: It is given under both names.
    """
    if value is not None and other is not None:
        raise TypeError(
            f"`{name}` must be given once, but is given as `{_ALIASES[name]}`, too, which is "
            "another name of it."
        )
    return other if value is None else value
