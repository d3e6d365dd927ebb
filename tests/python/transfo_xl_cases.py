"""The cases of Transformer-XL that the golden values cover, for generator and tests alike.

Inputs and weights are functions of names and shapes, so the golden files hold results only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from support import seeded_ids

TINY_TRANSFO_XL: dict[str, Any] = {
    "n_token": 29,
    "cutoffs": [7, 15],
    "d_model": 8,
    "d_embed": 8,
    "n_head": 3,
    "d_head": 4,
    "d_inner": 12,
    "div_val": 2,
    "pre_lnorm": False,
    "n_layer": 2,
    "tgt_len": 4,
    "ext_len": 0,
    "mem_len": 6,
    "clamp_len": 7,
    "same_length": True,
    "tie_projs": [False, True, True],
    "attn_type": 0,
    "sample_softmax": -1,
    "adaptive": True,
    "tie_weight": True,
    "dropout": 0.1,
    "dropatt": 0.1,
    "untie_r": True,
    "init": "normal",
    "init_range": 0.01,
    "proj_init_std": 0.01,
    "init_std": 0.02,
}
SEGMENTS = 5
BATCH = 2


@dataclass(frozen=True)
class TransfoXLCase:
    """One language model, and segments of one text."""

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 4
    # Arguments of reset_length() before the first segment.
    lengths: tuple[int, int, int] | None = None

    @property
    def config_fields(self) -> dict[str, Any]:
        return {**TINY_TRANSFO_XL, **self.config}

    @property
    def segments(self) -> list[tuple[Tensor, Tensor]]:
        """Ids and targets [batch, seq] of each segment."""
        shape = (BATCH, SEGMENTS * self.seq + 1)
        text = seeded_ids("input_ids", shape, 0, self.config_fields["n_token"])
        starts = range(0, shape[1] - 1, self.seq)
        parts = [text[:, start : start + self.seq + 1] for start in starts]
        return [(part[:, :-1].contiguous(), part[:, 1:].contiguous()) for part in parts]


_LEARNED = {"attn_type": 1, "untie_r": False}
# Its heads fill the width.
_DEEP = {"attn_type": 3, "n_head": 2}
CASES = [
    TransfoXLCase("paper"),
    TransfoXLCase("one_token", seq=1),
    TransfoXLCase("longer_than_memory", seq=9),
    TransfoXLCase("any_length", {"same_length": False}),
    TransfoXLCase("all_distances", {"clamp_len": -1}),
    TransfoXLCase("shared_biases", {"untie_r": False}),
    TransfoXLCase("pre_lnorm", {"pre_lnorm": True}),
    TransfoXLCase("one_table", {"div_val": 1}),
    TransfoXLCase("one_table_projected", {"div_val": 1, "d_embed": 6}),
    TransfoXLCase("narrow_embeddings", {"d_embed": 6}),
    TransfoXLCase("own_projections", {"tie_projs": [False, False, False]}),
    TransfoXLCase("all_projections_tied", {"tie_projs": [True, True, True]}),
    TransfoXLCase("own_weights", {"tie_weight": False}),
    TransfoXLCase("extended", {"ext_len": 2}),
    TransfoXLCase("no_memory", {"mem_len": 0, "same_length": False}),
    TransfoXLCase("no_memory_same_length", {"mem_len": 0}),
    TransfoXLCase("other_lengths", lengths=(3, 1, 9)),
    TransfoXLCase("learned", _LEARNED),
    TransfoXLCase("learned_all_distances", {**_LEARNED, "clamp_len": 0, "same_length": False}),
    TransfoXLCase("learned_pre_lnorm", {**_LEARNED, "pre_lnorm": True}),
    TransfoXLCase("learned_longer", _LEARNED, lengths=(4, 0, 12)),
    TransfoXLCase("absolute", {"attn_type": 2}),
    TransfoXLCase("absolute_pre_lnorm", {"attn_type": 2, "pre_lnorm": True, "untie_r": False}),
    TransfoXLCase("deep", _DEEP),
    TransfoXLCase("deep_longer", _DEEP, lengths=(4, 0, 12)),
    TransfoXLCase("deep_any_length", {**_DEEP, "same_length": False, "pre_lnorm": True}),
]
# What 0.6.2 cannot run.
NEW_CASES = [
    TransfoXLCase("plain_softmax", {"div_val": 1, "cutoffs": [], "tie_projs": [False]}),
    TransfoXLCase("learned_own_biases", {"attn_type": 1}),
    TransfoXLCase("sampled", {"div_val": 1, "sample_softmax": 20}),
]
CASES_BY_NAME = {case.name: case for case in CASES + NEW_CASES}
