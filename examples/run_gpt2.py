"""Write text with GPT-2: from nothing, or after the prompts that are entered."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

import arguments
import training
from ptbert import GPT2LMHeadModel, GPT2Tokenizer
from ptbert.generation import NewToken
from ptbert.training import track

END_OF_TEXT = "<|endoftext|>"
PROMPT = "Model prompt >>> "


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model_name_or_path", default="gpt2", help="shortcut name, folder or archive of a GPT-2")
    add("--cache_dir", help="folder for downloaded models")
    add("--seed", type=int, default=0, help="the same seed gives the same run")
    add("--nsamples", type=int, default=1, help="samples of a prompt")
    add("--batch_size", type=int, default=-1, help="samples written together; -1 for one")
    add("--length", type=int, default=-1, help="tokens of a sample; -1 for half the window")
    add("--temperature", type=float, default=1.0, help="scores are divided by it")
    add("--top_k", type=int, default=0, help="draw among so many tokens; 0 for all")
    add("--unconditional", action="store_true", help="write from nothing instead of prompting")
    arguments.add_device_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments before anything is loaded."""
    arguments.check_one_process()
    if args.batch_size == -1:
        args.batch_size = 1
    arguments.check_batch_sizes(args)
    if args.nsamples < 1 or args.nsamples % args.batch_size:
        raise ValueError(
            f"`--nsamples` ({args.nsamples}) must be a positive multiple of `--batch_size` "
            f"({args.batch_size})."
        )


def load(args: argparse.Namespace) -> tuple[GPT2LMHeadModel, GPT2Tokenizer]:
    """The model and its tokenizer; sets the default of --length."""
    tokenizer = GPT2Tokenizer.from_pretrained(args.model_name_or_path, cache_dir=args.cache_dir)
    model = GPT2LMHeadModel.from_pretrained(args.model_name_or_path, cache_dir=args.cache_dir)
    window = model.config.n_ctx
    if args.length == -1:
        args.length = window // 2
    if not 1 <= args.length < window:
        raise ValueError(
            f"`--length` ({args.length}) must be at least 1 and below the window of the model "
            f"({window}), where a token of the prompt stands as well."
        )
    return model.to(training.select_device(args)).eval(), tokenizer


def write_samples(
    args: argparse.Namespace,
    model: GPT2LMHeadModel,
    tokenizer: GPT2Tokenizer,
    prompt: list[int],
    seeds: random.Random,
) -> None:
    """Print --nsamples continuations, --batch_size of them at a time."""
    number = 0
    tokens = args.nsamples * args.length
    with track(total=tokens, desc="Writing", unit="token") as bar:

        def count(_: NewToken) -> None:
            bar.update()

        for _ in range(args.nsamples // args.batch_size):
            samples = model.generate(
                prompt,
                max_new_tokens=args.length,
                temperature=args.temperature,
                top_k=args.top_k,
                num_return_sequences=args.batch_size,
                seed=seeds.getrandbits(64),
                callback=count,
            )
            for sample in samples:
                number += 1
                text = tokenizer.decode(sample.ids, clean_up_tokenization_spaces=False)
                bar.write(f"{'=' * 40} SAMPLE {number} {'=' * 40}\n{text}", file=sys.stdout)


def ask() -> str | None:
    """A prompt that is not empty, or `None` at the end of the input."""
    try:
        while not (prompt := input(PROMPT)):
            print("Prompt should not be empty!")
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    return prompt


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    model, tokenizer = load(args)
    # Each batch takes the next seed, so that a prompt entered again gives another text.
    seeds = random.Random(args.seed)
    if args.unconditional:
        start = tokenizer.encoder.get(END_OF_TEXT)
        if start is None:
            raise ValueError(
                f"`--unconditional` needs the token {END_OF_TEXT}, but the vocabulary of "
                f"{args.model_name_or_path} lacks it."
            )
        write_samples(args, model, tokenizer, [start], seeds)
        return
    while (text := ask()) is not None:
        prompt = tokenizer.encode(text)
        if len(prompt) + args.length > model.config.n_ctx:
            print(
                f"The prompt ({len(prompt)} tokens) and `--length` ({args.length}) must fit into "
                f"the window of {model.config.n_ctx} tokens."
            )
            continue
        write_samples(args, model, tokenizer, prompt, seeds)
        print("=" * 80)


if __name__ == "__main__":
    main()
