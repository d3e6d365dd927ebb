"""Removal of attention heads. Michel et al., 2019 (https://arxiv.org/abs/1905.10650)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .messages import with_article


def prune_linear_layer(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """Returns a copy of a linear layer with only some of its outputs or inputs.

    Args:
        layer: The layer to copy from.
        index: The outputs (`dim` 0) or inputs (`dim` 1) to keep.
        dim: Dimension of the weight [outputs, inputs].

    Raises:
        TypeError: `layer` is not exactly an nn.Linear; a copy would lose a derived class.

    Example:
        >>> prune_linear_layer(nn.Linear(4, 3), torch.tensor([0, 2]))
        Linear(in_features=4, out_features=2, bias=True)
    """
    if type(layer) is not nn.Linear:
        raise TypeError(f"`layer` must be an nn.Linear, but is {with_article(layer)}.")
    index = index.to(layer.weight.device)
    weight = layer.weight.detach().index_select(dim, index)
    pruned = nn.utils.skip_init(
        nn.Linear,
        weight.size(1),
        weight.size(0),
        bias=layer.bias is not None,
        device=weight.device,
        dtype=weight.dtype,
    )
    pruned.weight = nn.Parameter(weight, layer.weight.requires_grad)
    if layer.bias is not None:
        bias = layer.bias.detach().clone()
        pruned.bias = nn.Parameter(bias if dim == 1 else bias[index], layer.bias.requires_grad)
    return pruned.train(layer.training)


def _indices(heads: Iterable[int], name: str) -> list[int]:
    """Returns ints, also from nested lists such as those of `mask.nonzero().tolist()`."""
    given = torch.as_tensor(list(heads))
    if given.numel() == 0:
        return []
    if given.is_floating_point() or given.dtype == torch.bool:
        raise TypeError(f"`{name}` must be ints, but are of dtype {given.dtype}.")
    return [int(head) for head in given.flatten()]


def _without_heads(attention: Any, heads: Iterable[int], name: str) -> dict[str, Any]:
    """Returns the layers and sizes that replace those of `attention` without `heads`.

    `name` names the heads in errors.
    """
    inner = attention.self
    count: int = inner.num_attention_heads
    removed = set(heads)
    wrong = [head for head in sorted(removed) if not 0 <= head < count]
    if wrong:
        raise ValueError(f"`{name}` must be in [0, {count}), but {wrong[0]} is among them.")
    kept = [head for head in range(count) if head not in removed]
    if not kept:
        raise ValueError(f"`{name}` must leave at least one of {count} heads, but names all.")
    if not removed:
        return {}
    size: int = inner.attention_head_size
    index = torch.arange(count * size).view(count, size)[kept].flatten()
    return {
        "query": prune_linear_layer(inner.query, index),
        "key": prune_linear_layer(inner.key, index),
        "value": prune_linear_layer(inner.value, index),
        "dense": prune_linear_layer(attention.output.dense, index, dim=1),
        "num_attention_heads": len(kept),
        "all_head_size": len(kept) * size,
    }


def prune_heads(attentions: Mapping[str, Any], heads: Mapping[str, Iterable[int]]) -> None:
    """Removes heads of `BertAttention` nodes; if it raises an error, it has removed none.

    Args:
        attentions: The nodes, by names for errors. A node may have several names.
        heads: By the same names, the indices of heads to remove, counting present heads only.
    """
    by_node: dict[Any, tuple[str, list[int]]] = {}
    for name, attention in attentions.items():
        by_node.setdefault(attention, (name, []))[1].extend(_indices(heads[name], name))
    pruned = [
        (attention, _without_heads(attention, removed, name))
        for attention, (name, removed) in by_node.items()
    ]
    for attention, parts in pruned:
        for name, part in parts.items():
            setattr(attention.output if name == "dense" else attention.self, name, part)
