"""Loading of configurations and weights: one `from_pretrained` for all families."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from .. import _C
from .._files.checkpoint import read_state_dict, state_dict_of
from .._files.pretrained import resolve_model, resolve_tf_model
from .._files.published import Family
from .._files.sources import find_source, left_out_projections, read_weights
from .._files.writing import (
    complete_folder,
    remove_other_weights,
    without_tied,
    write_weights,
)
from ..file_utils import CONFIG_NAME, StrPath
from .config import Config
from .messages import with_article

_Model = TypeVar("_Model", bound="PretrainedModel")
AnyModule = TypeVar("AnyModule", bound=nn.Module)


class PretrainedModel(nn.Module):
    """Base of the models of all families: a configuration, and loading by name or path.

    Each family derives a base class that sets `_family`, `_config_class` and `_logger`.
    """

    _family: ClassVar[Family]
    _config_class: ClassVar[type[Config]]
    _logger: ClassVar[logging.Logger]

    config: Any

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any) -> None:
        nn.Module.__init__(self)
        if not isinstance(config, self._config_class):
            raise ValueError(
                f"`config` must be a {self._config_class.__name__}, but is {with_article(config)}; "
                f"use `{type(self).__name__}.from_pretrained` to load by name."
            )
        self.config = config

    @classmethod
    def from_pretrained(
        cls: type[_Model],
        pretrained_model_name_or_path: StrPath,
        *inputs: Any,
        state_dict: Mapping[str, Tensor] | None = None,
        cache_dir: StrPath | None = None,
        from_tf: bool = False,
        **kwargs: Any,
    ) -> _Model:
        """Makes a model and loads its configuration and weights.

        Args:
            pretrained_model_name_or_path: A folder with a configuration (config.json, or its name
                in the 2019 library) and model.safetensors or pytorch_model.bin, or one of them in
                shards with its .index.json; a .tar.gz archive of these files, or its URL; a name
                such as "bert-base-uncased", or an id of the Hugging Face Hub, either also with
                "@REVISION".
            *inputs: Further arguments of the class, after `config`.
            state_dict: Weights to load instead of a file.
            cache_dir: Where downloads are kept.
            from_tf: Whether the folder or archive holds a TensorFlow checkpoint (model.ckpt.index,
                bert_model.ckpt.index, ...; of OpenAI's GPT the published NumPy files) rather than
                weights of PyTorch. The path may also be PREFIX of PREFIX.index.
            **kwargs: Further arguments of the class, such as `num_labels`.

        Weights that are missing from the checkpoint keep their initial values. Their names, and
        those of checkpoint entries that the model does not use, are logged as warnings.

        Raises:
            OSError: The name or path cannot be resolved, or a file is missing.
            ValueError: A file is damaged, a weight has another shape than the model's, or two
                weights differ that are one in the model.
        """
        if from_tf:
            if state_dict is not None:
                raise ValueError("`state_dict` must be None with `from_tf`, but weights are given.")
            with resolve_tf_model(pretrained_model_name_or_path, cache_dir, cls._family) as files:
                model = cls(cls._config_class.from_json_file(files.config), *inputs, **kwargs)
                assert files.weights is not None
                return load_foreign_weights(model, files.weights, cls._family, cls._logger)
        with (
            resolve_model(
                pretrained_model_name_or_path,
                cache_dir,
                cls._family,
                need_weights=state_dict is None,
            ) as files,
            _deferred_weights(cls) as deferred,
        ):
            model = cls(cls._config_class.from_json_file(files.config), *inputs, **kwargs)
            if state_dict is None:
                assert files.weights is not None  # asked for by need_weights
                state_dict = read_state_dict(files.weights)
            else:
                state_dict = state_dict_of(state_dict, "`state_dict`")
            state = model.state_dict()
            missing, unused = _C.load_weights(state, dict(state_dict), cls._family)
            if deferred is not None:
                loaded = {state[name].data_ptr() for name in state.keys() - missing}
                new = (state[name] for name in missing)
                deferred.fill([weight for weight in new if weight.data_ptr() not in loaded])
        _report(cls._logger, cls.__name__, missing, unused)
        return model

    def save_pretrained(
        self,
        save_directory: StrPath,
        *,
        safe_serialization: bool = True,
        max_shard_size: int | str = "5GB",
    ) -> None:
        """Writes a folder that `from_pretrained` loads: config.json and the weights.

        Files get their names when all are complete. Weights of an earlier save are deleted.

        Args:
            save_directory: The folder; it is made if need be.
            safe_serialization: Whether to write model.safetensors, which the library of 2019 cannot
                read, or pytorch_model.bin, which it can.
            max_shard_size: Larger weights are cut into files of about this size, in bytes or as
                "500MB", "5GB"; the library of 2019 reads one file only.

        Raises:
            OSError: A file cannot be written.
            ValueError: `max_shard_size` is no such size.
        """
        max_bytes = _bytes_of(max_shard_size)
        folder = Path(save_directory)
        state = self.state_dict()
        with complete_folder(folder) as incomplete:
            self.config.to_json_file(incomplete / CONFIG_NAME)
            tensors = without_tied(state) if safe_serialization else state
            write_weights(incomplete, tensors, safe=safe_serialization, max_bytes=max_bytes)
            written = {path.name for path in incomplete.iterdir()}
        remove_other_weights(folder, written)


def _deferred_weights(model_class: type) -> AbstractContextManager[Any]:
    """Leaves out what a checkpoint will overwrite, for a class of this package: the constructor of
    another may look at its weights."""
    is_ours = model_class.__module__.startswith(f"{__package__.partition('.')[0]}.")
    return _C.DeferredWeights() if is_ours else nullcontext()


def _bytes_of(size: int | str) -> int:
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    if isinstance(size, str) and (match := re.fullmatch(r"(\d+) ?(KB|MB|GB)", size)):
        size = int(match[1]) * units[match[2]]
    if not isinstance(size, int) or size < 1:
        raise ValueError(
            f'`max_shard_size` must be a number of bytes or as "5GB", but is {size!r}.'
        )
    return size


def load_foreign_weights(
    model: AnyModule, path: StrPath, family: Family, logger: logging.Logger
) -> AnyModule:
    """Loads a checkpoint of any format into a model, and returns it.

    Weights that are missing from the checkpoint keep their values; their names, and those of what
    was not used, are logged.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, has no weight of the model, or one of another shape.
    """
    source = find_source(path)
    weights = read_weights(source, family)
    state = model.state_dict()
    tensors = weights.tensors | left_out_projections(source, family, weights, state)
    missing, unused = _C.load_weights(state, tensors, family)
    unused = [weights.names.get(name, name) for name in unused] + weights.unknown
    _report(logger, type(model).__name__, missing, unused, weights.training_state)
    return model


def _report(
    logger: logging.Logger,
    model: str,
    missing: list[str],
    unused: list[str],
    training_state: Sequence[str] = (),
) -> None:
    for level, names, what in (
        (logging.WARNING, missing, "weights not in the checkpoint, left at their initial values"),
        (logging.WARNING, unused, "weights of the checkpoint that were not used"),
        (logging.INFO, training_state, "left out, as it belongs to training"),
    ):
        if names:
            logger.log(level, "`%s`: %s: %s", model, what, ", ".join(names))
