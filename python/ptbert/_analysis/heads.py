"""What attention heads do, how much a loss depends on them, and models without the least important.
Michel et al., 2019 (https://arxiv.org/abs/1905.10650)."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import _C
from .._models.self_attention import SelfAttention
from .._training.batches import Batch
from .._training.devices import device_of
from .._training.progress import track
from .trunks import looking, trunk_of

# A model as the callables below are given it: called as the model itself, with heads masked.
Model = Callable[..., Any]


class MaskedHeads(NamedTuple):
    """What `mask_heads` found.

    Example:
        >>> found = MaskedHeads(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), [(0, 0.9), (1, 0.88)])
        >>> masked, metric = found.curve[-1]
        >>> masked, metric
        (1, 0.88)
    """

    head_mask: Tensor
    """[layers, heads], 0 for the heads that the metric does not need."""
    curve: list[tuple[int, float]]
    """The metric by the number of masked heads, from none to the first that cost too much."""


def attention_entropy(
    model: nn.Module,
    batches: Collection[Batch],
    forward: Callable[[Model, Batch], Any] | None = None,
    *,
    head_mask: Tensor | None = None,
) -> Tensor:
    """How evenly each head spreads its attention: the mean over tokens of -sum(p log p), in nats.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head.
        batches: Tensors by the names of the model's arguments. `attention_mask` [batch, seq], or
            [batch, choices, seq] as multiple choice has it, tells tokens (1) from padding (0),
            which does not count. GPT and GPT-2 are not passed it.
        forward: Calls the model on a batch; by default with all that its `forward` has names for.
        head_mask: [heads] or [layers, heads], 0 for heads that are left out.

    Returns:
        [layers, heads], float64, on the CPU.

    Raises:
        TypeError: `model` has no attention heads that can be looked into.
        ValueError: There is no token; layers have different numbers of heads; or the model is
            passed another `head_mask`, by a batch or by `forward`.

    Example:
        >>> from ptbert import BertConfig, BertModel
        >>> from ptbert.analysis import attention_entropy
        >>> model = BertModel(BertConfig(99, 32, 2, 4, 37))
        >>> attention_entropy(model, [{"input_ids": torch.tensor([[1, 2, 3]])}]).shape
        torch.Size([2, 4])
    """
    call = forward or _call_by_names
    statistics = _C.HeadStatistics(len(_self_attentions_of(model)))
    with looking(model, "output_attentions"), torch.no_grad():
        for batch in track(batches, desc="Entropy", unit="batch"):
            mask = batch.get("attention_mask")

            def note(
                number: int, _: Any, inputs: Any, output: Any, mask: Tensor | None = mask
            ) -> Any:
                weights, *rest = output  # [batch, heads, query, key]
                statistics.add_attentions(number, weights, mask)
                return rest[0] if len(rest) == 1 else tuple(rest)  # as without attention weights

            hooks = [
                attention.register_forward_hook(functools.partial(note, number))
                for number, attention in enumerate(_self_attentions_of(model))
            ]
            try:
                call(_masked(model, head_mask), batch)
            finally:
                for hook in hooks:
                    hook.remove()
    return statistics.entropy()


def head_importance(
    model: nn.Module,
    batches: Collection[Batch],
    losses: Callable[[Model, Batch], Tensor],
    *,
    head_mask: Tensor | None = None,
    normalize_by_layer: bool = True,
    normalize_globally: bool = True,
) -> Tensor:
    """How much the loss depends on each head: the mean over tokens of |output . gradient|, for the
    output of the head before heads are merged and the gradient of its example's loss.

    The gradient is that of the sum of the examples' losses, so an example counts the same in a
    batch of any size; at batch size 1 this is the formula of 2019.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head.
        batches: As in `attention_entropy`, and what `losses` needs.
        losses: Calls the model on a batch and returns the loss of each example, [batch].
        head_mask: [heads] or [layers, heads], 0 for heads that are left out.
        normalize_by_layer: Divide the importances of a layer by their L2 norm.
        normalize_globally: Then map the least of all to 0 and the greatest to 1.

    Returns:
        [layers, heads], float64, on the CPU.

    Raises:
        TypeError: `model` has no attention heads that can be looked into.
        ValueError: `losses` returns something else than a loss for each example; there is no token;
            layers have different numbers of heads; or the model is passed another `head_mask`.

    Example:
        >>> from ptbert import BertConfig, BertForSequenceClassification
        >>> from ptbert.analysis import head_importance
        >>> model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37), num_labels=2)
        >>> ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
        >>> batches = [{"input_ids": ids, "labels": labels}]
        >>> def losses(model, batch):
        ...     scores = model(batch["input_ids"])
        ...     return nn.functional.cross_entropy(scores, batch["labels"], reduction="none")
        >>> importance = head_importance(model, batches, losses)
        >>> importance.shape, importance.min().item(), importance.max().item()
        (torch.Size([2, 4]), 0.0, 1.0)
    """
    attentions = _self_attentions_of(model)
    statistics = _C.HeadStatistics(len(attentions))
    with looking(model, "keep_multihead_output"), _gradients_of_heads_only(model, attentions):
        for batch in track(batches, desc="Importance", unit="batch"):
            loss = losses(_masked(model, head_mask), batch)
            if loss.dim() != 1 or not loss.requires_grad:
                raise ValueError(
                    "`losses` must return the loss of each example, [batch], with its graph, but "
                    f"returns a tensor of shape {list(loss.shape)}"
                    f"{'' if loss.requires_grad else ' without a graph'}."
                )
            examples = _examples_in(batch)
            if len(loss) != examples:
                raise ValueError(
                    f"`losses` must return a loss for each of the {examples} examples of a batch, "
                    f"but returns {len(loss)}."
                )
            outputs = [attention.multihead_output for attention in attentions]
            gradients = torch.autograd.grad(loss.sum(), outputs)
            for number, (output, gradient) in enumerate(zip(outputs, gradients, strict=True)):
                statistics.add_outputs(number, output, gradient, batch.get("attention_mask"))
    return statistics.importance(normalize_by_layer, normalize_globally)


def mask_heads(
    model: nn.Module,
    batches: Collection[Batch],
    losses: Callable[[Model, Batch], Tensor],
    metric: Callable[[Model], float],
    *,
    threshold: float = 0.9,
    amount: float = 0.1,
    normalize_by_layer: bool = True,
    normalize_globally: bool = True,
) -> MaskedHeads:
    """Masks heads from the least important up, for as long as the metric allows.

    In each round a share of all heads is masked, and the importance of the others is measured anew.
    The most important head of each layer stays, which the script of 2019 did not see to: a layer
    without heads works under a mask, but could not be pruned.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head.
        batches: As in `head_importance`.
        losses: As in `head_importance`.
        metric: Evaluates the model it is given, which is called as `model` is.
        threshold: The share of the whole model's metric that must be kept.
        amount: The share of all heads that is masked in a round; at least one head is.
        normalize_by_layer: As in `head_importance`.
        normalize_globally: As in `head_importance`.

    Raises:
        TypeError: `model` has no attention heads that can be looked into.
        ValueError: `threshold` or `amount` is out of range; or as `head_importance`.

    Example:
        >>> from ptbert import BertConfig, BertForSequenceClassification
        >>> from ptbert.analysis import mask_heads
        >>> model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37), num_labels=2)
        >>> ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([0, 1])
        >>> batches = [{"input_ids": ids, "labels": labels}]
        >>> def losses(model, batch):
        ...     scores = model(batch["input_ids"])
        ...     return nn.functional.cross_entropy(scores, batch["labels"], reduction="none")
        >>> def metric(model):  # here one that does not mind, so that all go which may
        ...     return 1.0
        >>> found = mask_heads(model, batches, losses, metric, amount=0.25)
        >>> found.head_mask.sum(1)
        tensor([1., 1.])
        >>> found.curve
        [(0, 1.0), (2, 1.0), (4, 1.0), (6, 1.0)]
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"`threshold` must be in [0, 1], but is {threshold}.")
    if not 0 < amount <= 1:
        raise ValueError(f"`amount` must be above 0 and at most 1, but is {amount}.")
    measure = functools.partial(
        head_importance,
        model,
        batches,
        losses,
        normalize_by_layer=normalize_by_layer,
        normalize_globally=normalize_globally,
    )
    importance = measure()
    mask = torch.ones_like(importance, dtype=torch.float32)
    step = max(1, int(mask.numel() * amount))
    whole = metric(_masked(model, None))
    curve = [(0, whole)]
    while True:
        importance[mask == 0] = torch.inf
        importance[torch.arange(len(mask)), _best_of_layers(importance, mask)] = torch.inf
        candidates = importance.flatten().argsort()[:step]
        candidates = candidates[importance.flatten()[candidates].isfinite()]
        if not len(candidates):
            break
        tried = mask.clone()
        tried.view(-1)[candidates] = 0
        value = metric(_masked(model, tried))
        curve.append((int((tried == 0).sum()), value))
        if not value >= whole * threshold:
            break
        mask = tried
        importance = measure(head_mask=mask)
    return MaskedHeads(mask, curve)


def prune_heads(model: nn.Module, head_mask: Tensor) -> None:
    """Removes the heads that a mask leaves out from a model, permanently; see `prune_heads` of
    `BertModel`, `OpenAIGPTModel` and `GPT2Model`.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head.
        head_mask: [layers, heads], 0 for the heads to remove and 1 for the others.

    Raises:
        TypeError: `model` has no attention heads that can be looked into.
        ValueError: The mask has another shape or other values, or a layer would have no head left.

    Example:
        >>> from ptbert import BertConfig, BertModel
        >>> from ptbert.analysis import prune_heads
        >>> model = BertModel(BertConfig(99, 32, 2, 4, 37))
        >>> prune_heads(model, torch.tensor([[1, 0, 0, 1], [1, 1, 1, 0]]))
        >>> model.config.pruned_heads
        {0: [1, 2], 1: [3]}
    """
    trunk = trunk_of(model)
    layers = len(_self_attentions_of(model))
    if head_mask.dim() != 2 or len(head_mask) != layers:
        raise ValueError(
            f"`head_mask` must be of shape [{layers}, heads], but is of shape "
            f"{list(head_mask.shape)}."
        )
    if not ((head_mask == 0) | (head_mask == 1)).all():
        raise ValueError("`head_mask` must be of 0 and 1, but has other values.")
    heads = {layer: (row == 0).nonzero().flatten().tolist() for layer, row in enumerate(head_mask)}
    trunk.prune_heads({layer: some for layer, some in heads.items() if some})


def _best_of_layers(importance: Tensor, mask: Tensor) -> Tensor:
    """The most important head of each layer that is not masked, [layers]."""
    return importance.masked_fill(mask == 0, -1).argmax(-1)


def _self_attentions_of(model: nn.Module) -> list[Any]:
    return [module for module in trunk_of(model).modules() if isinstance(module, SelfAttention)]


class _Masked(functools.partial[Any]):
    """A model that is called with a head mask."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        # It would take the place of ours without a word.
        if "head_mask" in options:
            raise ValueError(
                "`head_mask` must be left to the function that masks heads, but a batch or a "
                "callable passes it to the model."
            )
        return super().__call__(*args, **options)


def _masked(model: nn.Module, head_mask: Tensor | None) -> Model:
    if head_mask is None:
        return model
    return _Masked(model, head_mask=head_mask.to(device_of(model)))


def _call_by_names(model: Model, batch: Batch) -> Any:
    whole: Any = getattr(model, "func", model)  # what `_masked` has wrapped
    names = inspect.signature(whole.forward).parameters
    return model(**{name: value for name, value in batch.items() if name in names})


def _examples_in(batch: Batch) -> int:
    ids = batch.get("input_ids")  # custom `losses` may give their ids another name
    return len(next(iter(batch.values())) if ids is None else ids)


@contextlib.contextmanager
def _gradients_of_heads_only(model: nn.Module, attentions: list[Any]) -> Iterator[None]:
    """In this context no parameter requires a gradient, which would be two thirds of the backward
    pass; what the first self-attention reads does, in its place."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def require(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not inputs[0].requires_grad:
            inputs[0].requires_grad_()

    hook = attentions[0].register_forward_pre_hook(require)
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        hook.remove()
        for parameter in trained:
            parameter.requires_grad_()
