"""Models, batches and comparisons for the tests of fast paths."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import plain_models
import ptbert
from ptbert import BertConfig
from support import TINY_CONFIG, assert_close, seed_weights

CLASSES: dict[str, tuple[int, ...]] = {
    "BertForSequenceClassification": (3,),
    "BertForNextSentencePrediction": (),
    "BertForMultipleChoice": (2,),
}
LENGTHS = [3, 7, 1, 3]


# Their losses count some tokens only.
TOKEN_CLASSES: dict[str, tuple[int, ...]] = {
    "BertForMaskedLM": (),
    "BertForPreTraining": (),
    "BertForTokenClassification": (5,),
}


def make_model(class_name: str, dropout: float = 0.1) -> Any:
    """A tiny model in training mode whose outputs are of order one."""
    fields = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = BertConfig.from_dict(TINY_CONFIG | fields)
    model = getattr(ptbert, class_name)(config, *(CLASSES | TOKEN_CLASSES)[class_name])
    seed_weights(model)
    return model


def padded_batch(lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Random ids and segments, and the mask of rows of these lengths."""
    shape = len(lengths), max(lengths)
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    return torch.randint(1, 99, shape), torch.randint(0, 2, shape), mask.long()


def token_labels(class_name: str, mask: Tensor, share: float = 0.3) -> list[Tensor]:
    """Labels for a share of the real tokens, for all that the mask counts, or for sequences too."""
    if class_name == "BertForTokenClassification":
        return [torch.randint(0, 5, mask.shape)]
    labelled = (torch.rand(mask.shape) < share) & mask.bool()
    labelled[0, 0] = True
    labels = [torch.randint(0, 99, mask.shape).where(labelled, -1)]
    if class_name == "BertForPreTraining":
        labels.append(torch.randint(0, 2, mask.shape[:1]))
    return labels


def weighted_sum(logits: Tensor) -> Tensor:
    """A sum with fixed weights. A gradient of squares would be as inexact as a logit that happens
    to be near zero."""
    return (logits.float() * torch.linspace(1.0, 2.0, logits.numel()).view_as(logits)).sum()


def run(model: Any, *inputs: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The logits or the loss, and the gradients of their weighted sum."""
    logits = model(*inputs)
    loss = weighted_sum(logits)
    gradients = torch.autograd.grad(
        loss, list(model.parameters()), allow_unused=True, materialize_grads=True
    )
    return logits.detach(), list(gradients)


def assert_paths_agree(model: Any, *inputs: Tensor | None, atol: float = 1e-5) -> None:
    """Fails unless the fast and the plain path give equal logits and gradients."""
    logits, gradients = run(model, *inputs)
    with plain_models.plain_paths():
        expected_logits, expected_gradients = run(model, *inputs)
    assert_close(logits, expected_logits, atol)
    norm = float(torch.cat([g.flatten() for g in expected_gradients]).norm())
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        # Where terms of a gradient nearly cancel, the rounding error is that of the terms.
        limit = atol * max(float(expected.norm()), 3e-3 * norm)
        assert float((gradient - expected).norm()) <= limit


def linear_rows(model: Any, *inputs: Tensor | None) -> set[int]:
    """The numbers of rows with which linear layers are called."""
    with torch.profiler.profile(record_shapes=True) as profile, torch.no_grad():
        model(*inputs)
    products = {"aten::linear", "mkldnn::_linear_pointwise", "ptbert::multiply_few_rows"}
    shapes = [event.input_shapes[0] for event in profile.events() if event.name in products]
    return {int(torch.Size(shape[:-1]).numel()) for shape in shapes}
