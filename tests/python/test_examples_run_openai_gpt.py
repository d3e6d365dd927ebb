"""run_openai_gpt.py on stories, and its training against the library of 2019."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import ptbert
import rocstories
import run_openai_gpt
from examples_support import files_of, write_gpt, write_lines
from ptbert._training import progress
from rocstories import Story
from support import import_or_skip

TITLES = "InputStoryid,1,2,3,4,RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding"
VALIDATION = "cloze_test_val__spring2016 - cloze_test_ALL_val.csv"


@pytest.fixture(autouse=True)
def without_spacy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes GPT's tokenizer quick to load."""
    monkeypatch.setitem(sys.modules, "ftfy", None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT without dropout, whose window has 64 tokens."""
    return write_gpt(tmp_path_factory.mktemp("models") / "gpt")


def write_stories(path: Path, count: int = 24) -> Path:
    """Stories whose right ending has a cat."""
    endings = ("a cat", "no dog")
    lines = []
    for number in range(count):
        first, second = endings if number % 3 else endings[::-1]
        beginning = f'the,"a, b",{"do " * (number % 4)},not'
        lines.append(f"{number},{beginning},{first},{second},{1 if first == 'a cat' else 2}")
    return write_lines(path, [TITLES, *lines])


def argv(model: Path, output: Path, *more: str) -> list[str]:
    """A short run."""
    start = ["--model_name", str(model), "--output_dir", str(output)]
    return [*start, "--learning_rate", "5e-3", *more]


def read_results(folder: Path) -> dict[str, str]:
    """The lines of eval_results.txt."""
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines)
    return dict(line.split(" = ") for line in lines)


def test_flags_have_the_defaults_of_2019() -> None:
    args = vars(run_openai_gpt.parse_arguments(["--output_dir", "o"]))
    expected = {
        "model_name": "openai-gpt",
        "do_train": False,
        "do_eval": False,
        "output_dir": Path("o"),
        "train_dataset": None,
        "eval_dataset": None,
        "seed": 42,
        "num_train_epochs": 3.0,
        "train_batch_size": 8,
        "eval_batch_size": 16,
        "max_grad_norm": 1.0,
        "learning_rate": 6.25e-5,
        "warmup_proportion": 0.002,
        "lr_schedule": "warmup_linear",
        "weight_decay": 0.01,
        "lm_coef": 0.9,
        "n_valid": 374,
    }
    assert {name: args[name] for name in expected} == expected


def test_training_and_evaluation_write_model_and_results(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    train, dev = write_stories(tmp_path / "train.csv"), write_stories(tmp_path / "dev.csv", 9)
    output = tmp_path / "output"
    files = ["--train_dataset", str(train), "--eval_dataset", str(dev)]
    run_openai_gpt.main(
        argv(model, output, *files, "--do_train", "--do_eval", "--num_train_epochs", "8")
    )
    results = read_results(output)
    assert list(results) == ["eval_accuracy", "eval_loss", "train_loss"]
    assert results["eval_accuracy"] == "1.0"
    assert float(results["eval_loss"]) < 0.3
    assert "loss=" in capsys.readouterr().err
    assert files_of(output) == [
        "config.json",
        "eval_results.txt",
        "history.csv",
        "merges.txt",
        "pytorch_model.bin",
        "special_tokens.txt",
        "training_args.bin",
        "vocab.json",
    ]

    again = tmp_path / "again"
    run_openai_gpt.main(argv(output, again, *files[2:], "--do_eval"))
    assert read_results(again) == {**results, "train_loss": "None"}


def test_stories_at_the_end_are_held_out(tmp_path: Path, model: Path, one_thread: None) -> None:
    stories = write_stories(tmp_path / "stories.csv")
    flags = ["--train_dataset", str(stories), "--n_valid", "6"]
    args = run_openai_gpt.parse_arguments(argv(model, tmp_path, *flags, "--do_eval"))
    all_stories = rocstories.read_stories(stories)
    assert run_openai_gpt.read_stories(args) == (all_stories[:18], all_stories[18:])
    args.do_eval = False
    assert run_openai_gpt.read_stories(args) == (all_stories, [])
    run_openai_gpt.main(argv(model, tmp_path / "output", *flags, "--do_eval"))
    assert float(read_results(tmp_path / "output")["eval_accuracy"]) <= 1.0


def test_story_becomes_two_choices(model: Path) -> None:
    tokenizer = ptbert.OpenAIGPTTokenizer.from_pretrained(
        str(model), special_tokens=rocstories.SPECIAL_TOKENS
    )
    start, delimiter, classify = (tokenizer.special_tokens[t] for t in rocstories.SPECIAL_TOKENS)
    the, cat = tokenizer.convert_tokens_to_ids(["the</w>", "cat</w>"])
    long = Story("The cat", ("cat " * 40, "the"), 1)
    (features,) = rocstories.make_features([long], tokenizer, n_positions=20)
    assert features.choices == (
        [start, the, cat, delimiter, *[cat] * 8, classify],
        [start, the, cat, delimiter, the, classify],
    )
    batch = rocstories.collate([features])
    assert batch["input_ids"].shape == (1, 2, 13)
    assert batch["lm_labels"][0, 1].tolist() == [*features.choices[1], *[-1] * 7]
    assert batch["mc_token_ids"].tolist() == [[12, 5]]
    assert batch["mc_labels"].tolist() == [1]


@pytest.mark.filterwarnings("ignore")  # The original calls torch in ways that are deprecated.
def test_losses_are_those_of_the_library_of_2019(
    tmp_path: Path, test_data: Path, one_thread: None
) -> None:
    original: Any = import_or_skip("pytorch_pretrained_bert")
    folder = write_gpt(tmp_path / "gpt", n_positions=512, n_ctx=512, initializer_range=0.02)
    flags = ["--do_train", "--train_dataset", "unused", "--train_batch_size", "2"]
    # So fast that one wrong step would show in the losses after it.
    flags += ["--num_train_epochs", "1", "--learning_rate", "1e-3", "--warmup_proportion", "0.2"]
    args = run_openai_gpt.parse_arguments(
        ["--model_name", str(folder), "--output_dir", "unused", *flags]
    )
    stories = rocstories.read_stories(test_data / "rocstories" / VALIDATION)
    model, tokenizer = run_openai_gpt.load(args)
    features = rocstories.make_features(stories[:60], tokenizer, model.config.n_positions)

    config = original.OpenAIGPTConfig.from_json_file(str(folder / "config.json"))
    config.n_special = 0
    reference = original.OpenAIGPTDoubleHeadsModel(config)
    reference.set_num_special_tokens(3)
    reference.load_state_dict(model.state_dict())
    named = list(reference.named_parameters())
    no_decay = ("bias", "LayerNorm.bias", "LayerNorm.weight")
    groups = [
        {
            "params": [p for n, p in named if any(s in n for s in no_decay) == exempt],
            "weight_decay": 0.0 if exempt else 0.01,
        }
        for exempt in (False, True)
    ]
    optimizer = original.OpenAIAdam(
        groups,
        lr=args.learning_rate,
        warmup=args.warmup_proportion,
        max_grad_norm=args.max_grad_norm,
        weight_decay=args.weight_decay,
        t_total=30,
    )

    log = run_openai_gpt.train(args, model, features)
    assert log.global_step == 30

    expected = []
    names = ("input_ids", "mc_token_ids", "lm_labels", "mc_labels")
    reference.train()
    batches = ptbert.training.Batches(features, 2, rocstories.collate, shuffle_seed=args.seed)
    for batch in batches:
        losses = reference(*(batch[name] for name in names))
        loss = args.lm_coef * losses[0] + losses[1]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(loss.item())
    assert log.losses == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.2


def test_real_files_are_read_whole(test_data: Path) -> None:
    stories = rocstories.read_stories(test_data / "rocstories" / VALIDATION)
    assert len(stories) == 1871
    assert stories[0].beginning.startswith("Rick grew up in a troubled household. He never found")
    assert stories[0].endings == ("He is happy now.", "He joined a gang.")
    assert stories[0].label == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0,a,b,c,d,e,f,3"], "line 2: a story must have 8 cells, the last of them 1 or 2, but"),
        (["0,a,b,c,d,e,f,1", "0,a,b"], "line 3: a story must have 8 cells, the last of them 1 or "),
        (['0,a,"b"c,c,d,e,f,1'], "line 2: "),
        ([], " must hold stories after a line of titles, but holds none."),
    ],
)
def test_mistakes_in_a_file_are_told_by_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = write_lines(tmp_path / "stories.csv", [TITLES, *lines])
    with pytest.raises(ValueError) as error:
        rocstories.read_stories(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "At least one of `--do_train` and `--do_eval` must be given."),
        (["--do_train"], "`--do_train` needs `--train_dataset`."),
        (["--do_eval"], "`--do_eval` without `--eval_dataset` needs `--train_dataset`."),
        (["--do_eval", "--eval_dataset", "none"], "`--eval_dataset`: there is no file none."),
        (["--do_eval", "--n_valid", "24"], "`--n_valid` (24) must be below the number of stories "),
        (["--do_eval", "--n_valid", "0"], "`--n_valid` (0) must be at least 1."),
        (["--do_eval", "--eval_batch_size", "0"], "`--eval_batch_size` (0) must be at least 1."),
    ],
)
def test_mistakes_are_refused_before_anything_is_loaded(
    tmp_path: Path, flags: list[str], message: str
) -> None:
    stories = write_stories(tmp_path / "stories.csv")
    if "--n_valid" in flags or "--eval_batch_size" in flags:
        flags = [*flags, "--train_dataset", str(stories)]
    with pytest.raises((OSError, ValueError)) as error:
        run_openai_gpt.main(argv(tmp_path / "no model", tmp_path / "output", *flags))
    assert str(error.value).startswith(message)


def test_used_output_folder_is_refused(tmp_path: Path) -> None:
    stories = write_stories(tmp_path / "stories.csv")
    with pytest.raises(ValueError, match="already exists and is not empty"):
        run_openai_gpt.main(
            argv(tmp_path / "m", tmp_path, "--do_train", "--train_dataset", str(stories))
        )
