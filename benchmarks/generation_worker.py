"""A process with one library of generation.py: reads questions as JSON lines, answers likewise.

python benchmarks/generation_worker.py LIBRARY THREADS FOLDER
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Rows = list[list[int]]


class Ptbert:
    """ptbert, with weights of one format."""

    def __init__(self, folder: Path, weights: str) -> None:
        import ptbert
        from ptbert.generation import Decoder

        self.version = importlib.metadata.version("ptbert")
        self.model = ptbert.GPT2LMHeadModel.from_pretrained(str(folder)).eval()
        self.decoder = Decoder(self.model, weights=weights)  # type: ignore[arg-type]

    def generate(self, prompts: Rows, count: int) -> Rows:
        return [one.ids for one in self.decoder.generate(prompts, max_new_tokens=count)]

    def score(self, texts: Rows) -> list[float]:
        return [p for text in self.decoder.score(texts) for p in text.log_probs]

    def loss(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(ids, lm_labels=ids)


class Transformers:
    """The library of today."""

    def __init__(self, folder: Path) -> None:
        transformers = importlib.import_module("transformers")
        transformers.logging.set_verbosity_error()
        self.version = transformers.__version__
        self.model = transformers.GPT2LMHeadModel.from_pretrained(str(folder)).eval()

    def generate(self, prompts: Rows, count: int) -> Rows:
        ids = torch.tensor(prompts)
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        return [row[len(prompts[0]) :].tolist() for row in output]

    @torch.inference_mode()
    def score(self, texts: Rows) -> list[float]:
        found: list[float] = []
        for text in texts:
            ids = torch.tensor([text])
            log_probs = self.model(ids).logits[0, :-1].log_softmax(-1)
            found += log_probs.gather(1, ids[0, 1:, None]).flatten().tolist()
        return found

    def loss(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(ids, labels=ids).loss


class CTranslate2:
    """The engine made for it, with one of its types; no training."""

    def __init__(self, folder: Path, compute_type: str, threads: int) -> None:
        library = importlib.import_module("ctranslate2")
        self.version = library.__version__
        converted = folder / f"ctranslate2-{compute_type}"
        if not converted.exists():
            converter = library.converters.TransformersConverter(str(folder))
            converter.convert(str(converted), quantization=compute_type)
        self.generator = library.Generator(
            str(converted), compute_type=compute_type, intra_threads=threads, inter_threads=1
        )
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self.vocabulary = sorted(ids, key=ids.__getitem__)

    def generate(self, prompts: Rows, count: int) -> Rows:
        results = self.generator.generate_batch(
            [[self.vocabulary[i] for i in row] for row in prompts],
            max_length=count,
            min_length=count,
            include_prompt_in_result=False,
            beam_size=1,
            end_token=[],
        )
        return [result.sequences_ids[0] for result in results]

    def score(self, texts: Rows) -> list[float]:
        found: list[float] = []
        for text in texts:
            (scored,) = self.generator.score_batch([[self.vocabulary[i] for i in text]])
            found += scored.log_probs
        return found


def machine() -> dict[str, float]:
    """Bytes read per second by all threads, and float32 operations."""
    data = torch.ones(128 << 20)  # 512 MB
    matrix = torch.ones(1024, 1024)
    data.sum(), matrix @ matrix
    best_read = best_product = 0.0
    for _ in range(3):
        start = time.perf_counter()
        data.sum()
        best_read = max(best_read, 4 * data.numel() / (time.perf_counter() - start))
        start = time.perf_counter()
        for _ in range(8):
            matrix @ matrix
        operations = 8 * 2 * 1024**3
        best_product = max(best_product, operations / (time.perf_counter() - start))
    return {"bytes_per_second": best_read, "operations_per_second": best_product}


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def train_step(library: Any, optimizer: torch.optim.Optimizer, ids: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    library.loss(ids).backward()
    optimizer.step()


def answer(library: Any, question: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    kind = question["kind"]
    if kind == "machine":
        return machine()
    if kind == "train":
        ids = torch.tensor(question["ids"])
        if "optimizer" not in kept:
            library.model.train()
            kept["optimizer"] = torch.optim.AdamW(library.model.parameters(), lr=1e-5, fused=True)
            train_step(library, kept["optimizer"], ids)
        return {"seconds": timed(lambda: train_step(library, kept["optimizer"], ids))}
    if kind == "score":
        seconds = timed(lambda: kept.update(scores=library.score(question["ids"])))
        return {"seconds": seconds, "result": kept["scores"]}
    seconds = timed(lambda: kept.update(ids=library.generate(question["ids"], question["count"])))
    return {"seconds": seconds, "result": kept["ids"]}


def main() -> None:
    name, threads, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [folder for folder in sys.path if folder != here]  # it has a tokenizers.py
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    kind, _, variant = name.partition("-")
    library: Any = None
    if kind == "ptbert":
        library = Ptbert(folder, variant)
    elif kind == "transformers":
        library = Transformers(folder)
    elif kind == "ctranslate2":
        library = CTranslate2(folder, variant, threads)
    print(json.dumps({"version": library.version if library else torch.__version__}), file=answers)
    answers.flush()
    kept: dict[str, Any] = {}
    for line in sys.stdin:
        print(json.dumps(answer(library, json.loads(line), kept)), file=answers, flush=True)


if __name__ == "__main__":
    main()
