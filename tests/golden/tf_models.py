"""BERT and GPT-2 written with TensorFlow's operations on the variables of a checkpoint, as the
papers and the names of the variables have them: an implementation to compare ours with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Variables = Callable[[str], Any]


def layer_norm(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + epsilon) * gain + bias


def heads(x: Any, count: int) -> Any:
    batch, length, width = x.shape
    split = tf.reshape(x, [batch, length, count, width // count])
    return tf.transpose(split, [0, 2, 1, 3])  # [batch, heads, length, size]


def merged(x: Any) -> Any:
    batch, count, length, size = x.shape
    return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, count * size])


def attention(query: Any, key: Any, value: Any, bias: Any) -> Any:
    scores = tf.matmul(query, key, transpose_b=True) / np.float32(np.sqrt(query.shape[-1]))
    return merged(tf.matmul(tf.nn.softmax(scores + bias), value))


def bert(get: Variables, config: dict[str, Any], ids: Any, types: Any, mask: Any) -> dict[str, Any]:
    """Hidden states, pooled output and the scores of the two heads of pre-training."""

    def dense(name: str, x: Any) -> Any:
        return tf.matmul(x, get(f"{name}/kernel")) + get(f"{name}/bias")

    def norm(name: str, x: Any) -> Any:
        return layer_norm(x, get(f"{name}/gamma"), get(f"{name}/beta"), 1e-12)

    def gelu(x: Any) -> Any:
        return tf.nn.gelu(x, approximate=False)

    table = get("bert/embeddings/word_embeddings")
    x = tf.gather(table, ids) + get("bert/embeddings/position_embeddings")[: ids.shape[1]]
    x = norm(
        "bert/embeddings/LayerNorm",
        x + tf.gather(get("bert/embeddings/token_type_embeddings"), types),
    )
    bias = (1.0 - tf.cast(mask[:, None, None, :], tf.float32)) * -10000.0
    states, count = [], config["num_attention_heads"]
    for layer in range(config["num_hidden_layers"]):
        scope = f"bert/encoder/layer_{layer}"
        query, key, value = (
            heads(dense(f"{scope}/attention/self/{name}", x), count)
            for name in ("query", "key", "value")
        )
        out = dense(f"{scope}/attention/output/dense", attention(query, key, value, bias))
        x = norm(f"{scope}/attention/output/LayerNorm", x + out)
        out = dense(f"{scope}/output/dense", gelu(dense(f"{scope}/intermediate/dense", x)))
        x = norm(f"{scope}/output/LayerNorm", x + out)
        states.append(x)
    pooled = tf.tanh(dense("bert/pooler/dense", x[:, 0]))
    out = gelu(dense("cls/predictions/transform/dense", x))
    out = norm("cls/predictions/transform/LayerNorm", out)
    words = tf.matmul(out, table, transpose_b=True) + get("cls/predictions/output_bias")
    weights = get("cls/seq_relationship/output_weights")
    next_sentence = tf.matmul(pooled, weights, transpose_b=True) + get(
        "cls/seq_relationship/output_bias"
    )
    return {"hidden": states, "pooled": pooled, "words": words, "next_sentence": next_sentence}


def gpt2(get: Variables, config: dict[str, Any], ids: Any) -> Any:
    """The scores of the next tokens."""

    def conv(name: str, x: Any) -> Any:
        return tf.matmul(x, tf.squeeze(get(f"{name}/w"), 0)) + get(f"{name}/b")

    def norm(name: str, x: Any) -> Any:
        return layer_norm(x, get(f"{name}/g"), get(f"{name}/b"), 1e-5)

    length = ids.shape[1]
    x = tf.gather(get("model/wte"), ids) + get("model/wpe")[:length]
    bias = (1.0 - np.tril(np.ones((length, length), np.float32))) * -1e10
    for layer in range(config["n_layer"]):
        scope = f"model/h{layer}"
        qkv = tf.split(conv(f"{scope}/attn/c_attn", norm(f"{scope}/ln_1", x)), 3, axis=-1)
        query, key, value = (heads(part, config["n_head"]) for part in qkv)
        x += conv(f"{scope}/attn/c_proj", attention(query, key, value, bias))
        inner = tf.nn.gelu(conv(f"{scope}/mlp/c_fc", norm(f"{scope}/ln_2", x)), approximate=True)
        x += conv(f"{scope}/mlp/c_proj", inner)
    return tf.matmul(norm("model/ln_f", x), get("model/wte"), transpose_b=True)
