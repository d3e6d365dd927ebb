"""Compares GPT-2's and GPT's tokenizers with tiktoken and pytorch-pretrained-bert 0.6.2 on random
strings; stops at the first difference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
sys.modules["ftfy"] = None  # type: ignore[assignment]  # both are to use BasicTokenizer

from pytorch_pretrained_bert import tokenization_openai  # noqa: E402

import bpe_reference as reference  # noqa: E402
import ptbert  # noqa: E402
from test_tokenization_bpe_oracle import random_strings  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vocab", type=Path, help="folder with gpt2/ and openai-gpt/")
    parser.add_argument("--count", type=int, default=200_000)
    arguments = parser.parse_args()

    folder = arguments.vocab / "gpt2"
    gpt2 = ptbert.GPT2Tokenizer(folder / "encoder.json", folder / "vocab.bpe")
    tiktoken = reference.tiktoken_encoding(dict(gpt2.encoder), dict(gpt2.bpe_ranks))
    folder = arguments.vocab / "openai-gpt"
    files = [str(folder / name) for name in ("encoder_bpe_40000.json", "vocab_40000.bpe")]
    openai = ptbert.OpenAIGPTTokenizer(*files)
    oracle = tokenization_openai.OpenAIGPTTokenizer(*files)

    for text in random_strings(arguments.count):
        if gpt2.encode(text) != tiktoken.encode_ordinary(text):
            raise SystemExit(f"GPT-2 differs: {text!r}")
        if openai.tokenize(text) != oracle.tokenize(text):
            raise SystemExit(f"GPT differs: {text!r}")
    print(f"{arguments.count} strings, no difference")


if __name__ == "__main__":
    main()
