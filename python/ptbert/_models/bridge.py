"""Python nodes that C++ modules compute. docs/ARCHITECTURE.md explains the design."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .. import _C

# run(node, *inputs) computes the forward pass of `node` in C++.
run = _C.Run()


@dataclass(frozen=True)
class NodeKind:
    """The Python class that corresponds to a C++ module class.

    Attributes:
        cls: The class of the nodes. C++ computes nodes of exactly this class, as long as nobody
            replaces its `forward`; it calls nodes of any other class, subclasses included, in
            Python.
        make: Makes a node for a C++ module, without its parameters, buffers and children, which
            are added afterwards; None for a `CppModule`.
        required: Attribute values without which C++ cannot compute a node.
        homes: The modules where 2019 code finds `cls`, with its name there, where such code may
            put another class in its place (`modeling.BertLayerNorm = Mine`): new trees of the
            family are then built of that one.
        arguments: What such a class of a leaf is constructed with, for a C++ module.
    """

    cls: type[nn.Module]
    make: Callable[[Any], nn.Module] | None = None
    required: Mapping[str, Any] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    arguments: Callable[[Any], tuple[Any, ...]] | None = None

    def replacement(self, home: str) -> Callable[..., nn.Module] | None:
        """Returns what stands in the place of `cls` in a family's module, or None if `cls` does."""
        name = self.homes.get(home)
        current = self.cls if name is None else getattr(sys.modules.get(home), name, self.cls)
        return None if current is self.cls else current


@dataclass
class Adoption:
    """What the nodes of a tree share while it is built from a C++ module.

    Attributes:
        parameters: Tensors of C++ and their parameters, so that tied weights become one parameter.
        replacements: Nodes of classes that replaced ours, whose weights C++ has not initialised.
    """

    parameters: dict[Tensor, nn.Parameter] = field(default_factory=dict)
    replacements: list[nn.Module] = field(default_factory=list)

    def parameter(self, tensor: Tensor) -> nn.Parameter:
        """Returns the parameter for a tensor of C++, which may be one that the caller passed in."""
        if isinstance(tensor, nn.Parameter):
            return tensor
        if tensor not in self.parameters:
            self.parameters[tensor] = nn.Parameter(tensor.detach())
        return self.parameters[tensor]


# By the name of the C++ class. layers.py and the modules of each family register theirs.
_KINDS: dict[str, NodeKind] = {}


def register_kind(name: str, kind: NodeKind) -> None:
    """Registers the kind of the C++ class `name`."""
    _KINDS[name] = kind
    _C.register_kind(name, kind.cls, kind.cls.forward, dict(kind.required))


register_kind("ModuleList", NodeKind(nn.ModuleList, lambda cpp: nn.ModuleList()))
register_kind("ParameterList", NodeKind(nn.ParameterList, lambda cpp: nn.ParameterList()))


def register_nodes(*nodes: type[CppModule], home: str) -> None:
    """Registers Python classes, which 2019 code finds in `home`, for the C++ classes in their
    `_cpp_type`."""
    for node in nodes:
        node._home = home
        kind = NodeKind(node, required=node._required, homes={home: node.__name__})
        register_kind(node._cpp_type.__name__, kind)


def register_activations(functions: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
    """Registers Python functions that C++ computes itself, by their names in C++."""
    for name, function in functions.items():
        _C.register_activation(function, name)


class CppModule(nn.Module):
    """A node of the Python tree whose forward runs in C++.

    The node owns parameters, buffers, sub-modules and attributes; its C++ twin is bound to them
    before each forward. Subclasses name their C++ class in `_cpp_type`, build their tree with
    `_adopt_new` and call `run` in `forward`.
    """

    _cpp_type: ClassVar[type[Any]]
    _required: ClassVar[Mapping[str, Any]] = {}
    _home: ClassVar[str] = ""  # the module of its family
    config: Any = None  # of parts that are built from their sizes there is none

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        """What a class that replaced this one is constructed with, as in the library of 2019.

        Args:
            cpp: The C++ module of the node.
            tied: Those of its parameters that other nodes have, too.
        """
        return (config, *tied[:1])

    @classmethod
    def _keywords(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> dict[str, Any]:
        """What it is given by name."""
        return {}

    def _make_twin(self) -> Any:
        """Makes the C++ module for this node on the meta device, to be bound to this tree."""
        with _C.DefaultDevice(torch.device("meta")):
            return self._new_cpp()

    def _new_cpp(self) -> Any:
        """Makes the C++ module for this node, with new weights."""
        raise NotImplementedError

    def _adopt_new(self) -> Adoption:
        """Builds the parameters and sub-modules of this node from a new C++ module."""
        with _C.DefaultDevice(torch.get_default_device()):
            cpp = self._new_cpp()
        adoption = Adoption()
        self._adopt(cpp, adoption)
        return adoption

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        """Takes over the attributes, parameters, buffers and sub-modules of a C++ module."""
        for name, value in _C.attributes(cpp).items():
            setattr(self, name, value)
        self._adopt_content(self, cpp, adoption)

    def _adopt_content(self, node: nn.Module, cpp: Any, adoption: Adoption) -> None:
        """Adds parameters, buffers and children of `cpp` to `node`: this node, or a leaf or list
        below it."""
        if isinstance(node, nn.ParameterList):
            for tensor in _C.parameter_list(cpp):
                node.append(None if tensor is None else adoption.parameter(tensor))
            return
        for name, tensor in cpp.named_parameters(False).items():
            node.register_parameter(name, adoption.parameter(tensor))
        for name, (tensor, persistent) in _C.buffers(cpp).items():
            node.register_buffer(name, tensor, persistent)
        for name, child in cpp.named_children().items():
            node.add_module(name, self._adopt_child(child, adoption))

    def _adopt_child(self, cpp: Any, adoption: Adoption) -> nn.Module:
        kind = _KINDS[_C.kind_of(cpp)]
        if replacement := kind.replacement(self._home):
            return self._build_replacement(replacement, kind, cpp, adoption)
        if kind.make is not None:
            leaf = kind.make(cpp)
            self._adopt_content(leaf, cpp, adoption)
            return leaf
        node: Any = object.__new__(kind.cls)
        nn.Module.__init__(node)
        node.config = self.config
        node._adopt(cpp, adoption)
        return node

    def _build_replacement(
        self, replacement: Callable[..., nn.Module], kind: NodeKind, cpp: Any, adoption: Adoption
    ) -> nn.Module:
        """Builds a node of a class of the user's, as the library of 2019 did."""
        if kind.arguments is not None:
            node = replacement(*kind.arguments(cpp))
        else:
            known = adoption.parameters
            tied = [known[t] for t in cpp.named_parameters().values() if t in known]
            ours: Any = kind.cls
            node = replacement(
                *ours._arguments(self.config, cpp, tied), **ours._keywords(self.config, cpp, tied)
            )
        adoption.replacements.append(node)
        return node

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CppModule:
        self._drop_twin()
        with _ties_kept(self):
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As `nn.Module.load_state_dict`, but keeps parameters tied even with `assign`."""
        with _ties_kept(self):
            return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._drop_twin()
        super()._load_from_state_dict(*args)

    def _drop_twin(self) -> None:
        """Drops the twin before parameters are replaced; the next forward makes another.

        A twin references the old parameters: they would stay in memory until the next forward, and
        `torch.__future__.set_swap_module_params_on_conversion` could not swap them.
        """
        self.__dict__.pop("_bridge", None)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the bridge out of copies and pickles; they make their own when called."""
        return {name: value for name, value in self.__dict__.items() if name != "_bridge"}


@contextmanager
def _ties_kept(root: nn.Module) -> Iterator[None]:
    """Ties parameters again after the block that were tied below `root` before it.

    `nn.Module` unties them when it replaces parameters, as in `to_empty`. The last replacement is
    then used in all places.
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
