"""Writes what the fuzz targets of file readers start from, a folder for each.

python tests/fuzz/make_seeds.py FOLDER
"""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import torch

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# Bytes of an element, by the names that safetensors has for types.
DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}


def safetensors(dtype: str, shape: list[int]) -> bytes:
    size = DTYPES[dtype]
    for extent in shape:
        size *= extent
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def write_vocabularies(folder: Path) -> None:
    """A vocabulary in every format it is read in."""
    symbols = ["<unk>", "<eos>", "the", "a"]
    attributes: dict[str, Any] = {
        "idx2sym": symbols,
        "sym2idx": OrderedDict((symbol, i) for i, symbol in enumerate(symbols)),
        "counter": Counter({"the": 70_000, "a": 300}),
        "lower_case": True,
        "delimiter": None,
        "share": 0.5,
        "other": Path("a"),
    }
    for protocol in range(2, 6):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(attributes, protocol))
    del attributes["other"]
    for zipped in (False, True):
        path = folder / f"zipped-{zipped}.bin"
        torch.save(attributes, path, _use_new_zipfile_serialization=zipped)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    for target in ("tf_checkpoint", "safetensors", "pytorch_bin", "pickled_attributes", "config"):
        (folder / f"{target}_fuzz").mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(sorted(GOLDEN.glob("tf_checkpoints/**/*.index"))):
        shutil.copy(index, folder / "tf_checkpoint_fuzz" / f"{number}.index")
    for dtype in DTYPES:
        content = safetensors(dtype, [2, 3])
        (folder / "safetensors_fuzz" / f"{dtype}.safetensors").write_bytes(content)
    for path in sorted(GOLDEN.glob("checkpoints/**/*.bin")):
        name = f"{path.parent.name}-{path.name}"
        shutil.copy(path, folder / "pytorch_bin_fuzz" / name)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                [program] = (n for n in archive.namelist() if n.endswith("/data.pkl"))
                (folder / "pytorch_bin_fuzz" / f"{name}.pkl").write_bytes(archive.read(program))
    write_vocabularies(folder / "pickled_attributes_fuzz")
    configs = [*GOLDEN.glob("**/*config.json"), *GOLDEN.glob("**/hparams.json")]
    for number, config in enumerate(sorted(configs)):
        shutil.copy(config, folder / "config_fuzz" / f"{number}.json")


if __name__ == "__main__":
    main()
