"""BERT in plain PyTorch, with the names and the state-dict keys of ptbert's classes.

What users do to ptbert's models is done to these as well, and both must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import ptbert
from model_cases import CASES_BY_KEY, flat_outputs, model_inputs, model_labels
from ptbert import BertConfig
from ptbert.utils import enable_fast_paths, fast_paths_enabled
from support import assert_close, seed_weights


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


CLASSES = ["BertForSequenceClassification", "BertForQuestionAnswering"]


def make_pair(class_name: str, config: BertConfig) -> tuple[Any, Any]:
    """A model and its counterpart in plain PyTorch, of equal weights, in training mode."""
    model: Any
    plain: nn.Module
    if class_name == "BertForSequenceClassification":
        model, plain = (
            ptbert.BertForSequenceClassification(config, 3),
            SequenceClassification(config, 3),
        )
    else:
        model, plain = ptbert.BertForQuestionAnswering(config), QuestionAnswering(config)
    for tree in (model, plain):
        seed_weights(tree)
    return model, plain


def batch(class_name: str) -> dict[str, Tensor]:
    """Three padded rows."""
    return model_inputs(CASES_BY_KEY[f"{class_name}/full"])


def labels(class_name: str) -> dict[str, Tensor]:
    return model_labels(CASES_BY_KEY[f"{class_name}/full"])


@contextmanager
def plain_paths() -> Iterator[None]:
    """A context in which models compute and draw random numbers as plain PyTorch does."""
    before = fast_paths_enabled()
    enable_fast_paths(False)
    try:
        yield
    finally:
        enable_fast_paths(before)


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """A context in which all modules are in evaluation mode; restores their modes at the end."""
    before = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def outputs_of(model: Any, class_name: str) -> list[Tensor]:
    """The model's output for the batch; on the plain path dropout is equal in every call."""
    torch.manual_seed(1)
    return flat_outputs(model(**batch(class_name)))


def gradients_of(model: Any, class_name: str) -> dict[str, Tensor | None]:
    """The gradients of the loss; the model's `grad`s are cleared again."""
    model.zero_grad()
    torch.manual_seed(1)
    model(**batch(class_name), **labels(class_name)).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return gradients


def assert_agree(model: Any, plain: Any, class_name: str, atol: float = 1e-5) -> None:
    """Fails unless both give equal outputs and gradients: as they are, on the plain paths, where
    dropout draws alike in both, and without dropout on the fast paths."""
    with plain_paths():
        assert_same(model, plain, class_name, atol)
    with evaluating(model, plain):
        assert_same(model, plain, class_name, atol, relative=True)


def assert_same(
    model: Any, plain: Any, class_name: str, atol: float, relative: bool = False
) -> None:
    """Fails unless both give equal outputs and gradients; `relative` to those larger than one."""
    outputs, expected = outputs_of(model, class_name), outputs_of(plain, class_name)
    assert len(outputs) == len(expected)
    for output, other in zip(outputs, expected, strict=True):
        assert output.dtype == other.dtype
        assert_close(output, other, atol)
    actual, wanted = gradients_of(model, class_name), gradients_of(plain, class_name)
    assert set(actual) == set(wanted)
    for name, gradient in wanted.items():
        mine = actual[name]
        if gradient is None or mine is None:
            assert gradient is None, name
            assert mine is None, name
        else:
            scale = max(1.0, float(gradient.abs().max())) if relative else 1.0
            assert_close(mine, gradient, atol * scale)


def batch_and_labels(class_name: str) -> dict[str, Tensor]:
    return {**batch(class_name), **labels(class_name)}


def gradients(tree: nn.Module) -> list[Tensor | None]:
    return [parameter.grad for parameter in tree.parameters()]


def assert_all_close(
    actual: Iterable[Tensor | None], expected: Iterable[Tensor | None], atol: float = 1e-5
) -> None:
    """Compares tensors, relative to those larger than one; None is equal to None."""
    for left, right in zip(actual, expected, strict=True):
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            assert left.dtype == right.dtype
            assert_close(left, right, atol * max(1.0, float(right.detach().abs().max())))
