"""A Transformer-XL trained to convergence has the same perplexity in pytorch-pretrained-bert 0.6.2.

python tests/slow/transfo_xl_perplexity.py DATA [--folder FOLDER]

DATA is that of PTBERT_TEST_DATA. `examples/train_transfo_xl.py` trains on the characters of a play
until the held-out loss no longer falls; both libraries load the folder and read the held-out part,
in segments with memory. The perplexities must agree in four digits.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import ptbert
import train_transfo_xl

TEXT = "tinyshakespeare.txt"
SEGMENT, HELD_OUT = 64, 0.05
FLAGS = f"""
--characters --n_layer 3 --n_head 4 --d_head 32 --d_model 128 --d_embed 128 --d_inner 256
--cutoffs 20 40 --div_val 2 --dropout 0.1 --tgt_len {SEGMENT} --mem_len {SEGMENT}
--train_batch_size 16 --learning_rate 2e-3 --num_train_epochs 3 --eval_every 1000
""".split()


@torch.no_grad()
def perplexity(library: Any, folder: Path, ids: torch.Tensor) -> float:
    """Of ids [tokens], by a library's model."""
    model = library.TransfoXLLMHeadModel.from_pretrained(str(folder)).eval()
    losses, mems = [], None
    for start in range(0, len(ids) - 1, SEGMENT):
        segment = ids[start : start + SEGMENT + 1].unsqueeze(0)
        loss, mems = model(segment[:, :-1], segment[:, 1:], mems)
        losses.append(loss.double().flatten())
    return math.exp(torch.cat(losses).mean())


def main() -> None:
    """Train, evaluate twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--folder", type=Path, help="the trained model, kept; default: a new one")
    options = parser.parse_args()
    text = options.data / "lm" / TEXT
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name) / "model"
        if not folder.exists():
            files = ["--train_files", str(text), "--held_out", str(HELD_OUT)]
            train_transfo_xl.main([*files, "--output_dir", str(folder), *FLAGS])
        tokenizer = ptbert.TransfoXLTokenizer.from_pretrained(folder)
        ids = tokenizer.encode_file(text, ordered=True, add_eos=True)
        held_out = ids[-int(HELD_OUT * len(ids)) :]
        torch.Tensor.byte = torch.Tensor.bool  # type: ignore[method-assign, assignment]  # its masks
        names = ("ptbert", "pytorch_pretrained_bert")
        found = [perplexity(importlib.import_module(name), folder, held_out) for name in names]
    for name, value in zip(names, found, strict=True):
        print(f"{name}: perplexity {value:.6f} of {len(held_out)} characters")
    if f"{found[0]:.4g}" != f"{found[1]:.4g}":
        raise SystemExit("The perplexities differ in their first four digits.")


if __name__ == "__main__":
    main()
