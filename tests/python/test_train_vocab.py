"""New vocabularies: what is learned, what is written, and what cannot be."""

from __future__ import annotations

import itertools
import json
import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpe_reference
from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer
from ptbert._text import learn_merges
from ptbert.cli import main
from support import REPOSITORY, import_or_skip

sentencepiece = import_or_skip("sentencepiece")

# English with long words, to train on; and other English, to segment.
CORPUS = REPOSITORY / "docs" / "ARCHITECTURE.md"
HELD_OUT = REPOSITORY / "docs" / "MODULE_BEHAVIOUR.md"

# Characters that mean something to sentencepiece, to its input or to a file.
TROUBLE = "\u2581\u2585\u2047\u00a0\u3000\u2028\t<unk></s>##</w>[MASK]水\U0001f30aéß\u0301\u200d"

CLASSES = [BertTokenizer, OpenAIGPTTokenizer, GPT2Tokenizer]


@pytest.fixture(autouse=True)
def without_spacy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes GPT's tokenizer split words as training does."""
    monkeypatch.setitem(sys.modules, "ftfy", None)


every_class = pytest.mark.parametrize("tokenizer_class", CLASSES)


def write(folder: Path, text: str | bytes, name: str = "corpus.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def learn_by_counting(
    words: dict[str, int], alphabet: Sequence[str], num_merges: int
) -> list[tuple[list[str], list[str]]]:
    """What `learn_merges` must return for words of one-character symbols, by plain counting."""
    order = {symbol: number for number, symbol in enumerate(alphabet)}
    spelled = [([(char,) for char in word], count) for word, count in words.items()]
    merges: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    while len(merges) < num_merges:
        counts: Counter[Any] = Counter()
        for symbols, count in spelled:
            for pair in itertools.pairwise(symbols):
                counts[pair] += count
        if not counts:
            break
        best = min(
            counts,
            key=lambda pair: (
                -counts[pair],
                len(pair[0] + pair[1]),
                [order[symbol] for symbol in pair[0] + pair[1]],
            ),
        )
        merges.append(best)
        for symbols, _ in spelled:
            for i in range(len(symbols)):
                if tuple(symbols[i : i + 2]) == best:
                    symbols[i : i + 2] = [best[0] + best[1]]
    return [(list(left), list(right)) for left, right in merges]


# What is learned


@given(
    st.dictionaries(
        st.one_of(
            st.text("ab", min_size=1, max_size=24),
            st.text("abcde\u2581\u2585\t\0", min_size=1, max_size=12),
        ),
        st.integers(1, 50),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 60),
)
def test_merges_equal_plain_counting(words: dict[str, int], num_merges: int) -> None:
    alphabet = sorted({char for word in words for char in word}, reverse=True)
    learned = learn_merges.learn_merges(words, list, alphabet, num_merges)
    assert learned == learn_by_counting(words, alphabet, num_merges)


@pytest.mark.parametrize(
    ("tokenizer_class", "spell"),
    [
        (OpenAIGPTTokenizer, lambda word: [*word[:-1], word[-1] + "</w>"]),
        (GPT2Tokenizer, list),
    ],
)
def test_segmentation_equals_that_of_sentencepiece(
    tokenizer_class: Any,
    spell: Callable[[str], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, train = [], sentencepiece.SentencePieceTrainer.train

    def spy(**options: Any) -> None:
        train(**options)
        models.append(options["model_writer"].getvalue())

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", staticmethod(spy))
    tokenizer = tokenizer_class.train(CORPUS, 700, tmp_path)
    processor = sentencepiece.SentencePieceProcessor(model_proto=models[0])
    encoder = tokenizer.encoder
    alphabet = sorted(
        (token for token in encoder if len(token.removesuffix("</w>")) == 1),
        key=lambda token: (len(token), token),
    )
    code = {symbol: chr(0x10000 + number) for number, symbol in enumerate(alphabet)}
    symbol_of = {char: symbol for symbol, char in code.items()}
    words = {w for line in HELD_OUT.read_text("utf-8").splitlines() for w in tokenizer._words(line)}
    compared = 0
    for word in words:
        if all(symbol in code for symbol in spell(word)):
            coded = "".join(code[symbol] for symbol in spell(word))
            pieces = processor.encode(coded, out_type=str)
            expected = ["".join(symbol_of[char] for char in piece) for piece in pieces]
            assert tokenizer.bpe(word).split(" ") == expected
            assert all(token in encoder for token in expected)
            compared += 1
    assert compared > 300


def test_pieces_are_the_frequent_ones(tmp_path: Path) -> None:
    corpus = write(tmp_path, "low low low low low lower lower newest newest newest newest wide\n")
    tokenizer = BertTokenizer.train(corpus, 26, tmp_path)
    assert list(tokenizer.vocab) == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *("l", "n", "w", "##d", "##e", "##i", "##o", "##r", "##s", "##t", "##w"),
        *("lo", "low", "ne", "##es", "new", "##est", "newest", "##er", "lower", "wi"),
    ]
    assert tokenizer.tokenize("Lowest") == ["low", "##est"]


def test_rare_characters_of_a_huge_corpus_are_tokens() -> None:
    words = {"ab": 10**10, "cd": 1, "e": 1}
    assert learn_merges.learn_merges(words, list, list("abcde"), 1) == [(["a"], ["b"])]


# What is written


@every_class
def test_vocabulary_has_the_size_and_loads(tokenizer_class: Any, tmp_path: Path) -> None:
    trained = tokenizer_class.train([CORPUS, HELD_OUT], 600, tmp_path / "new" / "folder")
    loaded = tokenizer_class.from_pretrained(tmp_path / "new" / "folder")
    assert len(trained) == len(loaded) == 600
    text = HELD_OUT.read_text("utf-8")
    assert trained.encode(text) == loaded.encode(text)
    assert max(loaded.encode(text)) < 600
    vocab = loaded.vocab if tokenizer_class is BertTokenizer else loaded.encoder
    assert list(vocab.values()) == list(range(600))


@every_class
def test_equal_files_give_equal_vocabularies(tokenizer_class: Any, tmp_path: Path) -> None:
    lines = CORPUS.read_text("utf-8").splitlines(keepends=True)
    halves = [write(tmp_path, "".join(lines[half::2]), name=f"{half}.txt") for half in (1, 0)]
    tokenizer_class.train(CORPUS, 600, tmp_path / "whole")
    tokenizer_class.train(iter(halves), 600, tmp_path / "halves")
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "halves" / file.name).read_bytes()


def test_case_and_accents_are_kept_when_asked_for(tmp_path: Path) -> None:
    corpus = write(tmp_path, "Déjà Déjà déjà")
    cased = BertTokenizer.train(corpus, 16, tmp_path / "cased", do_lower_case=False)
    assert cased.tokenize("Déjà") == ["Déjà"]
    assert "deja" in BertTokenizer.train(corpus, 12, tmp_path / "lower").vocab


def test_special_tokens_in_text_are_not_learned(tmp_path: Path) -> None:
    corpus = write(tmp_path, "[CLS] ab [SEP] [MASK]\n" * 3)
    tokenizer = BertTokenizer.train(corpus, 8, tmp_path)
    assert list(tokenizer.vocab)[5:] == ["a", "##b", "ab"]
    assert tokenizer.tokenize("[CLS] ab") == ["[CLS]", "ab"]


def test_gpt_files_are_as_published(tmp_path: Path) -> None:
    tokenizer = OpenAIGPTTokenizer.train(write(tmp_path, "Low lower"), 12, tmp_path)
    assert list(tokenizer.encoder) == [
        *("<unk>", "e", "l", "o", "w", "r</w>", "w</w>"),
        *("lo", "er</w>", "low", "low</w>", "lower</w>"),
    ]
    assert (tmp_path / "merges.txt").read_text("utf-8") == (
        "#version: 0.2\nl o\ne r</w>\nlo w\nlo w</w>\nlow er</w>\n"
    )
    assert tokenizer.encode("low x") == [10, 0]


def test_gpt2_files_are_as_published(tmp_path: Path) -> None:
    tokenizer = GPT2Tokenizer.train(write(tmp_path, "low low\n"), 261, tmp_path)
    tokens = list(tokenizer.encoder)
    assert tokens[:256] == sorted(bpe_reference.byte_characters())
    assert tokens[256:] == ["lo", "low", "Ġlow", "<|endoftext|>"]
    assert (tmp_path / "merges.txt").read_text("utf-8") == "#version: 0.2\nl o\nlo w\nĠ low\n"


@given(st.text(st.one_of(st.sampled_from(TROUBLE), st.characters(exclude_categories=["Cs"]))))
def test_gpt2_gives_any_text_back(small_gpt2: GPT2Tokenizer, text: str) -> None:
    ids = small_gpt2.encode(text)
    assert small_gpt2.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.fixture(scope="module")
def small_gpt2(tmp_path_factory: pytest.TempPathFactory) -> GPT2Tokenizer:
    folder = tmp_path_factory.mktemp("gpt2")
    return GPT2Tokenizer.train(write(folder, TROUBLE * 3 + "\n\r\n"), 300, folder)


@every_class
def test_characters_with_a_meaning_elsewhere_are_learned(
    tokenizer_class: Any, tmp_path: Path
) -> None:
    text = f"x\u2581y {TROUBLE} \0 x\ty\n" * 4
    tokenizer = tokenizer_class.train(write(tmp_path, text), 320, tmp_path)
    tokens = tokenizer.tokenize(text)
    assert {"[UNK]", "<unk>"}.isdisjoint(tokens)
    assert tokenizer.convert_ids_to_tokens(tokenizer.convert_tokens_to_ids(tokens)) == tokens
    # Neither cut at U+2581 nor passed over for U+2585.
    assert not {"\u2581\u2585", "\u2581\u2585</w>", "Ġâĸģâĸħâģĩ"}.isdisjoint(tokens)


def test_every_character_can_be_a_token(tmp_path: Path) -> None:
    characters = [chr(code) for code in range(0x3000) if not 0xD800 <= code < 0xE000]
    corpus = write(tmp_path, " ".join(characters) + " [SEP] " + "".join(characters))
    tokenizer = BertTokenizer.train(corpus, 20_000, tmp_path, do_lower_case=False)
    assert "[UNK]" not in tokenizer.tokenize(" ".join(characters))
    gpt = OpenAIGPTTokenizer.train(corpus, 20_000, tmp_path)
    assert 0 not in gpt.encode(" ".join(characters))


# Limits


@every_class
def test_fewer_tokens_than_asked_for_warn(
    tokenizer_class: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = tokenizer_class.train(write(tmp_path, "abcd xbcd"), 300, tmp_path)
    assert f"`vocab_size` is 300, but the words of `files` give no more than {len(tokenizer)} " in (
        caplog.text
    )
    assert {BertTokenizer: 14, OpenAIGPTTokenizer: 10, GPT2Tokenizer: 262}[tokenizer_class] == len(
        tokenizer
    )


@every_class
def test_smallest_size_has_no_merges(tokenizer_class: Any, tmp_path: Path) -> None:
    corpus = write(tmp_path, "ab ba")
    smallest = {BertTokenizer: 9, OpenAIGPTTokenizer: 5, GPT2Tokenizer: 257}[tokenizer_class]
    assert len(tokenizer_class.train(corpus, smallest, tmp_path / "new")) == smallest
    with pytest.raises(
        ValueError, match=rf"^`vocab_size` must be at least {smallest}, for \d speci"
    ):
        tokenizer_class.train(corpus, smallest - 1, tmp_path / "other")


@every_class
def test_words_that_are_too_long_are_left_out_with_a_warning(
    tokenizer_class: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    longest = 100 if tokenizer_class is BertTokenizer else 512
    corpus = write(tmp_path, f"ab\n{'a' * longest}\n{'b' * (longest + 1)}\n{'b' * 1_000_000}\n")
    tokenizer = tokenizer_class.train(corpus, 300, tmp_path)
    message = f"`files` hold 2 words of more than {longest} symbols, which are left out."
    assert message in caplog.text
    assert len(tokenizer.tokenize("a" * longest)) == 1
    assert not any("bb" in token for token in tokenizer.tokenize("bb"))


def test_long_lines_are_read(tmp_path: Path) -> None:
    tokenizer = BertTokenizer.train(write(tmp_path, "ab cd " * 500_000), 11, tmp_path)
    assert tokenizer.tokenize("ab cd") == ["ab", "cd"]


# Errors


@pytest.mark.parametrize(
    ("tokenizer_class", "text"),
    [(BertTokenizer, " \n\n"), (OpenAIGPTTokenizer, " \n\n"), (GPT2Tokenizer, "")],
)
def test_empty_corpora_raise(tokenizer_class: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`files` must hold at least one word to learn from, b"):
        tokenizer_class.train(write(tmp_path, text), 300, tmp_path)


@pytest.mark.parametrize("size", [0, -5])
def test_sizes_that_are_not_positive_raise(size: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^`vocab_size` must be positive, but is {size}\.$"):
        BertTokenizer.train(CORPUS, size, tmp_path)


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_missing_files_raise(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^`files` must be existing files, but .* is not"):
        BertTokenizer.train([CORPUS, tmp_path / name], 500, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_bytes_that_are_not_utf8_raise(tmp_path: Path) -> None:
    corpus = write(tmp_path, b"good\nnot \xff good\n")
    with pytest.raises(ValueError, match=r"^`files` must be UTF-8, but byte 4 of line 2 of .*cor"):
        BertTokenizer.train(corpus, 500, tmp_path)


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.txt/below"])
def test_directories_that_cannot_be_made_raise(name: str, tmp_path: Path) -> None:
    corpus = write(tmp_path, "word")
    with pytest.raises(NotADirectoryError, match=r"^`output_dir` must be a directory, or a path w"):
        BertTokenizer.train(corpus, 500, tmp_path / name)


@pytest.mark.parametrize(
    ("tokenizer_class", "name"),
    [
        (BertTokenizer, "vocab.txt"),
        (GPT2Tokenizer, "vocab.json"),
        (OpenAIGPTTokenizer, "merges.txt"),
        (OpenAIGPTTokenizer, "special_tokens.txt"),
    ],
)
def test_existing_files_are_replaced_only_when_asked_for(
    tokenizer_class: Any, name: str, tmp_path: Path
) -> None:
    corpus, existing = write(tmp_path, "word"), write(tmp_path, "old\n", name)
    with pytest.raises(FileExistsError, match=rf"^`output_dir` must not hold {name} unless `over"):
        tokenizer_class.train(corpus, 300, tmp_path)
    assert existing.read_text() == "old\n"
    tokenizer = tokenizer_class.train(corpus, 300, tmp_path, overwrite=True)
    assert len(tokenizer.tokenize("word")) == 1
    assert "old" not in existing.read_text()


def test_missing_sentencepiece_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"needs the package sentencepiece: `pip install ptbert"):
        BertTokenizer.train(CORPUS, 500, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_failure_of_sentencepiece_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: Any) -> None:
        raise RuntimeError("Internal: out of luck")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", staticmethod(fail))
    with pytest.raises(
        RuntimeError, match=r"^sentencepiece could not learn \d+ pieces: Internal: "
    ):
        BertTokenizer.train(CORPUS, 500, tmp_path)


# Command line


@pytest.fixture(autouse=True)
def unchanged_level() -> Iterator[None]:
    """The command sets the level of the package's logger."""
    logger = logging.getLogger("ptbert")
    level = logger.level
    yield
    logger.setLevel(level)


def arguments_of(kind: str, output_dir: Path) -> list[str]:
    return ["train-vocab", "--type", kind, "--size", "500", str(CORPUS), "-o", str(output_dir)]


def test_command_writes_a_vocabulary(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ptbert", *arguments_of("wordpiece", tmp_path), "--cased"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{tmp_path} has a vocabulary of 500 tokens. To load it:\n"
        f"    BertTokenizer.from_pretrained('{tmp_path}', do_lower_case=False)\n"
    )
    # No progress bar, as this is no terminal, and nothing of sentencepiece.
    assert re.fullmatch(r"Learning up to \d+ merges from \d+ different words\.\n", done.stderr)
    assert len(BertTokenizer.from_pretrained(tmp_path)) == 500


@pytest.mark.parametrize(
    ("kind", "tokenizer_class"), [("bpe", OpenAIGPTTokenizer), ("byte-bpe", GPT2Tokenizer)]
)
def test_command_knows_every_type(
    kind: str, tokenizer_class: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments_of(kind, tmp_path)) == 0
    assert f"{tokenizer_class.__name__}.from_pretrained('{tmp_path}')\n" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "vocab.json").read_text("utf-8"))) == 500


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vocab.txt").touch()
    with pytest.raises(SystemExit, match="1"):
        main(arguments_of("wordpiece", tmp_path))
    message = "ptbert: error: `output_dir` must not hold vocab.txt unless `overwrite` is set, but "
    assert capsys.readouterr().err.startswith(message)
    assert main([*arguments_of("wordpiece", tmp_path), "--overwrite"]) == 0


@pytest.mark.parametrize("kind", ["bpe", "byte-bpe"])
def test_command_refuses_cased_where_case_is_given(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main([*arguments_of(kind, tmp_path), "--cased"])
    assert "`--cased` must be used with `--type wordpiece` only" in capsys.readouterr().err


def test_the_folder_may_have_the_name_of_a_published_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer = GPT2Tokenizer.train(write(tmp_path, "low lower lowest"), 260, "gpt2")
    assert len(tokenizer) == 260
    main(["train-vocab", "--type=bpe", "--size=12", "corpus.txt", "-o", "openai-gpt"])
