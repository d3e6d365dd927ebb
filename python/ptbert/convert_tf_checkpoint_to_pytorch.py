"""Converts TensorFlow's BERT checkpoints into a file of weights, under the names of 2019."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from .convert import convert_to_file
from .file_utils import StrPath
from .modeling import BertConfig, BertForPreTraining

__all__ = ["convert_tf_checkpoint_to_pytorch"]


def convert_tf_checkpoint_to_pytorch(
    tf_checkpoint_path: StrPath, bert_config_file: StrPath, pytorch_dump_path: StrPath
) -> None:
    """Writes the weights of a `BertForPreTraining` as `torch.save` of 2019 did.

    Args:
        tf_checkpoint_path: PREFIX of PREFIX.index, one of the checkpoint's files, or their folder.
        bert_config_file: The configuration, bert_config.json.
        pytorch_dump_path: The file to write, pytorch_model.bin.

    Raises:
        OSError: A file is missing, or cannot be written.
        ValueError: A file is damaged, or lacks weights of the model.
    """
    config = BertConfig.from_json_file(bert_config_file)
    convert_to_file(tf_checkpoint_path, "bert", BertForPreTraining, config, pytorch_dump_path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script of 2019."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tf_checkpoint_path", "bert_config_file", "pytorch_dump_path"):
        parser.add_argument(f"--{name}", required=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    convert_tf_checkpoint_to_pytorch(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
