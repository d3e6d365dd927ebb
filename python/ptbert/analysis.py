"""Looking inside models: their attention, head by head, and their hidden states, layer by layer."""

from __future__ import annotations

from ._analysis.heads import (
    MaskedHeads,
    attention_entropy,
    head_importance,
    mask_heads,
    prune_heads,
)

__all__ = ["MaskedHeads", "attention_entropy", "head_importance", "mask_heads", "prune_heads"]
