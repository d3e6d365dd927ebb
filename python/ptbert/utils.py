"""How the core computes, for those who measure, debug or repeat runs of 2019."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch

from . import _C


def fast_paths_enabled() -> bool:
    """Whether forward passes on the CPU may save work."""
    return _C.fast_paths_enabled()


def enable_fast_paths(enabled: bool) -> None:
    """Let forward passes on the CPU save work, or not.

    They do unless told otherwise: sentence-level models and losses of tokens compute nothing for
    padding, and most of the last layer only for the tokens that they use; attention is one kernel
    in inference; dropout of float32 is drawn in parallel; linear layers multiply by the faster
    library. Results differ from those of the plain path by rounding, and dropout draws other
    elements from the same distribution.

    Args:
        enabled: `False` makes every forward pass of this process do the operations and the random
            draws of the original, in its order, so that equal seeds repeat its runs.
    """
    _C.enable_fast_paths(enabled)


def use_product_library(library: Literal["measured", "ATen", "oneDNN", "ptbert"]) -> None:
    """Choose what multiplies the matrices of linear layers in float32 on the CPU.

    ATen and oneDNN are inside torch. oneDNN is meant for AMD processors with AVX-512; on one with
    AVX2 it had 0.6 to 1.1 times the speed of ATen. `"ptbert"` is a product of this package's own
    for few rows, that is tokens: on the same processor it had 2 times the speed of ATen for 16 and
    1.3 times for 128. Its gradients are computed by ATen. Results differ by rounding.

    Args:
        library: `"measured"`, as it is at first, takes oneDNN where there is AVX-512 and it is at
            least 1.3 times as fast, which is measured once in a process; with AVX2 alone it takes
            `"ptbert"`. The other names force one of them where it can do the work: `"ptbert"` for
            4 to 256 rows and at least 32 features, `"oneDNN"` for at least 16 rows.

    Raises:
        ValueError: Another name; torch was built without oneDNN; the processor has no AVX2 for
            `"ptbert"`.
    """
    _C.use_product_library(library)


class PathChoice(NamedTuple):
    """How a step of a forward pass was computed."""

    step: str
    path: str
    reason: str
    times: int


class Explanation(tuple[PathChoice, ...]):
    """Choices in the order in which they were made first; as text, a table of them."""

    __slots__ = ()

    def __str__(self) -> str:
        width = max((len(choice.step) for choice in self), default=0)
        return "\n".join(
            f"{step:<{width}}  {path} ({times}x): {reason}" for step, path, reason, times in self
        )


def explain(
    model: Callable[..., object], batch: torch.Tensor | Sequence[Any] | Mapping[str, Any]
) -> Explanation:
    """Run a model on a batch and tell which ways of computing it took, and why.

    The pass happens as it would without this: in training or evaluation, with or without gradients,
    as the caller has it. The default generator of random numbers is put back afterwards.

    Printed, the result is a table, such as this one of a batch of MRPC:

        padding        left out (1x): 1762 of 2496 positions are tokens, of 22 different lengths
        last layer     where it is used (1x): 32 of 1762 tokens
        linear layers  ATen (32x): too many rows to gain from another product
        attention      one kernel (132x): no gradient is wanted and no weight is dropped

    Args:
        model: One of this package's models, or a module that holds one.
        batch: What the model is called with: a tensor, positional arguments or named ones.

    Returns:
        A choice for each step, path and reason, with the times it was made. Empty where the core
        had none, as for a module of other packages, or a model that another thread computes.

    Example:
        >>> from ptbert import BertConfig, BertForSequenceClassification
        >>> model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37)).eval()
        >>> input_ids = torch.tensor([[1, 2, 3], [4, 0, 0]])
        >>> choices = explain(model, {"input_ids": input_ids, "attention_mask": input_ids.gt(0)})
        >>> choices[0].path, choices[0].reason
        ('left out', '4 of 6 positions are tokens, of 2 different lengths')
    """

    def forward() -> None:
        if isinstance(batch, Mapping):
            model(**batch)
        elif isinstance(batch, torch.Tensor):
            model(batch)
        else:
            model(*batch)

    with torch.random.fork_rng(devices=[]):
        choices = _C.record_paths(forward)
    return Explanation(PathChoice(*choice) for choice in choices)
