"""The command `ptbert`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from . import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer

_TOKENIZERS: dict[str, type[BertTokenizer] | type[OpenAIGPTTokenizer] | type[GPT2Tokenizer]] = {
    "wordpiece": BertTokenizer,
    "bpe": OpenAIGPTTokenizer,
    "byte-bpe": GPT2Tokenizer,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="ptbert", description="Tools of ptbert.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train_vocab(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ptbert").setLevel(logging.INFO)
    try:
        options.run(options)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(1, f"ptbert: error: {error}\n")
    return 0


def _add_train_vocab(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    help_text = "learn a new vocabulary from text files"
    command = commands.add_parser("train-vocab", help=help_text, description=help_text)
    add = command.add_argument
    add("files", nargs="+", metavar="FILE", help="a UTF-8 text file")
    add(
        "--type",
        required=True,
        choices=list(_TOKENIZERS),
        help="wordpiece for BERT, bpe for GPT, byte-bpe for GPT-2",
    )
    add("--size", required=True, type=int, metavar="VOCAB_SIZE", help="the number of tokens")
    add("-o", "--output-dir", required=True, help="the directory to write to")
    add("--cased", action="store_true", help="keep case and accents; only for wordpiece")
    add("--overwrite", action="store_true", help="replace files in the output directory")
    command.set_defaults(run=_train_vocab)


def _train_vocab(options: argparse.Namespace) -> None:
    tokenizer_class, arguments, shown = _TOKENIZERS[options.type], {}, ""
    if options.cased:
        if options.type != "wordpiece":
            raise ValueError(
                "`--cased` must be used with `--type wordpiece` only, but the type is "
                f"{options.type}: bpe always lower-cases, byte-bpe never does."
            )
        arguments, shown = {"do_lower_case": False}, ", do_lower_case=False"
    tokenizer = tokenizer_class.train(
        options.files,
        options.size,
        options.output_dir,
        overwrite=options.overwrite,
        verbose=True,
        **arguments,
    )
    print(f"{options.output_dir} has a vocabulary of {len(tokenizer)} tokens. To load it:")
    folder = str(Path(options.output_dir).resolve())  # which no name of a published model can be
    print(f"    {tokenizer_class.__name__}.from_pretrained({folder!r}{shown})")
