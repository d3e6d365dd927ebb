"""The examples of BERT's pre-training task, and the scripts that make them and train on them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import create_pretraining_data
import finetune_on_pregenerated
import pregenerate_training_data
import pretraining_corpus
import pretraining_instances
import pretraining_rows
import ptbert
import run_pretraining
import simple_lm_finetuning
from examples_support import files_of, load_tokenizer, write_model
from pretraining_corpus import Corpus
from pretraining_instances import Instance, TaskOptions, Vocabulary
from pretraining_rows import RowBatches
from support import REPOSITORY

SAMPLE = REPOSITORY / "samples" / "sample_text.txt"
SENTENCES = [
    "the cat sat on the mat .",
    "a dog ran in the park .",
    "it was a very good film .",
    "the bird sat in the tree ?",
    "a dull film noir playing in the cafe",
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Twelve documents of five sentences each."""
    documents = ["\n".join(SENTENCES[n % 5 :] + SENTENCES[: n % 5]) for n in range(12)]
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return path


def vocabulary_of(model: Path) -> Vocabulary:
    return Vocabulary.of(load_tokenizer(model))


def instances(
    text: Path, model: Path, workers: int = 1, epochs: int = 1, **options: Any
) -> list[Instance]:
    corpus = pretraining_corpus.read_corpus([text], load_tokenizer(model))
    task = TaskOptions(**{"max_seq_len": 24} | options)
    return [
        instance
        for epoch in range(epochs)
        for instance in pretraining_instances.render_instances(
            corpus,
            vocabulary_of(model),
            task,
            lambda i: i,
            seed=3,
            epoch=epoch,
            num_workers=workers,
        )
    ]


def same(instance: Instance) -> Instance:
    return instance


def restored(instance: Instance) -> list[int]:
    """The ids before any was replaced."""
    ids = instance.ids.copy()
    ids[instance.positions] = instance.labels
    result: list[int] = ids.tolist()
    return result


# The text


@pytest.mark.parametrize("on_disk", [False, True])
def test_corpus_has_the_ids_of_each_sentence(
    tmp_path: Path, text: Path, model: Path, on_disk: bool
) -> None:
    tokenizer = load_tokenizer(model)
    corpus = pretraining_corpus.read_corpus([text], tokenizer, tmp_path if on_disk else None)
    lines = text.read_text(encoding="utf-8").split("\n")[:-1]
    sentences = [line for line in lines if line]
    assert isinstance(corpus.ids, np.memmap) == on_disk
    assert len(corpus.document_ends) == 12
    for number, line in enumerate(sentences):
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(line))
        assert corpus.sentence(number).tolist() == ids
        assert number in corpus.sentences_of(corpus.document_of(number))
    assert list(corpus.sentences_of(1)) == [5, 6, 7, 8, 9]
    assert not list(tmp_path.glob("tmp*"))


def test_files_and_empty_lines_end_documents(tmp_path: Path, model: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes(b"\n\nthe cat\r\n\r\n \r\n\xef\xbb\xbf\na dog\n")
    second.write_bytes(b"\xef\xbb\xbfa bird\na dog")
    corpus = pretraining_corpus.read_corpus([first, second], load_tokenizer(model))
    assert corpus.document_ends.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the cat\na dog\n", r"at least two documents, with an empty line between them, but .* 1"),
        (b"", r"at least two documents, with an empty line between them, but .* has 0"),
        (b"the cat\n\n\xff\n", r"line 3: the text must be UTF-8, but has the byte 0xff; convert"),
    ],
)
def test_text_that_makes_no_examples_is_refused(
    tmp_path: Path, model: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pretraining_corpus.read_corpus([path], load_tokenizer(model))


# The examples


def test_examples_are_two_texts_that_fit(text: Path, model: Path) -> None:
    vocabulary = vocabulary_of(model)
    made = instances(text, model, epochs=4)
    assert len(made) > 40
    for instance in made:
        ids = restored(instance)
        assert 5 <= len(ids) <= 24
        assert ids[0] == vocabulary.cls
        assert ids[instance.second - 1] == ids[-1] == vocabulary.sep
        assert 0 not in instance.positions
        assert instance.second - 1 not in instance.positions
        assert len(ids) - 1 not in instance.positions
        assert instance.positions.tolist() == sorted(set(instance.positions.tolist()))
        assert 1 <= len(instance.positions) <= max(1, round(len(ids) * 0.15))


def test_second_text_follows_or_is_of_another_document(text: Path, model: Path) -> None:
    """Documents of unlike words tell where a text is from."""
    corpus = Corpus(
        ids=np.repeat(np.arange(6, 18, dtype=np.int32), 20),
        sentence_ends=np.arange(4, 241, 4),
        document_ends=np.arange(5, 61, 5),
    )
    count = {False: 0, True: 0}
    for epoch in range(20):
        for instance in pretraining_instances.render_instances(
            corpus, vocabulary_of(model), TaskOptions(20), same, seed=1, epoch=epoch
        ):
            ids = restored(instance)
            first, second = ids[1 : instance.second - 1], ids[instance.second : -1]
            assert len(set(first)) == 1
            assert len(set(second)) == 1
            assert (first[0] != second[0]) == instance.is_random_next
            count[instance.is_random_next] += 1
    share = count[True] / sum(count.values())
    assert 0.5 <= share < 0.75  # one sentence alone always gets a random text


def test_80_10_10(text: Path, model: Path) -> None:
    vocabulary = vocabulary_of(model)
    made = instances(text, model, epochs=60, masked_lm_prob=0.3)
    now = np.concatenate([instance.ids[instance.positions] for instance in made])
    before = np.concatenate([instance.labels for instance in made])
    assert len(now) > 3000
    assert (now == vocabulary.mask).mean() == pytest.approx(0.8, abs=0.025)
    # A random token is the one that was there, or [MASK], once in a while.
    assert (now == before).mean() == pytest.approx(0.1, abs=0.02)


def test_share_of_masked_and_of_short_examples(text: Path, model: Path) -> None:
    made = instances(text, model, epochs=20)
    masked = sum(len(instance.positions) for instance in made)
    assert masked / sum(len(instance.ids) for instance in made) == pytest.approx(0.15, abs=0.02)
    short = instances(text, model, epochs=20, short_seq_prob=1.0)
    none = instances(text, model, epochs=20, short_seq_prob=0.0)
    lengths = [np.mean([len(instance.ids) for instance in some]) for some in (short, made, none)]
    assert lengths[0] < lengths[1] <= lengths[2]


def test_whole_words_are_masked_with_all_their_pieces(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    vocabulary = vocabulary_of(model)
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("cats sat playing dogs flavoured cat"))
    options = TaskOptions(24, masked_lm_prob=0.4, do_whole_word_mask=True)
    continues = vocabulary.continues
    for seed in range(200):
        draw = pretraining_instances.generator(seed)
        text = np.array(ids, np.int32)
        made = pretraining_instances.masked(text, text, False, draw, vocabulary, options)
        whole, chosen = restored(made), set(made.positions.tolist())
        for place in range(2, len(whole)):
            if continues[whole[place]]:
                assert (place in chosen) == (place - 1 in chosen)


def test_word_of_more_pieces_than_wanted_is_masked_in_part(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    ids = np.array(tokenizer.convert_tokens_to_ids(["cat", "##s", "##s", "##s"]), np.int32)
    options = TaskOptions(24, masked_lm_prob=0.15, do_whole_word_mask=True)
    draw = pretraining_instances.generator(0)
    made = pretraining_instances.masked(ids, ids, False, draw, vocabulary_of(model), options)
    assert len(made.positions) == 2


def test_examples_do_not_depend_on_the_number_of_workers(text: Path, model: Path) -> None:
    alone, together = (instances(text, model, workers, epochs=2) for workers in (1, 3))
    assert len(alone) == len(together)
    for first, second in zip(alone, together, strict=True):
        assert first.ids.tolist() == second.ids.tolist()
        assert first.positions.tolist() == second.positions.tolist()
        assert first.is_random_next == second.is_random_next


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_seq_len": 4}, "`max_seq_len` (4) must be at least 5."),
        ({"masked_lm_prob": 1.5}, "`masked_lm_prob` (1.5) must be between 0 and 1."),
        ({"short_seq_prob": -0.1}, "`short_seq_prob` (-0.1) must be between 0 and 1."),
        ({"max_predictions_per_seq": 0}, "`max_predictions_per_seq` (0) must be at least 1."),
    ],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        TaskOptions(**options)
    assert str(error.value) == message


# lm_finetuning/


def pregenerate(text: Path, model: Path, folder: Path, *more: str) -> None:
    start = ["--train_corpus", str(text), "--bert_model", str(model), "--output_dir", str(folder)]
    pregenerate_training_data.main([*start, "--do_lower_case", "--max_seq_len", "24", *more])


def test_flags_have_the_defaults_of_2019() -> None:
    required = ["--train_corpus", "t", "--bert_model", "m", "--output_dir", "o"]
    args = pregenerate_training_data.parse_arguments(required)
    assert (args.epochs_to_generate, args.max_seq_len, args.max_predictions_per_seq) == (3, 128, 20)
    assert (args.short_seq_prob, args.masked_lm_prob) == (0.1, 0.15)
    assert not (args.do_lower_case or args.do_whole_word_mask or args.reduce_memory)
    required = ["--pregenerated_data", "d", "--bert_model", "m", "--output_dir", "o"]
    args = finetune_on_pregenerated.parse_arguments([*required, "--epochs", "2"])
    assert (args.num_train_epochs, args.train_batch_size, args.learning_rate) == (2, 32, 3e-5)
    assert args.warmup_proportion == 0.1
    assert finetune_on_pregenerated.parse_arguments(required).num_train_epochs == 3
    required = ["--train_corpus", "t", "--bert_model", "m", "--output_dir", "o"]
    args = simple_lm_finetuning.parse_arguments(required)
    assert (args.max_seq_length, args.train_batch_size, args.learning_rate) == (128, 32, 3e-5)
    assert (args.num_train_epochs, args.on_memory) == (3, False)


@pytest.mark.parametrize("more", [[], ["--reduce_memory", "--num_workers", "2"]], ids=str)
def test_files_are_those_of_2019(tmp_path: Path, text: Path, model: Path, more: list[str]) -> None:
    folder = tmp_path / "data"
    pregenerate(text, model, folder, *more)
    names = [f"epoch_{n}{end}.json" for n in range(3) for end in ("", "_metrics")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    lines = (folder / "epoch_1.json").read_text(encoding="utf-8").splitlines()
    metrics = json.loads((folder / "epoch_1_metrics.json").read_text(encoding="utf-8"))
    assert metrics == {"num_training_examples": len(lines), "max_seq_len": 24}
    for line in lines:
        example = json.loads(line)
        assert set(example) == {
            *("tokens", "segment_ids", "is_random_next"),
            *("masked_lm_positions", "masked_lm_labels"),
        }
        second = example["tokens"].index("[SEP]") + 1
        assert example["segment_ids"] == [0] * second + [1] * (len(example["tokens"]) - second)
        assert len(example["masked_lm_positions"]) == len(example["masked_lm_labels"])
    assert lines != (folder / "epoch_0.json").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("reduce_memory", [False, True])
def test_model_is_tuned_on_generated_examples(
    tmp_path: Path, text: Path, model: Path, reduce_memory: bool, one_thread: None
) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    pregenerate(text, model, data, "--epochs_to_generate", "2")
    flags = ["--pregenerated_data", str(data), "--bert_model", str(model), "--do_lower_case"]
    flags += ["--output_dir", str(output), "--epochs", "5", "--train_batch_size", "4"]
    flags += ["--reduce_memory"] if reduce_memory else []
    finetune_on_pregenerated.main([*flags, "--learning_rate", "3e-3"])
    history = (output / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    losses = [float(line.split(",")[2]) for line in history]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert files_of(output) == [
        *("config.json", "history.csv", "pytorch_model.bin", "training_args.bin", "vocab.txt")
    ]
    ptbert.BertForPreTraining.from_pretrained(str(output))


def test_examples_read_are_those_written(tmp_path: Path, text: Path, model: Path) -> None:
    """The batches have the ids and labels of the lines, of a file of 2019 as well."""
    data = tmp_path / "data"
    pregenerate(text, model, data, "--epochs_to_generate", "1")
    tokenizer = load_tokenizer(model)
    lines = (data / "epoch_0.json").read_text(encoding="utf-8").splitlines()
    table = np.zeros(len(lines), pretraining_rows.row_type(24, 24))
    finetune_on_pregenerated.fill(table, data / "epoch_0.json", tokenizer)
    batch = pretraining_rows.to_batch(table)
    for number, line in enumerate(lines):
        example = json.loads(line)
        length = len(example["tokens"])
        ids = tokenizer.convert_tokens_to_ids(example["tokens"])
        assert batch["input_ids"][number, :length].tolist() == ids
        assert batch["token_type_ids"][number, :length].tolist() == example["segment_ids"]
        assert batch["attention_mask"][number].sum() == length
        assert bool(batch["is_random_next"][number]) == example["is_random_next"]
        labels = batch["lm_labels"][number]
        assert torch.nonzero(labels != -1).flatten().tolist() == example["masked_lm_positions"]
        wanted = tokenizer.convert_tokens_to_ids(example["masked_lm_labels"])
        assert labels[labels != -1].tolist() == wanted


@pytest.mark.parametrize("on_memory", [False, True])
def test_model_is_tuned_on_a_text(
    tmp_path: Path, text: Path, model: Path, on_memory: bool, one_thread: None
) -> None:
    output = tmp_path / "output"
    flags = ["--train_corpus", str(text), "--bert_model", str(model), "--do_lower_case"]
    flags += ["--output_dir", str(output), "--max_seq_length", "24", "--num_train_epochs", "4"]
    flags += ["--train_batch_size", "4", "--learning_rate", "3e-3", "--do_train"]
    simple_lm_finetuning.main([*flags, *(["--on_memory"] if on_memory else [])])
    history = (output / "history.csv").read_text(encoding="utf-8").splitlines()[1:]
    losses = [float(line.split(",")[2]) for line in history]
    assert len(losses) == 4 * 12  # each sentence but the last of its document begins an example
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


def test_sentence_pairs_follow_or_are_of_another_document(text: Path, model: Path) -> None:
    corpus = pretraining_corpus.read_corpus([text], load_tokenizer(model))
    source = simple_lm_finetuning.SentencePairs(corpus, vocabulary_of(model), 40, 4, seed=2)
    batches = list(source.of_epoch(1))
    assert len(batches) == len(source) == 12
    rest = list(source.of_epoch(1, first=9))
    assert torch.equal(rest[0]["input_ids"], batches[9]["input_ids"])
    random_next = torch.cat(
        [batch["is_random_next"] for epoch in range(20) for batch in source.of_epoch(epoch)]
    )
    assert random_next.double().mean().item() == pytest.approx(0.5, abs=0.05)


def test_scripts_run_from_their_folder(tmp_path: Path) -> None:
    for name in ("pregenerate_training_data", "finetune_on_pregenerated", "simple_lm_finetuning"):
        script = REPOSITORY / "examples" / "lm_finetuning" / f"{name}.py"
        run = subprocess.run(
            [sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        assert "--output_dir" in run.stdout


def test_mistakes_in_generated_data_are_named(tmp_path: Path, text: Path, model: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    flags = [
        "--pregenerated_data",
        str(data),
        "--bert_model",
        str(model),
        "--output_dir",
        str(output),
    ]
    with pytest.raises(
        FileNotFoundError, match=r"`--pregenerated_data`: there is no file .*epoch_0"
    ):
        finetune_on_pregenerated.main(flags)
    pregenerate(text, model, data, "--epochs_to_generate", "2")
    (data / "epoch_1_metrics.json").write_text('{"num_training_examples": 1, "max_seq_len": 24}')
    with pytest.raises(ValueError, match=r"epoch_1\.json must have 1 examples, as its metrics say"):
        finetune_on_pregenerated.main(flags)
    (data / "epoch_1_metrics.json").write_text('{"num_training_examples": 1, "max_seq_len": 30}')
    with pytest.raises(ValueError, match=r"must have examples of one length, but have \[24, 30\]"):
        finetune_on_pregenerated.main([*flags, "--overwrite_output_dir"])
    (data / "epoch_1_metrics.json").unlink()
    (data / "epoch_1.json").unlink()
    metrics = json.loads((data / "epoch_0_metrics.json").read_text(encoding="utf-8"))
    (data / "epoch_0_metrics.json").write_text(json.dumps(metrics | {"max_seq_len": 5}))
    with pytest.raises(ValueError, match=r"json, line \d+: an example must have at most 5"):
        finetune_on_pregenerated.main([*flags, "--overwrite_output_dir"])


def test_text_alone_does_not_train(tmp_path: Path, text: Path, model: Path) -> None:
    flags = ["--train_corpus", str(text), "--bert_model", str(model), "--output_dir", str(tmp_path)]
    with pytest.raises(ValueError, match="`--do_train` must be given"):
        simple_lm_finetuning.main(flags)


# Pre-training from nothing

SIZES = ["--hidden_size", "32", "--num_hidden_layers", "2", "--num_attention_heads", "2"]
SIZES += ["--intermediate_size", "64", "--max_position_embeddings", "64"]


def create(text: Path, model: Path, folder: Path, *more: str) -> Path:
    flags = ["--train_corpus", str(text), "--vocab", str(model), "--output_dir", str(folder)]
    flags += ["--do_lower_case", "--max_seq_len", "24", "--dupe_factor", "3"]
    create_pretraining_data.main([*flags, *more])
    return folder


def pretrain(data: Path, model: Path, output: Path, *more: str) -> None:
    flags = ["--train_data", str(data), "--vocab", str(model), "--output_dir", str(output)]
    flags += [] if "--bert_model" in more else SIZES
    flags += ["--do_lower_case", "--train_batch_size", "8", "--learning_rate", "3e-3"]
    run_pretraining.main([*flags, *more])


def test_new_model_learns(tmp_path: Path, text: Path, model: Path, one_thread: None) -> None:
    data = create(text, model, tmp_path / "data", "--rows_per_shard", "20")
    assert len(list(data.glob("shard-*.npy"))) > 2
    output = tmp_path / "output"
    flags = ["--eval_data", str(data), "--num_train_steps", "60", "--eval_every", "25"]
    pretrain(data, model, output, *flags)
    lines = (output / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    results = {name: float(value) for name, value in (line.split(" = ") for line in lines)}
    assert results["global_step"] == 60
    assert results["masked_lm_loss"] < 2.5
    assert results["masked_lm_accuracy"] > 0.3
    assert 0 <= results["next_sentence_accuracy"] <= 1
    assert "masked_lm_loss" in (output / "metrics.csv").read_text(encoding="utf-8")


def test_shards_do_not_depend_on_workers_and_memory(
    tmp_path: Path, text: Path, model: Path
) -> None:
    folders = [
        create(text, model, tmp_path / "a"),
        create(text, model, tmp_path / "b", "--num_workers", "2", "--reduce_memory"),
    ]
    first, second = (pretraining_rows.open_shards([folder]) for folder in folders)
    assert [table.tobytes() for table in first] == [table.tobytes() for table in second]


def test_longer_texts_are_learned_by_the_same_model(
    tmp_path: Path, text: Path, model: Path, one_thread: None
) -> None:
    short = create(text, model, tmp_path / "short")
    long = create(text, model, tmp_path / "long", "--max_seq_len", "48")
    pretrain(short, model, tmp_path / "first", "--num_train_steps", "5")
    flags = ["--bert_model", str(tmp_path / "first"), "--num_train_steps", "5"]
    pretrain(long, model, tmp_path / "second", *flags)
    assert (tmp_path / "second" / "pytorch_model.bin").is_file()


def test_loss_is_that_of_the_whole_model(tmp_path: Path, text: Path, model: Path) -> None:
    data = create(text, model, tmp_path / "data")
    batch = next(RowBatches(pretraining_rows.open_shards([data]), 8, 1).of_epoch(0))
    bert = ptbert.BertForPreTraining.from_pretrained(str(model)).eval()
    parts = pretraining_rows.batch_loss(bert, batch)
    assert isinstance(parts, list)
    whole = pretraining_rows.batch_loss(bert, batch, shard=True)
    assert isinstance(whole, ptbert.training.MeanLoss)
    assert (parts[0].value + parts[1].value).item() == pytest.approx(whole.value.item(), abs=1e-5)
    scores, next_scores = bert(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    labels = batch["lm_labels"]
    expected = cross_entropy(scores[labels != -1], labels[labels != -1])
    assert parts[0].value.item() == pytest.approx(expected.item(), abs=1e-5)
    expected = cross_entropy(next_scores, batch["is_random_next"])
    assert parts[1].value.item() == pytest.approx(expected.item(), abs=1e-5)


def test_every_row_comes_once_in_an_epoch() -> None:
    dtype = pretraining_rows.row_type(8, 2)
    tables = [np.zeros(count, dtype) for count in (7, 3, 12)]
    for number, table in enumerate(tables):
        table["length"], table["second"] = 8, 3
        table["ids"][:, 0] = np.arange(len(table)) + 100 * number
    source = RowBatches(tables, 4, seed=5)
    epochs = [[batch["input_ids"][:, 0].tolist() for batch in source.of_epoch(n)] for n in (0, 1)]
    for epoch in epochs:
        assert len(epoch) == len(source) == 6
        assert sorted(itertools.chain.from_iterable(epoch)) == sorted(
            int(row) for table in tables for row in table["ids"][:, 0]
        )
    assert epochs[0] != epochs[1]
    rest = [batch["input_ids"][:, 0].tolist() for batch in source.of_epoch(1, first=4)]
    assert rest == epochs[1][4:]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dupe_factor", "0"], "`--dupe_factor` (0) must be at least 1."),
        (["--rows_per_shard", "0"], "`--rows_per_shard` (0) must be at least 1."),
        (["--num_workers", "0"], "`--num_workers` (0) must be at least 1."),
        (["--train_corpus", "none"], "`--train_corpus`: there is no file none."),
    ],
)
def test_mistakes_in_making_examples_are_refused(
    tmp_path: Path, text: Path, model: Path, flags: list[str], message: str
) -> None:
    with pytest.raises((ValueError, OSError)) as error:
        create(text, model, tmp_path / "data", *flags)
    assert str(error.value) == message


def test_shards_are_not_written_over(tmp_path: Path, text: Path, model: Path) -> None:
    create(text, model, tmp_path / "data")
    with pytest.raises(ValueError, match="has shards already; give another"):
        create(text, model, tmp_path / "data")


def test_mistakes_in_pretraining_are_refused(tmp_path: Path, text: Path, model: Path) -> None:
    data, other = create(text, model, tmp_path / "data"), tmp_path / "other"
    create(text, model, other, "--max_seq_len", "32")
    with pytest.raises(ValueError, match=r"All rows must have 24 tokens, but those of .* have 32"):
        pretraining_rows.open_shards([data, other])
    with pytest.raises(FileNotFoundError, match=r"There is no file shard-\*\.npy in"):
        pretrain(tmp_path, model, tmp_path / "o1")
    with pytest.raises(ValueError, match=r"`--num_train_steps` \(0\) must be at least 1"):
        pretrain(data, model, tmp_path / "o2", "--num_train_steps", "0")
    with pytest.raises(ValueError, match=r"`max_seq_len` \(24\) must be between 5 and"):
        pretrain(data, model, tmp_path / "o3", "--max_position_embeddings", "16")
    config = ["--config_file", "c", "--bert_model", str(model)]
    with pytest.raises(ValueError, match="Only one of `--bert_model` and `--config_file`"):
        pretrain(data, model, tmp_path / "o4", *config)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--bert_model", "m", "--hidden_size", "32"],
            "`--hidden_size` (32) has no effect with `--bert_model`: leave it out.",
        ),
        (
            ["--config_file", "c", "--max_position_embeddings", "64"],
            "`--max_position_embeddings` (64) has no effect with `--config_file`: leave it out.",
        ),
        (
            ["--num_train_steps", "5", "--num_train_epochs", "2"],
            "`--num_train_epochs` (2.0) has no effect with `--num_train_steps`: leave it out.",
        ),
    ],
)
def test_flags_of_pretraining_without_effect_are_refused(flags: list[str], message: str) -> None:
    with pytest.raises(ValueError) as error:
        run_pretraining.main(["--train_data", "d", "--vocab", "v", "--output_dir", "o", *flags])
    assert str(error.value) == message
