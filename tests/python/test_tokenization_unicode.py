"""The tokenizers' character data against the running Python's, on every code point."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

import tokenization_reference as reference
from ptbert.tokenization import (
    BasicTokenizer,
    _is_control,
    _is_punctuation,
    _is_whitespace,
    whitespace_tokenize,
)
from support import REPOSITORY


def assigned_blocks() -> Iterator[list[str]]:
    """Every character that both Unicode versions know, up to 256 at a time."""
    for start in range(0, sys.maxunicode + 1, 256):
        block = [c for c in map(chr, range(start, start + 256)) if reference.is_assigned(c)]
        if block:
            yield block


@pytest.mark.parametrize("name", ["is_whitespace", "is_control", "is_punctuation"])
def test_predicate_equals_unicodedata_on_every_assigned_character(name: str) -> None:
    expected = getattr(reference, name)
    actual = {
        "is_whitespace": _is_whitespace,
        "is_control": _is_control,
        "is_punctuation": _is_punctuation,
    }[name]
    wrong = [c for block in assigned_blocks() for c in block if actual(c) != expected(c)]
    assert wrong == []


@pytest.mark.parametrize("do_lower_case", [True, False])
def test_basic_tokenizer_equals_unicodedata_on_every_assigned_character(
    do_lower_case: bool,
) -> None:
    tokenizer = BasicTokenizer(do_lower_case)
    for block in assigned_blocks():
        visible = [c for c in block if unicodedata.category(c)[0] != "C"]
        text = " ".join(f"x{c}Y {c}" for c in visible)
        assert tokenizer.tokenize(text) == reference.basic_tokens(text, do_lower_case)


def test_final_sigma_beside_every_assigned_character() -> None:
    tokenizer = BasicTokenizer()
    for block in assigned_blocks():
        caseless = ("CJK", "HANGUL SYLLABLE")
        chars = [c for c in block if not unicodedata.name(c, "CJK").startswith(caseless)]
        text = " ".join(f"{c}Σ AΣ{c} AΣ{c}Z A{c}\u0323Σ" for c in chars)
        assert tokenizer.tokenize(text) == reference.basic_tokens(text)


def test_whitespace_tokenize_splits_as_str_does() -> None:
    for block in assigned_blocks():
        text = "a".join(block)
        assert whitespace_tokenize(text) == text.split()


@pytest.mark.parametrize("char", ["\u0378", "\uffff", "\U0010ffff", "\ud800", "\udfff"])
def test_unassigned_characters_and_surrogates_are_controls(char: str) -> None:
    assert _is_control(char)
    assert not _is_whitespace(char)
    assert not _is_punctuation(char)


def test_characters_of_unicode_15_0_are_known_on_every_python() -> None:
    # KAWI LETTER KA, KAWI CONJOINER (Mn), KAWI DANDA (Po) and the emoji MOOSE.
    text = "\U00011f12\U00011f42\U00011f43\U0001face"
    assert BasicTokenizer().tokenize(text) == ["\U00011f12", "\U00011f43", "\U0001face"]


@pytest.mark.parametrize("function", [_is_whitespace, _is_control, _is_punctuation])
def test_predicate_of_more_than_one_character_raises(function: object) -> None:
    assert callable(function)
    with pytest.raises(TypeError, match=r"ord\(\) expected a character"):
        function("ab")


def test_tables_are_what_the_generator_writes(test_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "unicode_tables.inc"
    source = test_data / "text" / "unicode-15.0" / "UnicodeData.txt"
    script = REPOSITORY / "tools" / "generate_unicode_tables.py"
    subprocess.run([sys.executable, script, source, "--output", output], check=True)
    committed = REPOSITORY / "cpp" / "src" / "text" / "unicode_tables.inc"
    assert output.read_bytes() == committed.read_bytes()


def test_table_generator_refuses_another_version(tmp_path: Path) -> None:
    source = tmp_path / "UnicodeData.txt"
    source.write_text("0041;LATIN CAPITAL LETTER A;Lu;0;L;;;;;N;;;;0061;\n")
    script = REPOSITORY / "tools" / "generate_unicode_tables.py"
    done = subprocess.run(
        [sys.executable, script, source, "--output", tmp_path / "tables.inc"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "must be the UnicodeData.txt of Unicode 15.0" in done.stderr
    assert not (tmp_path / "tables.inc").exists()


def test_text_library_includes_no_torch_and_no_python_header() -> None:
    private = REPOSITORY / "cpp" / "src" / "text"
    own = re.compile(r'#include "(ptbert/errors\.h|ptbert/text/\w+\.h|unicode_tables\.inc|\w+\.h)"')
    standard = re.compile(r"#include <([a-z_]+|sys/mman\.h)>")
    files = [
        *(REPOSITORY / "cpp" / "include" / "ptbert" / "text").glob("*.h"),
        *private.glob("*.cpp"),
        *private.glob("*.h"),
        REPOSITORY / "cpp" / "include" / "ptbert" / "errors.h",
    ]
    assert len(files) >= 3
    for file in files:
        includes = [line for line in file.read_text().splitlines() if line.startswith("#include")]
        assert includes
        for line in includes:
            match = own.fullmatch(line)
            assert match or standard.fullmatch(line), f"{file.name}: {line}"
            if match and "/" not in match[1]:
                assert (private / match[1]).is_file(), f"{file.name}: {line}"
