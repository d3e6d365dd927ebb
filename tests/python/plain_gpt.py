"""OpenAI GPT and GPT-2 in plain PyTorch: the counterparts of ptbert's classes, with the names and
the order of operations of 2019."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Conv1D(nn.Module):
    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.addmm(self.bias, x.flatten(0, -2), self.weight)
        return rows.unflatten(0, x.shape[:-1])

    @property
    def in_features(self) -> int:
        return self.weight.size(0)

    @property
    def out_features(self) -> int:
        return self.weight.size(1)

    def extra_repr(self) -> str:
        return f"nf={self.out_features}, nx={self.in_features}"


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def given(*masks: Tensor | None) -> list[Tensor]:
    """The head mask as the last argument, or none."""
    return [mask for mask in masks if mask is not None]


class Attention(nn.Module):
    """What both attentions compute; with `output_attentions` they return the weights first."""

    bias: Tensor

    def __init__(self, config: Any, masked: float) -> None:
        super().__init__()
        self.n_head, self.masked = config.n_head, masked
        self.output_attentions = False
        ones = torch.ones(1, 1, config.n_ctx, config.n_ctx)
        self.register_buffer("bias", ones.tril())
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def attend(
        self, x: Tensor, past: Tensor | None, head_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the attention weights, the output and the present."""

        def split(part: Tensor) -> Tensor:
            return part.unflatten(-1, (self.n_head, -1)).transpose(1, 2)

        query, key, value = (split(part) for part in self.c_attn(x).chunk(3, -1))
        if past is not None:
            key, value = torch.cat([past[0], key], -2), torch.cat([past[1], value], -2)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))
        queries, keys = scores.shape[-2:]
        allowed = self.bias[:, :, keys - queries : keys, :keys]
        scores = scores * allowed + self.masked * (1 - allowed)
        weights = self.attn_dropout(scores.softmax(-1))
        if head_mask is not None:
            weights = weights * head_mask
        merged = (weights @ value).transpose(1, 2).flatten(2)
        return weights, self.resid_dropout(self.c_proj(merged)), torch.stack([key, value])


class GPT2Attention(Attention):
    def forward(
        self, x: Tensor, layer_past: Tensor | None = None, head_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        weights, output, present = self.attend(x, layer_past, head_mask)
        return (weights, output, present) if self.output_attentions else (output, present)


class GPTAttention(Attention):
    def forward(self, x: Tensor, head_mask: Tensor | None = None) -> Any:
        weights, output, _ = self.attend(x, None, head_mask)
        return (weights, output) if self.output_attentions else output


class MLP(nn.Module):
    def __init__(self, config: Any, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        inner = getattr(config, "n_inner", None) or 4 * config.n_embd
        self.c_fc = Conv1D(inner, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, inner)
        self.act = act
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class GPT2Block(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config, -1e4)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config, gelu)

    def forward(
        self, x: Tensor, layer_past: Tensor | None = None, head_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        *weights, attended, present = self.attn(self.ln_1(x), layer_past, *given(head_mask))
        x = x + attended
        return (*weights, x + self.mlp(self.ln_2(x)), present)


class GPTBlock(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        acts = {"gelu": gelu, "relu": torch.relu, "swish": nn.functional.silu}
        self.attn = GPTAttention(config, -1e9)
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config, acts[config.afn])
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x: Tensor, head_mask: Tensor | None = None) -> Any:
        outputs = self.attn(x, *given(head_mask))
        *weights, attended = outputs if isinstance(outputs, tuple) else (outputs,)
        normed = self.ln_1(x + attended)
        output = self.ln_2(normed + self.mlp(normed))
        return (*weights, output) if weights else output


def mask_of_layers(head_mask: Tensor | None, layers: int) -> list[Tensor | None]:
    if head_mask is None:
        return [None] * layers
    rows = head_mask.expand(layers, -1) if head_mask.dim() == 1 else head_mask
    return [row[None, :, None, None] for row in rows]


def rows_of(ids: Tensor | None) -> Tensor | None:
    return None if ids is None else ids.reshape(-1, ids.size(-1))


class GPT2Trunk(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.total_tokens_embeddings, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
    ) -> tuple[list[Tensor], ...]:
        """Returns attention weights if any, hidden states and presents."""
        before = 0 if past is None else past[0].size(-2)
        if position_ids is None:
            positions = torch.arange(before, before + input_ids.size(-1))
            position_ids = positions.expand_as(input_ids)
        shape = (*input_ids.shape, -1)
        embedded = self.wte(rows_of(input_ids)) + self.wpe(rows_of(position_ids))
        if token_type_ids is not None:
            embedded = embedded + self.wte(rows_of(token_type_ids))
        x = self.drop(embedded)
        states, presents, attentions = [], [], []
        masks = mask_of_layers(head_mask, len(self.h))
        for index, (block, mask) in enumerate(zip(self.h, masks, strict=True)):
            states.append(x.view(shape))
            *weights, x, present = block(x, None if past is None else past[index], *given(mask))
            presents.append(present)
            attentions += weights
        states.append(self.ln_f(x).view(shape))
        return (attentions, states, presents) if attentions else (states, presents)


class GPTTrunk(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.tokens_embed = nn.Embedding(config.total_tokens_embeddings, config.n_embd)
        self.positions_embed = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPTBlock(config) for _ in range(config.n_layer))

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns hidden states, behind attention weights if any."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.size(-1)).expand_as(input_ids)
        shape = (*input_ids.shape, -1)
        embedded = self.tokens_embed(rows_of(input_ids))
        embedded = embedded + self.positions_embed(rows_of(position_ids))
        if token_type_ids is not None:
            embedded = embedded + self.tokens_embed(rows_of(token_type_ids))
        x = self.drop(embedded)
        states, attentions = [x.view(shape)], []
        for block, mask in zip(self.h, mask_of_layers(head_mask, len(self.h)), strict=True):
            outputs = block(x, *given(mask))
            *weights, x = outputs if isinstance(outputs, tuple) else (outputs,)
            states.append(x.view(shape))
            attentions += weights
        return (attentions, states) if attentions else states


class LMHead(nn.Module):
    def __init__(self, weight: Tensor, config: Any) -> None:
        super().__init__()
        self.decoder = nn.Linear(weight.size(1), weight.size(0), bias=False)
        self.decoder.weight = weight
        self.count = None if config.predict_special_tokens else config.vocab_size

    def forward(self, hidden_state: Tensor) -> Tensor:
        return self.decoder(hidden_state)[..., : self.count]


class MultipleChoiceHead(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(config.resid_pdrop)
        self.linear = nn.Linear(config.n_embd, 1)

    def forward(self, hidden_states: Tensor, mc_token_ids: Tensor) -> Tensor:
        index = mc_token_ids[..., None, None].expand(-1, -1, -1, hidden_states.size(-1))
        chosen = hidden_states.gather(2, index).squeeze(2)
        with warnings.catch_warnings():
            # torch warns that [batch, width, choices] has three dimensions, as it had in 2019.
            warnings.filterwarnings("ignore", "dropout2d: Received a 3D input")
            kept = self.dropout(chosen.transpose(1, 2)).transpose(1, 2)
        return self.linear(kept).squeeze(-1)


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(
        logits[..., :-1, :].flatten(0, -2), labels[..., 1:].flatten(), ignore_index=-1
    )


class WithHeads(nn.Module):
    """A trunk with a language-model head."""

    def __init__(self, trunk: nn.Module, config: Any) -> None:
        super().__init__()
        self.transformer: Any = trunk
        self.has_presents = isinstance(trunk, GPT2Trunk)
        tokens = trunk.wte if isinstance(trunk, GPT2Trunk) else trunk.tokens_embed
        assert isinstance(tokens, nn.Embedding)
        self.lm_head = LMHead(tokens.weight, config)

    def of_trunk(self, past: list[Tensor] | None, *inputs: Any) -> tuple[list[Any], Tensor, Any]:
        """Calls the trunk: attention weights if any, the last hidden states, presents if any."""
        *ids, head_mask = inputs
        if self.has_presents:
            *attentions, states, presents = self.transformer(*ids, past, *given(head_mask))
            return attentions, states[-1], [presents]
        outputs = self.transformer(*ids, *given(head_mask))
        *attentions, states = outputs if isinstance(outputs, tuple) else (outputs,)
        return attentions, states[-1], []


class LMHeadModel(WithHeads):
    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss; without labels the scores, behind attention weights if any and before
        presents if any."""
        attentions, states, presents = self.of_trunk(
            past, input_ids, position_ids, token_type_ids, head_mask
        )
        logits = self.lm_head(states)
        if lm_labels is not None:
            return next_token_loss(logits, lm_labels)
        results = (*attentions, logits, *presents)
        return results if len(results) > 1 else logits


class DoubleHeadsModel(WithHeads):
    def __init__(self, trunk: nn.Module, config: Any) -> None:
        super().__init__(trunk, config)
        self.multiple_choice_head = MultipleChoiceHead(config)

    def forward(
        self,
        input_ids: Tensor,
        mc_token_ids: Tensor,
        lm_labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the losses whose labels are given; without labels as `LMHeadModel`."""
        attentions, states, presents = self.of_trunk(
            past, input_ids, position_ids, token_type_ids, head_mask
        )
        lm_logits = self.lm_head(states)
        mc_logits = self.multiple_choice_head(states, mc_token_ids)
        losses = []
        if lm_labels is not None:
            losses.append(next_token_loss(lm_logits, lm_labels))
        if mc_labels is not None:
            losses.append(nn.functional.cross_entropy(mc_logits, mc_labels))
        return losses or (*attentions, lm_logits, mc_logits, *presents)


PLAIN: dict[str, Callable[[Any], nn.Module]] = {
    "OpenAIGPTModel": GPTTrunk,
    "OpenAIGPTLMHeadModel": lambda config: LMHeadModel(GPTTrunk(config), config),
    "OpenAIGPTDoubleHeadsModel": lambda config: DoubleHeadsModel(GPTTrunk(config), config),
    "GPT2Model": GPT2Trunk,
    "GPT2LMHeadModel": lambda config: LMHeadModel(GPT2Trunk(config), config),
    "GPT2DoubleHeadsModel": lambda config: DoubleHeadsModel(GPT2Trunk(config), config),
}
