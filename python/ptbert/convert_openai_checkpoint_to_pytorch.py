"""Converts OpenAI's NumPy files of GPT into a folder, under the names of 2019."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from .convert import convert_to_folder
from .file_utils import StrPath
from .modeling_openai import OpenAIGPTConfig, OpenAIGPTModel

__all__ = ["convert_openai_checkpoint_to_pytorch"]


def convert_openai_checkpoint_to_pytorch(
    openai_checkpoint_folder_path: StrPath,
    openai_config_file: StrPath,
    pytorch_dump_folder_path: StrPath,
) -> None:
    """Writes weights and configuration of an `OpenAIGPTModel`.

    Args:
        openai_checkpoint_folder_path: The folder with params_shapes.json and params_0.npy to
            params_9.npy.
        openai_config_file: The configuration; "" for that of the published model.
        pytorch_dump_folder_path: The folder to write to.

    Raises:
        OSError: A file is missing, or cannot be written.
        ValueError: A file is damaged, or lacks weights of the model.
    """
    config = (
        OpenAIGPTConfig.from_json_file(openai_config_file)
        if openai_config_file
        else OpenAIGPTConfig()
    )
    convert_to_folder(
        openai_checkpoint_folder_path,
        "openai-gpt",
        OpenAIGPTModel,
        config,
        pytorch_dump_folder_path,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script of 2019."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--openai_checkpoint_folder_path", required=True)
    parser.add_argument("--pytorch_dump_folder_path", required=True)
    parser.add_argument("--openai_config_file", default="")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    convert_openai_checkpoint_to_pytorch(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
