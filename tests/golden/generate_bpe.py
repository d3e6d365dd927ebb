"""Writes the small vocabularies tests/data/gpt2 and tests/data/openai-gpt, and bpe.json: the ids
that tiktoken makes of tricky strings with the first, and the tokens and ids that
pytorch-pretrained-bert 0.6.2 makes of them with the second. README.md in this folder says how to
run it.

GPT-2's tokenizer of 0.6.2 itself fails on all text beyond Latin-1 and is no reference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytorch_pretrained_bert
import tiktoken
from pytorch_pretrained_bert import tokenization_openai

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "python"))

from generate_tokenization import REFERENCE, TEXTS  # noqa: E402

import bpe_reference as bpe  # noqa: E402

# ruff: noqa: RUF001 (letters that look like Latin ones are what is tried here)
DATA = FOLDER.parent / "data"
SPECIAL_TOKENS = ["<cls>", "_start_"]
NUM_MERGES = 160

CORPUS = """
The harbour lies still in the morning. It's the captain's boat that sails first, and the others
follow when they've loaded their nets; they're slow, and he'll be waiting, as he'd promised.
I'm told there were 12 boats in 1912, 120 in 1950 and 19 in 2019. Don't ask why: the sea won't tell!
"Quiet," said the keeper of the lighthouse, "the storm isn't over yet..." -- and the light turned.
Das Boot fährt über das Meer. Le bateau traverse la mer, où naît l'été. Море и корабль. 船在海上。
"""

MORE_TEXTS = {
    "contractions": "it's IT'S we're they've I'm she'll he'd don't 'tis ''s '' 's 'd'd x's.",
    "white space runs": "a  b   c\n\nd \n e\t\tf\r\ng  \n",
    "white space at the end": "word   ",
    "white space of all kinds": "a\u00a0\u00a0b\u3000c\u2028d\x85e\x1cf\u200bg\u180eh",
    "numbers": "3.14 1,000 ½ Ⅷ ٣٤ x2 2x ² ①",
    "punctuation runs": "... --- !?!? (a) [b] {c} ~~ $5 50% #1 @me a_b c/d\\e",
    "end of a word inside": "a</w>b </w> x</w>",
    "unk inside": "<unk> a<unk>b",
    "one letter": "a b é 水",
}


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    characters = bpe.byte_characters()
    words = [[characters[b] for b in w.encode()] for w in bpe.split_words(CORPUS)]
    merges = bpe.learn_merges(words, NUM_MERGES)
    tokens = [*sorted(characters), *map("".join, merges), "<|endoftext|>"]
    bpe.write_files(DATA / "gpt2", tokens, merges)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    gpt2 = bpe.tiktoken_encoding(vocabulary, {pair: rank for rank, pair in enumerate(merges)})

    basic = tokenization_openai.BasicTokenizer(do_lower_case=True).tokenize(CORPUS)
    merges = bpe.learn_merges([[*w[:-1], w[-1] + "</w>"] for w in basic], NUM_MERGES)
    letters = sorted({c for word in basic for c in word})
    tokens = ["<unk>", *letters, *(c + "</w>" for c in letters), *map("".join, merges)]
    bpe.write_files(DATA / "openai-gpt", tokens, merges)
    sys.modules["ftfy"] = None  # type: ignore[assignment]  # its own path needs no package
    files = (str(DATA / "openai-gpt" / name) for name in ("vocab.json", "merges.txt"))
    openai = tokenization_openai.OpenAIGPTTokenizer(*files, special_tokens=SPECIAL_TOKENS)

    cases = []
    for name, text in {**TEXTS, **MORE_TEXTS}.items():
        case: dict[str, Any] = {"name": name, "text": text}
        case["gpt2_ids"] = gpt2.encode_ordinary(text)
        case["openai_tokens"] = openai.tokenize(text)
        case["openai_ids"] = openai.encode(text)
        case["openai_text"] = openai.decode(case["openai_ids"])
        cases.append(case)
    record = {
        "generated_by": "tests/golden/generate_bpe.py",
        "tiktoken": tiktoken.__version__,
        "pytorch-pretrained-bert": REFERENCE,
        "special_tokens": SPECIAL_TOKENS,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    header = json.dumps(record).removesuffix("}")
    (FOLDER / "bpe.json").write_text(f'{header}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
