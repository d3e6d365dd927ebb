"""run_transfo_xl.py: loss, perplexity and bits per character of a corpus."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

import ptbert
import run_transfo_xl
from transfo_xl_cases import TINY_TRANSFO_XL

TEXTS = {
    "train": "a b c d e f g\nh a b a c\n",
    "valid": "a b a b c d\nd e f g h a\n" * 3,
    "test": "h g f e d c\nb a b a\nc d e\n" * 4,
}
LENGTHS = ("--batch_size", "2", "--tgt_len", "4", "--mem_len", "6")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with texts."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, text in TEXTS.items():
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path, corpus: Path) -> Path:
    """A folder with a tiny model, its vocabulary and its corpus."""
    folder = tmp_path / "model"
    made = ptbert.TransfoXLCorpus(special=["<eos>"])
    made.build_corpus(corpus, "wt2")
    made.save_corpus(folder)
    fields = {**TINY_TRANSFO_XL, "n_token": len(made.vocab), "cutoffs": [4, 6]}
    config = ptbert.TransfoXLConfig.from_dict(fields)
    torch.save(ptbert.TransfoXLLMHeadModel(config).state_dict(), folder / ptbert.WEIGHTS_NAME)
    config.to_json_file(folder / ptbert.CONFIG_NAME)
    return folder


def expected_loss(model: Path, split: str) -> float:
    """Two halves of the text side by side, four tokens at a time."""
    made = ptbert.TransfoXLCorpus.from_pretrained(model)
    network = ptbert.TransfoXLLMHeadModel.from_pretrained(model).eval()
    network.reset_length(4, 0, 6)
    network.transformer.clamp_len = 1000
    ids = getattr(made, split)
    half = len(ids) // 2
    rows = ids[: 2 * half].view(2, half)
    losses, mems = [], None
    with torch.no_grad():
        for begin in range(0, half - 1, 4):
            end = min(begin + 4, half - 1)
            loss, mems = network(rows[:, begin:end], rows[:, begin + 1 : end + 1], mems)
            losses.append(loss.flatten())
    return float(torch.cat(losses).mean())


def test_flags_have_the_defaults_of_2019() -> None:
    assert vars(run_transfo_xl.parse_arguments([])) == {
        "model_name": "transfo-xl-wt103",
        "cache_dir": None,
        "data_dir": None,
        "dataset": "wt103",
        "split": "test",
        "batch_size": 10,
        "tgt_len": 128,
        "ext_len": 0,
        "mem_len": 1600,
        "clamp_len": 1000,
        "same_length": False,
        "work_dir": None,
        "no_log": False,
        "no_cuda": False,
        "local_rank": -1,
        "ddp_timeout": 1800.0,
    }


@pytest.mark.parametrize("with_folder", [False, True])
def test_loss_is_that_of_the_text_in_segments(
    with_folder: bool,
    model: Path,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--model_name", str(model), *LENGTHS, "--split", "all", "--no_cuda"]
    flags += ["--data_dir", str(corpus), "--dataset", "wt2"] if with_folder else []
    run_transfo_xl.main([*flags, "--work_dir", str(tmp_path / "work")])
    printed = capsys.readouterr().out
    results = (tmp_path / "work" / "eval_results.txt").read_text(encoding="utf-8")
    for split in ("valid", "test"):
        loss = expected_loss(model, split)
        assert f"| {split} loss {loss:5.2f} | {split} ppl {math.exp(loss):9.3f}" in printed
        found = re.search(rf"^{split}_loss = (.*)$", results, re.MULTILINE)
        assert found is not None
        assert float(found[1]) == pytest.approx(loss, abs=1e-5)


def test_corpora_of_characters_have_bits(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test.txt").write_text("a b c a b d\n" * 5, encoding="utf-8")
    flags = ["--model_name", str(model), *LENGTHS, "--data_dir", str(tmp_path), "--no_cuda"]
    work = tmp_path / "work"
    run_transfo_xl.main([*flags, "--dataset", "enwik8", "--work_dir", str(work), "--no_log"])
    found = re.search(r"\| test loss +(\S+) \| test bpc +(\S+)\n", capsys.readouterr().out)
    assert found is not None
    assert float(found[2]) == pytest.approx(float(found[1]) / math.log(2), abs=0.01)
    assert not work.exists()


def test_missing_files_and_short_texts_are_named(model: Path, tmp_path: Path) -> None:
    flags = ["--model_name", str(model), "--data_dir", str(tmp_path), "--no_cuda"]
    with pytest.raises(FileNotFoundError, match=r"^`--data_dir`: there is no file .*test\.txt"):
        run_transfo_xl.main(flags)
    (tmp_path / "test.txt").write_text("a b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"must hold at least `bsz` \(10\) ids, but holds 3"):
        run_transfo_xl.main([*flags, "--dataset", "wt2"])
    with pytest.raises(ValueError, match=r"^`--batch_size` parts of test must have two tokens"):
        run_transfo_xl.main([*flags, "--dataset", "wt2", "--batch_size", "2"])


def test_training_text_of_lm1b_is_not_one_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`split` must be 'valid' or 'test' for lm1b"):
        ptbert.TransfoXLCorpus().encode_split(tmp_path, "lm1b", "train")
