"""Write the hidden states of BERT for every token of every line of a text file."""

from __future__ import annotations

import argparse
import functools
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import arguments
import inputs
import training
from inputs import Batch
from ptbert import BertModel, BertTokenizer
from ptbert.training import Batches, to_device, track

SEPARATOR = " ||| "


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--input_file", required=True, type=Path, help="a text, or 'text a ||| text b', per line")
    add("--output_file", required=True, type=Path, help="the file to write")
    formats = "JSON lines, or NumPy's states_0, tokens_0, states_1, ... [tokens, layers, hidden]"
    add("--output_format", choices=list(WRITERS), default="jsonl", help=formats)
    add("--bert_model", required=True, help="shortcut name, folder or archive of a pretrained BERT")
    add("--cache_dir", help="folder for downloaded models")
    add("--do_lower_case", action="store_true", help="give this for an uncased model")
    add("--layers", default="-1,-2,-3,-4", help="layers to write; -1 is the last one")
    add("--max_seq_length", type=int, default=128, help="tokens per line; the rest is cut off")
    add("--batch_size", type=int, default=32, help="lines per batch")
    add("--pad_to_max_seq_length", action="store_true", help="pad to the limit, not per batch")
    arguments.add_device_arguments(parser)
    return parser.parse_args(argv)


def parse_layers(text: str, num_layers: int) -> list[int]:
    """The layer numbers in "-1,-2"; each must exist in the model."""
    try:
        layers = [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"`--layers` ({text}) must be numbers with commas between.") from None
    for layer in layers:
        if not -num_layers <= layer < num_layers:
            raise ValueError(
                f"`--layers` ({layer}) must be between {-num_layers} and {num_layers - 1}."
            )
    return layers


@dataclass(frozen=True)
class Line:
    """One line of the input file as the model reads it."""

    index: int
    tokens: list[str]
    input_ids: list[int]
    segment_ids: list[int]


def read_input(path: Path, tokenizer: BertTokenizer, max_seq_length: int) -> list[Line]:
    """Tokenize the lines of the file; the last separator in a line divides its two texts."""
    rows = []
    for index, text in enumerate(inputs.read_lines(path)):
        first, separator, second = text.strip().rpartition(SEPARATOR)
        text_a, text_b = (first, second) if separator else (second, None)
        tokens, segment_ids = inputs.encode(tokenizer, text_a, text_b, max_seq_length)
        rows.append(Line(index, tokens, tokenizer.convert_tokens_to_ids(tokens), segment_ids))
    return rows


def collate(rows: list[Line], length: int | None) -> Batch:
    """A batch of lines that remembers which lines it holds."""
    batch = inputs.model_inputs(
        [row.input_ids for row in rows], [row.segment_ids for row in rows], length
    )
    return batch | {"index": torch.tensor([row.index for row in rows])}


def describe(line: Line, layers: Sequence[int], states: torch.Tensor) -> dict[str, object]:
    """The JSON record of a line; `states` is `[layers, seq, hidden]`."""
    features = [
        {
            "token": token,
            "layers": [
                {"index": layer, "values": [round(value, 6) for value in vector.tolist()]}
                for layer, vector in zip(layers, vectors, strict=True)
            ],
        }
        for token, vectors in zip(line.tokens, states.unbind(1), strict=False)
    ]
    return {"linex_index": line.index, "features": features}


Write = Callable[[Line, torch.Tensor], None]


@contextmanager
def json_lines(path: Path, layers: Sequence[int]) -> Iterator[Write]:
    """Writes each line that it is called with as a record, as in 2019."""
    with path.open("w", encoding="utf-8") as output:
        yield lambda line, states: print(json.dumps(describe(line, layers, states)), file=output)


@contextmanager
def npz(path: Path, layers: Sequence[int]) -> Iterator[Write]:
    """Writes two arrays for each line, and the numbers of the layers, as `numpy.load` reads them.
    Arrays are read one by one, so neither side has all of them in memory."""
    with zipfile.ZipFile(path, "w") as archive:

        def add(name: str, values: np.ndarray) -> None:
            # force_zip64: an array may be larger than 4 GB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(values))

        def write(line: Line, states: torch.Tensor) -> None:
            # [layers, seq, hidden] -> [tokens, layers, hidden]
            add(f"states_{line.index}", states[:, : len(line.tokens)].transpose(0, 1).numpy())
            add(f"tokens_{line.index}", np.array(line.tokens))

        add("layers", np.array(layers))
        yield write


WRITERS = {"jsonl": json_lines, "npz": npz}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    arguments.check_one_process()
    arguments.check_batch_sizes(args)
    arguments.require_file(args.input_file, "--input_file")
    if args.output_file.exists() and args.output_file.samefile(args.input_file):
        raise ValueError(f"`--output_file` ({args.output_file}) must not be the `--input_file`.")
    if not args.output_file.parent.is_dir():
        raise FileNotFoundError(f"`--output_file`: there is no folder {args.output_file.parent}.")
    tokenizer = BertTokenizer.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    model = BertModel.from_pretrained(args.bert_model, cache_dir=args.cache_dir)
    model.to(training.select_device(args)).eval()
    model.skip_padding = True  # only tokens are written
    arguments.check_length(args.max_seq_length, model, least=5)
    layers = parse_layers(args.layers, model.config.num_hidden_layers)
    lines = read_input(args.input_file, tokenizer, args.max_seq_length)
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    batches = Batches(lines, args.batch_size, functools.partial(collate, length=length))
    with WRITERS[args.output_format](args.output_file, layers) as write:
        for batch in track(batches, desc="Features", unit="batch"):
            with torch.no_grad():
                hidden_states, _ = training.forward(model, to_device(batch, model))
            # [layers, batch, seq, hidden]
            states = torch.stack([hidden_states[layer] for layer in layers]).float().cpu()
            for position, index in enumerate(batch["index"].tolist()):
                write(lines[index], states[:, position])


if __name__ == "__main__":
    main()
