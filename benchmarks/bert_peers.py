"""The libraries that bert.py compares, each behind the same few methods.

Runs in the worker processes, under any Python that has the library.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

Batch = dict[str, torch.Tensor]
INPUTS = ("input_ids", "token_type_ids", "attention_mask")


class Classic:
    """ptbert, or the original: one API."""

    def __init__(self, package: str) -> None:
        self._library = importlib.import_module(package)
        self.version = importlib.metadata.version(package)

    def load(self, head: str, folder: Path) -> Any:
        """A model of this class with the folder's weights."""
        labels = {"num_labels": 2} if head == "BertForSequenceClassification" else {}
        return getattr(self._library, head).from_pretrained(str(folder), **labels)

    def outputs(self, model: Any, batch: Batch) -> list[torch.Tensor]:
        """What the model gives without labels."""
        inputs = [batch.get(name) for name in INPUTS]
        if hasattr(model, "pooler"):
            return list(model(*inputs, output_all_encoded_layers=False))
        return [model(*inputs)]

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """The loss on the batch's labels."""
        inputs = [batch.get(name) for name in INPUTS]
        if "masked_lm_labels" in batch:
            return model(*inputs, batch["masked_lm_labels"], batch["labels"])
        return model(*inputs, batch["labels"])

    def optimizer(self, model: Any) -> torch.optim.Optimizer:
        """The optimizer that users of the library take."""
        return self._library.BertAdam(model.parameters(), lr=5e-5, warmup=0.1, t_total=10_000)


class FusedAdamW(Classic):
    """Models of ptbert, for torch's own optimizer to step."""

    def __init__(self) -> None:
        super().__init__("ptbert")
        self.version = torch.__version__

    def optimizer(self, model: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01, fused=True)


class Transformers:
    """The library of today, with one of its attention functions."""

    def __init__(self, attention: str, compiled: bool = False) -> None:
        self._modeling = importlib.import_module("transformers.models.bert.modeling_bert")
        self.version = importlib.metadata.version("transformers")
        self._attention = attention
        self._compiled = compiled

    def load(self, head: str, folder: Path) -> Any:
        kind = getattr(self._modeling, head)
        model = kind.from_pretrained(str(folder), attn_implementation=self._attention)
        if not self._compiled:
            return model
        inductor = importlib.import_module("torch._inductor.config")
        inductor.freezing = True  # type: ignore[attr-defined]
        return torch.compile(model.eval())

    def outputs(self, model: Any, batch: Batch) -> list[torch.Tensor]:
        return list(model(**{name: batch.get(name) for name in INPUTS}, return_dict=False))

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        inputs = {name: batch.get(name) for name in INPUTS}
        if "masked_lm_labels" in batch:
            masked, following = batch["masked_lm_labels_100"], batch["labels"]
            return model(**inputs, labels=masked, next_sentence_label=following).loss
        return model(**inputs, labels=batch["labels"]).loss

    def optimizer(self, model: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.01, fused=True)


def divided_attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    """Attention with the division in it by which ONNX Runtime's optimizer knows BERT's."""
    # [batch, heads, query, key]
    scores = query @ key.transpose(2, 3) / math.sqrt(query.size(-1)) + mask
    return (scores.softmax(-1) @ value).transpose(1, 2), None  # -> [batch, query, heads, head]


class ExportableBert(torch.nn.Module):
    """A model of transformers with its mask made as in 2019: today's has no fused form."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.trunk = getattr(model, "bert", model)
        self.classifier = getattr(model, "classifier", None)

    def forward(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> Any:
        # [batch, key] -> [batch, 1, 1, key]
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        hidden = self.trunk.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        hidden = self.trunk.encoder(hidden, attention_mask=mask)[0]
        pooled = self.trunk.pooler(hidden)
        return (hidden, pooled) if self.classifier is None else self.classifier(pooled)


class OnnxRuntime:
    """ONNX Runtime on a graph that its own optimizer has fused."""

    def __init__(self) -> None:
        self._runtime = importlib.import_module("onnxruntime")
        self._optimizer = importlib.import_module("onnxruntime.transformers.optimizer")
        self._transformers = Transformers("divided")
        self.version = importlib.metadata.version("onnxruntime")
        self.fused: dict[str, int] = {}
        interface = importlib.import_module("transformers").AttentionInterface
        interface.register("divided", divided_attention)

    def load(self, head: str, folder: Path) -> Any:
        exported, fused = folder / f"{head}.onnx", folder / f"{head}.fused.onnx"
        if not fused.exists():
            self._export(head, folder, exported)
            self._fuse(folder, exported, fused)
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads would otherwise spin while the other libraries have their turns.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return self._runtime.InferenceSession(
            str(fused), options, providers=["CPUExecutionProvider"]
        )

    def _export(self, head: str, folder: Path, exported: Path) -> None:
        model = ExportableBert(self._transformers.load(head, folder)).eval()
        example = tuple(torch.ones(2, 16, dtype=torch.long) for _ in INPUTS)
        axes = {name: {0: "batch", 1: "seq"} for name in INPUTS}
        with torch.no_grad():
            torch.onnx.export(
                model,
                example,
                str(exported),
                dynamo=False,  # the optimizer recognizes what tracing gives
                input_names=list(INPUTS),
                dynamic_axes=axes,
                opset_version=17,
            )

    def _fuse(self, folder: Path, exported: Path, fused: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        graph = self._optimizer.optimize_model(
            str(exported), "bert", num_heads=heads, hidden_size=hidden
        )
        counts = graph.get_fused_operator_statistics()
        if counts["Attention"] != config["num_hidden_layers"]:
            raise RuntimeError(f"ONNX Runtime's optimizer fused {counts['Attention']} attentions")
        self.fused = {name: count for name, count in counts.items() if count}
        graph.save_model_to_file(str(fused))

    def outputs(self, model: Any, batch: Batch) -> list[torch.Tensor]:
        mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
        feed = {name: batch.get(name, mask).numpy() for name in INPUTS}
        return [torch.from_numpy(array) for array in model.run(None, feed)]


class Library(Protocol):
    """What a worker asks of each."""

    version: str

    def load(self, head: str, folder: Path) -> Any:
        """A model of this class with the folder's weights."""

    def outputs(self, model: Any, batch: Batch) -> list[torch.Tensor]:
        """What the model gives without labels."""


class TrainingLibrary(Library, Protocol):
    """What a worker asks of those that train."""

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """The loss on the batch's labels."""

    def optimizer(self, model: Any) -> torch.optim.Optimizer:
        """The optimizer that users of the library take."""


LIBRARIES: dict[str, Callable[[], Library]] = {
    "ptbert": lambda: Classic("ptbert"),
    "original": lambda: Classic("pytorch_pretrained_bert"),
    "transformers sdpa": lambda: Transformers("sdpa"),
    "transformers eager": lambda: Transformers("eager"),
    "transformers compiled": lambda: Transformers("sdpa", compiled=True),
    "ONNX Runtime": OnnxRuntime,
    "fused AdamW": FusedAdamW,
}
