"""Compares all tokenizers with the libraries that say what is right, text by text.

Every line of text/, lm/ and squad/ with the real vocabularies, every character alone and between
others, and 200,000 random strings for each kind of tokenizer.

    python tests/slow/tokenizers.py DATA
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# In the place of this folder, whose tokenizers.py would hide the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "python")

from tqdm import tqdm  # noqa: E402

from tokenizer_comparisons import comparisons  # noqa: E402
from tokenizer_texts import character_texts, random_strings, real_lines  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder with vocab/, text/, lm/ and squad/")
    parser.add_argument("--strings", type=int, default=200_000)
    parser.add_argument("--seed", default="2019")
    names = list(comparisons(Path()))
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.only:
        comparison = comparisons(arguments.data)[name]()
        sources = {
            "lines": real_lines(arguments.data),
            "characters": character_texts(),
            "random strings": random_strings(arguments.strings, f"{arguments.seed} {name}"),
        }
        for kind, texts in sources.items():
            compared = explained = 0
            differences = []
            for text in tqdm(texts, desc=f"{name}, {kind}", unit="text", disable=None, leave=False):
                compared += 1
                explained += comparison.explained(text)
                if difference := comparison.difference(text):
                    differences.append(difference)
            print(
                f"{name}: {len(differences)} of {compared} {kind} differ, {explained} left out",
                flush=True,
            )
            print(*differences[:5], sep="\n", end="\n" if differences else "")
            failed = failed or bool(differences) or compared == explained
    sys.exit(failed)


if __name__ == "__main__":
    main()
