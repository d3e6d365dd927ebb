"""run_classifier.py from the command line to its result files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import glue
import ptbert
import run_classifier
from examples_support import load_tokenizer, write_lines, write_model, write_sst2
from ptbert._training import progress
from support import import_or_skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


def argv(model: Path, data: Path, output: Path, *more: str, task: str = "SST-2") -> list[str]:
    """A short run that lower-cases."""
    start = ["--bert_model", str(model), "--data_dir", str(data), "--output_dir", str(output)]
    start += ["--task_name", task, "--do_lower_case", "--max_seq_length", "16"]
    return [*start, "--train_batch_size", "4", "--learning_rate", "3e-3", *more]


def read_results(folder: Path) -> dict[str, str]:
    """The lines of eval_results.txt."""
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines)
    return dict(line.split(" = ") for line in lines)


def test_flags_have_the_defaults_of_2019() -> None:
    required = ["--data_dir", "d", "--bert_model", "m", "--task_name", "MRPC", "--output_dir", "o"]
    args = vars(run_classifier.parse_arguments(required))
    assert args["data_dir"] == Path("d")
    assert args["task_name"] == "MRPC"
    assert args["max_seq_length"] == 128
    assert args["do_eval"] is False
    assert args["eval_batch_size"] == 8


def test_training_and_evaluation_write_model_and_results(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    data, output = write_sst2(tmp_path / "data"), tmp_path / "output"
    run_classifier.main(
        argv(model, data, output, "--do_train", "--do_eval", "--num_train_epochs", "6")
    )
    results = read_results(output)
    assert list(results) == ["acc", "eval_loss", "global_step", "loss"]
    assert results["acc"] == "1.0"
    assert results["global_step"] == "24"
    assert float(results["loss"]) < 0.2
    assert float(results["eval_loss"]) < 0.2
    printed = capsys.readouterr()
    assert (output / "eval_results.txt").read_text() in printed.out
    assert "loss=" in printed.err

    again = ptbert.BertForSequenceClassification.from_pretrained(str(output), num_labels=2).eval()
    tokenizer = load_tokenizer(output)
    sentence = tokenizer.convert_tokens_to_ids(["[CLS]", "the", "film", "is", "good", "[SEP]"])
    assert again(torch.tensor([sentence])).argmax().item() == 1


def test_run_is_drawn(tmp_path: Path, model: Path) -> None:
    import_or_skip("matplotlib")
    data, output = write_sst2(tmp_path / "data"), tmp_path / "output"
    run_classifier.main(argv(model, data, output, "--do_train"))
    assert (output / "training_curves.png").read_bytes().startswith(b"\x89PNG")
    lines = (output / "training_curves.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "series,step,value"


def test_evaluation_alone_has_no_training_loss(tmp_path: Path, model: Path) -> None:
    data, output = write_sst2(tmp_path / "data"), tmp_path / "output"
    run_classifier.main(argv(model, data, output, "--do_eval"))
    results = read_results(output)
    assert (results["global_step"], results["loss"]) == ("0", "None")
    assert [path.name for path in output.iterdir()] == ["eval_results.txt"]


def test_evaluation_alone_leaves_the_checkpoints_of_an_interrupted_training(
    tmp_path: Path, model: Path
) -> None:
    data, output = write_sst2(tmp_path / "data"), tmp_path / "output"
    checkpoint = output / "checkpoints" / "step-00000004.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"PK")
    run_classifier.main(argv(model, data, output, "--do_eval"))
    assert checkpoint.is_file()
    run_classifier.main(argv(model, data, output, "--do_train", "--overwrite_output_dir"))
    assert not checkpoint.parent.exists()


def test_results_do_not_depend_on_padding_or_batch_size(tmp_path: Path, model: Path) -> None:
    data = write_sst2(tmp_path / "data")
    losses = []
    for number, more in enumerate(([], ["--pad_to_max_seq_length"], ["--eval_batch_size", "4"])):
        output = tmp_path / f"output{number}"
        run_classifier.main(argv(model, data, output, "--do_train", "--do_eval", *more))
        losses.append(float(read_results(output)["eval_loss"]))
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-4)


def test_mnli_is_evaluated_twice(tmp_path: Path, model: Path) -> None:
    data = tmp_path / "data"
    for name, label in (("dev_matched.tsv", "neutral"), ("dev_mismatched.tsv", "entailment")):
        line = "\t".join([*(["x"] * 8), "the cat sat", "a dog ran", label, label])
        write_lines(data / name, ["header", line])
    run_classifier.main(argv(model, data, tmp_path / "MNLI", "--do_eval", task="MNLI"))
    matched, mismatched = read_results(tmp_path / "MNLI"), read_results(tmp_path / "MNLI-MM")
    assert list(matched) == list(mismatched) == ["acc", "eval_loss", "global_step", "loss"]
    assert matched["eval_loss"] != mismatched["eval_loss"]


def test_regression_has_correlations(tmp_path: Path, model: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    texts = ["the cat sat", "a dog ran", "a bird is in the tree", "the film was dull"]
    lines = ["\t".join([*(["x"] * 7), text, "a cat", str(n)]) for n, text in enumerate(texts)]
    for name in ("train.tsv", "dev.tsv"):
        write_lines(data / name, ["header", *lines])
    run_classifier.main(
        argv(model, data, output, "--do_train", "--do_eval", "--seed", "3", task="STS-B")
    )
    expected = ["corr", "eval_loss", "global_step", "loss", "pearson", "spearmanr"]
    assert list(read_results(output)) == expected
    weights = torch.load(output / "pytorch_model.bin", weights_only=True)
    assert weights["classifier.weight"].shape == (1, 32)


def test_regression_of_one_example_has_undefined_correlations(tmp_path: Path, model: Path) -> None:
    line = "\t".join([*(["x"] * 7), "the cat sat", "a cat", "2.5"])
    write_lines(tmp_path / "data" / "dev.tsv", ["header", line])
    run_classifier.main(
        argv(model, tmp_path / "data", tmp_path / "output", "--do_eval", task="STS-B")
    )
    results = read_results(tmp_path / "output")
    assert [results[name] for name in ("corr", "pearson", "spearmanr")] == ["nan"] * 3
    assert float(results["eval_loss"]) >= 0.0


def test_mistakes_in_the_dev_file_are_told_before_training(tmp_path: Path) -> None:
    data = write_sst2(tmp_path / "data")
    write_lines(data / "dev.tsv", ["sentence\tlabel", "good\tyes"])
    with pytest.raises(ValueError, match=r"dev\.tsv, line 2: the label \('yes'\) must be one of"):
        run_classifier.main(
            argv(tmp_path / "no model", data, tmp_path / "o", "--do_train", "--do_eval")
        )


def test_second_run_reads_the_cached_features(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_sst2(tmp_path / "data")
    run_classifier.main(argv(model, data, tmp_path / "first", "--do_eval"))
    monkeypatch.setattr(glue, "make_features", None)
    run_classifier.main(argv(model, data, tmp_path / "second", "--do_eval"))
    assert read_results(tmp_path / "first") == read_results(tmp_path / "second")


def test_used_output_folder_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    data, output = write_sst2(tmp_path / "data"), write_sst2(tmp_path / "used")
    with pytest.raises(ValueError, match="already exists and is not empty"):
        run_classifier.main(argv(tmp_path / "no model", data, output, "--do_train"))


def test_missing_data_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    message = r"`--data_dir`: there is no file .*train\.tsv"
    with pytest.raises(FileNotFoundError, match=message):
        run_classifier.main(argv(tmp_path / "m", tmp_path / "none", tmp_path / "o", "--do_train"))


def test_run_without_work_is_refused(tmp_path: Path) -> None:
    message = r"At least one of `--do_train`, `--do_eval` and `--do_predict` must be given\."
    with pytest.raises(ValueError, match=message):
        run_classifier.main(argv(tmp_path / "m", tmp_path / "d", tmp_path / "o"))
