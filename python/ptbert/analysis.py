"""Looking inside models: their attention, head by head, and their hidden states, layer by layer."""

from __future__ import annotations

from ._analysis.heads import (
    MaskedHeads,
    attention_entropy,
    head_importance,
    mask_heads,
    prune_heads,
)
from ._analysis.hidden_states import HiddenStates, hidden_states
from ._analysis.viewer import attention_page

__all__ = [
    "HiddenStates",
    "MaskedHeads",
    "attention_entropy",
    "attention_page",
    "head_importance",
    "hidden_states",
    "mask_heads",
    "prune_heads",
]
