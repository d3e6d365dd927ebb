"""Writes the folder tf_checkpoints, checkpoints by TensorFlow, and tf_checkpoints.json, what
TensorFlow reads in them and in the shared ones, and what its operations compute with them.

    python tests/golden/generate_tf_checkpoints.py DATA

DATA is that of PTBERT_TEST_DATA. README.md in this folder says which environment it needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import cramjam
import numpy as np
import tensorflow as tf
import tf_models

FOLDER = Path(__file__).resolve().parent
TARGET = FOLDER / "tf_checkpoints"
REFERENCE = "2.21.0"

BERT = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}
GPT2 = {"n_vocab": 20, "n_ctx": 12, "n_embd": 8, "n_head": 2, "n_layer": 2}
TRANSFO_XL = {
    "n_token": 12,
    "cutoffs": [5],
    "d_model": 8,
    "d_embed": 8,
    "n_head": 2,
    "d_head": 4,
    "d_inner": 12,
    "div_val": 2,
    "n_layer": 2,
    "tgt_len": 4,
    "mem_len": 4,
    "ext_len": 0,
    "same_length": False,
    "untie_r": True,
}
IDS = [[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]]
TYPES = [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]]
MASK = [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]


def save(prefix: Path, tensors: dict[str, Any]) -> None:
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )


def save_in_shards(prefix: Path, *shards: dict[str, Any]) -> None:
    for number, tensors in enumerate(shards):
        save(prefix.with_name(f"part{number}"), tensors)
    merge(prefix, len(shards))


def merge(prefix: Path, shards: int) -> None:
    parts = [str(prefix.with_name(f"part{number}")) for number in range(shards)]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(prefix))


def save_partitioned(prefix: Path) -> None:
    """Variables in parts, as a partitioner makes them, in two shards. Numbers in the keys of the
    index have one to three bytes."""
    rows = tf.reshape(tf.range(8.0), [4, 2])
    columns = tf.cast(tf.reshape(tf.range(600), [3, 200]), tf.int16)
    line = tf.cast(tf.range(9000) % 251, tf.uint8)
    grid = tf.reshape(tf.range(24.0), [3, 4, 2])
    shards = (
        [
            ("rows", "4 2 2,2:-", rows[2:]),
            ("columns", "3 200 -:0,70", columns[:, :70]),
            ("line", "9000 0,8500", line[:8500]),
            ("grid", "3 4 2 0,1:-:0,1", grid[:1, :, :1]),
            ("grid", "3 4 2 1,2:0,3:-", grid[1:, :3]),
        ],
        [
            ("rows", "4 2 0,2:-", rows[:2]),
            ("columns", "3 200 -:70,130", columns[:, 70:]),
            ("line", "9000 8500,500", line[8500:]),
            ("grid", "3 4 2 0,1:-:1,1", grid[:1, :, 1:]),
            ("grid", "3 4 2 1,2:3,1:-", grid[1:, 3:]),
            ("whole", "", tf.ones([2])),
        ],
    )
    for number, shard in enumerate(shards):
        names, places, tensors = zip(*shard, strict=True)
        part = prefix.with_name(f"part{number}")
        tf.raw_ops.SaveV2(
            prefix=str(part), tensor_names=names, shape_and_slices=places, tensors=tensors
        )
    merge(prefix, len(shards))


def draw(shape: list[int], seed: str) -> Any:
    """Random numbers that depend on a name alone."""
    digest = hashlib.sha256(seed.encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
    return tf.constant(generator.normal(scale=0.3, size=shape).astype(np.float32))


def bert_shapes(scope: str = "bert") -> dict[str, list[int]]:
    hidden, inner = BERT["hidden_size"], BERT["intermediate_size"]
    shapes: dict[str, list[int]] = {
        f"{scope}/embeddings/word_embeddings": [BERT["vocab_size"], hidden],
        f"{scope}/embeddings/token_type_embeddings": [BERT["type_vocab_size"], hidden],
        f"{scope}/embeddings/position_embeddings": [BERT["max_position_embeddings"], hidden],
    }

    def add(name: str, inputs: int, outputs: int) -> None:
        shapes.update({f"{name}/kernel": [inputs, outputs], f"{name}/bias": [outputs]})

    def add_norm(name: str) -> None:
        shapes.update({f"{name}/LayerNorm/gamma": [hidden], f"{name}/LayerNorm/beta": [hidden]})

    add_norm(f"{scope}/embeddings")
    for layer in range(BERT["num_hidden_layers"]):
        base = f"{scope}/encoder/layer_{layer}"
        for name in ("query", "key", "value"):
            add(f"{base}/attention/self/{name}", hidden, hidden)
        add(f"{base}/attention/output/dense", hidden, hidden)
        add_norm(f"{base}/attention/output")
        add(f"{base}/intermediate/dense", hidden, inner)
        add(f"{base}/output/dense", inner, hidden)
        add_norm(f"{base}/output")
    add(f"{scope}/pooler/dense", hidden, hidden)
    return shapes


def heads_of_pre_training() -> dict[str, list[int]]:
    hidden = BERT["hidden_size"]
    return {
        "cls/predictions/output_bias": [BERT["vocab_size"]],
        "cls/predictions/transform/dense/kernel": [hidden, hidden],
        "cls/predictions/transform/dense/bias": [hidden],
        "cls/predictions/transform/LayerNorm/gamma": [hidden],
        "cls/predictions/transform/LayerNorm/beta": [hidden],
        "cls/seq_relationship/output_weights": [2, hidden],
        "cls/seq_relationship/output_bias": [2],
    }


def gpt2_shapes() -> dict[str, list[int]]:
    width = GPT2["n_embd"]
    shapes = {"model/wte": [GPT2["n_vocab"], width], "model/wpe": [GPT2["n_ctx"], width]}
    for layer in range(GPT2["n_layer"]):
        base = f"model/h{layer}"
        for name, inputs, outputs in (
            ("attn/c_attn", width, 3 * width),
            ("attn/c_proj", width, width),
            ("mlp/c_fc", width, 4 * width),
            ("mlp/c_proj", 4 * width, width),
        ):
            shapes |= {f"{base}/{name}/w": [1, inputs, outputs], f"{base}/{name}/b": [outputs]}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{base}/{name}/g": [width], f"{base}/{name}/b": [width]}
    return shapes | {"model/ln_f/g": [width], "model/ln_f/b": [width]}


def transfo_xl_shapes() -> dict[str, list[int]]:
    """Without a projection of the first cluster, which is as wide as the model, as the authors'
    code has it."""
    width, inner, layers = (TRANSFO_XL[name] for name in ("d_model", "d_inner", "n_layer"))
    heads = [layers, TRANSFO_XL["n_head"], TRANSFO_XL["d_head"]]
    shapes = {
        "adaptive_embed/cutoff_0/lookup_table": [5, width],
        "adaptive_embed/cutoff_1/lookup_table": [7, width // 2],
        "adaptive_embed/cutoff_1/proj_W": [width // 2, width],
        "adaptive_softmax/cutoff_0/b": [5],
        "adaptive_softmax/cutoff_0/cluster_W": [1, width],
        "adaptive_softmax/cutoff_0/cluster_b": [1],
        "adaptive_softmax/cutoff_1/b": [7],
        "r_r_bias": heads,
        "r_w_bias": heads,
    }
    for i in range(layers):
        shapes |= {
            f"layer_{i}/rel_attn/qkv/kernel": [width, 3 * width],
            f"layer_{i}/rel_attn/r/kernel": [width, width],
            f"layer_{i}/rel_attn/o/kernel": [width, width],
            f"layer_{i}/ff/layer_1/kernel": [width, inner],
            f"layer_{i}/ff/layer_1/bias": [inner],
            f"layer_{i}/ff/layer_2/kernel": [inner, width],
            f"layer_{i}/ff/layer_2/bias": [width],
        }
        for part in ("rel_attn", "ff"):
            base = f"layer_{i}/{part}/LayerNorm"
            shapes |= {f"{base}/gamma": [width], f"{base}/beta": [width]}
    return {f"transformer/{name}": shape for name, shape in shapes.items()}


def drawn(shapes: dict[str, list[int]]) -> dict[str, Any]:
    return {name: draw(shape, name) for name, shape in shapes.items()}


def with_slots(tensors: dict[str, Any], *slots: str) -> dict[str, Any]:
    """What an optimizer keeps for each variable, and the number of steps."""
    kept = {
        f"{name}/{slot}": tf.zeros_like(value) for name, value in tensors.items() for slot in slots
    }
    return tensors | kept | {"global_step": tf.constant(20, tf.int64)}


def various() -> tuple[dict[str, Any], dict[str, Any]]:
    numbers = [0, 1, 100]
    first = {name: tf.constant(numbers, name) for name in ("int8", "int16", "int32", "int64")}
    first |= {name: tf.constant(numbers, name) for name in ("uint8", "uint16", "uint32", "uint64")}
    second = {
        name: tf.constant([0.5, -2.0, 0.1], name) for name in ("float32", "float64", "float16")
    }
    second |= {
        "bfloat16": tf.constant([0.5, -2.0, 0.1], tf.bfloat16),
        "bool": tf.constant([True, False]),
        "scalar": tf.constant(1.5),
        "empty": tf.zeros([0, 3]),
        "matrix": tf.reshape(tf.range(6.0), [2, 3]),
        "names/with.dots and spaces/\u00e4": tf.constant([7.0]),
        "text": tf.constant(["some", "text"]),
        "complex": tf.constant([1 + 2j], tf.complex64),
    }
    return first, second


def crc32c(data: bytes) -> int:
    """Bit by bit: slow, and plainly the definition in RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def compressed_table(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A sorted table of many small blocks, compressed by Snappy."""
    table = b""

    def add_block(block: list[tuple[bytes, bytes]]) -> bytes:
        nonlocal table
        content, before = b"", b""
        for key, value in block:
            shared = 0
            while shared < len(before) and key[: shared + 1] == before[: shared + 1]:
                shared += 1
            content += varint(shared) + varint(len(key) - shared) + varint(len(value))
            content += key[shared:] + value
            before = key
        content += struct.pack("<II", 0, 1)
        data = bytes(cramjam.snappy.compress_raw(content)) + b"\x01"
        handle = varint(len(table)) + varint(len(data) - 1)
        table += data + struct.pack("<I", crc32c(data))
        return handle

    handles = [
        (entries[i : i + 5][-1][0], add_block(entries[i : i + 5]))
        for i in range(0, len(entries), 5)
    ]
    footer = add_block([]) + add_block(handles)
    return table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def entries_of(table: bytes) -> list[tuple[bytes, bytes]]:
    """The entries of a table without compression, as TensorFlow writes the index."""

    def number(data: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                return value, at

    def block(handle: bytes) -> list[tuple[bytes, bytes]]:
        offset, at = number(handle, 0)
        size, _ = number(handle, at)
        data, key, found, at = table[offset : offset + size], b"", [], 0
        end = len(data) - 4 - 4 * struct.unpack("<I", data[-4:])[0]
        while at < end:
            shared, at = number(data, at)
            rest, at = number(data, at)
            length, at = number(data, at)
            key = key[:shared] + data[at : at + rest]
            found.append((key, data[at + rest : at + rest + length]))
            at += rest + length
        return found

    _, at = number(table[-48:], 0)
    _, at = number(table[-48:], at)
    return [entry for _, handle in block(table[-48 + at : -8]) for entry in block(handle)]


def described(prefix: Path) -> dict[str, Any]:
    """What TensorFlow reads: type, shape and either the numbers or the hash of the bytes."""
    reader = tf.train.load_checkpoint(str(prefix))
    types, found = reader.get_variable_to_dtype_map(), {}
    for name, shape in sorted(reader.get_variable_to_shape_map().items()):
        entry: dict[str, Any] = {"dtype": types[name].name, "shape": shape}
        if types[name] not in (tf.string, tf.complex64):
            value = reader.get_tensor(name)
            entry["sha256"] = hashlib.sha256(value.tobytes()).hexdigest()
            if prefix.name == "various":
                entry["values"] = value.astype(np.float64).flatten().tolist()
        found[name] = entry
    return found


def outputs_of_bert(prefix: Path, config: dict[str, Any]) -> dict[str, Any]:
    ids, types, mask = (np.array(rows) for rows in (IDS, TYPES, MASK))
    found = tf_models.bert(
        tf.train.load_checkpoint(str(prefix)).get_tensor, config, ids, types, mask
    )
    return {
        "input_ids": IDS,
        "token_type_ids": TYPES,
        "attention_mask": MASK,
        "hidden": [state.numpy().tolist() for state in found.pop("hidden")],
    } | {name: value.numpy().tolist() for name, value in found.items()}


def outputs_of_gpt2(prefix: Path, config: dict[str, Any]) -> dict[str, Any]:
    scores = tf_models.gpt2(tf.train.load_checkpoint(str(prefix)).get_tensor, config, np.array(IDS))
    return {"input_ids": IDS, "scores": scores.numpy().tolist()}


def write_samples() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    for name in ("bert", "custom", "gpt2", "old", "transfo_xl"):
        (TARGET / name).mkdir(parents=True)
    first, second = various()
    save_in_shards(TARGET / "various", first, second)
    (TARGET / "snappy.index").write_bytes(
        compressed_table(entries_of((TARGET / "various.index").read_bytes()))
    )
    for shard in TARGET.glob("various.data-*"):
        shutil.copy(shard, shard.with_name(shard.name.replace("various", "snappy")))
    save_partitioned(TARGET / "partitioned")
    tf.raw_ops.Save(
        filename=str(TARGET / "old" / "model.ckpt"), tensor_names=["weight"], data=[tf.ones([2])]
    )

    bert = with_slots(drawn(bert_shapes() | heads_of_pre_training()), "adam_m", "adam_v")
    save(TARGET / "bert" / "bert_model.ckpt", bert)
    (TARGET / "bert" / "bert_config.json").write_text(json.dumps(BERT, indent=1) + "\n")
    gpt2 = drawn(gpt2_shapes())
    save(TARGET / "gpt2" / "model.ckpt", gpt2)
    (TARGET / "gpt2" / "hparams.json").write_text(json.dumps(GPT2, indent=1) + "\n")
    (TARGET / "gpt2" / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n'
    )
    save(TARGET / "transfo_xl" / "model.ckpt", drawn(transfo_xl_shapes()))
    (TARGET / "transfo_xl" / "config.json").write_text(json.dumps(TRANSFO_XL, indent=1) + "\n")
    # A classifier of a user's: another scope, no heads of pre-training, a matrix without "kernel",
    # variables of tf.train's Adam and some of the user's own.
    custom = drawn(bert_shapes("tower/bert"))
    custom = {
        name.removesuffix("/kernel") if "pooler" in name else name: v for name, v in custom.items()
    }
    custom |= {
        "output_weights": draw([3, 8], "output_weights"),
        "output_bias": draw([3], "output_bias"),
    }
    custom = with_slots(custom, "Adam", "Adam_1") | {
        "beta1_power": tf.constant(0.9),
        "beta2_power": tf.constant(0.999),
        "crf/transitions": draw([3, 3], "crf/transitions"),
        "student/tower/bert/pooler/dense/bias": tf.zeros([8]),
    }
    save(TARGET / "custom" / "model.ckpt-20", custom)
    (TARGET / "custom" / "bert_config.json").write_text(json.dumps(BERT, indent=1) + "\n")


def main() -> None:
    if tf.__version__ != REFERENCE:
        raise SystemExit(f"needs TensorFlow {REFERENCE}")
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    shared = Path(sys.argv[1]) / "tf_checkpoints"
    write_samples()
    hparams = json.loads((shared / "gpt2_tiny" / "hparams.json").read_text())
    bert_config = json.loads((shared / "bert_tiny" / "bert_config.json").read_text())
    own = ("various", "snappy", "bert/bert_model.ckpt", "custom/model.ckpt-20", "gpt2/model.ckpt")
    own += ("transfo_xl/model.ckpt", "partitioned")
    record = {
        "generated_by": "tests/golden/generate_tf_checkpoints.py",
        "tensorflow": tf.__version__,
        "samples": {name: described(TARGET / name) for name in own},
        "shared": {
            prefix.relative_to(shared).with_suffix("").as_posix(): described(prefix.with_suffix(""))
            for prefix in sorted(shared.glob("*/*.index"))
        },
        "outputs": {
            "bert": outputs_of_bert(TARGET / "bert" / "bert_model.ckpt", BERT),
            "gpt2": outputs_of_gpt2(TARGET / "gpt2" / "model.ckpt", GPT2),
            "bert_tiny": outputs_of_bert(shared / "bert_tiny" / "bert_model.ckpt", bert_config),
            "gpt2_tiny": outputs_of_gpt2(shared / "gpt2_tiny" / "model.ckpt", hparams),
        },
    }
    (FOLDER / "tf_checkpoints.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
