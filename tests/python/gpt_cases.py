"""The cases of GPT and GPT-2 that the golden values cover, for generator and tests alike.

Inputs, labels and weights are functions of names and shapes, so the golden files hold results only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from support import seeded_ids

TINY_GPT: dict[str, Any] = {
    "vocab_size": 49,
    "n_positions": 24,
    "n_ctx": 24,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 4,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "n_special": 0,
    "predict_special_tokens": True,
}
MODELS = {
    "openai-gpt": ["OpenAIGPTModel", "OpenAIGPTLMHeadModel", "OpenAIGPTDoubleHeadsModel"],
    "gpt2": ["GPT2Model", "GPT2LMHeadModel", "GPT2DoubleHeadsModel"],
}
CLASSES = [name for names in MODELS.values() for name in names]


def family_of(class_name: str) -> str:
    return next(family for family, names in MODELS.items() if class_name in names)


@dataclass(frozen=True)
class GPTCase:
    """One model, one batch."""

    class_name: str
    name: str
    batch: int = 3
    choices: int = 2
    seq: int = 9
    # More dimensions before [batch, seq], for models without choices.
    leading: tuple[int, ...] = ()
    token_types: bool = False
    positions: bool = False
    past: int = 0
    # "all": every token; "some": a few; "end": rows end in tokens without a label.
    labelled: str = "some"
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.class_name}/{self.name}"

    @property
    def family(self) -> str:
        return family_of(self.class_name)

    @property
    def has_choices(self) -> bool:
        return "DoubleHeads" in self.class_name

    @property
    def has_right_loss(self) -> bool:
        """Whether 0.6.2 shifts the labels of the right dimension: its GPT-2 takes the second."""
        labels_of_gpt2 = self.family == "gpt2" and self.class_name != "GPT2Model"
        return not (labels_of_gpt2 and (self.has_choices or self.leading))

    @property
    def config_fields(self) -> dict[str, Any]:
        afn = {"afn": "gelu"} if self.family == "openai-gpt" else {}
        return {**TINY_GPT, **afn, **self.config}

    @property
    def shape(self) -> tuple[int, ...]:
        if self.has_choices:
            return self.batch, self.choices, self.seq
        return *self.leading, self.batch, self.seq


def _cases() -> list[GPTCase]:
    cases = []
    for name in CLASSES:
        cases += [
            GPTCase(name, "ids_only"),
            GPTCase(name, "all_labels", labelled="all"),
            GPTCase(name, "padded", labelled="end"),
            GPTCase(name, "all_inputs", token_types=True, positions=True),
            GPTCase(name, "one_row", batch=1, seq=5, labelled="all"),
            GPTCase(name, "longest", batch=1, seq=24),
            GPTCase(name, "special_tokens", config={"n_special": 3}, token_types=True),
        ]
        if "DoubleHeads" not in name:
            cases.append(GPTCase(name, "more_dimensions", leading=(2,), token_types=True))
        if name.startswith("GPT2") and "DoubleHeads" not in name:
            cases.append(GPTCase(name, "past", past=4))
    cases.append(GPTCase("OpenAIGPTLMHeadModel", "swish", config={"afn": "swish"}))
    return cases


CASES = _cases()
CASES_BY_KEY = {case.key: case for case in CASES}


def gpt_inputs(case: GPTCase) -> dict[str, Any]:
    """The inputs of the case, by the names of `forward`."""
    tokens = case.config_fields["vocab_size"] + case.config_fields["n_special"]
    inputs: dict[str, Any] = {"input_ids": seeded_ids("input_ids", case.shape, 0, tokens)}
    if case.has_choices:
        inputs["mc_token_ids"] = seeded_ids("mc_token_ids", case.shape[:-1], 0, case.seq)
    if case.token_types:
        inputs["token_type_ids"] = seeded_ids("token_type_ids", case.shape, 0, tokens)
    if case.positions:
        positions = seeded_ids("position_ids", case.shape, 0, case.config_fields["n_positions"])
        inputs["position_ids"] = positions
    return inputs


def gpt_labels(case: GPTCase) -> dict[str, Tensor]:
    """The labels of the case, by the names of `forward`; none for a trunk."""
    labels: dict[str, Tensor] = {}
    if case.class_name.endswith("GPTModel") or case.class_name.endswith("GPT2Model"):
        return labels
    words = seeded_ids("lm_labels", case.shape, 0, case.config_fields["vocab_size"])
    chosen = seeded_ids("labelled", case.shape, 0, 3) > 0
    if case.labelled == "all":
        chosen[:] = True
    elif case.labelled == "end":
        rows = chosen.view(-1, case.seq)
        for row in range(rows.size(0)):
            rows[row] = torch.arange(case.seq) < case.seq - row % 4 - 2
    labels["lm_labels"] = torch.where(chosen, words, -1)
    if case.has_choices:
        labels["mc_labels"] = seeded_ids("mc_labels", (case.batch,), 0, case.choices)
    return labels


def first_part(case: GPTCase, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs of an earlier call that gives `past`."""
    tokens = case.config_fields["vocab_size"]
    return {"input_ids": seeded_ids("past_ids", (*case.shape[:-1], case.past), 0, tokens)}
