"""Configuration of BERT models."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import _C


class BertConfig:
    """Configuration of a BERT model: each attribute has the name of its key in config.json.

    Args:
        vocab_size_or_config_json_file: Number of tokens in the vocabulary, or the path of a JSON
            file.
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of layers in the encoder.
        num_attention_heads: Number of attention heads per layer; must divide `hidden_size`.
        intermediate_size: Width of the feed-forward layer.
        hidden_act: Activation of the feed-forward layer and the masked-LM head: "gelu", "relu",
            "swish" or a function of a tensor.
        hidden_dropout_prob: Dropout probability of the embeddings and of each sub-layer's output.
        attention_probs_dropout_prob: Dropout probability of the attention weights.
        max_position_embeddings: Longest sequence, in tokens.
        type_vocab_size: Number of segments that `token_type_ids` may name.
        initializer_range: Standard deviation of the initial weights.
        layer_norm_eps: Epsilon of every LayerNorm.

    Keys of a file that are not among these become attributes too and are written back. Values are
    checked when a model is built.

    Raises:
        ValueError: The first argument is neither an int nor a path.

    Example:
        >>> BertConfig(30522, num_hidden_layers=6).num_hidden_layers
        6
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str | Callable[[Tensor], Tensor]
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    max_position_embeddings: int
    type_vocab_size: int
    initializer_range: float
    layer_norm_eps: float

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Keys that are not among the arguments."""

    def __init__(
        self,
        vocab_size_or_config_json_file: int | str | os.PathLike[str],
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str | Callable[[Tensor], Tensor] = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
    ) -> None:
        source = vocab_size_or_config_json_file
        if not isinstance(source, (int, str, os.PathLike)) or isinstance(source, bool):
            raise ValueError(
                "`vocab_size_or_config_json_file` must be a vocabulary size (int) or the path of a "
                f"JSON file (str or Path), but is {with_article(source)}."
            )
        self.vocab_size = source if isinstance(source, int) else -1
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        if not isinstance(source, int):
            vars(self).update(_read_json(Path(source)))

    @classmethod
    def from_dict(cls, json_object: dict[str, Any]) -> BertConfig:
        """Makes a configuration from a dictionary of its attributes."""
        config = cls(-1)
        vars(config).update(json_object)
        return config

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> BertConfig:
        """Makes a configuration from a JSON file of its attributes.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file does not hold a JSON object.
        """
        return cls.from_dict(_read_json(Path(json_file)))

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of all attributes."""
        return copy.deepcopy(vars(self))

    def to_json_string(self) -> str:
        """Returns all attributes as JSON: sorted keys, two-space indent, final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Writes `to_json_string()` to a file."""
        Path(json_file_path).write_text(self.to_json_string(), encoding="utf-8")

    def __repr__(self) -> str:
        return self.to_json_string()


_INTEGERS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_NUMBERS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)


def native_config(config: BertConfig) -> _C.BertConfig:
    """Returns the configuration as the core takes it.

    Raises:
        TypeError: An attribute has a value of the wrong type.
    """
    fields = {name: getattr(config, name) for name in (*_INTEGERS, *_NUMBERS)}
    for name in _INTEGERS:
        if not isinstance(fields[name], int) or isinstance(fields[name], bool):
            raise TypeError(f"`{name}` must be an int, but is {with_article(fields[name])}.")
    for name in _NUMBERS:
        if not isinstance(fields[name], (int, float)) or isinstance(fields[name], bool):
            raise TypeError(f"`{name}` must be a number, but is {with_article(fields[name])}.")
    if not isinstance(config.hidden_act, str) and not callable(config.hidden_act):
        raise TypeError(
            '`hidden_act` must be "gelu", "relu", "swish" or a callable, but is '
            f"{with_article(config.hidden_act)}."
        )
    # A function of the user's own reaches C++ as an attribute of its module, not by name.
    named = isinstance(config.hidden_act, str)
    return _C.BertConfig.from_json(
        json.dumps({**fields, "hidden_act": config.hidden_act if named else "gelu"})
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no configuration file {path}.") from None
    except ValueError as error:
        raise ValueError(f"The configuration file {path} must hold JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"The configuration file {path} must hold a JSON object, but holds "
            f"{with_article(content)}."
        )
    return content


def with_article(value: object) -> str:
    """Returns the type of a value for a message: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
