"""Converts checkpoints: TensorFlow's, OpenAI's and PyTorch's into what 2019's library, transformers
and this library load. docs/CHECKPOINTS.md lists sources and destinations.

TensorFlow is not needed, and nothing in a file is executed.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from . import _C
from ._files.published import Family
from ._files.sources import (
    Source,
    Weights,
    find_source,
    guess_family,
    left_out_projections,
    list_entries,
    open_source,
    read_weights,
)
from ._files.writing import (
    complete_file,
    complete_folder,
    without_tied,
    write_pytorch_bin,
    write_safetensors,
)
from .file_utils import (
    BERT_CONFIG_NAME,
    CONFIG_NAME,
    SAFETENSORS_NAME,
    WEIGHTS_NAME,
    StrPath,
)
from .modeling import (
    BertConfig,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
)
from .modeling_gpt2 import GPT2Config, GPT2DoubleHeadsModel, GPT2LMHeadModel
from .modeling_openai import OpenAIGPTConfig, OpenAIGPTDoubleHeadsModel, OpenAIGPTLMHeadModel
from .modeling_transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel

__all__ = [
    "Conversion",
    "Target",
    "convert",
    "convert_to_file",
    "convert_to_folder",
    "convert_weights",
]

logger = logging.getLogger(__name__)

Target = Literal["2019", "transformers", "tensorflow"]

_CONFIG_NAMES = (CONFIG_NAME, BERT_CONFIG_NAME, "openai_gpt_config.json", "hparams.json")
# Copied if they lie beside the checkpoint.
_COMPANIONS = (
    *("vocab.txt", "vocab.json", "merges.txt", "special_tokens.txt"),
    *("vocab.bin", "vocab.pkl"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"),
)
# OpenAI's names of two of them.
_RENAMED_COMPANIONS = {
    "encoder.json": "vocab.json",
    "vocab.bpe": "merges.txt",
    "encoder_bpe_40000.json": "vocab.json",
    "vocab_40000.bpe": "merges.txt",
}


@dataclass(frozen=True)
class _Kind:
    """What a family's checkpoints are converted as.

    Attributes:
        config: The class of its configuration.
        heads: Model classes by the beginning of a weight's name that only they have; the first that
            fits is taken.
        default: The model class if none does.
        model_type: The family's name in transformers.
        renames: Names that are other ones in transformers.
        tf_prefix: PREFIX of its TensorFlow checkpoints; None if there are none.
    """

    config: type[Any]
    heads: dict[str, Callable[..., Any]]
    default: Callable[..., Any]
    model_type: str
    renames: dict[str, str] = field(default_factory=dict)
    tf_prefix: str | None = None


_GPT_RENAMES = {
    "lm_head.decoder.weight": "lm_head.weight",
    "multiple_choice_head.linear.weight": "multiple_choice_head.summary.weight",
    "multiple_choice_head.linear.bias": "multiple_choice_head.summary.bias",
}
_KINDS: dict[Family, _Kind] = {
    "bert": _Kind(
        BertConfig,
        {
            "cls.": BertForPreTraining,
            "qa_outputs.": BertForQuestionAnswering,
            "classifier.": BertForSequenceClassification,
        },
        BertForPreTraining,
        "bert",
        tf_prefix="bert_model.ckpt",
    ),
    "gpt2": _Kind(
        GPT2Config,
        {"multiple_choice_head.": GPT2DoubleHeadsModel},
        GPT2LMHeadModel,
        "gpt2",
        _GPT_RENAMES,
        tf_prefix="model.ckpt",
    ),
    "openai-gpt": _Kind(
        OpenAIGPTConfig,
        {"multiple_choice_head.": OpenAIGPTDoubleHeadsModel},
        OpenAIGPTLMHeadModel,
        "openai-gpt",
        _GPT_RENAMES,
    ),
    "transfo-xl": _Kind(
        TransfoXLConfig, {}, TransfoXLLMHeadModel, "transfo-xl", tf_prefix="model.ckpt"
    ),
}


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        family: The family that the checkpoint is of.
        model: The name of the class whose weights were written.
        source: What was read.
        written: The number of weights.
        missing: Weights of the class that the checkpoint does not have: those of heads.
        unused: What the checkpoint has and the class does not, under the names it has there.
        training_state: What belongs to training, such as moments of Adam, and was left out.

    Example:
        >>> convert("bert_model.ckpt", "bert").missing  # doctest: +SKIP
        []
    """

    family: Family
    model: str
    source: Source
    written: int
    missing: list[str]
    unused: list[str]
    training_state: list[str]


def convert(
    source: StrPath,
    destination: StrPath,
    to: Target = "2019",
    *,
    config: StrPath | None = None,
) -> Conversion:
    """Converts a checkpoint of any format into a folder.

    Args:
        source: A TensorFlow checkpoint (PREFIX, one of its files, or a folder), a folder of
            OpenAI's NumPy files, model.safetensors, pytorch_model.bin, the index of one of them in
            shards, a folder or .tar.gz archive with one of these, or the name or Hub id of a
            model. A path comes before a name.
        destination: The folder to write to. Files in it are replaced if they have the same names.
        to: "2019" for config.json and a pytorch_model.bin that pytorch-pretrained-bert of 2019
            reads; "transformers" for a config.json and model.safetensors of transformers;
            "tensorflow" for a checkpoint that the code of google-research/bert, openai/gpt-2 or
            kimiyoung/transformer-xl reads, with bert_config.json, hparams.json or config.json.
        config: The configuration, if it does not lie beside the checkpoint.

    The vocabulary is copied if it lies beside the checkpoint.

    Raises:
        OSError: The checkpoint or its configuration is missing, or cannot be written.
        ValueError: A file is damaged, of no family that can be converted, or lacks weights of the
            model that the configuration describes.
    """
    if to not in get_args(Target):
        raise ValueError(f"`to` must be {' or '.join(map(repr, get_args(Target)))}, but is {to!r}.")
    with open_source(source, with_vocabulary=True) as found:
        return _convert(found, Path(destination), to, config)


def _convert(source: Source, destination: Path, to: Target, config: StrPath | None) -> Conversion:
    family = _family_of(source)
    kind = _KINDS[family]
    if to == "tensorflow" and kind.tf_prefix is None:
        raise ValueError(
            f"`to` must be one of the other formats for {family}, whose TensorFlow checkpoints are "
            "not written, but is 'tensorflow'."
        )
    settings = kind.config.from_json_file(_config_of(source, config))
    weights = read_weights(source, family)
    model_class, arguments = _head_of(weights, kind)
    tensors, conversion = convert_weights(
        source, family, weights, lambda: model_class(settings, **arguments)
    )
    with complete_folder(destination) as folder:
        if to == "2019":
            settings.to_json_file(folder / CONFIG_NAME)
            _write_2019(folder / WEIGHTS_NAME, tensors, source)
        elif to == "tensorflow":
            conversion.unused.extend(_write_tensorflow(folder, settings, kind, family, tensors))
        else:
            _write_config(folder / CONFIG_NAME, settings, kind, conversion.model)
            # transformers does not share the biases of attention between layers.
            ends = ("r_w_bias", "r_r_bias")
            biases = {name: tensor for name, tensor in tensors.items() if name.endswith(ends)}
            written = without_tied(tensors) | biases
            write_safetensors(
                folder / SAFETENSORS_NAME,
                {kind.renames.get(name, name): tensor for name, tensor in written.items()},
            )
        _copy_companions(source.folder, folder, of_openai=(to, family) == ("tensorflow", "gpt2"))
    _log(conversion)
    return conversion


def convert_weights(
    source: Source, family: Family, weights: Weights, make_model: Callable[[], Any]
) -> tuple[dict[str, Tensor], Conversion]:
    """Returns a checkpoint's weights as the state dict of a model, and what was done. Those that
    TensorFlow has transposed are views.

    Args:
        make_model: Makes the model; it is called where models have shapes, but no memory.

    Raises:
        ValueError: A weight is missing that is not of a head, or has another shape.
    """
    with torch.device("meta"):
        model = make_model()
    state = model.state_dict()
    given = weights.tensors | left_out_projections(source, family, weights, state)
    tensors, missing, unused = _C.match_weights(state, given, family)
    trunk = [name for name in missing if not _is_of_head(name)]
    if trunk:
        raise ValueError(
            f"`{source.name}` must have all weights of the model that the configuration describes, "
            f"but lacks {len(trunk)}, the first being `{trunk[0]}`. Pass the configuration of this "
            "checkpoint."
        )
    tensors = _with_tied(tensors, state)
    return tensors, Conversion(
        family,
        type(model).__name__,
        source,
        len(tensors),
        missing,
        [weights.names.get(name, name) for name in unused] + weights.unknown,
        weights.training_state,
    )


def convert_to_file(
    path: StrPath, family: Family, model_class: Any, config: Any, destination: StrPath
) -> Conversion:
    """Writes a checkpoint's weights for a model of this class into one file, as in 2019."""
    source = find_source(path)
    tensors, conversion = convert_weights(
        source, family, read_weights(source, family), lambda: model_class(config)
    )
    with complete_file(Path(destination)) as incomplete:
        _write_2019(incomplete, tensors, source)
    _log(conversion)
    return conversion


def convert_to_folder(
    path: StrPath, family: Family, model_class: Any, config: Any, destination: StrPath
) -> Conversion:
    """Writes a checkpoint's weights for a model of this class, with its configuration."""
    with complete_folder(Path(destination)) as folder:
        config.to_json_file(folder / CONFIG_NAME)
        return convert_to_file(path, family, model_class, config, folder / WEIGHTS_NAME)


def _family_of(source: Source) -> Family:
    names = [entry.name for entry in list_entries(source)]
    family = guess_family(source, names)
    if family is None:
        raise ValueError(
            f"`{source.name}` must be a checkpoint of BERT, GPT, GPT-2 or Transformer-XL, but none "
            f"of its {len(names)} names is known"
            + (f": it has `{names[0]}`, ..." if names else ".")
        )
    return family


def _config_of(source: Source, config: StrPath | None) -> Path:
    if config is not None:
        return Path(config)
    if source.config.is_file():
        return source.config
    for name in _CONFIG_NAMES:
        if (source.config / name).is_file():
            return source.config / name
    raise FileNotFoundError(
        f"`{source.config}` must hold the configuration of the checkpoint "
        f"({', '.join(_CONFIG_NAMES)}), but does not. Pass it as `config`."
    )


def _head_of(weights: Weights, kind: _Kind) -> tuple[Callable[..., Any], dict[str, int]]:
    """The model class, and what it is made with besides a configuration."""
    for prefix, model_class in kind.heads.items():
        for name, tensor in weights.tensors.items():
            if name.startswith(prefix):
                is_classifier = model_class is BertForSequenceClassification
                return model_class, {"num_labels": tensor.shape[0]} if is_classifier else {}
    return kind.default, {}


def _is_of_head(name: str) -> bool:
    return name.startswith(("cls.", "classifier.", "qa_outputs.", "multiple_choice_head."))


def _write_2019(path: Path, tensors: dict[str, Tensor], source: Source) -> None:
    """Writes pytorch_model.bin, with the numbers of each tensor in the order of its shape."""
    unique = {id(tensor): tensor for tensor in tensors.values()}  # one of each that are tied
    ordered = {key: _in_order(tensor, source) for key, tensor in unique.items()}
    write_pytorch_bin(path, {name: ordered[id(tensor)] for name, tensor in tensors.items()})


def _in_order(tensor: Tensor, source: Source) -> Tensor:
    """Those of TensorFlow's files are put in order in their private mapping, so that a model is in
    memory only once: torch.save writes when it has all."""
    if tensor.is_contiguous():
        return tensor
    ordered = tensor.contiguous()
    if source.format != "TensorFlow":
        return ordered
    return tensor.as_strided(ordered.shape, ordered.stride()).copy_(ordered)


def _with_tied(tensors: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in the order of the model's state, which has weights that are one under each of
    their names; all of these get the tensor of the first."""

    def place(name: str) -> tuple[object, ...]:
        in_model = state[name]
        storage = in_model.untyped_storage()._cdata
        return storage, in_model.storage_offset(), in_model.shape

    first: dict[tuple[object, ...], Tensor] = {}
    for name in state:
        if name in tensors:
            first.setdefault(place(name), tensors[name])
    return {name: first[place(name)] for name in state if place(name) in first}


def _write_config(path: Path, settings: Any, kind: _Kind, model: str) -> None:
    content = settings.to_dict() | {"model_type": kind.model_type, "architectures": [model]}
    if kind.model_type == "transfo-xl":
        content["tie_word_embeddings"] = settings.tie_weight
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_tensorflow(
    folder: Path, settings: Any, kind: _Kind, family: Family, tensors: dict[str, Tensor]
) -> list[str]:
    """Writes the checkpoint, and returns the weights that TensorFlow has no variable for."""
    prefix = str(kind.tf_prefix)
    cutoffs = getattr(settings, "cutoffs", [])
    left_out = _C.save_tf_weights(str(folder / prefix), without_tied(tensors), family, cutoffs)
    # The file that names the newest checkpoint.
    names = f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "{prefix}"\n'
    (folder / "checkpoint").write_text(names, encoding="utf-8")
    if family != "gpt2":
        settings.to_json_file(folder / (BERT_CONFIG_NAME if family == "bert" else CONFIG_NAME))
        return left_out
    sizes = {name: getattr(settings, name) for name in ("n_ctx", "n_embd", "n_head", "n_layer")}
    content = {"n_vocab": settings.total_tokens_embeddings} | sizes
    (folder / "hparams.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return left_out


def _copy_companions(source: Path, destination: Path, *, of_openai: bool) -> None:
    """Copies vocabulary files, `of_openai` under the names that its code knows."""
    for name in _COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)
    for theirs, ours in _RENAMED_COMPANIONS.items():
        if (source / theirs).is_file() and not (destination / ours).exists():
            shutil.copyfile(source / theirs, destination / ours)
    if of_openai:
        for theirs, ours in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
            if (destination / ours).is_file():
                (destination / ours).rename(destination / theirs)


def _log(conversion: Conversion) -> None:
    lists: tuple[tuple[str, Sequence[str]], ...] = (
        ("weights not in the checkpoint", conversion.missing),
        ("not used", conversion.unused),
        ("left out, as it belongs to training", conversion.training_state),
    )
    for what, names in lists:
        if names:
            logger.info("%s: %s", what, ", ".join(names))
