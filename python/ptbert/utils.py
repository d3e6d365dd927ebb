"""Control over fast paths, to measure, debug, or reproduce runs of the 2019 library."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch

from . import _C


def fast_paths_enabled() -> bool:
    """Return whether forward passes on the CPU may take fast paths.

    Example:
        >>> fast_paths_enabled()
        True
    """
    return _C.fast_paths_enabled()


def enable_fast_paths(enabled: bool) -> None:
    """Allow or forbid fast paths in forward passes on the CPU; they are allowed by default.

    Sentence-level models and token-level losses skip padding, and compute most of the last layer
    only for the tokens that they use; attention is one fused kernel in inference; float32 dropout
    is drawn in parallel; linear layers use the faster library. Results differ from those of the
    plain path by rounding, and dropout drops other elements, with the same probability.

    Args:
        enabled: `False` makes every forward pass of this process take the plain path: the
            operations and random draws of the 2019 library, in its order, so that equal seeds
            reproduce its runs.

    Example:
        >>> enable_fast_paths(False)
        >>> fast_paths_enabled()
        False
        >>> enable_fast_paths(True)
    """
    _C.enable_fast_paths(enabled)


def use_product_library(library: Literal["measured", "ATen", "oneDNN", "ptbert"]) -> None:
    """Choose the library that multiplies the matrices of linear layers in float32 on the CPU.

    ATen and oneDNN are built into torch. oneDNN pays on AMD processors with AVX-512: it had 1.1 to
    1.6 times the speed of ATen on Zen 4, 1.8 to 2.7 times on Zen 5. `"ptbert"` is this package's
    own product for few rows, i.e. tokens: on AMD Zen 3 (AVX2) it had 2 times the speed of ATen for
    16 rows and 1.3 times for 128. ATen computes its gradients. Results differ by rounding.

    Args:
        library: `"measured"`, the default, takes oneDNN on AMD with AVX-512 and `"ptbert"` with
            AVX2 only, and ATen otherwise. The other names force a library where it can do the
            work: `"ptbert"` for 4 to 256 rows and at least 32 output features, `"oneDNN"` for at
            least 16 rows.

    Raises:
        ValueError: Another name; torch was built without oneDNN; the processor has no AVX2 for
            `"ptbert"`.

    Example:
        >>> use_product_library("ATen")
        >>> use_product_library("measured")
    """
    _C.use_product_library(library)


def install_as(name: str = "pytorch_pretrained_bert") -> None:
    """Make `import name`, and the import of its submodules, give this package in this process.

    Programs of 2019 then run as they are. Call it before they import the library.

    Args:
        name: The name of the library that this package takes the place of.

    Raises:
        ValueError: A package of this name has been imported already.

    Example:
        >>> install_as("bert_of_2019")
        >>> from bert_of_2019.modeling import BertModel
        >>> BertModel.__module__
        'ptbert.modeling'
    """
    ours = __name__.rpartition(".")[0]
    if sys.modules.get(name) not in (None, sys.modules[ours]):
        raise ValueError(f"`name` must not be imported yet, but `{name}` is.")
    for module in pkgutil.iter_modules(sys.modules[ours].__path__, f"{ours}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for full_name, module_object in list(sys.modules.items()):
        if full_name == ours or full_name.startswith(f"{ours}."):
            sys.modules[name + full_name[len(ours) :]] = module_object


class PathChoice(NamedTuple):
    """How a step of a forward pass was computed, why, and how many times.

    Example:
        >>> choice = PathChoice("last layer", "where it is used", "32 of 1762 tokens", 1)
        >>> choice.path, choice.times
        ('where it is used', 1)
    """

    step: str
    path: str
    reason: str
    times: int


class Explanation(tuple[PathChoice, ...]):
    """Choices in the order in which each was first made; `str` gives a table.

    Example:
        >>> choice = PathChoice("last layer", "where it is used", "32 of 1762 tokens", 1)
        >>> print(Explanation([choice]))
        last layer  where it is used (1x): 32 of 1762 tokens
    """

    __slots__ = ()

    def __str__(self) -> str:
        width = max((len(choice.step) for choice in self), default=0)
        return "\n".join(
            f"{step:<{width}}  {path} ({times}x): {reason}" for step, path, reason, times in self
        )


def explain(
    model: Callable[..., object], batch: torch.Tensor | Sequence[Any] | Mapping[str, Any]
) -> Explanation:
    """Run a model on a batch and return which paths its forward pass took, and why.

    Training or evaluation mode and gradients are as the caller has set them. The state of the
    default random generator is restored afterwards.

    Printed, the result is a table, such as this one of a batch of MRPC:

        padding        left out (1x): 1762 of 2496 positions are computed, of 22 different lengths
        last layer     where it is used (1x): 32 of 1762 tokens
        linear layers  ATen (32x): more than 256 rows, for which the core's own product is no faster
        attention      one kernel (132x): no gradient is wanted and no weight is dropped

    Args:
        model: One of this package's models, or a module that holds one.
        batch: Arguments for the model: a tensor, a sequence (positional) or a mapping (named).

    Returns:
        A choice for each step, path and reason, with the number of times it was made. Empty if
        none was made in this thread, as for modules of other packages.

    Example:
        >>> from ptbert import BertConfig, BertForSequenceClassification
        >>> model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37)).eval()
        >>> input_ids = torch.tensor([[1, 2, 3], [4, 0, 0]])
        >>> choices = explain(model, {"input_ids": input_ids, "attention_mask": input_ids.gt(0)})
        >>> choices[0].path, choices[0].reason
        ('left out', '4 of 6 positions are computed, of 2 different lengths')
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
