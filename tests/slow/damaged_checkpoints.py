"""Reads damaged copies of small checkpoints in every format that Python reads: each must load, or
raise ValueError or OSError. C++ has fuzz targets (`make fuzz`); the legacy format is read in Python
alone.

python tests/slow/damaged_checkpoints.py --seconds 600
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from ptbert._files.checkpoint import read_state_dict
from ptbert.convert import convert
from support import GOLDEN

# Bytes that mean something in pickles, numbers and JSON.
_BYTES = bytes(range(0x20)) + b".(]}cRbQ)tsuX\x80\x85\x86\x87\x88\x8a\x94\x7f\xff"


def damaged(content: bytes, generator: random.Random) -> bytes:
    """A copy with a few changes: flipped bits, other bytes, parts cut out, doubled or moved."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        at = generator.randrange(len(changed)) if changed else 0
        length = generator.choice((1, 2, 4, 8, 64))
        kind = generator.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << generator.randrange(8)
        elif kind == 1 and changed:
            changed[at] = generator.choice(_BYTES)
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        else:
            other = generator.randrange(len(changed)) if changed else 0
            changed[at : at + length] = changed[other : other + length]
    return bytes(changed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600, help="for all formats together")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        convert(GOLDEN / "tf_checkpoints" / "gpt2", folder / "gpt2", "transformers")
        checkpoints = GOLDEN / "checkpoints"
        samples = {
            "legacy": checkpoints / "legacy.bin",
            "zip": checkpoints / "wrapped.bin",
            "safetensors": folder / "gpt2" / "model.safetensors",
        }
        generator = random.Random(arguments.seed)
        for name, sample in samples.items():
            content, outcomes = sample.read_bytes(), Counter[str]()
            path = folder / f"damaged{sample.suffix}"
            end = time.monotonic() + arguments.seconds / len(samples)
            while time.monotonic() < end:
                path.write_bytes(damaged(content, generator))
                try:
                    for tensor in read_state_dict(path).values():
                        tensor.isnan().any()
                    outcomes["loaded"] += 1
                except (ValueError, OSError) as error:
                    outcomes[type(error).__name__] += 1
                except BaseException:
                    (Path.cwd() / f"finding{sample.suffix}").write_bytes(path.read_bytes())
                    raise
            print(f"{name}: {outcomes.total()} copies: {dict(outcomes)}", flush=True)


if __name__ == "__main__":
    main()
