"""Looking inside models: their attention, head by head, and their hidden states, layer by layer."""

from __future__ import annotations

from ._analysis.hidden_states import HiddenStates, hidden_states
from ._analysis.viewer import attention_page

__all__ = ["HiddenStates", "attention_page", "hidden_states"]
