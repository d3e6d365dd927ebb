"""train_gpt2.py, and texts packed into windows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import packed_text
import ptbert
import train_gpt2
from examples_support import files_of, write_gpt2, write_lines
from ptbert._training import progress
from support import import_or_skip

LINES = ["the cat sat on the mat.", "the dog ran in the park.", "a bird is in the tree."] * 30
SIZES = ["--n_layer", "2", "--n_head", "2", "--n_embd", "32", "--n_positions", "32"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT-2 whose window has 64 tokens."""
    return write_gpt2(tmp_path_factory.mktemp("models") / "gpt2")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file that is easy to learn."""
    return write_lines(tmp_path / "text.txt", LINES)


def argv(text: Path, output: Path, *more: str) -> list[str]:
    """A short run."""
    start = ["--train_files", str(text), "--output_dir", str(output)]
    return [*start, "--learning_rate", "3e-3", *more]


def read_results(folder: Path) -> dict[str, float]:
    """The lines of eval_results.txt."""
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines)
    return {key: float(value) for key, value in (line.split(" = ") for line in lines)}


def load(folder: Path) -> tuple[ptbert.GPT2LMHeadModel, ptbert.GPT2Tokenizer]:
    """What a run has saved."""
    model = ptbert.GPT2LMHeadModel.from_pretrained(str(folder)).eval()
    return model, ptbert.GPT2Tokenizer.from_pretrained(str(folder))


def test_new_model_learns_a_text_with_a_vocabulary_of_its_own(
    tmp_path: Path,
    text: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    import_or_skip("sentencepiece")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    output, vocabulary = tmp_path / "output", ["--vocab_size", "280", "--train_batch_size", "4"]
    train_gpt2.main(
        argv(text, output, *SIZES, *vocabulary, "--num_train_epochs", "15", "--eval_every", "30")
    )
    results = read_results(output)
    assert list(results) == ["eval_loss", "eval_perplexity", "global_step", "loss"]
    assert results["eval_perplexity"] < 10
    assert results["eval_loss"] == pytest.approx(math.log(results["eval_perplexity"]))
    printed = capsys.readouterr()
    assert "Step 30: training loss " in printed.out
    assert ", eval_perplexity " in printed.out
    assert "loss=" in printed.err
    assert files_of(output) == [
        "config.json",
        "eval_results.txt",
        "history.csv",
        "merges.txt",
        "metrics.csv",
        "pytorch_model.bin",
        "special_tokens.txt",
        "training_args.bin",
        "vocab.json",
    ]
    model, tokenizer = load(output)
    assert model.config.vocab_size == len(tokenizer) == 280
    assert "\n" in printed.out
    (sample,) = model.generate(tokenizer.encode("the cat"), max_new_tokens=20)
    assert "the" in tokenizer.decode(sample.ids)


def test_trained_model_is_trained_on(
    tmp_path: Path, text: Path, gpt2: Path, one_thread: None
) -> None:
    output = tmp_path / "output"
    flags = ["--model_name_or_path", str(gpt2), "--eval_files", str(text), "--eval_every", "0"]
    train_gpt2.main(argv(text, output, *flags, "--window", "16"))
    model, tokenizer = load(output)
    ids = packed_text.encode(packed_text.read_documents([text]), tokenizer)
    before, after = (m.score([ids], window=16)[0].perplexity for m in (load(gpt2)[0], model))
    assert read_results(output)["eval_perplexity"] == pytest.approx(after, rel=1e-4)
    assert after < before / 2


def test_same_seed_gives_the_same_run_and_accumulation_the_same_model(
    tmp_path: Path, text: Path, gpt2: Path, one_thread: None
) -> None:
    flags = ["--model_name_or_path", str(gpt2), "--train_batch_size", "4", "--window", "32"]
    losses = []
    # Windows of equal lengths, so that means of batches are the mean of all.
    write_lines(text, ["x" * (32 * 31)])
    for number, more in enumerate(
        (["--eval_every", "2"], ["--eval_every", "3"], ["--gradient_accumulation_steps", "2"])
    ):
        output = tmp_path / str(number)
        train_gpt2.main(argv(text, output, *flags, "--held_out", "0", *more))
        results = read_results(output)
        assert list(results) == ["global_step", "loss"]
        losses.append(results["loss"])
    assert losses[1] == losses[0]
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_gradients_are_clipped_together(
    tmp_path: Path,
    text: Path,
    gpt2: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    norms = []
    step = ptbert.OpenAIAdam.step

    def measured(self: ptbert.OpenAIAdam, closure: None = None) -> None:
        grads = [
            p.grad for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norms.append(torch.stack([grad.norm() for grad in grads]).norm().item())
        step(self, closure)

    monkeypatch.setattr(ptbert.OpenAIAdam, "step", measured)
    flags = ["--model_name_or_path", str(gpt2), "--num_train_epochs", "1"]
    for limit in ("0", "0.25"):
        train_gpt2.main(argv(text, tmp_path / limit, *flags, "--max_grad_norm", limit))
    half = len(norms) // 2
    assert min(norms[:half]) > 0.25
    assert norms[half:] == pytest.approx([0.25] * half, rel=1e-3)


def test_dropout_of_a_trained_model_may_be_changed(gpt2: Path, one_thread: None) -> None:
    model, _ = load(gpt2)
    ids = torch.tensor([[1, 2, 3]])
    model.train()
    assert torch.equal(model(ids)[0], model(ids)[0])
    train_gpt2.set_dropout(model, 0.5)
    assert not torch.equal(model(ids)[0], model(ids)[0])
    assert model.config.resid_pdrop == model.config.embd_pdrop == model.config.attn_pdrop == 0.5


@pytest.mark.parametrize(
    ("ends_at", "documents"),
    [
        ("file", ["one\n \ntwo\nthree", "four", "five"]),
        ("blank_line", ["one", "two\nthree", "four", "five"]),
        ("line", ["one", "two", "three", "four", "five"]),
    ],
)
def test_documents_end_where_the_flag_says(
    tmp_path: Path, ends_at: str, documents: list[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("one\n \ntwo\nthree<|endoftext|>four<|endoftext|>\n", encoding="utf-8")
    second.write_text("\n\nfive\n", encoding="utf-8")
    assert packed_text.read_documents([first, second], ends_at) == documents


def test_documents_are_packed_with_a_token_between(gpt2: Path) -> None:
    _, tokenizer = load(gpt2)
    end = tokenizer.encoder["<|endoftext|>"]
    a, b = tokenizer.encode("the cat"), tokenizer.encode("a")
    assert packed_text.encode(["the cat", "a"], tokenizer) == [end, *a, end, *b]


@pytest.mark.parametrize("count", [2, 9, 10, 11, 12, 30])
def test_windows_predict_each_token_once(count: int) -> None:
    windows = packed_text.windows(list(range(count)), 4)
    assert [token for window in windows for token in window[1:]] == list(range(1, count))
    assert all(len(window) == 4 for window in windows[:-1])
    assert len(windows[-1]) > 1


def test_short_windows_are_padded_where_nothing_is_predicted() -> None:
    batch = packed_text.collate([[1, 2, 3], [4, 5]])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert batch["lm_labels"].tolist() == [[1, 2, 3], [4, 5, -1]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n_layer", "0"], "`--n_layer` (0) must be at least 1."),
        (["--n_embd", "10"], "`--n_embd` (10) must be a multiple of `--n_head` (6)."),
        (["--held_out", "0.9"], "`--held_out` (0.9) must be between 0 and 0.5."),
        (["--dropout", "1"], "`--dropout` (1.0) must be between 0 and 0.9."),
        (["--eval_every", "-1"], "`--eval_every` (-1) must be at least 0."),
        (["--max_grad_norm", "nan"], "`--max_grad_norm` (nan) must be at least 0."),
        (["--eval_files", "none"], "`--eval_files`: there is no file none."),
        (
            ["--eval_files", "e", "--held_out", "0.1"],
            "`--held_out` (0.1) has no effect with `--eval_files`: leave it out.",
        ),
        (
            ["--tokenizer", "t", "--vocab_size", "300"],
            "`--vocab_size` (300) has no effect with `--tokenizer`: leave it out.",
        ),
        (
            ["--model_name_or_path", "m", "--n_layer", "2"],
            "`--n_layer` (2) has no effect with `--model_name_or_path`: leave it out.",
        ),
    ],
)
def test_mistakes_are_refused_before_anything_is_loaded(
    tmp_path: Path, text: Path, flags: list[str], message: str
) -> None:
    with pytest.raises((OSError, ValueError)) as error:
        train_gpt2.main(argv(text, tmp_path / "output", *flags))
    assert str(error.value) == message


def test_used_output_folder_is_refused(tmp_path: Path, text: Path) -> None:
    with pytest.raises(ValueError, match="already exists and is not empty"):
        train_gpt2.main(argv(text, tmp_path))


@pytest.mark.parametrize("window", ["1", "65"])
def test_window_must_fit_the_model(tmp_path: Path, text: Path, gpt2: Path, window: str) -> None:
    flags = ["--model_name_or_path", str(gpt2), "--window", window]
    with pytest.raises(ValueError, match=rf"`--window` \({window}\) must be between 2 and 64\."):
        train_gpt2.main(argv(text, tmp_path / "output", *flags))


def test_vocabulary_must_fit_the_model(tmp_path: Path, text: Path, gpt2: Path) -> None:
    small = write_gpt2(tmp_path / "small")
    tokens = json.loads((gpt2 / "vocab.json").read_text())
    (small / "vocab.json").write_text(json.dumps({**tokens, "one more": len(tokens)}))
    flags = ["--model_name_or_path", str(gpt2), "--tokenizer", str(small)]
    with pytest.raises(
        ValueError, match=r"at most as many tokens as the model \(263\), but has 264"
    ):
        train_gpt2.main(argv(text, tmp_path / "output", *flags))


def test_vocabulary_must_have_the_end_of_a_text(tmp_path: Path, text: Path) -> None:
    other = write_gpt2(tmp_path / "other")
    vocabulary = (other / "vocab.json").read_text().replace("<|endoftext|>", "other")
    (other / "vocab.json").write_text(vocabulary)
    with pytest.raises(ValueError, match=r"must have the token <\|endoftext\|>, but lacks it\."):
        train_gpt2.main(argv(text, tmp_path / "output", "--tokenizer", str(other)))
