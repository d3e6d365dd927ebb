"""Converts TensorFlow's GPT-2 checkpoints into a folder, under the names of 2019."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from .convert import convert_to_folder
from .file_utils import StrPath
from .modeling_gpt2 import GPT2Config, GPT2Model

__all__ = ["convert_gpt2_checkpoint_to_pytorch"]


def convert_gpt2_checkpoint_to_pytorch(
    gpt2_checkpoint_path: StrPath,
    gpt2_config_file: StrPath,
    pytorch_dump_folder_path: StrPath,
) -> None:
    """Writes weights and configuration of a `GPT2Model`.

    Args:
        gpt2_checkpoint_path: PREFIX of PREFIX.index, one of the checkpoint's files, or their
            folder.
        gpt2_config_file: The configuration, config.json or hparams.json; "" for that of the small
            GPT-2 of 2019.
        pytorch_dump_folder_path: The folder to write to.

    Raises:
        OSError: A file is missing, or cannot be written.
        ValueError: A file is damaged, or lacks weights of the model.
    """
    config = GPT2Config.from_json_file(gpt2_config_file) if gpt2_config_file else GPT2Config()
    convert_to_folder(gpt2_checkpoint_path, "gpt2", GPT2Model, config, pytorch_dump_folder_path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script of 2019."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpt2_checkpoint_path", required=True)
    parser.add_argument("--pytorch_dump_folder_path", required=True)
    parser.add_argument("--gpt2_config_file", default="")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    convert_gpt2_checkpoint_to_pytorch(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
