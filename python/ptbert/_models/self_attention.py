"""What the self-attentions of all families do for callers that look inside: return the attention
weights, keep the outputs of heads."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from .bridge import CppModule, run


class SelfAttention(CppModule):
    """Base of the self-attentions: can return its weights and keep the outputs of its heads."""

    # True makes C++ call this node in Python, which keeps the output.
    _required: ClassVar[dict[str, Any]] = {"keep_multihead_output": False}

    output_attentions: bool
    # A list of one, or None to keep nothing. A plain attribute would change in every pass, and the
    # bridge would then walk the whole tree each time.
    _kept: list[Tensor | None] | None

    @property
    def keep_multihead_output(self) -> bool:
        """Whether `multihead_output` is kept; setting False drops it."""
        return self._kept is not None

    @keep_multihead_output.setter
    def keep_multihead_output(self, value: bool) -> None:
        self._kept = [None] if value else None

    @property
    def multihead_output(self) -> Tensor | None:
        """The outputs of the heads in the last forward pass before they were merged, [batch, heads,
        seq, head size], with `retain_grad`; None unless `keep_multihead_output`."""
        return None if self._kept is None else self._kept[0]

    def _run(self, *inputs: Any) -> Any:
        """As `run`, and keeps the outputs of the heads if they are to be kept."""
        output = run(self, *inputs)
        if self._kept is None:
            return output
        output, heads = output
        self._keep(heads)
        return output

    def _keep(self, heads: Tensor) -> None:
        if self._kept is None:
            return
        if heads.requires_grad:
            heads.retain_grad()
        self._kept[0] = heads

    def __getstate__(self) -> dict[str, Any]:
        """Leaves `multihead_output`, which belongs to a graph, out of copies and pickles."""
        state = super().__getstate__()
        return state if self._kept is None else {**state, "_kept": [None]}


def _of_self_attentions(name: str, doc: str) -> Any:
    """Returns a property that reads or sets the attribute `name` of all self-attentions below."""

    def attentions(node: nn.Module) -> list[SelfAttention]:
        return [module for module in node.modules() if isinstance(module, SelfAttention)]

    def read(node: nn.Module) -> bool:
        return any(getattr(attention, name) for attention in attentions(node))

    def write(node: nn.Module, value: bool) -> None:
        for attention in attentions(node):
            setattr(attention, name, value)

    return property(read, write, doc=doc)


class HasSelfAttentions(CppModule):
    """Base of the nodes that contain self-attentions."""

    output_attentions = _of_self_attentions(
        "output_attentions", "Whether any self-attention below returns its weights; sets all."
    )
    keep_multihead_output = _of_self_attentions(
        "keep_multihead_output", "Whether any self-attention below keeps its output; sets all."
    )
