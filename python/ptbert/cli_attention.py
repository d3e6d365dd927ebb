"""The command `ptbert view-attention`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ._analysis.viewer import attention_page
from ._files.families import family_of
from .modeling import BertModel
from .modeling_gpt2 import GPT2Model
from .modeling_openai import OpenAIGPTModel
from .tokenization import BertTokenizer
from .tokenization_gpt2 import GPT2Tokenizer
from .tokenization_openai import OpenAIGPTTokenizer

_CLASSES: dict[str, Any] = {
    "bert": (BertModel, BertTokenizer),
    "openai-gpt": (OpenAIGPTModel, OpenAIGPTTokenizer),
    "gpt2": (GPT2Model, GPT2Tokenizer),
}


def add_view_attention(commands: Any) -> None:
    """Adds the command to those of `ptbert`."""
    help_text = "write a page that shows how a model attends from token to token"
    command = commands.add_parser("view-attention", help=help_text, description=help_text)
    add = command.add_argument
    add("text_a", metavar="TEXT", help="the text that the model reads")
    add("text_b", metavar="SECOND_TEXT", nargs="?", help="the second one of a pair of texts")
    add("-m", "--model", required=True, help="a folder, archive or name of a BERT, GPT or GPT-2")
    add("-o", "--output", required=True, type=Path, metavar="PAGE", help="the HTML file to write")
    add("--cased", action="store_true", help="keep case and accents; for a cased BERT in a folder")
    add("--cache-dir", help="the folder for downloaded models")
    command.set_defaults(run=_view_attention)


def _view_attention(options: argparse.Namespace) -> None:
    output: Path = options.output
    if not output.parent.is_dir():
        raise FileNotFoundError(f"`--output`: there is no folder {output.parent}.")
    if output.is_dir():
        raise IsADirectoryError(f"`--output` must be a file, but {output} is a folder.")
    family = family_of(options.model, options.cache_dir)
    if family not in _CLASSES:
        raise ValueError(
            f"`--model` must be a BERT, GPT or GPT-2, but `{options.model}` is of {family}."
        )
    if options.cased and family != "bert":
        raise ValueError(
            f"`--cased` must be used with a BERT only, but `{options.model}` is of {family}."
        )
    model_class, tokenizer_class = _CLASSES[family]
    arguments = {"do_lower_case": False} if options.cased else {}
    tokenizer = tokenizer_class.from_pretrained(options.model, options.cache_dir, **arguments)
    model = model_class.from_pretrained(options.model, cache_dir=options.cache_dir)
    title = Path(options.model).name or options.model
    page = attention_page(model, tokenizer, options.text_a, options.text_b, title)
    output.write_text(page, encoding="utf-8")
    print(f"{output} shows it: {len(page.encode()) / 1e6:.1f} MB, to open in a browser.")
