"""Python nodes whose arithmetic C++ modules do. docs/ARCHITECTURE.md explains the design."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .. import _C

# run(node, *inputs) does the arithmetic of `node` in C++.
run = _C.Run()


class CppModule(nn.Module):
    """A node of the Python tree whose forward runs in C++.

    Parameters, sub-modules and attributes are those of this tree; a C++ twin is bound to them
    before each forward. Subclasses name their C++ class in `_native_type`, set up their tree with
    `_adopt` and call `run` in `forward`.
    """

    _native_type: ClassVar[type[Any]]
    config: Any

    def _make_native(self) -> Any:
        """Makes the C++ module for this node without storage, to be bound to this tree."""
        with _C.DefaultDevice(torch.device("meta")):
            return self._new_native()

    def _new_native(self) -> Any:
        """Makes the C++ module for this node, with new weights."""
        raise NotImplementedError

    def _adopt_new(self) -> None:
        """Makes the parameters and sub-modules of this node, as C++ initialises them."""
        with _C.DefaultDevice(torch.get_default_device()):
            native = self._new_native()
        self._adopt(native, {})

    def _adopt(self, native: Any, shared: dict[Tensor, nn.Parameter]) -> None:
        """Takes over parameters, attributes and sub-modules of `native`."""
        for name, value in _C.attributes(native).items():
            setattr(self, name, value)
        _adopt_parameters(self, native, shared)
        for name, child in native.named_children().items():
            self.add_module(name, self._adopt_child(child, shared))

    def _adopt_child(self, native: Any, shared: dict[Tensor, nn.Parameter]) -> nn.Module:
        kind = type(native).__name__
        if kind in _LEAVES:
            leaf = _LEAVES[kind](native)
            _adopt_parameters(leaf, native, shared)
            return leaf
        if kind in _LISTS:
            return nn.ModuleList(self._adopt_child(item, shared) for item in native.children())
        node = object.__new__(_NODES[kind])
        nn.Module.__init__(node)
        node.config = self.config
        node._adopt(native, shared)
        return node

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CppModule:
        self._forget_parameters()
        with _ties_kept(self):
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As that of `nn.Module`; tied parameters stay one, with `assign` too."""
        with _ties_kept(self):
            return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._forget_parameters()
        super()._load_from_state_dict(*args)

    def _forget_parameters(self) -> None:
        """Lets go of the twin before parameters are replaced.

        It holds the old ones: they would stay in memory until the next forward, and
        `torch.__future__.set_swap_module_params_on_conversion` could not swap them.
        """
        self.__dict__.pop("_bridge", None)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles come without the bridge, and make their own when they are called."""
        return {name: value for name, value in self.__dict__.items() if name != "_bridge"}


@contextmanager
def _ties_kept(root: nn.Module) -> Iterator[None]:
    """Makes parameters below `root` that are one before the block one after it.

    `nn.Module` makes two of them where it has to replace parameters, as in `to_empty`. The last
    that was replaced stands for all.
    """
    places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}
    for module in root.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                places.setdefault(parameter, []).append((module, name))
    tied = {parameter: uses for parameter, uses in places.items() if len(uses) > 1}
    try:
        yield
    finally:
        for parameter, uses in tied.items():
            now = [module._parameters.get(name) for module, name in uses]
            replaced = [one for one in now if one is not None and one is not parameter]
            for module, name in uses if replaced else []:
                if module._parameters.get(name) is not None:
                    setattr(module, name, replaced[-1])


def _adopt_parameters(node: nn.Module, native: Any, shared: dict[Tensor, nn.Parameter]) -> None:
    for name, tensor in native.named_parameters(False).items():
        if isinstance(tensor, nn.Parameter):  # given by the caller, to be tied
            node.register_parameter(name, tensor)
            continue
        if tensor not in shared:
            shared[tensor] = nn.Parameter(tensor.detach())
        node.register_parameter(name, shared[tensor])


def _make_linear(native: Any) -> nn.Module:
    parameters = native.named_parameters(False)
    # Without nn.Linear's own initialisation: C++ has done it.
    linear = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(linear)
    linear.out_features, linear.in_features = parameters["weight"].shape
    if "bias" not in parameters:
        linear.register_parameter("bias", None)
    return linear


def _make_embedding(native: Any) -> nn.Module:
    weight = native.named_parameters(False)["weight"]
    rows, width = weight.shape
    padding_idx = _C.attributes(native)["padding_idx"]
    # `_weight` keeps nn.Embedding from drawing one.
    return nn.Embedding(rows, width, padding_idx if padding_idx >= 0 else None, _weight=weight)


# By the name of the C++ class: how to make a leaf, and the classes of composite nodes.
_LEAVES: dict[str, Callable[[Any], nn.Module]] = {
    "Linear": _make_linear,
    "Embedding": _make_embedding,
    "Dropout": lambda native: nn.Dropout(_C.attributes(native)["p"]),
    "Tanh": lambda native: nn.Tanh(),
}
_NODES: dict[str, type[CppModule]] = {}
_LISTS = {"BertLayerList"}

# What C++ computes itself. A node of any other class, one with a hook and a leaf with another value
# of these attributes are called in Python.
_CLASSES: dict[str, tuple[type[nn.Module], Callable[..., Any]]] = {
    node.__name__: (node, node.forward) for node in (nn.Linear, nn.Embedding, nn.Dropout, nn.Tanh)
}
_REQUIRED: dict[str, dict[str, Any]] = {
    "Embedding": {"max_norm": None, "scale_grad_by_freq": False, "sparse": False},
    "Dropout": {"inplace": False},
    # What the heads gave is kept on the Python node.
    "BertSelfAttention": {"keep_multihead_output": False},
}
_ACTIVATIONS: dict[Callable[[Tensor], Tensor], str] = {}
_C.register_natives(_CLASSES, _REQUIRED, _ACTIVATIONS)


def register_nodes(*nodes: type[CppModule]) -> None:
    """Makes `nodes` the Python classes of the C++ modules of their `_native_type`."""
    for node in nodes:
        _NODES[node._native_type.__name__] = node
        _CLASSES[node._native_type.__name__] = (node, node.forward)


def register_leaf(
    native_type: type[Any], leaf: type[nn.Module], make: Callable[[Any], nn.Module]
) -> None:
    """Makes `leaf` the Python class of `native_type`; `make` builds one from its C++ module."""
    _CLASSES[native_type.__name__] = (leaf, leaf.forward)
    _LEAVES[native_type.__name__] = make


def register_activations(functions: dict[str, Callable[[Tensor], Tensor]]) -> None:
    """Makes `functions` those that C++ computes itself, by the names that it knows them by."""
    _ACTIVATIONS.update({function: name for name, function in functions.items()})
