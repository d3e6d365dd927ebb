"""How the trunk of each family is asked for attention weights and hidden states."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from .._models.messages import with_article
from .._models.self_attention import SelfAttention
from ..tokenization import BertTokenizer


def trunk_of(model: Any) -> Any:
    """The BERT, GPT or GPT-2 without its head, also inside a module of the user's.

    Raises:
        TypeError: `model` is and holds none.
    """
    for module in model.modules() if isinstance(model, nn.Module) else ():
        if hasattr(module, "get_multihead_outputs") and hasattr(module, "prune_heads"):
            return module
    raise TypeError(
        f"`model` must be a BERT, GPT or GPT-2, or hold one, but is {with_article(model)}."
    )


def check_tokenizer(trunk: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer whose tokens are of another kind.

    Raises:
        TypeError: A BERT gets another tokenizer than BERT's, or another model gets that.
    """
    if isinstance(tokenizer, BertTokenizer) != is_bert(trunk):
        raise TypeError(
            f"`tokenizer` must be {'a' if is_bert(trunk) else 'no'} BertTokenizer for a model of "
            f"the family {trunk._family}, but is {with_article(tokenizer)}."
        )


def window_of(trunk: Any) -> int:
    """The most tokens that the model can read."""
    config = trunk.config
    length: int = config.max_position_embeddings if is_bert(trunk) else config.n_positions
    return length


def is_bert(trunk: Any) -> bool:
    """Whether the trunk is BERT's; else it is GPT's or GPT-2's."""
    return bool(trunk._family == "bert")


Shown = Literal["output_attentions", "keep_multihead_output"]


@contextlib.contextmanager
def looking(
    model: Any, shown: Shown | None = None, *, skip_padding: bool = False
) -> Iterator[None]:
    """In this context the model is in evaluation mode, and of the two options of self-attentions
    that show more only `shown` is set. Then all is as before.

    Args:
        model: A model, with or without a head.
        shown: The option.
        skip_padding: Whether a trunk of BERT leaves out padding, where nobody sees its states.
    """
    names = ("output_attentions", "keep_multihead_output")
    attentions = [node for node in model.modules() if isinstance(node, SelfAttention)]
    options = [(node, name, getattr(node, name)) for node in attentions for name in names]
    modes = {node: node.training for node in model.modules()}
    padding = getattr(model, "skip_padding", None) if skip_padding else None
    try:
        model.eval()
        if padding is not None:
            model.skip_padding = True
        for node, name, _ in options:
            setattr(node, name, name == shown)
        yield
    finally:
        for node, name, value in options:
            setattr(node, name, value)
        for node, mode in modes.items():
            node.training = mode
        if padding is not None:
            model.skip_padding = padding


def num_layers_of(trunk: Any) -> int:
    """The number of layers above the embeddings."""
    config = trunk.config
    number: int = config.num_hidden_layers if is_bert(trunk) else config.n_layer
    return number


def width_of(trunk: Any) -> int:
    """The size of a hidden state."""
    config = trunk.config
    size: int = config.hidden_size if is_bert(trunk) else config.n_embd
    return size


def hidden_states_of(
    trunk: Any, input_ids: Tensor, attention_mask: Tensor, layers: Sequence[int]
) -> list[Tensor]:
    """The hidden states of some layers, [batch, seq, hidden] each; layer 0 is the embeddings."""
    if not is_bert(trunk):
        # Causal: no token sees the padding behind it.
        states = _gpt_states(trunk, trunk(input_ids))
        return [states[layer] for layer in layers]
    last = num_layers_of(trunk)
    outputs = {0: trunk.embeddings(input_ids)} if 0 in layers else {}
    if set(layers) <= {0, last}:
        outputs[last], _ = trunk(input_ids, None, attention_mask, output_all_encoded_layers=False)
    else:
        encoded, _ = trunk(input_ids, None, attention_mask)
        outputs.update(enumerate(encoded, start=1))
    return [outputs[layer] for layer in layers]


def attentions_of(
    trunk: Any, input_ids: Tensor, token_type_ids: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """The attention weights of every layer, [batch, heads, query, key], and the hidden states of
    all layers from the embeddings on, of texts without padding; `looking` shows the weights."""
    if is_bert(trunk):
        attentions, layers, _ = trunk(input_ids, token_type_ids)
        return attentions, [trunk.embeddings(input_ids, token_type_ids), *layers]
    attentions, *output = trunk(input_ids)
    return attentions, _gpt_states(trunk, output if trunk._family == "gpt2" else output[0])


def _gpt_states(trunk: Any, output: Any) -> list[Tensor]:
    """Of GPT-2 the presents are left out."""
    states: list[Tensor] = output[0] if trunk._family == "gpt2" else output
    return states
