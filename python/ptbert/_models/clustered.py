"""What adaptive embedding and adaptive softmax share: sizes, by clusters of the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from .bridge import Adoption, CppModule


class Clustered(CppModule):
    """Base of `AdaptiveEmbedding` and `ProjectedAdaptiveLogSoftmax`."""

    def _set_sizes(
        self, n_token: int, d_embed: int, d_proj: int, cutoffs: Sequence[int], div_val: int
    ) -> None:
        self.n_token = n_token
        self.d_embed = d_embed
        self.d_proj = d_proj
        self.cutoffs = [*cutoffs, n_token]
        self.cutoff_ends = [0, *self.cutoffs]
        self.div_val = div_val

    def _new_cpp(self) -> Any:
        return self._cpp_type(
            self.n_token, self.d_embed, self.d_proj, self.cutoffs[:-1], self.div_val
        )

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        if self.config is not None:
            self._set_sizes(*self._arguments(self.config, cpp, []))
        super()._adopt(cpp, adoption)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return config.n_token, config.d_embed, config.d_model, config.cutoffs, config.div_val
