"""Sentence embeddings beside sentence-transformers and ONNX Runtime, tokenization included.

python benchmarks/embeddings.py MRPC_FOLDER MODEL_FOLDER [--rounds 5]

MODEL_FOLDER is all-MiniLM-L6-v2. Both sentences of the first pairs of MRPC, 32 in a batch, by turns
in one process; medians. ONNX Runtime computes the fused model of `bert_peers.py` and gets its ids
from the tokenizer of transformers, in batches of like lengths as the other two.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bert_peers import OnnxRuntime
from torch import Tensor

from ptbert import BertModel, BertTokenizer, embed

BATCH = 32
sys.path.remove(str(Path(__file__).resolve().parent))  # where a module is named as `tokenizers`


def read_sentences(folder: Path, count: int) -> list[str]:
    with (folder / "train.tsv").open(encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [sentence for row in rows for sentence in row[3:5]][:count]


def ours(folder: Path) -> Callable[[list[str]], Tensor]:
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    return lambda texts: embed(model, tokenizer, texts, batch_size=BATCH)


def sentence_transformers(folder: Path) -> Callable[[list[str]], Tensor]:
    model = importlib.import_module("sentence_transformers").SentenceTransformer(str(folder))
    return lambda texts: model.encode(
        texts, batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False
    )


def onnx_runtime(folder: Path) -> Callable[[list[str]], Tensor]:
    peer = OnnxRuntime()
    tokenizer = importlib.import_module("transformers").BertTokenizerFast.from_pretrained(folder)
    directory = tempfile.mkdtemp()
    for file in folder.iterdir():
        (Path(directory) / file.name).symlink_to(file.resolve())
    session = peer.load("BertModel", Path(directory))

    def run(texts: list[str]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        result = torch.empty(len(texts), 384)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            inputs = tokenizer([texts[i] for i in places], padding=True, return_tensors="pt")
            states = peer.outputs(session, dict(inputs))[0]
            mask = inputs["attention_mask"].unsqueeze(-1)
            pooled = (states * mask).sum(1) / mask.sum(1)
            result[places] = torch.nn.functional.normalize(pooled)
        return result

    return run


def main() -> None:
    """Print sentences per second, and how much faster ptbert is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="MRPC_FOLDER")
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=1024)
    options = parser.parse_args()
    texts = read_sentences(options.data, options.sentences)
    makers = (ours, sentence_transformers, onnx_runtime)
    runs = {make.__name__: make(options.model) for make in makers}
    expected = runs["ours"](texts)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        difference = float((run(texts) - expected).abs().max())
        print(f"{name}: differs by at most {difference:.1e}")
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(texts)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians["ours"]
        print(f"{name:22} {len(texts) / median:7.0f} sentences/s, ptbert is {ratio:.2f} x as fast")


if __name__ == "__main__":
    main()
