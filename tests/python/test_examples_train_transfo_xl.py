"""train_transfo_xl.py from the command line to its files."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
import torch

import train_transfo_xl
from ptbert import TransfoXLLMHeadModel, TransfoXLTokenizer
from text_stream import Memory, Segments

SIZES = ["--n_layer", "2", "--n_head", "2", "--d_head", "8", "--d_model", "16", "--d_embed", "16"]
SIZES += ["--d_inner", "32", "--dropout", "0"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Sentences of a few words, in which each says what follows."""
    draw = random.Random(2)
    sentences = ["the cat sat on the mat", "a dog ran in the park", "it was a good film"]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(draw.choice(sentences) for _ in range(120)) + "\n", encoding="utf-8")
    return path


def argv(text: Path, output: Path, *more: str) -> list[str]:
    start = ["--train_files", str(text), "--output_dir", str(output)]
    start += [] if "--model_name_or_path" in more else SIZES
    start += ["--tgt_len", "8", "--mem_len", "8", "--train_batch_size", "4"]
    return [*start, "--learning_rate", "0.01", *more]


def read_results(folder: Path) -> dict[str, float]:
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


@pytest.mark.parametrize("optimizer", ["openai_adam", "adam"])
def test_new_model_learns_a_text_with_a_vocabulary_of_its_own(
    tmp_path: Path, text: Path, optimizer: str, one_thread: None
) -> None:
    output = tmp_path / "output"
    flags = ["--num_train_epochs", "8", "--eval_every", "20", "--optimizer", optimizer]
    train_transfo_xl.main(argv(text, output, *flags))
    results = read_results(output)
    assert list(results) == ["eval_loss", "eval_perplexity", "global_step", "loss"]
    assert results["eval_perplexity"] < 2.5
    with (output / "metrics.csv").open(newline="", encoding="utf-8") as file:
        assert {row["metric"] for row in csv.DictReader(file)} == {
            "eval_loss",
            "eval_perplexity",
        }
    model = TransfoXLLMHeadModel.from_pretrained(str(output))
    tokenizer = TransfoXLTokenizer.from_pretrained(str(output))
    assert model.config.n_token == len(tokenizer) == 16
    assert not (output / "checkpoints").exists()


def test_trained_model_is_trained_on(tmp_path: Path, text: Path, one_thread: None) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_transfo_xl.main(argv(text, first, "--eval_every", "0", "--num_train_epochs", "4"))
    flags = ["--model_name_or_path", str(first), "--eval_files", str(text)]
    train_transfo_xl.main(argv(text, second, *flags, "--num_train_epochs", "1"))
    assert read_results(second)["loss"] < read_results(first)["loss"]


def test_characters_have_bits(tmp_path: Path, text: Path, one_thread: None) -> None:
    train_transfo_xl.main(
        argv(text, tmp_path / "output", "--characters", "--num_train_epochs", "1")
    )
    results = read_results(tmp_path / "output")
    assert results["eval_bpc"] == pytest.approx(results["eval_loss"] / 0.6931471805599453)


def test_clusters_and_rare_symbols(tmp_path: Path, text: Path, one_thread: None) -> None:
    output = tmp_path / "output"
    flags = ["--cutoffs", "4", "8", "--div_val", "2", "--max_size", "10", "--num_train_epochs", "1"]
    train_transfo_xl.main(argv(text, output, *flags))
    model = TransfoXLLMHeadModel.from_pretrained(str(output))
    assert model.config.n_token == 11
    assert model.config.cutoffs == [4, 8]


@pytest.mark.parametrize("parts", ["1", "2"])
def test_run_that_goes_on_has_its_memory(
    tmp_path: Path, text: Path, parts: str, one_thread: None
) -> None:
    """It ends as an undisturbed one, from a checkpoint inside an epoch."""
    common = ["--num_train_epochs", "2", "--dropout", "0.1", "--eval_every", "0"]
    common += ["--gradient_accumulation_steps", parts, "--save_steps", "9"]
    train_transfo_xl.main(argv(text, tmp_path / "whole", *common))
    calls = 0
    forward = TransfoXLLMHeadModel.forward

    def fail(self: object, *args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 12 * int(parts):
            raise MemoryError
        return forward(self, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(TransfoXLLMHeadModel, "forward", fail)
        train_transfo_xl.main(argv(text, tmp_path / "parts", *common))
    torch.manual_seed(0)
    train_transfo_xl.main(argv(text, tmp_path / "parts", *common, "--resume"))
    whole, resumed = (
        torch.load(tmp_path / name / "pytorch_model.bin", weights_only=True)
        for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_segments_follow_one_another_in_every_column() -> None:
    ids = torch.arange(27)
    batches = list(Segments(ids, columns=4, tgt_len=3, parts=2).of_epoch(0))
    assert len(batches) == 4
    assert batches[0]["input_ids"].tolist() == [[0, 1, 2], [6, 7, 8]]
    assert batches[0]["target"].tolist() == [[1, 2, 3], [7, 8, 9]]
    assert batches[1]["input_ids"].tolist() == [[12, 13, 14], [18, 19, 20]]
    assert batches[2]["input_ids"].tolist() == [[3, 4], [9, 10]]
    assert [int(batch["segment"][0]) for batch in batches] == [0, 0, 1, 1]
    assert [int(batch["part"][0]) for batch in batches] == [0, 1, 0, 1]
    rest = list(Segments(ids, columns=4, tgt_len=3, parts=2).of_epoch(1, first=3))
    assert rest[0]["input_ids"].tolist() == batches[3]["input_ids"].tolist()


def test_memory_is_that_of_the_part() -> None:
    batches = list(Segments(torch.arange(27), columns=4, tgt_len=3, parts=2).of_epoch(0))
    memory, other = Memory(), Memory()
    for number, batch in enumerate(batches[:2]):
        assert memory.before(batch) is None
        memory.after(batch, [torch.tensor(number)])
    other.load_state_dict(memory.state_dict())
    assert [other.before(batch) for batch in batches] == [None, None, [0], [1]]


def test_text_that_is_too_short_is_refused() -> None:
    message = "must have two tokens for each of the 4 rows of a batch, but has 7 tokens"
    with pytest.raises(ValueError, match=message):
        Segments(torch.arange(7), columns=4, tgt_len=3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n_layer", "0"], "`--n_layer` (0) must be at least 1."),
        (["--tgt_len", "0"], "`--tgt_len` (0) must be at least 1."),
        (["--mem_len", "-1"], "`--mem_len` (-1) must be at least 0."),
        (["--held_out", "0.9"], "`--held_out` (0.9) must be between 0 and 0.5."),
        (["--eval_mem_len", "-5"], "`--eval_mem_len` (-5) must be at least 0."),
        (["--max_size", "0"], "`--max_size` (0) must be at least 1."),
        (["--eval_files", "none"], "`--eval_files`: there is no file none."),
        (
            ["--optimizer", "adam", "--warmup_proportion", "0.1"],
            "`--warmup_proportion` (0.1) has no effect with `--optimizer adam`: leave it out.",
        ),
        (
            ["--model_name_or_path", "m", "--min_freq", "2"],
            "`--min_freq` (2) has no effect with `--model_name_or_path`: leave it out.",
        ),
        (
            ["--model_name_or_path", "m", "--n_layer", "2"],
            "`--n_layer` (2) has no effect with `--model_name_or_path`: leave it out.",
        ),
        (
            ["--eval_files", "e", "--held_out", "0.1"],
            "`--held_out` (0.1) has no effect with `--eval_files`: leave it out.",
        ),
    ],
)
def test_mistakes_are_refused_before_anything_is_loaded(
    tmp_path: Path, text: Path, flags: list[str], message: str
) -> None:
    with pytest.raises((OSError, ValueError)) as error:
        train_transfo_xl.main(argv(text, tmp_path / "output", *flags))
    assert str(error.value) == message


def test_vocabulary_of_another_model_is_refused(
    tmp_path: Path, text: Path, one_thread: None
) -> None:
    first = tmp_path / "first"
    train_transfo_xl.main(argv(text, first, "--num_train_epochs", "1"))
    other = TransfoXLTokenizer(special=["<unk>", "<eos>"])
    other.build_vocab()
    other.save_vocabulary(first)
    with pytest.raises(
        ValueError, match=r"must have as many tokens as the model \(16\), but has 2"
    ):
        train_transfo_xl.main(argv(text, tmp_path / "o", "--model_name_or_path", str(first)))
