"""What the sub-modules of GPT and GPT-2 share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .. import _C
from .bridge import Adoption, CppModule, run
from .config import cpp_config
from .conv1d import Conv1D
from .pruning import prune_fused_heads
from .self_attention import HasSelfAttentions, SelfAttention


class GPTAttention(SelfAttention):
    """Base of both `Attention` classes.

    Subclasses of the user's may replace `split_heads`, `merge_heads` or `_attn`: the attention is
    then computed step by step in Python.
    """

    _masked: ClassVar[float]  # score of a key that a query must not attend to

    c_attn: Conv1D
    c_proj: Conv1D
    attn_dropout: nn.Dropout
    resid_dropout: nn.Dropout
    bias: Tensor
    n_head: int
    split_size: int
    scale: bool
    _sizes: tuple[int | None, int] = None, 1  # of a twin, whose weights and mask are bound

    def __init__(
        self,
        nx: int,
        n_ctx: int,
        config: Any,
        scale: bool = False,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.scale = scale
        self._sizes = nx, n_ctx
        self._adopt_new()
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output

    def _new_cpp(self) -> Any:
        nx, n_ctx = self._sizes
        config = self.config
        return self._cpp_type(nx or config.n_embd, n_ctx, cpp_config(config), self.scale)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        values = _C.attributes(cpp)
        mask, _ = _C.buffers(cpp)["bias"]
        return values["split_size"], mask.size(-1), config, values["scale"]

    def split_heads(self, x: Tensor, k: bool = False) -> Tensor:
        """[batch, seq, width] -> [batch, heads, seq, head size], or for keys (`k`) [batch, heads,
        head size, seq]"""
        heads = _C.split_into_heads(x, self.n_head, x.size(-1) // self.n_head)
        return heads.transpose(-1, -2) if k else heads

    def merge_heads(self, x: Tensor) -> Tensor:
        """[batch, heads, seq, head size] -> [batch, seq, width]"""
        return x.permute(0, 2, 1, 3).flatten(2)

    def _attn(self, q: Tensor, k: Tensor, v: Tensor, head_mask: Tensor | None = None) -> Any:
        """Queries, keys (transposed) and values of the heads -> their outputs, [batch, heads, seq,
        head size], behind the attention weights with `output_attentions`."""
        weights = _C.causal_weights(q, k.transpose(-1, -2), self.bias, self.scale, self._masked)
        weights = self.attn_dropout(weights)
        if head_mask is not None:
            weights = weights * head_mask
        outputs = weights @ v
        return (weights, outputs) if self.output_attentions else outputs

    def _has_own_steps(self) -> bool:
        kind = type(self)
        return (
            kind._attn is not GPTAttention._attn
            or kind.split_heads is not GPTAttention.split_heads
            or kind.merge_heads is not GPTAttention.merge_heads
        )

    def _by_steps(
        self, x: Tensor, layer_past: Tensor | None, head_mask: Tensor | None
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Computes by the methods above: attention weights if any, the output, the present."""
        q, k, v = self.c_attn(x).split(self.split_size, dim=2)
        q, k, v = self.split_heads(q), self.split_heads(k, k=True), self.split_heads(v)
        if layer_past is not None:
            k = torch.cat((layer_past[0].transpose(-2, -1), k), dim=-1)
            v = torch.cat((layer_past[1], v), dim=-2)
        present = torch.stack((k.transpose(-2, -1), v))
        outputs = self._attn(q, k, v, *(() if head_mask is None else (head_mask,)))
        attentions = []
        if self.output_attentions:
            weights, outputs = outputs
            attentions = [weights]
        self._keep(outputs)
        return attentions, self.resid_dropout(self.c_proj(self.merge_heads(outputs))), present

    def prune_heads(self, heads: Iterable[int]) -> None:
        """Removes heads permanently; the remaining ones are renumbered.

        Parameters are replaced: create the optimizer afterwards. The configuration of a model does
        not learn of it: use the model's `prune_heads` if it is to be saved.

        Args:
            heads: Indices of heads to remove, counting present heads only.

        Raises:
            TypeError: A layer of the attention was replaced by something else, or heads are not
                ints.
            ValueError: A head does not exist, or none would be left.
        """
        prune_fused_heads({"heads": self}, {"heads": heads})


class GPTMLP(CppModule):
    """Base of both `MLP` classes, which set `act`."""

    _n_state = 1  # of a twin, whose weights are bound

    act: Callable[[Tensor], Tensor]

    def __init__(self, n_state: int, config: Any) -> None:
        super().__init__()
        self.config = config
        self._n_state = n_state
        self._adopt_new()

    def _new_cpp(self) -> Any:
        return self._cpp_type(self._n_state, cpp_config(self.config))

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return cpp.named_parameters()["c_fc.bias"].size(0), config

    def forward(self, x: Tensor) -> Tensor:
        """[*, width] -> [*, width]"""
        return run(self, x)


class GPTBlock(HasSelfAttentions):
    """Base of both `Block` classes."""

    _options: tuple[int, bool] = 1, False  # of a twin, whose mask and scale are bound

    def __init__(
        self,
        n_ctx: int,
        config: Any,
        scale: bool = False,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self._options = n_ctx, scale
        self._adopt_new()
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output

    def _new_cpp(self) -> Any:
        n_ctx, scale = self._options
        return self._cpp_type(n_ctx, cpp_config(self.config), scale)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        attention = cpp.named_children()["attn"]
        _, n_ctx, _, scale = GPTAttention._arguments(config, attention, tied)
        return n_ctx, config, scale


class GPTLMHead(CppModule):
    """Base of both language-model heads."""

    decoder: nn.Linear
    predict_special_tokens: bool

    def __init__(self, model_embeddings_weights: nn.Parameter, config: Any) -> None:
        super().__init__()
        self.config = config
        self._adopt(self._cpp_type(model_embeddings_weights, cpp_config(config)), Adoption())

    def _new_cpp(self) -> Any:
        # Only the number of dimensions of this weight matters: the real one is bound.
        return self._cpp_type(torch.empty((1, 1), device="meta"), cpp_config(self.config))

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.n_embd = self.config.n_embd

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return (*tied[:1], config)

    def set_embeddings_weights(
        self, model_embeddings_weights: nn.Parameter, predict_special_tokens: bool = True
    ) -> None:
        """Ties the decoder to other embeddings, [vocab, width]."""
        self.predict_special_tokens = predict_special_tokens
        rows, width = model_embeddings_weights.shape
        self.decoder = nn.utils.skip_init(nn.Linear, width, rows, bias=False, device="meta")
        self.decoder.weight = model_embeddings_weights

    def forward(self, hidden_state: Tensor) -> Tensor:
        """[*, width] -> [*, vocab]"""
        return run(self, hidden_state)


class GPTMultipleChoiceHead(CppModule):
    """Base of both heads that score choices."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self._adopt_new()

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config))

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.n_embd = self.config.n_embd

    def forward(self, hidden_states: Tensor, mc_token_ids: Tensor) -> Tensor:
        """[batch, choices, seq, width], token positions [batch, choices] -> [batch, choices]"""
        return run(self, hidden_states, mc_token_ids)
