"""Writes tokenization.json: what the tokenizers of pytorch-pretrained-bert 0.6.2 make of tricky
strings with tests/data/vocab.txt. README.md in this folder says how to run it.

The Unicode data of that package is the running Python's; every character below is assigned, with
the same properties, since Unicode 13.0.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytorch_pretrained_bert
from pytorch_pretrained_bert.tokenization import BertTokenizer

FOLDER = Path(__file__).resolve().parent
VOCABULARY = FOLDER.parent / "data" / "vocab.txt"
REFERENCE = "0.6.2"

# ruff: noqa: RUF001 (letters that look like Latin ones are what is tried here)
TEXTS = {
    "empty": "",
    "only white space": " \t\r\n\u00a0\u3000",
    "plain": "She sailed the quiet sea in a boat.",
    "punctuation": 'Harbour-lights: "Captain\'s" (tide?) $5^2 `x`~',
    "punctuation beyond ASCII": "«sea» 。、 \u2010\u2013\u2014 \u00b7 \u037e \u0387 ¿boat?",
    "unknown piece": "lanternfish boats boatsz",
    "white space": "sea\ttide\nboat\rlight\u00a0storm\u2003sail\u3000the\u2028of\u2029and",
    "controls": "se\u0000a t\u0007ide b\u200boat l\ufeffight st\u00adorm \u0085 \ufffd sa\u202eil",
    "private use and noncharacters": "\ue000sea\ufdd0 \ufffftide\U0010ffff \U000f0000",
    "Chinese": "水船sea日本x",
    "Chinese blocks": "\u3400\u9fff\uf900\U00020000\U0002a6df\U0002a700\U0002b820\U0002f800",
    "Japanese": "海がか\u304b\u3099カタカナ",
    "Korean": "한국 한 \u1112\u1161\u11ab",
    "accents": "Café naïve NAÏVE über ÜBER e\u0301 E\u0301\u0327 \u1e09 \u01d5",
    "mark order": "a\u0301\u0323b a\u0323\u0301b \u302e\u0301a",
    "marks alone": "\u0301 \u0301\u0327 sea\u0301",
    "sharp s": "STRASSE Straße STRA\u1e9eE",
    "final sigma": "ΟΔΟΣ ΟΔΟΣ. ΣΟ Σ \u0391\u0301Σ ΟΣ'Α ΟΣ\u00adΑ aΣb a.Σ \u02b0Σ",
    "dotted i": "İx I\u0307 İSTANBUL \u0131 \u0132",
    "letters that are their own decomposition": "\u2126 \u212a \u212b \u1fef",
    "Cyrillic": "МОРЕ море Й й Ё",
    "Devanagari": "क्क हिन्दी",
    "Thai": "ไทย สวัสดี",
    "Hebrew and Arabic": "שָׁלוֹם سَلَام",
    "emoji": "🌊⛵ 🌊\ufe0f 👩\u200d👩\u200d👧 🇫🇷",
    "currency and symbols": "€5 ©2019 ±1 ½ ² ™",
    "mathematical letters": "𝐁𝐨𝐚𝐭 Ⓑⓞⓐⓣ ﬁ ℌ Ǆ ǅ",
    "special tokens": "[CLS] the sea [SEP] [MASK] [UNK] [PAD]",
    "special tokens inside words": "[CLS]the [SEP]. x[MASK] [mask] [unused0]",
    "a word of 100 characters": "a" * 100,
    "a word of 101 characters": "a" * 101,
    "100 characters of two bytes": "é" * 100,
    "100 characters that decompose to 200": "\u00e9" * 50 + "\u1e69" * 50,
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"do_lower_case": False},
    {"do_basic_tokenize": False},
    {"never_split": ["[CLS]the", "[mask]", "sea.", "ΟΔΟΣ.", "οδος."]},
)


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    cases = []
    for options in OPTIONS:
        tokenizer = BertTokenizer(str(VOCABULARY), **options)
        for name, text in TEXTS.items():
            case = {"name": name, "options": options, "text": text}
            if tokenizer.do_basic_tokenize:
                case["words"] = tokenizer.basic_tokenizer.tokenize(text)
            case["tokens"] = tokenizer.tokenize(text)
            case["ids"] = tokenizer.convert_tokens_to_ids(case["tokens"])
            cases.append(case)
    record = {
        "generated_by": "tests/golden/generate_tokenization.py",
        "pytorch-pretrained-bert": REFERENCE,
        "unicodedata": unicodedata.unidata_version,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    header = json.dumps(record).removesuffix("}")
    (FOLDER / "tokenization.json").write_text(f'{header}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
