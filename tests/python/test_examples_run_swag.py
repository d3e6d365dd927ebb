"""run_swag.py from the command line to its result files."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

import ptbert
import run_swag
import swag
from examples_support import load_tokenizer, write_model

HEADER = ["", "video-id", "fold-ind", "startphrase", "sent1", "sent2", "gold-source"]
HEADER += ["ending0", "ending1", "ending2", "ending3", "label"]
RIGHT = "is good"
WRONG = ["ran in the park", "sat on it", "was a film noir"]


def write_swag(path: Path, count: int = 16) -> Path:
    """A file whose right ending is always the same text, at changing places."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = random.Random(4)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(count):
            label = draw.randrange(4)
            endings = [*WRONG[:label], RIGHT, *WRONG[label:]]
            subject = draw.choice(["the cat", "a dog", "the bird"])
            start = [number, "v", number, f"{subject} ran. it", f"{subject} ran.", "it", "gold"]
            writer.writerow([*start, *endings, label])
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


def argv(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    start = ["--bert_model", str(model), "--data_dir", str(data), "--output_dir", str(output)]
    start += ["--do_lower_case", "--max_seq_length", "24", "--train_batch_size", "4"]
    return [*start, "--learning_rate", "3e-3", *more]


def read_results(folder: Path) -> dict[str, str]:
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" = ") for line in lines)


def test_flags_have_the_defaults_of_2019() -> None:
    args = vars(
        run_swag.parse_arguments(["--data_dir", "d", "--bert_model", "m", "--output_dir", "o"])
    )
    assert args["max_seq_length"] == 128
    assert args["train_batch_size"] == 32
    assert args["eval_batch_size"] == 8
    assert args["learning_rate"] == 5e-5
    assert args["num_train_epochs"] == 3.0
    assert not args["do_train"]
    assert not args["do_eval"]


def test_training_and_evaluation_write_model_and_results(
    tmp_path: Path, model: Path, one_thread: None
) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    for name in ("train.csv", "val.csv"):
        write_swag(data / name)
    run_swag.main(argv(model, data, output, "--do_train", "--do_eval", "--num_train_epochs", "10"))
    results = read_results(output)
    assert list(results) == ["eval_accuracy", "eval_loss", "global_step", "loss"]
    assert results["eval_accuracy"] == "1.0"
    assert float(results["eval_loss"]) < 0.3
    assert results["global_step"] == "40"
    again = ptbert.BertForMultipleChoice.from_pretrained(str(output), num_choices=4).eval()
    features = swag.make_features(
        swag.read_examples(data / "val.csv"), load_tokenizer(output), max_seq_length=24
    )
    batch = swag.collate(features)
    scores = again(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    assert scores.argmax(1).tolist() == batch["labels"].tolist()


def test_results_do_not_depend_on_padding_batch_size_or_cache(
    tmp_path: Path, model: Path, one_thread: None
) -> None:
    data = tmp_path / "data"
    for name in ("train.csv", "val.csv"):
        write_swag(data / name)
    losses = []
    for number, more in enumerate(([], ["--pad_to_max_seq_length"], ["--eval_batch_size", "3"])):
        output = tmp_path / f"output{number}"
        run_swag.main(argv(model, data, output, "--do_train", "--do_eval", *more))
        losses.append(float(read_results(output)["eval_loss"]))
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-4)


def test_features_are_those_of_each_ending_alone(model: Path) -> None:
    """The context, and the start with its ending, cut as a pair of texts is."""
    tokenizer = load_tokenizer(model)
    example = swag.Example("the cat sat on the mat .", "a dog", ("ran", "is good", "sat", "was"), 1)
    (row,) = swag.make_features([example], tokenizer, max_seq_length=12)
    for ending, (ids, segments) in zip(example.endings, row.choices, strict=True):
        first = tokenizer.tokenize(example.context)
        second = tokenizer.tokenize(example.start) + tokenizer.tokenize(ending)
        while len(first) + len(second) > 9:
            (first if len(first) > len(second) else second).pop()
        tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
        assert ids == tokenizer.convert_tokens_to_ids(tokens)
        assert segments == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert row.label == 1


def test_batches_hold_all_endings(model: Path, tmp_path: Path) -> None:
    features = swag.make_features(
        swag.read_examples(write_swag(tmp_path / "val.csv", 3)), load_tokenizer(model), 24
    )
    batch = swag.collate(features)
    longest = max(len(row.input_ids) for row in features)
    assert batch["input_ids"].shape == (3, 4, longest)
    assert batch["attention_mask"].sum().item() == sum(
        len(ids) for row in features for ids, _ in row.choices
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["sent1,sent2,ending0,ending1,ending2,label"],
            r"line 1: there must be a column `ending3`",
        ),
        ([",".join(HEADER)], r"holds no examples"),
        ([",".join(HEADER), "0,v,1,a b,a,b,gold,c,d,e,f,4"], r"line 2: the label \('4'\) must be"),
        ([",".join(HEADER), "0,v,1,a b,a,b,gold,c,d,e"], r"line 2: there are too few columns"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        swag.read_examples(path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "At least one of `--do_train` and `--do_eval` must be given."),
        (["--do_eval"], "`--data_dir`: there is no file"),
        (["--do_train", "--train_batch_size", "0"], "`--train_batch_size` (0) must be at least 1."),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, model: Path, flags: list[str], message: str) -> None:
    with pytest.raises((ValueError, OSError)) as error:
        run_swag.main(argv(model, tmp_path, tmp_path / "output", *flags))
    assert str(error.value).startswith(message)


def test_published_files_are_read(tmp_path: Path, test_data: Path) -> None:
    """The file of the data set as it is, and its JSON lines written as train.csv."""
    folder = test_data / "swag"
    assert all(
        len(example.endings) == 4 for example in swag.read_examples(folder / "val-sample.csv")
    )
    lines = (folder / "train-sample.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    path = tmp_path / "train.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*swag.COLUMNS, "label"])
        writer.writeheader()
        writer.writerows(rows)
    examples = swag.read_examples(path)
    assert [example.label for example in examples] == [row["label"] for row in rows]
    assert examples[0].context == rows[0]["sent1"]
