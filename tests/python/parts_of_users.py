"""Modules that users put into models in place of the models' own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from plain_models import family_of
from support import seeded_values


def values(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(seeded_values(name, shape)).float()


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    module = nn.Linear(inputs, outputs, bias)
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(values(f"{name}.{key}", *parameter.shape))
    return module


def sizes_of(dense: Any) -> tuple[int, int]:
    """Inputs and outputs of a linear layer or a Conv1D."""
    rows, columns = dense.weight.shape
    return (columns, rows) if isinstance(dense, nn.Linear) else (rows, columns)


def doubled(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return 2 * outputs
    return type(outputs)(doubled(output) for output in outputs)


class LowRank(nn.Module):
    """A linear layer with a trained correction of low rank, as in LoRA."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        inputs, outputs = sizes_of(base)
        self.base = base.requires_grad_(False)
        self.down = linear("down", inputs, 2, bias=False)
        self.up = linear("up", 2, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


class LayerOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("user", 32, 32)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        assert attention_mask is not None
        return hidden_states + self.dense(hidden_states) * (attention_mask[:, 0, 0, :, None] == 0)


class GPTBlockOfTheUser(nn.Module):
    """Stands for a block or its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("user", 32, 32)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dense(x)


class GPT2BlockOfTheUser(GPTBlockOfTheUser):
    def forward(self, x: Tensor, layer_past: Tensor | None = None) -> Any:
        assert layer_past is None
        present = torch.stack([x, x]).unflatten(-1, (4, -1)).transpose(2, 3)
        return x + self.dense(x), present


class TransfoXLLayerOfTheUser(GPTBlockOfTheUser):
    def forward(self, x: Tensor, r: Tensor, mask: Tensor, mems: Tensor) -> Tensor:  # type: ignore[override]
        assert len(r) == mask.size(1) == len(mems) + len(x)
        return super().forward(x) + r[-1] + mems.mean(0)


class PositionsOfTheUser(nn.Module):
    def forward(self, distances: Tensor, bsz: int | None = None) -> Tensor:
        assert bsz is None
        return distances[:, None, None] * torch.linspace(0, 0.1, 32).to(distances)


class SoftmaxOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("softmax", 32, 99)

    def forward(self, hidden: Tensor, target: Tensor | None = None) -> Tensor:
        scores = self.dense(hidden)
        if target is None:
            return scores.log_softmax(-1)
        return nn.functional.cross_entropy(scores, target, reduction="none")


def block_of_the_user(model: Any) -> nn.Module:
    kinds: dict[str, type[nn.Module]] = {
        "bert": LayerOfTheUser,
        "gpt2": GPT2BlockOfTheUser,
        "openai-gpt": GPTBlockOfTheUser,
        "transfo-xl": TransfoXLLayerOfTheUser,
    }
    return kinds[family_of(model)]()


class AttentionOfTheUser(nn.Module):
    """Takes the arguments of a self-attention or an attention, and uses only the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("attention", 32, 32)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        weights = torch.softmax(attention_mask[:, 0, 0], -1)
        return hidden_states + self.dense(weights[:, :, None] * hidden_states)


class EmbeddingsOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(values("own", 99, 32), freeze=False)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        assert token_type_ids is not None
        return self.words(input_ids) + token_type_ids[:, :, None]


class TableOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(values("table", 99, 32))

    def forward(self, ids: Tensor) -> Tensor:
        return self.words[ids] + ids[..., None]


class EncoderOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerOfTheUser()

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, output_all_encoded_layers: bool = True
    ) -> list[Tensor]:
        assert not output_all_encoded_layers
        return [self.layer(hidden_states, attention_mask)]


class PoolerOfTheUser(nn.Module):
    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states.mean(1)


class GPTOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(values("own", 99, 32), freeze=False)

    def forward(self, input_ids: Tensor, position_ids: Any, token_type_ids: Tensor) -> Any:
        assert position_ids is None
        return [self.words(input_ids), self.words(token_type_ids)]


class GPT2OfTheUser(GPTOfTheUser):
    def forward(  # type: ignore[override]
        self, input_ids: Tensor, position_ids: Any, token_type_ids: Tensor, past: Any
    ) -> Any:
        states = super().forward(input_ids, position_ids, token_type_ids)
        return states, [state.unsqueeze(0) for state in states]


class DoubledLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Doubled(nn.Module):
    """A parametrization."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x
