"""OpenAI GPT and GPT-2 in plain PyTorch: the counterparts of ptbert's classes, with the names and
the order of operations of 2019."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Attentions = list[Tensor]


class Conv1D(nn.Module):
    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class Attention(nn.Module):
    bias: Tensor

    def __init__(self, config: Any, masked: float) -> None:
        super().__init__()
        self.n_head, self.masked = config.n_head, masked
        ones = torch.ones(1, 1, config.n_ctx, config.n_ctx)
        self.register_buffer("bias", ones.tril())
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(
        self, x: Tensor, past: Tensor | None = None, head_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the output, the present and the attention weights."""

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
        return self.resid_dropout(self.c_proj(merged)), torch.stack([key, value]), weights


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
        self.attn = Attention(config, -1e4)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config, gelu)

    def forward(
        self, x: Tensor, past: Tensor | None, head_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        attended, present, weights = self.attn(self.ln_1(x), past, head_mask)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), present, weights


class GPTBlock(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        acts = {"gelu": gelu, "relu": torch.relu, "swish": nn.functional.silu}
        self.attn = Attention(config, -1e9)
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config, acts[config.afn])
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, x: Tensor, head_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        attended, _, weights = self.attn(x, None, head_mask)
        normed = self.ln_1(x + attended)
        return self.ln_2(normed + self.mlp(normed)), weights


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
    ) -> tuple[list[Tensor], list[Tensor], Attentions]:
        """Returns hidden states, presents and attention weights."""
        before = 0 if past is None else past[0].size(-2)
        if position_ids is None:
            position_ids = torch.arange(before, before + input_ids.size(-1))
        shape = (*input_ids.shape, -1)
        embedded = self.wte(rows_of(input_ids)) + self.wpe(rows_of(position_ids))
        if token_type_ids is not None:
            embedded = embedded + self.wte(rows_of(token_type_ids))
        x = self.drop(embedded)
        states, presents, attentions = [], [], []
        masks = mask_of_layers(head_mask, len(self.h))
        for index, (block, mask) in enumerate(zip(self.h, masks, strict=True)):
            states.append(x.view(shape))
            x, present, weights = block(x, None if past is None else past[index], mask)
            presents.append(present)
            attentions.append(weights)
        states.append(self.ln_f(x).view(shape))
        return states, presents, attentions


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
    ) -> tuple[list[Tensor], Attentions]:
        """Returns hidden states and attention weights."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.size(-1))
        shape = (*input_ids.shape, -1)
        embedded = self.tokens_embed(rows_of(input_ids))
        embedded = embedded + self.positions_embed(rows_of(position_ids))
        if token_type_ids is not None:
            embedded = embedded + self.tokens_embed(rows_of(token_type_ids))
        x = self.drop(embedded)
        states, attentions = [x.view(shape)], []
        for block, mask in zip(self.h, mask_of_layers(head_mask, len(self.h)), strict=True):
            x, weights = block(x, mask)
            states.append(x.view(shape))
            attentions.append(weights)
        return states, attentions


class LMHead(nn.Module):
    def __init__(self, weight: Tensor, config: Any) -> None:
        super().__init__()
        self.decoder = nn.Linear(weight.size(1), weight.size(0), bias=False)
        self.decoder.weight = weight  # type: ignore[assignment]
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
        # As Dropout2d of [batch, width, choices], which torch warns about for three dimensions.
        kept = self.dropout(chosen.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        return self.linear(kept).squeeze(-1)


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(
        logits[..., :-1, :].flatten(0, -2), labels[..., 1:].flatten(), ignore_index=-1
    )


class WithHeads(nn.Module):
    """A trunk with the language-model head, and with the multiple-choice head if `double`."""

    def __init__(self, trunk: nn.Module, config: Any, double: bool) -> None:
        super().__init__()
        self.transformer: Any = trunk
        tokens = trunk.wte if isinstance(trunk, GPT2Trunk) else trunk.tokens_embed
        assert isinstance(tokens, nn.Embedding)
        self.lm_head = LMHead(tokens.weight, config)
        if double:
            self.multiple_choice_head = MultipleChoiceHead(config)

    def forward(
        self,
        input_ids: Tensor,
        mc_token_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        """Returns the loss or losses; without labels (attentions, scores, presents if any)."""
        states, *presents, attentions = self.transformer(input_ids, **inputs)
        lm_logits = self.lm_head(states[-1])
        scores, losses = [lm_logits], []
        if lm_labels is not None:
            losses.append(next_token_loss(lm_logits, lm_labels))
        if mc_token_ids is not None:
            scores.append(self.multiple_choice_head(states[-1], mc_token_ids))
            if mc_labels is not None:
                losses.append(nn.functional.cross_entropy(scores[1], mc_labels))
        if losses:
            return losses if mc_token_ids is not None else losses[0]
        return (attentions, *scores, *presents)


PLAIN: dict[str, Callable[[Any], nn.Module]] = {
    "OpenAIGPTModel": GPTTrunk,
    "OpenAIGPTLMHeadModel": lambda config: WithHeads(GPTTrunk(config), config, double=False),
    "OpenAIGPTDoubleHeadsModel": lambda config: WithHeads(GPTTrunk(config), config, double=True),
    "GPT2Model": GPT2Trunk,
    "GPT2LMHeadModel": lambda config: WithHeads(GPT2Trunk(config), config, double=False),
    "GPT2DoubleHeadsModel": lambda config: WithHeads(GPT2Trunk(config), config, double=True),
}
