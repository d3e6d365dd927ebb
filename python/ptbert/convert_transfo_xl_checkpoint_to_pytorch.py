"""Converts TensorFlow's Transformer-XL checkpoints into a folder, under the names of 2019."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from .convert import convert_to_folder
from .file_utils import StrPath
from .modeling_transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel

__all__ = ["convert_transfo_xl_checkpoint_to_pytorch"]


def convert_transfo_xl_checkpoint_to_pytorch(
    tf_checkpoint_path: StrPath,
    transfo_xl_config_file: StrPath,
    pytorch_dump_folder_path: StrPath,
    transfo_xl_dataset_file: StrPath = "",
) -> None:
    """Writes weights and configuration of a `TransfoXLLMHeadModel`.

    Args:
        tf_checkpoint_path: PREFIX of PREFIX.index, one of the checkpoint's files, or their folder.
        transfo_xl_config_file: The configuration, config.json; "" for that of transfo-xl-wt103.
        pytorch_dump_folder_path: The folder to write to.
        transfo_xl_dataset_file: "". The corpora of 2019 (corpus.pkl) are programs in a file, which
            this library does not run.

    Raises:
        OSError: A file is missing, or cannot be written.
        ValueError: A file is damaged, or lacks weights of the model; or a dataset is given.
    """
    if transfo_xl_dataset_file:
        raise ValueError(
            "`transfo_xl_dataset_file` must be empty, since a pickled corpus would have to be run "
            f"to be read, but is {str(transfo_xl_dataset_file)!r}. Make the corpus anew from its "
            "text files with `ptbert.TransfoXLCorpus.build_corpus`, and save it with `save_corpus`."
        )
    file = transfo_xl_config_file
    config = TransfoXLConfig.from_json_file(file) if file else TransfoXLConfig()
    convert_to_folder(
        tf_checkpoint_path, "transfo-xl", TransfoXLLMHeadModel, config, pytorch_dump_folder_path
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script of 2019."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pytorch_dump_folder_path", required=True)
    parser.add_argument("--tf_checkpoint_path", default="")
    parser.add_argument("--transfo_xl_config_file", default="")
    parser.add_argument("--transfo_xl_dataset_file", default="")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    convert_transfo_xl_checkpoint_to_pytorch(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
