"""Removal of attention heads. Michel et al., 2019 (https://arxiv.org/abs/1905.10650)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .conv1d import prune_conv1d_layer
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
    try:
        given = torch.as_tensor(list(heads))
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be a list of heads, but is {heads!r}.") from None
    if given.numel() == 0:
        return []
    if given.is_floating_point() or given.dtype == torch.bool:
        raise TypeError(f"`{name}` must be ints, but are of dtype {given.dtype}.")
    return [int(head) for head in given.flatten()]


def _kept_heads(count: int, heads: Iterable[int], name: str) -> list[int]:
    """Returns the heads that stay of `count`; `name` names those to remove in errors."""
    removed = set(heads)
    wrong = [head for head in sorted(removed) if not 0 <= head < count]
    if wrong:
        raise ValueError(f"`{name}` must be in [0, {count}), but {wrong[0]} is among them.")
    kept = [head for head in range(count) if head not in removed]
    if not kept:
        raise ValueError(f"`{name}` must leave at least one of {count} heads, but names all.")
    return kept


# Modules, names of their attributes, and the new values of these.
_Parts = list[tuple[nn.Module, str, Any]]


def _bert_parts(attention: Any, heads: Iterable[int], name: str) -> _Parts:
    """Returns what changes in a `BertAttention` without `heads`."""
    inner, output = attention.self, attention.output
    count, size = inner.num_attention_heads, inner.attention_head_size
    kept = _kept_heads(count, heads, name)
    if len(kept) == count:
        return []
    index = torch.arange(count * size).view(count, size)[kept].flatten()
    return [
        (inner, "query", prune_linear_layer(inner.query, index)),
        (inner, "key", prune_linear_layer(inner.key, index)),
        (inner, "value", prune_linear_layer(inner.value, index)),
        (output, "dense", prune_linear_layer(output.dense, index, dim=1)),
        (inner, "num_attention_heads", len(kept)),
        (inner, "all_head_size", len(kept) * size),
    ]


def _fused_parts(attention: Any, heads: Iterable[int], name: str) -> _Parts:
    """Returns what changes in an `Attention` of GPT or GPT-2 without `heads`."""
    count, width = attention.n_head, attention.split_size
    kept = _kept_heads(count, heads, name)
    if len(kept) == count:
        return []
    index = torch.arange(width).view(count, -1)[kept].flatten()
    fused = torch.cat([index, index + width, index + 2 * width])  # queries, keys and values
    return [
        (attention, "c_attn", prune_conv1d_layer(attention.c_attn, fused)),
        (attention, "c_proj", prune_conv1d_layer(attention.c_proj, index, dim=0)),
        (attention, "n_head", len(kept)),
        (attention, "split_size", len(index)),
    ]


def _prune(
    parts_of: Callable[[Any, Iterable[int], str], _Parts],
    attentions: Mapping[str, Any],
    heads: Mapping[str, Iterable[int]],
) -> None:
    """Removes heads; if it raises an error, it has removed none.

    Args:
        attentions: The nodes, by names for errors. A node may have several names.
        heads: By the same names, the indices of heads to remove, counting present heads only.
    """
    by_node: dict[Any, tuple[str, list[int]]] = {}
    for name, attention in attentions.items():
        by_node.setdefault(attention, (name, []))[1].extend(_indices(heads[name], name))
    pruned = [parts_of(attention, removed, name) for attention, (name, removed) in by_node.items()]
    for module, attribute, value in (part for parts in pruned for part in parts):
        setattr(module, attribute, value)


# Of `BertAttention` nodes, and of the `Attention` nodes of GPT and GPT-2.
prune_heads = functools.partial(_prune, _bert_parts)
prune_fused_heads = functools.partial(_prune, _fused_parts)


def prune_layers(
    prune: Callable[[Mapping[str, Any], Mapping[str, Iterable[int]]], None],
    attentions: Sequence[Any],
    heads: Mapping[int, Iterable[int]],
    config: Any,
    count: int,
    argument: str = "heads_to_prune",
) -> None:
    """Removes heads of a model, and notes them in its configuration.

    `config.pruned_heads` has, for each layer that lost some, the numbers that the heads had at
    first, as transformers writes it: a model that is made by this configuration lacks them.

    Args:
        prune: `prune_heads` or `prune_fused_heads`.
        attentions: The node of each layer; layers may share one.
        heads: By the numbers of layers (-1 is the last), the indices of heads to remove, counting
            present heads only.
        config: The configuration of the model.
        count: The number of heads that each layer had at first.
        argument: What errors call `heads`.

    Raises:
        TypeError: `heads` is no dict of lists of ints, by numbers.
        ValueError: A layer or head does not exist, or a layer would have no head left.
    """
    if not isinstance(heads, Mapping) or not all(hasattr(layer, "__index__") for layer in heads):
        raise TypeError(
            f"`{argument}` must be a dict of lists of heads, with numbers of layers as keys, but "
            f"is {heads!r}."
        )
    layers = len(attentions)
    for layer in heads:
        if not -layers <= layer < layers:
            raise ValueError(
                f"`{argument}` must name layers in [-{layers}, {layers}), but has {layer}."
            )
    names = {layer: f"{argument}[{layer}]" for layer in heads}
    removed = {layer: _indices(heads[layer], name) for layer, name in names.items()}
    prune(
        {name: attentions[layer] for layer, name in names.items()},
        {name: removed[layer] for layer, name in names.items()},
    )
    noted = {int(layer): pruned for layer, pruned in getattr(config, "pruned_heads", {}).items()}
    for number, attention in enumerate(attentions):
        lost = {
            h for layer, some in removed.items() if attentions[layer] is attention for h in some
        }
        before = noted.get(number, [])
        present = [head for head in range(count) if head not in before]
        if lost:
            noted[number] = sorted([*before, *(present[head] for head in lost)])
    if noted:
        config.pruned_heads = noted


def prune_as_configured(trunk: Any) -> None:
    """Removes from a new model the heads that `pruned_heads` of its configuration names.

    Raises:
        TypeError: `pruned_heads` is no dict of lists of ints, by numbers.
        ValueError: A layer or head does not exist, or a layer would have no head left.
    """
    heads = getattr(trunk.config, "pruned_heads", None)
    if heads:
        by_number = heads
        # JSON has text for keys only: "0" for 0. C++ refuses "-1", too.
        if isinstance(heads, Mapping) and all(str(layer).isdecimal() for layer in heads):
            by_number = {int(layer): of for layer, of in heads.items()}
        trunk.config.pruned_heads = {}  # noted again as they are removed
        try:
            trunk._prune(by_number, "pruned_heads")
        except Exception:
            trunk.config.pruned_heads = heads
            raise
