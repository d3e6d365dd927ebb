"""BERT in plain PyTorch, with the names and the state-dict keys of ptbert's classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ptbert import BertConfig


class Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        positions = torch.arange(input_ids.size(1), device=input_ids.device).expand_as(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        total = self.word_embeddings(input_ids) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(total + self.token_type_embeddings(token_type_ids)))


class SelfAttention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.num_attention_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        heads = self.num_attention_heads

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (heads, -1)).transpose(1, 2)

        query, key = split(self.query(hidden_states)), split(self.key(hidden_states))
        value = split(self.value(hidden_states))
        scores = query @ key.transpose(-1, -2) / query.size(-1) ** 0.5
        if attention_mask is not None:
            scores = scores + attention_mask
        probabilities = self.dropout(scores.softmax(-1))
        return (probabilities @ value).transpose(1, 2).flatten(2)


class AddAndNorm(nn.Module):
    def __init__(self, inner: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=1e-12)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(hidden_states)) + input_tensor)


class Attention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddAndNorm(config.hidden_size, config)

    def forward(self, input_tensor: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.output(self.self(input_tensor, attention_mask), input_tensor)


class Intermediate(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn: Callable[[Tensor], Tensor] = nn.functional.gelu

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(hidden_states))


class Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddAndNorm(config.intermediate_size, config)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        attended = self.attention(hidden_states, attention_mask)
        return self.output(self.intermediate(attended), attended)


class Encoder(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None, all_layers: bool
    ) -> list[Tensor]:
        outputs = [hidden_states]
        for layer in self.layer:
            outputs.append(layer(outputs[-1], attention_mask))
        return outputs[1:] if all_layers else outputs[-1:]


class Pooler(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.activation(self.dense(hidden_states[:, 0]))


class Trunk(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_all_encoded_layers: bool = True,
    ) -> tuple[list[Tensor] | Tensor, Tensor]:
        embedded = self.embeddings(input_ids, token_type_ids)
        mask = None
        if attention_mask is not None:
            mask = (1 - attention_mask.to(embedded.dtype))[:, None, None, :] * -10000.0
        layers = self.encoder(embedded, mask, output_all_encoded_layers)
        pooled = self.pooler(layers[-1])
        return (layers if output_all_encoded_layers else layers[-1]), pooled


class SequenceClassification(nn.Module):
    def __init__(self, config: BertConfig, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.bert = Trunk(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, num_labels)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        _, pooled = self.bert(input_ids, token_type_ids, attention_mask, False)
        logits = self.classifier(self.dropout(pooled))
        if labels is None:
            return logits
        return nn.functional.cross_entropy(logits.view(-1, self.num_labels), labels.view(-1))


class QuestionAnswering(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = Trunk(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        hidden, _ = self.bert(input_ids, token_type_ids, attention_mask, False)
        start, end = self.qa_outputs(hidden).unbind(-1)
        if start_positions is None or end_positions is None:
            return start, end
        ignored = input_ids.size(1)
        losses = [
            nn.functional.cross_entropy(logits, positions.clamp(0, ignored), ignore_index=ignored)
            for logits, positions in ((start, start_positions), (end, end_positions))
        ]
        return (losses[0] + losses[1]) / 2
