"""BERT by the code of google-research/bert, on TensorFlow 2, for the notebooks.

`modeling.py` of that repository is run as it is. It was written for TensorFlow 1: the two layers it
uses that TensorFlow 2 has dropped are given here. The heads, which stand in its scripts among code
for TPUs, are written anew.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
tf.get_logger().setLevel("ERROR")  # not the path of every checkpoint
# Outputs by name, from a BertModel of google-research/bert.
Heads = Callable[[Any], dict[str, Any]]


def dense(
    x: Any, units: int, activation: Any = None, kernel_initializer: Any = None, name: str = "dense"
) -> Any:
    """`tf.layers.dense` of TensorFlow 1."""
    with tf1.variable_scope(name):
        shape = [x.shape[-1], units]
        y = tf.matmul(x, tf1.get_variable("kernel", shape, initializer=kernel_initializer))
        y += tf1.get_variable("bias", [units])
    return y if activation is None else activation(y)


def layer_norm(inputs: Any, begin_norm_axis: int, begin_params_axis: int, scope: str | None) -> Any:
    """`tf.contrib.layers.layer_norm` of TensorFlow 1, over the last axis."""
    with tf1.variable_scope(scope, default_name="LayerNorm"):
        width = inputs.shape[-1]
        beta, gamma = (tf1.get_variable(name, [width]) for name in ("beta", "gamma"))
    mean, variance = tf.nn.moments(inputs, [begin_norm_axis], keepdims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


class TensorFlow1:
    """What `import tensorflow as tf` gives `modeling.py`."""

    contrib = SimpleNamespace(layers=SimpleNamespace(layer_norm=layer_norm))
    layers = SimpleNamespace(dense=dense)

    def __getattr__(self, name: str) -> Any:
        return getattr(tf1, name)


class GoogleBert:
    """google-research/bert in a folder."""

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / "modeling.py"
        if not path.is_file():
            raise FileNotFoundError(
                f"GOOGLE_BERT ({folder}) must be a copy of github.com/google-research/bert, but "
                "has no `modeling.py`."
            )
        spec = importlib.util.spec_from_file_location("modeling", path)
        assert spec is not None
        assert spec.loader is not None
        self.modeling = importlib.util.module_from_spec(spec)
        with patch.dict(sys.modules, {"tensorflow": TensorFlow1()}):  # type: ignore[dict-item]
            spec.loader.exec_module(self.modeling)
        # The exact form, which checkpoints were trained with; the repository has the approximation
        # by tanh since February 2019.
        self.modeling.gelu = lambda x: tf.nn.gelu(x, approximate=False)

    def run(
        self, checkpoint: Path, config: Path, inputs: dict[str, Any], heads: Heads
    ) -> dict[str, Any]:
        """Returns `hidden` (of every layer), `pooled` and what `heads` makes of the model.

        Args:
            checkpoint: PREFIX of the checkpoint of TensorFlow.
            config: Its bert_config.json.
            inputs: input_ids, input_mask and token_type_ids, each [batch, seq].
            heads: The heads to put on the model.
        """
        with tf.Graph().as_default(), tf1.Session() as session:
            model = self.modeling.BertModel(
                self.modeling.BertConfig.from_json_file(str(config)),
                is_training=False,
                **{name: tf.constant(np.asarray(ids), tf.int32) for name, ids in inputs.items()},
            )
            outputs = {
                "hidden": model.get_all_encoder_layers(),
                "pooled": model.get_pooled_output(),
                **heads(model),
            }
            tf1.train.Saver().restore(session, str(checkpoint))
            found: dict[str, Any] = session.run(outputs)
            return found


def no_heads(model: Any) -> dict[str, Any]:
    return {}


def pretraining_heads(model: Any) -> dict[str, Any]:
    """`words` [batch, seq, vocabulary] and `next_sentence` [batch, 2], as in run_pretraining.py."""
    hidden, table = model.get_sequence_output(), model.get_embedding_table()
    width = hidden.shape[-1]
    with tf1.variable_scope("cls/predictions"):
        with tf1.variable_scope("transform"):
            x = dense(hidden, width, lambda x: tf.nn.gelu(x, approximate=False))
            x = layer_norm(x, -1, -1, "LayerNorm")
        bias = tf1.get_variable("output_bias", [table.shape[0]])
        words = tf.einsum("bsh,vh->bsv", x, table) + bias
    with tf1.variable_scope("cls/seq_relationship"):
        weights = tf1.get_variable("output_weights", [2, width])
        bias = tf1.get_variable("output_bias", [2])
        next_sentence = tf.matmul(model.get_pooled_output(), weights, transpose_b=True) + bias
    return {"words": words, "next_sentence": next_sentence}


def squad_heads(starts: Any, ends: Any) -> Heads:
    """`start` and `end` [batch, seq], and `loss` for the positions given, as in run_squad.py."""

    def heads(model: Any) -> dict[str, Any]:
        hidden = model.get_sequence_output()
        with tf1.variable_scope("cls/squad"):
            weights = tf1.get_variable("output_weights", [2, hidden.shape[-1]])
            bias = tf1.get_variable("output_bias", [2])
        scores = tf.einsum("bsh,kh->bsk", hidden, weights) + bias
        start, end = tf.unstack(scores, axis=-1)
        losses = [
            -tf.reduce_mean(tf.gather(tf.nn.log_softmax(logits), positions, batch_dims=1))
            for logits, positions in ((start, starts), (end, ends))
        ]
        return {"start": start, "end": end, "loss": sum(losses) / 2}

    return heads
