"""Train a small GPT-2 from nothing on the plays of Shakespeare, then let it write."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

import demo_plays
from demo_phases import Phases
from demo_plays import HELD_OUT
from ptbert import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    OpenAIAdam,
)
from ptbert.optimization import WarmupCosineSchedule

PROMPTS = ("JULIET:", "KING RICHARD:", "To be, or not to be")
SAMPLED_PROMPT = "ROMEO:"
MODEL_SEED, BATCH_SEED, SAMPLE_SEED = 2019, 2020, 2021


@dataclass(frozen=True)
class Size:
    """How large the model is, and how it is trained.

    Attributes:
        warmup: The learning rate rises for so many steps, also where time allows only few in all:
            with a shorter rise the model learns worse for all of the training.
        seconds: Training takes no longer; the learning rate falls in time for its end.
    """

    vocabulary: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    window: int = 128
    batch: int = 8
    warmup: int = 100
    steps: int = 2200
    seconds: float = 180.0
    learning_rate: float = 3e-3


SIZE = Size()


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    repository = Path(__file__).resolve().parents[1]
    parser.add_argument("prompts", nargs="*", help="beginnings to continue")
    parser.add_argument("--text", action="append", default=[], help="a beginning to continue")
    parser.add_argument("--output_dir", type=Path, default=repository / "demo" / "gpt2")
    parser.add_argument("--retrain", action="store_true", help="train again, even with a model")
    parser.add_argument("--seconds", type=float, default=SIZE.seconds, help="training at most")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the text written")
    parser.add_argument("--tokens", type=int, default=150, help="to write after each beginning")
    parser.add_argument("--seed", type=int, default=SAMPLE_SEED, help="another writes another text")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Surprise:
    """How little a text was expected."""

    perplexity: float
    bits: float

    def __str__(self) -> str:
        return f"perplexity {self.perplexity:.1f} per token, {self.bits:.3f} bits per character"


def end_of_text(tokenizer: GPT2Tokenizer) -> int:
    """The token before each play."""
    return tokenizer.encoder["<|endoftext|>"]


def measure(model: GPT2LMHeadModel, tokenizer: GPT2Tokenizer, text: str) -> Surprise:
    """How well the model predicts each token from those before it."""
    model.eval()
    (scored,) = model.score([end_of_text(tokenizer), *tokenizer.encode(text)])
    bits = -sum(scored.log_probs) / math.log(2)
    return Surprise(scored.perplexity, bits / len(text.encode()))


def write(
    model: GPT2LMHeadModel,
    tokenizer: GPT2Tokenizer,
    prompt: str,
    tokens: int,
    temperature: float = 0.8,
    seed: int = SAMPLE_SEED,
) -> float:
    """Print how the model continues the prompt, as it writes; return the tokens per second."""
    model.eval()
    print(f"\n{prompt}", end="", flush=True)
    begin = time.perf_counter()
    ids: list[int] = []
    printed = 0
    for token in model.stream(
        tokenizer.encode(prompt) or [end_of_text(tokenizer)],
        max_new_tokens=tokens,
        temperature=temperature,
        top_p=0.95 if temperature > 0 else 1.0,
        stop_ids=[end_of_text(tokenizer)],
        sliding_window=True,
        seed=seed,
    ):
        ids.append(token.id)
        text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if not text.endswith("\ufffd"):  # a character of which bytes are still to come
            print(text[printed:], end="", flush=True)
            printed = len(text)
    print("\n", flush=True)
    return len(ids) / (time.perf_counter() - begin)


def batches(ids: torch.Tensor, size: Size) -> Iterator[torch.Tensor]:
    """Windows of the text in a new order, and cut at other places, in every pass over it."""
    generator = torch.Generator().manual_seed(BATCH_SEED)
    while True:
        offset = int(torch.randint(size.window, (), generator=generator))
        count = (len(ids) - offset) // size.window
        windows = ids[offset : offset + count * size.window].view(count, size.window)
        for rows in torch.randperm(count, generator=generator).split(size.batch):
            yield windows[rows]  # [batch, window]


def learn(
    model: GPT2LMHeadModel, ids: torch.Tensor, size: Size, sample: Callable[[], object]
) -> None:
    """Train for the steps or the seconds, whichever end first; sample twice on the way."""
    optimizer = OpenAIAdam(
        model.parameters(), lr=0.0, schedule="none", b2=0.99, weight_decay=0.1, max_grad_norm=1.0
    )
    schedule = WarmupCosineSchedule(warmup=-1, t_total=1)
    samples_left, lines_left = [0.5, 0.15], [tenth / 10 for tenth in range(10, 0, -1)]
    begin, losses = time.perf_counter(), []
    for step, batch in enumerate(batches(ids, size), start=1):
        done = max(step / size.steps, (time.perf_counter() - begin) / size.seconds)
        model.train()
        loss = model(batch, lm_labels=batch)
        loss.backward()
        rise = min(step / size.warmup, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = size.learning_rate * rise * schedule.get_lr(min(done, 1.0))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step == 1 or done >= lines_left[-1]:
            seconds, mean = time.perf_counter() - begin, sum(losses) / len(losses)
            line = f"{min(done, 1.0):4.0%}  {seconds:4.0f} s  step {step:5}  loss {mean:5.3f}"
            print(f"{line}  {'#' * round(6 * mean)}", flush=True)
            losses = []
            lines_left = [fraction for fraction in lines_left if fraction > done]
        if samples_left and done >= samples_left[-1]:
            samples_left.pop()
            sample()
        if done >= 1.0:
            break
    seconds = time.perf_counter() - begin
    tokens = step * size.batch * size.window
    print(f"{tokens:,} tokens read, {tokens / len(ids):.2f} times all there are, ", end="")
    print(f"at {tokens / seconds:,.0f} per second.")


def train(output_dir: Path, size: Size, phases: Phases) -> Surprise:
    """Make the vocabulary, train and save the model; return what it makes of the held-out play."""
    model_dir, text_file = output_dir / "model", output_dir / "plays.txt"
    with phases("Plays"):
        plays = demo_plays.read(demo_plays.download(output_dir / "download"))
        held_out = plays.pop(HELD_OUT)
        text_file.write_text("\n".join(plays.values()), encoding="utf-8")
        (output_dir / "held_out.txt").write_text(held_out, encoding="utf-8")
        characters = sum(map(len, plays.values()))
        print(f"{len(plays)} plays to learn from, {characters:,} characters.")
        print(f"{HELD_OUT.title()} is held out: the model is tested with it and never sees it.")
    with phases("Vocabulary"):
        tokenizer = GPT2Tokenizer.train(text_file, size.vocabulary, model_dir, overwrite=True)
        end = end_of_text(tokenizer)
        ids = torch.tensor([i for play in plays.values() for i in (end, *tokenizer.encode(play))])
        print(f"{len(tokenizer):,} tokens learnt; the plays are {len(ids):,} of them,")
        print(f"{characters / len(ids):.2f} characters each. A line in tokens:")
        line = tokenizer.encode("O Romeo, Romeo! wherefore art thou Romeo?")
        print("|".join(tokenizer.decode([i]) for i in line))
    with phases("Before training"):
        torch.manual_seed(MODEL_SEED)
        config = GPT2Config(
            len(tokenizer),
            n_positions=size.window,
            n_ctx=size.window,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
        model = GPT2LMHeadModel(config)
        # A new model's blocks are copies of the first, as in 2019: drawn anew, they learn faster.
        model.apply(model.init_weights)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(f"{parameters / 1e6:.1f} million parameters, all random.")
        print(f"{HELD_OUT.title()}: {measure(model, tokenizer, held_out)}.")
        write(model, tokenizer, SAMPLED_PROMPT, tokens=60)
    with phases("Training"):
        learn(model, ids, size, lambda: write(model, tokenizer, SAMPLED_PROMPT, tokens=60))
    with phases("After training, saving"):
        after = measure(model, tokenizer, held_out)
        print(f"{HELD_OUT.title()}: {after}.")
        config.to_json_file(str(model_dir / CONFIG_NAME))
        torch.save(model.state_dict(), model_dir / WEIGHTS_NAME)
        print(f"Model saved in {model_dir}.")
        write(model, tokenizer, SAMPLED_PROMPT, tokens=60)
    return after


def run(args: argparse.Namespace, size: Size) -> None:
    """Train unless there is a model, reload it, check it and let it continue the prompts."""
    phases = Phases()
    model_dir: Path = args.output_dir / "model"
    results_file: Path = args.output_dir / "results.json"
    if args.retrain:
        results_file.unlink(missing_ok=True)
    reused = results_file.is_file()
    if reused:
        after = Surprise(**json.loads(results_file.read_text(encoding="utf-8")))
        print(f"Using the model trained before, in {model_dir}; --retrain trains a new one.")
        print(f"{HELD_OUT.title()}: {after}.")
    else:
        after = train(args.output_dir, size, phases)
    with phases("Reloading"):
        tokenizer = GPT2Tokenizer.from_pretrained(model_dir)
        model = GPT2LMHeadModel.from_pretrained(model_dir)
        if not reused:
            held_out = (args.output_dir / "held_out.txt").read_text(encoding="utf-8")
            again = measure(model, tokenizer, held_out)
            if again != after:
                raise RuntimeError(f"The reloaded model has {again}, not {after}.")
            print("The reloaded model predicts the held-out play equally well.")
            results_file.write_text(json.dumps(asdict(after), indent=2) + "\n", encoding="utf-8")
    with phases("Writing"):
        prompts = [text for text in [*args.text, *args.prompts] if text.strip()] or PROMPTS
        for prompt in prompts:
            speed = write(model, tokenizer, prompt, args.tokens, args.temperature, args.seed)
        print(f"Written at {speed:.0f} tokens per second.")
    phases.print_table()


def main(argv: Sequence[str] | None = None, size: Size = SIZE) -> None:
    """Run the demo; an error that the user can mend ends it with one message."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    args = parse_arguments(argv)
    if args.seconds <= 0:
        sys.exit(f"demo: --seconds must be above 0, but is {args.seconds:g}.")
    try:
        run(args, replace(size, seconds=args.seconds))
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
