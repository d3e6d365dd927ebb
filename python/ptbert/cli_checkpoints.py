"""The commands of `ptbert` on checkpoints: inspect, convert, and the four of 2019."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from ._files.sources import Entry, Source, guess_family, list_entries, open_source
from .convert import Conversion, Target, convert
from .convert_gpt2_checkpoint_to_pytorch import convert_gpt2_checkpoint_to_pytorch
from .convert_openai_checkpoint_to_pytorch import convert_openai_checkpoint_to_pytorch
from .convert_tf_checkpoint_to_pytorch import convert_tf_checkpoint_to_pytorch
from .convert_transfo_xl_checkpoint_to_pytorch import convert_transfo_xl_checkpoint_to_pytorch

_Commands = Any  # of argparse, which does not name its type


def add_checkpoint_commands(commands: _Commands) -> None:
    """Adds the commands to those of `ptbert`."""
    _add_inspect(commands)
    _add_convert(commands)
    # Arguments as in 2019; an optional last one comes second in the functions.
    _add_of_2019(
        commands,
        "convert_tf_checkpoint_to_pytorch",
        "write a TensorFlow checkpoint of BERT as a file of weights",
        ("TF_CHECKPOINT", "TF_CONFIG", "PYTORCH_DUMP_OUTPUT"),
        lambda checkpoint, config, out: convert_tf_checkpoint_to_pytorch(checkpoint, config, out),
    )
    _add_of_2019(
        commands,
        "convert_openai_checkpoint",
        "write OpenAI's NumPy files of GPT as a folder",
        ("OPENAI_FOLDER", "PYTORCH_DUMP_OUTPUT", "[OPENAI_CONFIG]"),
        lambda folder, out, config: convert_openai_checkpoint_to_pytorch(folder, config, out),
    )
    _add_of_2019(
        commands,
        "convert_transfo_xl_checkpoint",
        "write a TensorFlow checkpoint of Transformer-XL, or a corpus, as a folder",
        ("TF_CHECKPOINT_OR_DATASET", "PYTORCH_DUMP_OUTPUT", "[TF_CONFIG]"),
        _convert_transfo_xl,
    )
    _add_of_2019(
        commands,
        "convert_gpt2_checkpoint",
        "write a TensorFlow checkpoint of GPT-2 as a folder",
        ("TF_CHECKPOINT", "PYTORCH_DUMP_OUTPUT", "[GPT2_CONFIG]"),
        lambda checkpoint, out, config: convert_gpt2_checkpoint_to_pytorch(checkpoint, config, out),
    )


def _convert_transfo_xl(path: str, out: str, config: str) -> None:
    """As in 2019, "ckpt" in a path tells a checkpoint from a dataset."""
    is_checkpoint = "ckpt" in path.lower()
    checkpoint, dataset = (path, "") if is_checkpoint else ("", path)
    convert_transfo_xl_checkpoint_to_pytorch(checkpoint, config, out, dataset)


def _add_of_2019(
    commands: _Commands,
    name: str,
    help_text: str,
    arguments: Sequence[str],
    run: Callable[..., None],
) -> None:
    command = commands.add_parser(name, help=help_text, description=help_text)
    for argument in arguments:
        optional = {"nargs": "?", "default": ""} if argument.startswith("[") else {}
        command.add_argument(argument.strip("[]").lower(), metavar=argument.strip("[]"), **optional)
    names = [argument.strip("[]").lower() for argument in arguments]
    command.set_defaults(run=lambda options: run(*(getattr(options, one) for one in names)))


def _add_inspect(commands: _Commands) -> None:
    help_text = "list what a checkpoint holds: names, types, shapes, and of which family it is"
    command = commands.add_parser("inspect", help=help_text, description=help_text)
    command.add_argument(
        "path",
        metavar="PATH",
        help="a file, a folder, a .tar.gz archive or PREFIX of a TensorFlow checkpoint, of any "
        "format; or the name or Hub id of a model",
    )
    command.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace) -> None:
    with open_source(options.path) as source:
        entries = list_entries(source)
        family = guess_family(source, [entry.name for entry in entries])
        numbers = sum(math.prod(entry.shape) for entry in entries)
        print(f"{_format(source)}: {source.name}")
        print(f"family: {family or 'unknown'}")
        print(f"{len(entries):,} tensors, {numbers:,} elements")
        _print_table(entries)


def _format(source: Source) -> str:
    if source.format == "TensorFlow":
        return "TensorFlow checkpoint"
    if source.format == "NumPy":
        return "NumPy folder of OpenAI GPT"
    if source.is_sharded:
        return f"{source.format} in shards"
    return "safetensors" if source.format == "safetensors" else _pickle_format(source.path)


def _pickle_format(path: Path) -> str:
    with path.open("rb") as file:
        return f"PyTorch, {'zip' if file.read(2) == b'PK' else 'legacy'} format"


def _print_table(entries: Sequence[Entry]) -> None:
    rows = [("name", "dtype", "shape")]
    rows += [(entry.name, entry.dtype, str(list(entry.shape))) for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, dtype, shape in rows:
        print(f"{name:<{widths[0]}}  {dtype:<{widths[1]}}  {shape}")


def _add_convert(commands: _Commands) -> None:
    help_text = "convert a checkpoint of any format into a folder"
    command = commands.add_parser("convert", help=help_text, description=help_text)
    add = command.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="a TensorFlow checkpoint, a folder of OpenAI's NumPy files, model.safetensors, "
        "pytorch_model.bin, a folder or .tar.gz archive with one of them, or the name or Hub id of "
        "a model",
    )
    add("destination", metavar="DESTINATION", help="the folder to write to")
    add(
        "--to",
        choices=get_args(Target),
        default="2019",
        help="2019: pytorch_model.bin as of pytorch-pretrained-bert; transformers: "
        "model.safetensors and config.json of transformers; tensorflow: a checkpoint for the code "
        "of google-research/bert, openai/gpt-2 or kimiyoung/transformer-xl; default: 2019",
    )
    add("--config", help="the configuration, if it does not lie beside the checkpoint")
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    done = convert(options.source, options.destination, options.to, config=options.config)
    print(_summary(done, options.destination))


def _summary(done: Conversion, destination: str) -> str:
    left_out = len(done.unused) + len(done.training_state)
    return (
        f"{destination} has {done.written} weights of {done.model} ({done.family}). Not in the "
        f"checkpoint: {len(done.missing)}. Left out of it: {left_out}."
    )
