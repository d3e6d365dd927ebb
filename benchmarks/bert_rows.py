"""The rows of bert.py: what is timed, in which libraries, and how fast it is meant to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BASE = {
    "vocab_size_or_config_json_file": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
MINI = BASE | {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
TINY = BASE | {"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 96}
SIZES: dict[str, dict[str, Any]] = {"BERT-base": BASE, "MiniLM": MINI, "tiny": TINY}

TODAY = ("transformers sdpa", "transformers eager")
INFERENCE = (*TODAY, "ONNX Runtime")
CEILING = "GEMM ceiling"


@dataclass(frozen=True)
class Target:
    """How many times the peer's time (or memory) ours must fit into."""

    against: tuple[str, ...]
    """The best of these counts."""
    at_least: float


@dataclass(frozen=True)
class Row:
    """A thing to time."""

    name: str
    title: str
    task: str
    """What a worker does, a key of bert_worker's `HEADS`."""
    size: str
    """A key of `SIZES`."""
    data: str
    """Sentences x tokens, without padding, or a file of MRPC, with its real lengths."""
    peers: tuple[str, ...]
    targets: tuple[Target, ...]
    bf16: bool = False

    @property
    def unit(self) -> str:
        return "MB" if self.task == "memory" else "ms"


def encode(data: str, *more: Target) -> Row:
    targets = (
        Target(INFERENCE, 1.15),
        Target(("transformers compiled",), 1.0),
        Target(("original",), 2.2),
        *more,
    )
    peers = (*INFERENCE, "transformers compiled", "original")
    title = f"inference, BERT-base {data}"
    return Row(f"encode-{data}", title, "encode", "BERT-base", data, peers, targets)


def classify(size: str, short: str) -> Row:
    peers = (*INFERENCE, "original")
    title = f"inference, {size}, MRPC at real lengths"
    targets = (Target(peers, 1.6),)
    return Row(f"mrpc-{short}", title, "classify", size, "dev", peers, targets)


def finetune(size: str, short: str, data: str, target: float) -> list[Row]:
    """A row in float32, and one in bfloat16."""
    what = f"fine-tuning step, {size}, {'MRPC' if data == 'train' else data}"
    name = f"finetune-{short}"
    full, half = (Target(TODAY, target),), (Target(TODAY, 1.3),)
    return [
        Row(name, what, "finetune", size, data, (*TODAY, "original"), full),
        Row(f"{name}-bf16", f"{what}, bf16", "finetune", size, data, TODAY, half, bf16=True),
    ]


def memory(size: str, short: str) -> Row:
    title = f"peak memory of fine-tuning, {size}, MRPC"
    peers = ("transformers sdpa",)
    # At most 0.7 of theirs.
    targets = (Target(peers, 1 / 0.7),)
    return Row(f"memory-{short}", title, "memory", size, "train", peers, targets)


ROWS = [
    encode("1x128"),
    encode("8x128", Target((CEILING,), 0.85)),
    encode("8x384"),
    classify("BERT-base", "base"),
    classify("MiniLM", "mini"),
    *finetune("MiniLM", "mini", "train", 2.5),
    *finetune("BERT-base", "base", "8x128", 1.8),
    Row(
        "pretrain",
        "pre-training step, BERT-base 8x128",
        "pretrain",
        "BERT-base",
        "8x128",
        (*TODAY, "original"),
        (Target(TODAY, 2.0),),
    ),
    Row(
        "optimizer",
        "optimizer step, BERT-base",
        "optimize",
        "BERT-base",
        "1x128",
        ("original", "fused AdamW"),
        (Target(("original",), 6.0), Target(("fused AdamW",), 0.85)),
    ),
    memory("MiniLM", "mini"),
    memory("BERT-base", "base"),
]
