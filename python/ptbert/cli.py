"""The command `ptbert`."""

from __future__ import annotations

import argparse
import codecs
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from . import (
    BertTokenizer,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    OpenAIGPTLMHeadModel,
    OpenAIGPTTokenizer,
    TransfoXLLMHeadModel,
    TransfoXLTokenizer,
)
from ._files.families import family_of
from .cli_attention import add_view_attention
from .cli_checkpoints import add_checkpoint_commands
from .generation import Decoder, ScoredText, Weights

_TOKENIZERS: dict[str, type[BertTokenizer] | type[OpenAIGPTTokenizer] | type[GPT2Tokenizer]] = {
    "wordpiece": BertTokenizer,
    "bpe": OpenAIGPTTokenizer,
    "byte-bpe": GPT2Tokenizer,
}
_LANGUAGE_MODELS: dict[str, Any] = {
    "gpt2": (GPT2LMHeadModel, GPT2Tokenizer),
    "openai-gpt": (OpenAIGPTLMHeadModel, OpenAIGPTTokenizer),
    "transfo-xl": (TransfoXLLMHeadModel, TransfoXLTokenizer),
}
_END_OF_TEXT, _END_OF_LINE = "<|endoftext|>", "<eos>"
# What a user can cause.
_ERRORS = (ImportError, LookupError, OSError, RuntimeError, ValueError)
# Options of `Decoder.generate` that are options of the command as well.
_GENERATION = (
    *("max_new_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("num_return_sequences", "num_beams", "seed", "sliding_window", "stop_strings"),
)
# `decode` joins punctuation and contractions to the word before: the longest text that it replaces
# has 7 characters, and one replacement may make room for another.
_MAY_CHANGE = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="ptbert", description="Tools of ptbert.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train_vocab(commands)
    _add_generate(commands)
    _add_score(commands)
    add_view_attention(commands)
    add_checkpoint_commands(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("ptbert").setLevel(logging.INFO)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # by a reader such as `head`, which has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        parser.exit(130, "\n")  # 128 + SIGINT, as of a shell
    except _ERRORS as error:
        parser.exit(1, _message(error))
    return 0


def _message(error: Exception) -> str:
    # str() of a KeyError is the repr of its message.
    return f"ptbert: error: {error.args[0] if isinstance(error, KeyError) else error}\n"


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


def _add_model(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("-m", "--model", required=True, help="a folder, archive or name of a model")
    add("--cache-dir", help="the folder for downloaded models")
    add(
        "--weights",
        choices=get_args(Weights),
        default="float32",
        help="how weights are stored: fewer bytes are faster and less exact; default: float32",
    )


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    help_text = "continue a text with GPT, GPT-2 or Transformer-XL"
    command = commands.add_parser("generate", help=help_text, description=help_text)
    add = command.add_argument
    add(
        "prompt",
        nargs="?",
        help="the text to continue, '' for a new text; without it lines of standard input are "
        "continued, each as it is entered, until Ctrl-D",
    )
    _add_model(command)
    add(
        "--max-new-tokens",
        type=int,
        help="default: until the window of the model is full; Transformer-XL needs it",
    )
    add(
        "--temperature",
        type=float,
        help="0 takes the most probable tokens, above 0 they are drawn; default: 1, with beams 0",
    )
    add("--top-k", type=int, default=0, help="draw among so many tokens; default: all")
    add("--top-p", type=float, default=1.0, help="draw among tokens of this probability together")
    add("--min-p", type=float, default=0.0, help="draw among tokens so likely next to the first")
    add("--repetition-penalty", type=float, default=1.0, help="above 1 against repetition")
    add("--num-return-sequences", type=int, default=1, help="continuations of a prompt")
    add("--num-beams", type=int, default=1, help="search with so many beams")
    add("--seed", type=int, help="the same seed gives the same text")
    add("--sliding-window", action="store_true", help="go on when the window is full")
    add(
        *("--stop-string", "--stop"),
        action="append",
        default=[],
        dest="stop_strings",
        metavar="TEXT",
        help="stop after this text; may be given several times",
    )
    command.set_defaults(run=_generate)


def _generate(options: argparse.Namespace) -> None:
    if options.temperature is None:
        options.temperature = 1.0 if options.num_beams == 1 else 0.0
    decoder, tokenizer = _load(options)
    if options.prompt is not None:
        _write(options, decoder, tokenizer, options.prompt)
        return
    shown = "Prompt: " if sys.stdin.isatty() else ""
    while True:
        try:
            prompt = input(shown)
        except (EOFError, KeyboardInterrupt):
            break
        try:
            if prompt:
                _write(options, decoder, tokenizer, prompt)
        except (KeyboardInterrupt, *_ERRORS) as error:
            if not shown or isinstance(error, BrokenPipeError):
                raise
            # Someone at a terminal may try again.
            shown_error = "\n" if isinstance(error, KeyboardInterrupt) else _message(error)
            print(shown_error, end="", file=sys.stderr)
    print(end="\n" if shown else "")


def _write(options: argparse.Namespace, decoder: Decoder, tokenizer: Any, prompt: str) -> None:
    """Prints continuations of a prompt; a single one token by token."""
    is_transfo_xl = isinstance(tokenizer, TransfoXLTokenizer)
    end = None if is_transfo_xl else tokenizer.encoder.get(_END_OF_TEXT)
    ids = _encode(tokenizer, prompt, whole_lines=False)
    if not ids:
        first = tokenizer.sym2idx.get(_END_OF_LINE) if is_transfo_xl else end
        if first is None:
            raise ValueError(
                f"`prompt` must hold at least one token for a model without {_END_OF_TEXT}, but "
                "is empty."
            )
        ids = [first]
    arguments = {name: getattr(options, name) for name in _GENERATION}
    arguments |= {"tokenizer": tokenizer, "stop_ids": [] if end is None else [end]}
    if options.num_return_sequences == 1 and options.num_beams == 1:
        new = (token.id for token in decoder.stream(ids, **arguments))
        for piece in _text_of(tokenizer, new, end):
            print(piece, end="", flush=True)
        print()
        return
    continuations = decoder.generate(ids, **arguments)
    for number, continuation in enumerate(continuations, start=1):
        if len(continuations) > 1:
            print(f"--- {number} ---")
        print("".join(_text_of(tokenizer, continuation.ids, end)))


def _encode(tokenizer: Any, text: str, whole_lines: bool) -> list[int]:
    """Returns the ids of a text; for Transformer-XL with <eos> between lines, and with
    `whole_lines` behind the last one, as in its corpora."""
    if not isinstance(tokenizer, TransfoXLTokenizer):
        ids: list[int] = tokenizer.encode(text)
        return ids
    lines = (text.removesuffix("\n") if whole_lines else text).split("\n")
    ends = [True] * (len(lines) - 1) + [whole_lines]
    return [i for line, end in zip(lines, ends, strict=True) for i in tokenizer.encode(line, end)]


def _text_of(tokenizer: Any, ids: Iterator[int] | Sequence[int], end: int | None) -> Iterator[str]:
    """Yields the text of tokens up to the end of a text, in pieces that later tokens leave as they
    are."""
    known = (index for index in ids if index != end)
    if isinstance(tokenizer, GPT2Tokenizer):
        # A token may end inside a character.
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        bytes_of = {char: bytes([byte]) for char, byte in tokenizer.byte_decoder.items()}
        for index in known:
            (token,) = tokenizer.convert_ids_to_tokens([index])
            yield utf8.decode(b"".join(bytes_of.get(char) or char.encode() for char in token))
        yield utf8.decode(b"", final=True)
        return
    if isinstance(tokenizer, TransfoXLTokenizer):
        for symbol in (tokenizer.get_sym(index) for index in known):
            yield "\n" if symbol == _END_OF_LINE else f"{symbol} "
        return
    so_far: list[int] = []
    written = 0
    for index in known:
        so_far.append(index)
        text = tokenizer.decode(so_far)[:-_MAY_CHANGE]
        yield text[written:]
        written = max(written, len(text))
    yield tokenizer.decode(so_far)[written:]


def _add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    help_text = "tell how probable a text is to GPT, GPT-2 or Transformer-XL"
    command = commands.add_parser(
        "score",
        help=help_text,
        description=f"{help_text}: tokens, log-probability and perplexity of every line, and of "
        "all. The first token of a text is not counted, as nothing stands before it.",
    )
    add = command.add_argument
    add("file", metavar="FILE", type=Path, help="a UTF-8 text file")
    _add_model(command)
    add("--document", action="store_true", help="the file is one text; default: each line is one")
    add(
        "--stride",
        type=int,
        help="texts longer than the window are scored in steps of so many tokens, fewer are more "
        "exact; default: half a window",
    )
    add("--window", type=int, help="tokens that are seen at once; default: that of the model")
    command.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> None:
    text = _read(options.file)
    lines = [text] if options.document else [line.rstrip("\r") for line in text.split("\n")]
    decoder, tokenizer = _load(options)
    tokenizer.max_len = sys.maxsize  # longer texts are scored in steps
    encoded = (_encode(tokenizer, line, whole_lines=True) if line else [] for line in lines)
    rows = {number: ids for number, ids in enumerate(encoded, 1) if ids}
    if not rows:
        raise ValueError(f"`FILE` must hold text, but {options.file} holds none.")
    # disable=None: hidden unless stderr is a terminal
    with tqdm(desc="Scoring", unit="token", disable=None) as bar:

        def show(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        scored = decoder.score(
            list(rows.values()), stride=options.stride, window=options.window, callback=show
        )
    print("line\ttokens\tlog_prob\tperplexity")
    for number, one in zip(rows, scored, strict=True) if not options.document else ():
        _print_score(str(number), one)
    _print_score("total", ScoredText([value for one in scored for value in one.log_probs]))


def _print_score(name: str, scored: ScoredText) -> None:
    tokens, log_prob = len(scored.log_probs), math.fsum(scored.log_probs)
    print(f"{name}\t{tokens}\t{log_prob:.4f}\t{scored.perplexity:.4f}")


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            f"`FILE` must be UTF-8, but the byte 0x{error.object[error.start]:02x} in line {line} "
            f"of {path} is not."
        ) from None


def _load(options: argparse.Namespace) -> tuple[Decoder, Any]:
    model_class, tokenizer_class = _LANGUAGE_MODELS[_family_of(options.model, options.cache_dir)]
    tokenizer = tokenizer_class.from_pretrained(options.model, cache_dir=options.cache_dir)
    model = model_class.from_pretrained(options.model, cache_dir=options.cache_dir)
    return Decoder(model.eval(), options.weights), tokenizer


def _family_of(name: str, cache_dir: str | None) -> str:
    found = family_of(name, cache_dir)
    if found not in _LANGUAGE_MODELS:
        raise ValueError(
            f"`--model` must be a GPT, GPT-2 or Transformer-XL, but `{name}` is of {found}."
        )
    return found
