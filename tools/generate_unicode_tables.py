"""Writes cpp/src/text/unicode_tables.inc from the UnicodeData.txt of Unicode 15.0.

Usage: python tools/generate_unicode_tables.py PATH/TO/UnicodeData.txt [--output FILE]

The file is described in Unicode Standard Annex #44; a Debian system has it in the package
unicode-data (15.0.0-1). The output depends on nothing else: a second run gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

UNICODE_DATA_SHA256 = "806e9aed65037197f1ec85e12be6e8cd870fc5608b4de0fffd990f689f376a73"
DEFAULT_OUTPUT = Path(__file__).parents[1] / "cpp" / "src" / "text" / "unicode_tables.inc"
CODE_POINTS = 0x110000
BLOCK_SIZE = 256

CONTROL, SPACE, WHITESPACE, PUNCTUATION, MARK, CASED, CASE_IGNORABLE, LOWERS, NORMALIZES = (
    1 << bit for bit in range(9)
)
LETTER, NUMBER, WHITE_SPACE_PROPERTY = (1 << bit for bit in range(9, 12))

# White_Space of PropList.txt beyond the categories Zs, Zl and Zp.
OTHER_WHITE_SPACE = (*range(0x0009, 0x000E), 0x0085)

# Cased beyond Lu, Ll and Lt, and not Case_Ignorable: Other_Lowercase and Other_Uppercase of
# PropList.txt without the modifier letters (Lm) and marks, which are Case_Ignorable.
OTHER_CASED = (
    (0x00AA, 0x00AA),
    (0x00BA, 0x00BA),
    (0x2160, 0x217F),
    (0x24B6, 0x24E9),
    (0x1F130, 0x1F149),
    (0x1F150, 0x1F169),
    (0x1F170, 0x1F189),
)
# Case_Ignorable beyond Mn, Me, Cf, Lm and Sk: Word_Break is MidLetter, MidNumLet or Single_Quote
# (WordBreakProperty.txt).
OTHER_CASE_IGNORABLE = (
    *(0x0027, 0x002E, 0x003A, 0x00B7, 0x0387, 0x055F, 0x05F4, 0x2018, 0x2019, 0x2024, 0x2027),
    *(0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A),
)


@dataclass(frozen=True)
class Character:
    """The fields of one UnicodeData.txt line that the tokenizers depend on."""

    category: str
    combining_class: int
    bidi_class: str
    decomposition: tuple[int, ...]
    lower: int | None


def read_characters(text: str) -> dict[int, Character]:
    """Returns every assigned code point, the `First>`/`Last>` ranges spelled out."""
    characters: dict[int, Character] = {}
    first = 0
    for line in text.splitlines():
        fields = line.split(";")
        code, name, mapping = int(fields[0], 16), fields[1], fields[5]
        canonical = mapping and not mapping.startswith("<")
        character = Character(
            category=fields[2],
            combining_class=int(fields[3]),
            bidi_class=fields[4],
            decomposition=tuple(int(c, 16) for c in mapping.split()) if canonical else (),
            lower=int(fields[13], 16) if fields[13] else None,
        )
        if name.endswith("First>"):
            first = code
        start = first if name.endswith("Last>") else code
        characters.update(dict.fromkeys(range(start, code + 1), character))
    return characters


def is_hangul_syllable(code: int) -> bool:
    """Hangul syllables decompose by arithmetic (The Unicode Standard, 3.12), not by the table."""
    return 0xAC00 <= code <= 0xD7A3


def decompose(characters: dict[int, Character], code: int) -> tuple[int, ...]:
    """Returns the full canonical decomposition, (code,) when there is none."""
    character = characters.get(code)
    if character is None or not character.decomposition:
        return (code,)
    return tuple(c for part in character.decomposition for c in decompose(characters, part))


def properties(code: int, character: Character | None) -> int:
    """Returns the flags of one code point; an unassigned one (Cn) counts as a control."""
    if character is None:
        return CONTROL
    category = character.category
    conditions = {
        CONTROL: category.startswith("C"),
        SPACE: category == "Zs",
        WHITESPACE: category == "Zs" or character.bidi_class in ("WS", "B", "S"),
        PUNCTUATION: category.startswith("P"),
        MARK: category == "Mn",
        CASED: category in ("Lu", "Ll", "Lt") or any(a <= code <= b for a, b in OTHER_CASED),
        CASE_IGNORABLE: category in ("Mn", "Me", "Cf", "Lm", "Sk") or code in OTHER_CASE_IGNORABLE,
        LOWERS: character.lower is not None,
        NORMALIZES: bool(character.decomposition)
        or character.combining_class != 0
        or is_hangul_syllable(code),
        LETTER: category.startswith("L"),
        NUMBER: category.startswith("N"),
        WHITE_SPACE_PROPERTY: category.startswith("Z") or code in OTHER_WHITE_SPACE,
    }
    return sum(flag for flag, holds in conditions.items() if holds)


def two_stages(values: list[int]) -> tuple[list[int], list[int]]:
    """Cuts `values` into blocks; returns each block's number and the distinct blocks in a row."""
    numbers: dict[tuple[int, ...], int] = {}
    index = []
    for start in range(0, len(values), BLOCK_SIZE):
        block = tuple(values[start : start + BLOCK_SIZE])
        index.append(numbers.setdefault(block, len(numbers)))
    return index, [value for block in numbers for value in block]


def wrapped(items: Iterable[str]) -> Iterator[str]:
    """Yields lines of comma-separated items, at most 100 columns each."""
    line = ""
    for item in items:
        if len(line) + len(item) + 1 > 100:
            yield line
            line = ""
        line += item + ","
    if line:
        yield line


def table(declaration: str, items: Iterable[str]) -> str:
    """Returns the definition of one constant array."""
    return "\n".join([f"constexpr {declaration} = {{", *wrapped(items), "};", ""])


def render(characters: dict[int, Character]) -> str:
    """Returns the text of the generated file."""
    index, blocks = two_stages(
        [properties(code, characters.get(code)) for code in range(CODE_POINTS)]
    )
    ordered = sorted(characters.items())
    decompositions = [
        f"{{0x{code:X},{{{','.join(f'0x{c:X}' for c in decompose(characters, code))}}}}}"
        for code, character in ordered
        if character.decomposition
    ]
    return "\n".join(
        [
            "// Generated by tools/generate_unicode_tables.py from the UnicodeData.txt of Unicode "
            "15.0. Do not edit.",
            "",
            table(f"std::uint8_t kPropertyBlocks[{len(index)}]", map(str, index)),
            table(f"std::uint16_t kProperties[{len(blocks)}]", map(str, blocks)),
            table(
                "LowerMapping kLowerMappings[]",
                (f"{{0x{c:X},0x{ch.lower:X}}}" for c, ch in ordered if ch.lower is not None),
            ),
            table("Decomposition kDecompositions[]", decompositions),
            table(
                "CombiningClass kCombiningClasses[]",
                (f"{{0x{c:X},{ch.combining_class}}}" for c, ch in ordered if ch.combining_class),
            ),
        ]
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("unicode_data", type=Path, help="UnicodeData.txt of Unicode 15.0")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    arguments = parser.parse_args()
    content = arguments.unicode_data.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != UNICODE_DATA_SHA256:
        parser.error(
            f"`unicode_data` must be the UnicodeData.txt of Unicode 15.0 (sha256 "
            f"{UNICODE_DATA_SHA256}), but {arguments.unicode_data} has sha256 {digest}."
        )
    arguments.output.write_text(render(read_characters(content.decode())), encoding="ascii")


if __name__ == "__main__":
    main()
