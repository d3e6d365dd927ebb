"""Transformer-XL with attention of type 0 in plain PyTorch: the counterparts of ptbert's classes,
with the names and the order of operations of 2019."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class PositionalEmbedding(nn.Module):
    inv_freq: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0.0, width, 2) / width))

    def forward(self, pos_seq: Tensor, bsz: int | None = None) -> Tensor:
        angles = torch.outer(pos_seq, self.inv_freq)
        return torch.cat([angles.sin(), angles.cos()], -1).unsqueeze(1)


def inside(ids: Tensor, start: int, end: int) -> Tensor:
    """The places of the ids of a cluster."""
    return ((ids >= start) & (ids < end)).nonzero().squeeze(1)


class AdaptiveEmbedding(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.ends = [0, *config.cutoffs, config.n_token]
        self.width = config.d_model
        widths = [config.d_embed // config.div_val**i for i in range(len(self.ends) - 1)]
        rows = [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]
        self.emb_layers = nn.ModuleList(map(nn.Embedding, rows, widths))
        self.emb_projs = nn.ParameterList(
            nn.Parameter(torch.empty(self.width, width)) for width in widths
        )

    def forward(self, inp: Tensor) -> Tensor:
        ids = inp.reshape(-1)
        embedded = self.emb_projs[0].new_zeros(len(ids), self.width)
        for i, (table, projection) in enumerate(zip(self.emb_layers, self.emb_projs, strict=True)):
            places = inside(ids, *self.ends[i : i + 2])
            if len(places) > 0:
                vectors = F.linear(table(ids[places] - self.ends[i]), projection)
                embedded = embedded.index_copy(0, places, vectors)
        return embedded.unflatten(0, inp.shape) * self.width**0.5


class PositionwiseFF(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.CoreNet = nn.Sequential(
            nn.Linear(config.d_model, config.d_inner),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_inner, config.d_model),
            nn.Dropout(config.dropout),
        )
        self.layer_norm = nn.LayerNorm(config.d_model, eps=1e-12)

    def forward(self, inp: Tensor) -> Any:
        return self.layer_norm(inp + self.CoreNet(inp))


def shifted(scores: Tensor) -> Tensor:
    """Scores of the positions for the last query [query, key, ...] -> those of every query."""
    padded = torch.cat([torch.zeros_like(scores[:, :1]), scores], 1)
    rows = padded.reshape(padded.size(1), padded.size(0), *padded.shape[2:])
    return rows[1:].reshape(scores.shape)


def new_biases(config: Any) -> list[nn.Parameter]:
    return [nn.Parameter(torch.empty(config.n_head, config.d_head)) for _ in range(2)]


class RelPartialLearnableMultiHeadAttn(nn.Module):
    def __init__(self, config: Any, *biases: nn.Parameter) -> None:
        super().__init__()
        self.n_head, self.d_head = config.n_head, config.d_head
        width = self.n_head * self.d_head
        self.r_r_bias, self.r_w_bias = biases or new_biases(config)
        self.qkv_net = nn.Linear(config.d_model, 3 * width, bias=False)
        self.drop = nn.Dropout(config.dropout)
        self.dropatt = nn.Dropout(config.dropatt)
        self.o_net = nn.Linear(width, config.d_model, bias=False)
        self.layer_norm = nn.LayerNorm(config.d_model, eps=1e-12)
        self.r_net = nn.Linear(config.d_model, width, bias=False)

    def forward(
        self, w: Tensor, r: Tensor, attn_mask: Tensor | None = None, mems: Tensor | None = None
    ) -> Any:
        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.n_head, -1))

        context = w if mems is None else torch.cat([mems, w])
        queries, keys, values = (split(part) for part in self.qkv_net(context).chunk(3, -1))
        queries = queries[-len(w) :]
        positions = split(self.r_net(r)).squeeze(1)
        content = torch.einsum("ibnd,jbnd->ijbn", queries + self.r_w_bias, keys)
        position = torch.einsum("ibnd,jnd->ijbn", queries + self.r_r_bias, positions)
        scores = (content + shifted(position)) * self.d_head**-0.5
        if attn_mask is not None:
            masked = scores.float() if scores.dtype == torch.half else scores
            scores = masked.masked_fill(attn_mask.unsqueeze(-1), -1e30).type_as(scores)
        weights = self.dropatt(scores.softmax(1))
        heads = torch.einsum("ijbn,jbnd->ibnd", weights, values)
        return self.layer_norm(w + self.drop(self.o_net(heads.flatten(2))))


class RelPartialLearnableDecoderLayer(nn.Module):
    def __init__(self, config: Any, *biases: nn.Parameter) -> None:
        super().__init__()
        self.dec_attn = RelPartialLearnableMultiHeadAttn(config, *biases)
        self.pos_ff = PositionwiseFF(config)

    def forward(
        self,
        dec_inp: Tensor,
        r: Tensor,
        dec_attn_mask: Tensor | None = None,
        mems: Tensor | None = None,
    ) -> Any:
        return self.pos_ff(self.dec_attn(dec_inp, r, dec_attn_mask, mems))


class TransfoXLModel(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.mem_len, self.clamp_len = config.mem_len, config.clamp_len
        self.same_length = config.same_length
        biases = []
        if not config.untie_r:
            self.r_w_bias, self.r_r_bias = new_biases(config)
            biases = [self.r_r_bias, self.r_w_bias]
        self.word_emb = AdaptiveEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            RelPartialLearnableDecoderLayer(config, *biases) for _ in range(config.n_layer)
        )
        self.pos_emb = PositionalEmbedding(config.d_model)

    def forward(self, input_ids: Tensor, mems: list[Tensor] | None = None) -> tuple[Any, ...]:
        embedded = self.word_emb(input_ids.t())
        seq, batch, width = embedded.shape
        if mems is None:
            mems = [embedded.new_zeros(self.mem_len, batch, width) for _ in self.layers]
        memory = mems[0].size(0)
        after = torch.arange(memory + seq) - torch.arange(seq)[:, None]
        mask = after > memory
        if self.same_length:
            mask = mask | (after <= max(0, memory + seq - self.mem_len) - seq)
        distances = torch.arange(memory + seq - 1, -1, -1, dtype=embedded.dtype)
        positions = self.pos_emb(distances.clamp(max=self.clamp_len), None)
        hidden, positions = self.drop(embedded), self.drop(positions)
        new_mems = []
        for layer, old in zip(self.layers, mems, strict=True):
            new_mems.append(torch.cat([old, hidden]).detach()[-self.mem_len :])
            hidden = layer(hidden, positions, mask.unsqueeze(-1), old)
        return self.drop(hidden).transpose(0, 1), new_mems


class ProjectedAdaptiveLogSoftmax(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.ends = [0, *config.cutoffs, config.n_token]
        self.tails = len(config.cutoffs)
        self.cluster_weight = nn.Parameter(torch.empty(self.tails, config.d_embed))
        self.cluster_bias = nn.Parameter(torch.empty(self.tails))
        widths = [config.d_embed // config.div_val**i for i in range(self.tails + 1)]
        rows = [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]
        self.out_layers = nn.ModuleList(map(nn.Linear, widths, rows))
        self.out_projs = nn.ParameterList(
            nn.Parameter(torch.empty(config.d_model, width)) for width in widths
        )

    def forward(self, hidden: Tensor, target: Tensor | None = None) -> Tensor:
        projected = hidden @ self.out_projs[0]
        clusters = F.linear(projected, self.cluster_weight, self.cluster_bias)
        head = torch.cat([self.out_layers[0](projected), clusters], -1).log_softmax(-1)
        if target is None:
            parts = [head[:, : self.ends[1]]]
            for i in range(1, self.tails + 1):
                parts.append(self.tail(i, hidden) + head[:, self.ends[1] + i - 1, None])
            return torch.cat(parts, -1)
        losses = torch.zeros_like(target, dtype=head.dtype)
        for i in range(self.tails + 1):
            places = inside(target, *self.ends[i : i + 2])
            if len(places) == 0:
                continue
            ids = target[places] - self.ends[i]
            if i == 0:
                chosen = head[places, ids]
            else:
                tail = self.tail(i, hidden[places]).gather(1, ids[:, None]).squeeze(1)
                chosen = head[places, self.ends[1] + i - 1] + tail
            losses = losses.index_copy(0, places, -chosen)
        return losses

    def tail(self, cluster: int, hidden: Tensor) -> Tensor:
        scores: Tensor = self.out_layers[cluster](hidden @ self.out_projs[cluster])
        return scores.log_softmax(-1)


class TransfoXLLMHeadModel(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.transformer = TransfoXLModel(config)
        self.crit = ProjectedAdaptiveLogSoftmax(config)
        embedding = self.transformer.word_emb
        for i, layer in enumerate(self.crit.out_layers):
            layer.weight = embedding.emb_layers[i].weight
            if config.tie_projs[i]:
                self.crit.out_projs[i] = embedding.emb_projs[i]

    def forward(
        self, input_ids: Tensor, target: Tensor | None = None, mems: list[Tensor] | None = None
    ) -> tuple[Any, ...]:
        hidden, new_mems = self.transformer(input_ids, mems)
        output = self.crit(hidden.flatten(0, 1), None if target is None else target.reshape(-1))
        return output.unflatten(0, input_ids.shape), new_mems
