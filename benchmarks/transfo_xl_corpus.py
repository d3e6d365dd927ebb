"""Counting and encoding a corpus beside pytorch-pretrained-bert 0.6.2, in one run on one thread.

Without a FILE the corpus is drawn: words of a long-tailed distribution, 25 a line. Both libraries
take turns, the median of the turns counts, and what they return is compared.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pytorch_pretrained_bert import tokenization_transfo_xl as original

from ptbert import tokenization_transfo_xl as ours


def draw_corpus(path: Path, words: int) -> None:
    generator = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(words // 25):
            ranks = (int(generator.paretovariate(0.8)) % 300_000 for _ in range(25))
            file.write(" ".join(f"{rank * 2654435761 % 0xFFFFFF:x}" for rank in ranks) + "\n")


def built(library: Any, path: Path) -> Any:
    tokenizer = library.TransfoXLTokenizer(special=["<unk>", "<eos>"])
    tokenizer.count_file(str(path))
    tokenizer.build_vocab()
    return tokenizer


def ordered_batches(library: Any, data: Any) -> int:
    return sum(size for _, _, size in library.LMOrderedIterator(data, 16, 64))


def shuffled_batches(library: Any, data: Any) -> int:
    return sum(size for _, _, size in library.LMShuffledIterator(data, 16, 64))


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, list) and first and isinstance(first[0], torch.Tensor):
        return len(first) == len(second) and all(map(torch.equal, first, second))
    return bool(first == second)


def measure(calls: tuple[Callable[[], Any], Callable[[], Any]], repeats: int) -> list[float]:
    """The median seconds of each call; both alternate."""
    seconds: list[list[float]] = [[], []]
    for _ in range(repeats):
        results = []
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            results.append(call())
            times.append(time.perf_counter() - start)
        if not same(*results):
            sys.exit("The results differ.")
        del results
    return [statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="UTF-8 text, one sentence a line")
    parser.add_argument("--words", type=int, default=2_000_000, help="size of a drawn corpus")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with TemporaryDirectory() as folder:
        path = arguments.file or Path(folder) / "corpus.txt"
        if arguments.file is None:
            draw_corpus(path, arguments.words)
        libraries = (ours, original)
        tokenizers = [built(library, path) for library in libraries]
        sents = tokenizers[1].count_file(str(path))
        encoded = tokenizers[1].encode_file(str(path))
        flat = torch.cat(encoded)
        lines = path.read_text(encoding="utf-8").split("\n")[:50_000]
        megabytes = path.stat().st_size / 1e6

        def calls(function: Callable[[Any, Any], Any]) -> Any:
            return tuple(
                lambda library=library, tokenizer=tokenizer: function(library, tokenizer)
                for library, tokenizer in zip(libraries, tokenizers, strict=True)
            )

        def count(library: Any, _: Any) -> Any:
            return library.TransfoXLTokenizer().count_file(str(path))

        def count_only(library: Any, _: Any) -> Any:
            tokenizer = library.TransfoXLTokenizer()
            if library is ours:
                tokenizer._count_only(str(path), verbose=False)
            else:
                tokenizer.count_file(str(path))
            return list(tokenizer.counter.items())

        rows: dict[str, Any] = {
            "count_file": calls(count),
            "count_file, as in build_corpus": calls(count_only),
            "build_vocab": calls(lambda _, tokenizer: tokenizer.build_vocab()),
            "encode_file(ordered=True)": calls(lambda _, t: t.encode_file(str(path), ordered=True)),
            "encode_file": calls(lambda _, tokenizer: tokenizer.encode_file(str(path))),
            "encode_sents": calls(lambda _, t: t.encode_sents(sents)),
            "tokenize": calls(lambda _, t: [t.tokenize(line) for line in lines]),
            "decode": calls(lambda _, t: t.decode(flat[:200_000].tolist())),
            "LMOrderedIterator": calls(lambda library, _: ordered_batches(library, flat)),
            "LMShuffledIterator": calls(lambda library, _: shuffled_batches(library, encoded)),
        }
        print(f"{megabytes:.1f} MB, {len(flat)} tokens, {len(tokenizers[0])} different ones")
        print(f"{'':<32}{'ptbert':>12}{'0.6.2':>12}{'':>8}")
        for name, pair in rows.items():
            mine, theirs = measure(pair, arguments.repeats)
            print(f"{name:<32}{mine * 1e3:>9.1f} ms{theirs * 1e3:>9.1f} ms{theirs / mine:>7.1f}x")


if __name__ == "__main__":
    main()
