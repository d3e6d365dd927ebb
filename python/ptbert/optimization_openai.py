"""OpenAI GPT's optimizer: the names of 2019, to be implemented."""

from __future__ import annotations

from ._models.placeholders import placeholder_class
from .optimization import SCHEDULES

__all__ = ["SCHEDULES", "OpenAIAdam"]

OpenAIAdam = placeholder_class(__name__, "OpenAIAdam")
