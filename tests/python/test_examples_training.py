"""What the fine-tuning scripts share: arguments, batches, the training loop and saving."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import arguments
import extract_features
import glue
import inputs
import ptbert
import run_classifier
import run_gpt2
import run_ner
import run_openai_gpt
import run_squad
import run_swag
import run_transfo_xl
import training
from examples_support import load_tokenizer, write_model
from glue import Features
from ptbert.training import Batches, TrainingLog, TrainingOptions, bert_adam, fit, processes
from support import assert_close, assert_equal

TASK = glue.find_task("SST-2")
WEIGHT = "bert.pooler.dense.weight"


def rows(count: int = 16) -> list[Features]:
    """Sentences of 4 to 8 tokens; the class is the third one, 14 or 15."""
    return [
        Features([2, 5, 14 + n % 2, *([28] * (n % 5)), 3], [0] * (4 + n % 5), 1 - n % 2)
        for n in range(count)
    ]


def make_model(folder: Path, dropout: float = 0.0) -> ptbert.BertForSequenceClassification:
    """A classifier of two classes, always with the same weights."""
    write_model(folder, dropout)
    torch.manual_seed(3)
    return ptbert.BertForSequenceClassification.from_pretrained(str(folder), num_labels=2)


def batch_loss(model: torch.nn.Module, batch: inputs.Batch) -> torch.Tensor:
    (logits,) = training.forward(model, batch)
    return glue.task_loss(TASK, logits, batch["labels"])


def run(
    model: torch.nn.Module,
    batch_size: int = 4,
    length: int | None = None,
    seed: int = 42,
    **options: Any,
) -> TrainingLog:
    """Train the model on `rows()`."""
    training.seed_everything(seed)
    collate = functools.partial(glue.collate, length=length)
    batches = Batches(rows(), batch_size, collate, shuffle_seed=seed)
    return fit(model, batches, batch_loss, TrainingOptions(**{"learning_rate": 1e-3} | options))


def outputs(model: torch.nn.Module) -> torch.Tensor:
    """The model's outputs for `rows()`."""
    batches = Batches(rows(), 16, glue.collate)
    ((_, (logits,)),) = training.predict(model, batches, "Predicting")
    return logits


def test_training_learns_a_toy_task(tmp_path: Path) -> None:
    log = run(make_model(tmp_path), epochs=8.0, learning_rate=3e-3)
    assert log.global_step == 32
    assert log.mean_loss is not None
    assert log.mean_loss < 0.1 < log.losses[0]
    assert log.mean_loss == pytest.approx(sum(log.losses[-4:]) / 4)


def test_accumulation_equals_a_big_batch(tmp_path: Path) -> None:
    big, parts = make_model(tmp_path), make_model(tmp_path)
    first = run(big, batch_size=8)
    second = run(parts, batch_size=2, accumulation_steps=4)
    assert second.losses == pytest.approx(first.losses, abs=1e-5)
    assert_close(outputs(big), outputs(parts), atol=1e-4)


def test_padding_does_not_change_training(tmp_path: Path) -> None:
    short, long = make_model(tmp_path), make_model(tmp_path)
    first, second = run(short), run(long, length=32)
    assert second.losses == pytest.approx(first.losses, abs=1e-5)
    assert_close(outputs(short), outputs(long), atol=1e-4)


def test_same_seed_same_run(tmp_path: Path) -> None:
    models = [make_model(tmp_path, dropout=0.1) for _ in range(3)]
    first, second = run(models[0]), run(models[1])
    other = run(models[2], seed=7)
    assert first.losses == second.losses
    assert_equal(outputs(models[0]), outputs(models[1]))
    assert first.losses != other.losses


def test_epochs_may_end_inside_a_pass(tmp_path: Path) -> None:
    log = run(make_model(tmp_path), epochs=1.5)
    assert log.global_step == 6
    assert log.last_epoch_start == 4


def test_batches_that_do_not_fill_a_step_are_left_out(tmp_path: Path) -> None:
    assert run(make_model(tmp_path), accumulation_steps=3, epochs=2.0).global_step == 2


def test_too_few_batches_for_a_step_are_refused(tmp_path: Path) -> None:
    message = r"4 batches, 5 per step, for 3\.0 epochs do not make one training step"
    with pytest.raises(ValueError, match=message):
        run(make_model(tmp_path), accumulation_steps=5)


def test_log_without_training_has_no_loss() -> None:
    assert (TrainingLog().global_step, TrainingLog().mean_loss) == (0, None)


def test_optimizer_decays_weights_only(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    options = TrainingOptions(learning_rate=2e-5, warmup_proportion=0.2)
    optimizer = bert_adam(model, 10, options)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, others = (
        {names[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups
    )
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert decayed | others == set(names.values())
    assert "bert.embeddings.word_embeddings.weight" in decayed
    assert "classifier.weight" in decayed
    assert all(name.endswith(("bias", "LayerNorm.weight")) for name in others)
    assert not any(name.endswith(("bias", "LayerNorm.weight")) for name in decayed)
    assert optimizer.param_groups[0]["lr"] == 2e-5


def test_optimizer_leaves_out_what_is_excluded(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    optimizer = bert_adam(model, 10, TrainingOptions(), exclude="pooler")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    left_out = {name for name, parameter in model.named_parameters() if id(parameter) not in held}
    assert left_out == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def test_learning_rate_rises_and_falls_over_all_steps(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    before = [parameter.clone() for parameter in model.parameters()]
    # The first step of the warm-up has rate 0, so one step alone changes nothing.
    run(model, batch_size=16, epochs=1.0)
    pairs = zip(before, model.parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in pairs)


def collect(values: list[int]) -> inputs.Batch:
    return {"values": torch.tensor(values)}


def test_batches_keep_the_order_without_a_seed() -> None:
    batches = Batches([1, 2, 3, 4, 5], 2, collect)
    assert len(batches) == 3
    for _ in range(2):
        assert [batch["values"].tolist() for batch in batches] == [[1, 2], [3, 4], [5]]


def test_batches_are_shuffled_anew_in_every_pass_and_alike_with_one_seed() -> None:
    numbers = list(range(20))
    first, second = (Batches(numbers, 3, collect, shuffle_seed=1) for _ in range(2))
    passes = []
    for _ in range(2):
        order = [value for batch in first for value in batch["values"].tolist()]
        torch.rand(3)
        assert order == [value for batch in second for value in batch["values"].tolist()]
        assert sorted(order) == numbers
        passes.append(order)
    assert passes[0] != passes[1]


def test_batches_of_like_lengths_hold_every_row_once_in_every_pass() -> None:
    lengths = torch.randint(1, 100, (500,)).tolist()
    rows = list(range(500))
    batches = Batches(rows, 8, collect, shuffle_seed=1, length_of=lengths.__getitem__)
    again = Batches(rows, 8, collect, shuffle_seed=1, length_of=lengths.__getitem__)
    passes = []
    for _ in range(2):
        chosen = [batch["values"].tolist() for batch in batches]
        assert chosen == [batch["values"].tolist() for batch in again]
        assert len(chosen) == len(batches)
        assert sorted(row for batch in chosen for row in batch) == rows
        spreads = [max(group) - min(group) for group in ([lengths[i] for i in b] for b in chosen)]
        assert sum(spreads) / len(spreads) < 15  # of 100
        assert [lengths[batch[0]] for batch in chosen] != sorted(lengths[b[0]] for b in chosen)
        passes.append(chosen)
    assert passes[0] != passes[1]


def test_batches_in_order_do_not_heed_lengths() -> None:
    batches = Batches([3, 1, 2], 2, collect, length_of=lambda row: row)
    assert [batch["values"].tolist() for batch in batches] == [[3, 1], [2]]


def test_empty_batches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`batch_size` \(0\) must be at least 1\."):
        Batches([1], 0, collect)


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.add_arguments(parser)
    return parser.parse_args(["--bert_model", "m", "--output_dir", "o", *argv])


def test_shared_flags_have_the_defaults_of_2019() -> None:
    assert vars(parse()) == {
        "bert_model": "m",
        "output_dir": Path("o"),
        "cache_dir": None,
        "feature_cache_dir": None,
        "do_train": False,
        "do_lower_case": False,
        "overwrite_output_dir": False,
        "train_batch_size": 32,
        "learning_rate": 5e-5,
        "num_train_epochs": 3.0,
        "warmup_proportion": 0.1,
        "gradient_accumulation_steps": 1,
        "pad_to_max_seq_length": False,
        "no_length_buckets": False,
        "seed": 42,
        "no_cuda": False,
        "local_rank": -1,
        "ddp_timeout": 1800.0,
        "fp16": False,
        "loss_scale": 0.0,
        "bf16": False,
        "shard": False,
        "optimize_on_cpu": False,
        "save_steps": 500,
        "resume": False,
        "log_dir": None,
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--gradient_accumulation_steps", "0"],
            "`--gradient_accumulation_steps` (0) must be at least 1.",
        ),
        (
            ["--gradient_accumulation_steps", "5"],
            "`--train_batch_size` (32) must be a multiple of `--gradient_accumulation_steps` (5).",
        ),
        (["--train_batch_size", "0"], "`--train_batch_size` (0) must be at least 1."),
        (["--num_train_epochs", "0"], "`--num_train_epochs` (0.0) must be positive."),
        (["--learning_rate", "-1"], "`--learning_rate` (-1.0) must be at least 0."),
        (["--learning_rate", "nan"], "`--learning_rate` (nan) must be at least 0."),
        (
            ["--warmup_proportion", "10"],
            "`--warmup_proportion` (10.0) must be at least 0 and below 1, or -1 for no warm-up.",
        ),
        (["--fp16", "--bf16"], "Only one of `--fp16` and `--bf16` may be given."),
        (["--loss_scale", "128"], "`--loss_scale` (128) may be given only with `--fp16`."),
        (
            ["--fp16", "--loss_scale", "100"],
            "`--loss_scale` (100) must be a power of 2, or 0 for one that adapts itself.",
        ),
        (["--save_steps", "-1"], "`--save_steps` (-1) must be at least 0."),
    ],
)
def test_wrong_arguments_are_refused(argv: list[str], message: str) -> None:
    with pytest.raises(ValueError) as error:
        arguments.check_arguments(parse(*argv))
    assert str(error.value) == message


FINE_TUNING = {
    run_classifier: ["--bert_model", "m", "--data_dir", "d", "--task_name", "mrpc", "--do_eval"],
    run_ner: ["--bert_model", "m", "--do_eval"],
    run_openai_gpt: ["--do_eval"],
    run_squad: ["--bert_model", "m", "--do_predict"],
    run_swag: ["--bert_model", "m", "--data_dir", "d", "--do_eval"],
}


@pytest.mark.parametrize("script", FINE_TUNING, ids=lambda script: str(script.__name__))
@pytest.mark.parametrize("flag", ["--resume", "--shard", "--optimize_on_cpu", "--log_dir"])
def test_flags_of_training_need_a_training(script: Any, flag: str) -> None:
    value = ["board"] if flag == "--log_dir" else []
    with pytest.raises(ValueError) as error:
        script.main([*FINE_TUNING[script], "--output_dir", "o", flag, *value])
    given = value[0] if value else "True"
    assert (
        str(error.value) == f"`{flag}` ({given}) has no effect without `--do_train`: leave it out."
    )


ALONE: dict[Any, list[str]] = {
    extract_features: ["--input_file", "i", "--output_file", "o", "--bert_model", "m"],
    run_gpt2: [],
    run_transfo_xl: ["--data_dir", "d"],
}


@pytest.mark.parametrize("script", ALONE, ids=lambda script: str(script.__name__))
def test_scripts_for_one_process_refuse_more(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(ValueError, match="must run in one process, but was started in 2"):
        script.main(ALONE[script])


def test_training_never_overwrites_another_run_unasked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    message = "already exists and is not empty; give --overwrite_output_dir to train into it."
    with pytest.raises(ValueError, match=message):
        arguments.prepare_output_dir(tmp_path, training=True, overwrite=False)
    arguments.prepare_output_dir(tmp_path, training=True, overwrite=True)
    arguments.prepare_output_dir(tmp_path, training=False, overwrite=False)
    arguments.prepare_output_dir(tmp_path / "new" / "folder", training=True, overwrite=False)
    assert (tmp_path / "new" / "folder").is_dir()


def test_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be a folder, but is a file\."):
        arguments.prepare_output_dir(tmp_path / "file", training=False, overwrite=True)


@pytest.mark.parametrize("length", [2, 65])
def test_sequence_length_must_fit_the_model(tmp_path: Path, length: int) -> None:
    message = (
        rf"`--max_seq_length` \({length}\) must be between 3 and `max_position_embeddings` \(64\)\."
    )
    with pytest.raises(ValueError, match=message):
        arguments.check_length(length, make_model(tmp_path), least=3)


def test_saved_folder_can_be_loaded_without_unpickling(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model = make_model(folder)
    args = argparse.Namespace(output_dir=tmp_path, seed=1, cache_dir=None, do_train=True, rate=0.5)
    output = tmp_path / "output"
    output.mkdir()
    training.save(model, load_tokenizer(folder), args, output)
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "pytorch_model.bin",
        "training_args.bin",
        "vocab.txt",
    ]
    assert torch.load(output / "training_args.bin", weights_only=True) == {
        "output_dir": str(tmp_path),
        "seed": 1,
        "cache_dir": None,
        "do_train": True,
        "rate": 0.5,
    }
    again = ptbert.BertForSequenceClassification.from_pretrained(str(output), num_labels=2)
    assert_equal(outputs(model), outputs(again))
    assert (output / "vocab.txt").read_bytes() == (folder / "vocab.txt").read_bytes()


def save(model: torch.nn.Module, source: Path, output: Path) -> None:
    """Save the model with the vocabulary of the folder `source`."""
    output.mkdir(exist_ok=True)
    training.save(model, load_tokenizer(source), argparse.Namespace(), output)


def weights_of(folder: Path) -> torch.Tensor:
    """A weight of the model that is loaded from the folder."""
    model = ptbert.BertForSequenceClassification.from_pretrained(str(folder), num_labels=2)
    return model.get_parameter(WEIGHT).detach().clone()


def write_safetensors(model: torch.nn.Module, folder: Path) -> None:
    """A model folder as it comes from the Hub."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")


def test_saved_weights_are_loaded_where_others_lay_in_another_format(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    model = make_model(source)
    save(model, source, output)
    write_safetensors(model, output)
    with torch.no_grad():
        model.get_parameter(WEIGHT).add_(1.0)
    save(model, source, output)
    assert_equal(weights_of(output), model.get_parameter(WEIGHT))
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "pytorch_model.bin",
        "training_args.bin",
        "vocab.txt",
    ]
    assert "model.safetensors is deleted: pytorch_model.bin replaces it." in caplog.text


def test_model_may_be_saved_over_the_folder_that_it_came_from(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_safetensors(make_model(folder), folder)
    (folder / "pytorch_model.bin").unlink()
    model = ptbert.BertForSequenceClassification.from_pretrained(str(folder), num_labels=2)
    with torch.no_grad():
        model.get_parameter(WEIGHT).add_(1.0)
    save(model, folder, folder)
    assert_equal(weights_of(folder), model.get_parameter(WEIGHT))


@pytest.mark.parametrize("step", ["torch.save", "Path.replace", "Path.unlink"])
def test_saving_that_fails_leaves_a_whole_model(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    model = make_model(source)
    save(model, source, output)
    write_safetensors(model, output)
    before = weights_of(output)
    with torch.no_grad():
        model.get_parameter(WEIGHT).add_(1.0)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        owner, name = step.split(".")
        patch.setattr({"torch": torch, "Path": Path}[owner], name, fail)
        with pytest.raises(OSError, match="no space left"):
            save(model, source, output)
    assert_equal(weights_of(output), before)
    assert not list(output.glob("unfinished-*"))
    save(model, source, output)
    assert_equal(weights_of(output), model.get_parameter(WEIGHT))
