"""run_ner.py from the command line to its result files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import ner
import ptbert
import run_ner
from examples_support import load_tokenizer, write_lines, write_model
from support import REPOSITORY

LABELS = ["O", "B-ANIMAL", "I-ANIMAL"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model without dropout."""
    return write_model(tmp_path / "model")


def write_sentences(path: Path, repeat: int = 6) -> Path:
    """A few sentences, animals of two words among them."""
    sentences = [
        "the O|cat B-ANIMAL|sat O|on O|the O|mat O",
        "a O|good B-ANIMAL|dog I-ANIMAL|ran O",
        "it O|was O|a O|very O|dull O|film O",
        "the O|bird B-ANIMAL|is O|in O|the O|tree O",
    ]
    lines = ["-DOCSTART- O", ""]
    for sentence in sentences * repeat:
        lines += [*sentence.split("|"), ""]
    return write_lines(path, lines)


def argv(model: Path, output: Path, *more: str) -> list[str]:
    start = ["--bert_model", str(model), "--output_dir", str(output), "--do_lower_case"]
    start += ["--max_seq_length", "16", "--train_batch_size", "4", "--learning_rate", "3e-3"]
    return [*start, *more]


def read_results(folder: Path) -> dict[str, str]:
    lines = (folder / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" = ") for line in lines)


def test_training_evaluation_and_prediction_write_their_files(
    tmp_path: Path, model: Path, one_thread: None
) -> None:
    pytest.importorskip("seqeval")
    data, output = write_sentences(tmp_path / "train.txt"), tmp_path / "output"
    sentences = "the cat sat on the mat", "a good dog ran"
    lines = [word for sentence in sentences for word in [*sentence.split(), ""]]
    to_label = write_lines(tmp_path / "words.txt", lines)
    flags = ["--do_train", "--train_file", str(data), "--do_eval", "--eval_file", str(data)]
    flags += ["--do_predict", "--predict_file", str(to_label), "--num_train_epochs", "8"]
    run_ner.main(argv(model, output, *flags))
    results = read_results(output)
    assert sorted(results) == [
        *("accuracy", "eval_loss", "f1", "global_step", "loss", "precision", "recall")
    ]
    assert float(results["f1"]) == 1.0
    assert float(results["eval_loss"]) < 0.1
    assert (output / "labels.txt").read_text() == "O\nB-ANIMAL\nI-ANIMAL\n"
    predicted = (output / "predictions.txt").read_text(encoding="utf-8")
    assert predicted == (
        "the O\ncat B-ANIMAL\nsat O\non O\nthe O\nmat O\n\n"
        "a O\ngood B-ANIMAL\ndog I-ANIMAL\nran O\n"
    )
    again = tmp_path / "again"
    run_ner.main(argv(output, again, "--do_eval", "--eval_file", str(data)))
    assert read_results(again)["f1"] == "1.0"


def test_words_are_labelled_at_their_first_pieces(model: Path) -> None:
    """Words that the vocabulary cuts, and words of nothing, keep their places."""
    sentence = ner.Sentence(["the", "cats", "\u200b", "sat"], ["O", "B-ANIMAL", "O", "O"])
    (row,) = ner.make_features([sentence], LABELS, load_tokenizer(model), 16)
    tokens = load_tokenizer(model).convert_ids_to_tokens(row.input_ids)
    assert tokens == ["[CLS]", "the", "cat", "##s", "[UNK]", "sat", "[SEP]"]
    assert row.firsts == [1, 2, 4, 5]
    batch = ner.collate([row])
    assert batch["labels"].tolist() == [[-100, 0, 1, -100, 0, 0, -100]]
    assert batch["is_first"].sum().item() == 4


def test_long_sentences_are_cut_into_parts_and_put_together(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["the", "cats", "sat", "on", "the", "mat", "it", "was", "playing"]
    sentences = [ner.Sentence(words, ["O"] * 9), ner.Sentence(["a", "dog"], ["O", "O"])]
    with caplog.at_level("INFO"):
        rows = ner.make_features(sentences, LABELS, load_tokenizer(model), 6)
    assert [row.sentence for row in rows] == [0, 0, 0, 1]
    assert all(len(row.input_ids) <= 6 for row in rows)
    assert "cut into parts, of which there are 2 more" in caplog.text
    numbers = [[2] * len(row.firsts) for row in rows]
    assert ner.to_sentences(rows, numbers, LABELS) == [["I-ANIMAL"] * 9, ["I-ANIMAL"] * 2]


def test_words_of_too_many_pieces_are_told(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (row,) = ner.make_features(
        [ner.Sentence(["catsssss"], ["O"])], LABELS, load_tokenizer(model), 5
    )
    assert len(row.input_ids) == 5
    assert "1 words have more pieces than 5 tokens hold" in caplog.text


def test_loss_counts_words_alone(model: Path) -> None:
    tokenizer = load_tokenizer(model)
    sentences = [
        ner.Sentence(["the", "cats", "sat"], ["O", "B-ANIMAL", "O"]),
        ner.Sentence(["it"], ["O"]),
    ]
    batch = ner.collate(ner.make_features(sentences, LABELS, tokenizer, 16))
    torch.manual_seed(0)
    bert = ptbert.BertForTokenClassification.from_pretrained(str(model), num_labels=3).eval()
    scores = bert(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    expected = torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100
    )
    loss = run_ner.word_loss(bert, batch)
    assert loss.count == 4
    assert loss.value.item() == pytest.approx(expected.item(), abs=1e-6)


def test_columns_are_read(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.txt",
        ["-DOCSTART- -X- O", "", "EU NNP B-ORG", "10\u00a0000\tVBZ O", " ", "", "x y z"],
    )
    assert ner.read_sentences(path) == [
        ner.Sentence(["EU", "10\u00a0000"], ["B-ORG", "O"]),
        ner.Sentence(["x"], ["z"]),
    ]
    assert ner.read_sentences(write_lines(tmp_path / "b.txt", ["a", "b"])) == [
        ner.Sentence(["a", "b"], None)
    ]


def test_predictions_stand_beside_given_labels(tmp_path: Path) -> None:
    sentences = [ner.Sentence(["a", "b"], ["O", "B-X"]), ner.Sentence(["c"], None)]
    ner.write_predictions(tmp_path / "p.txt", sentences, [["O", "O"], ["B-X"]])
    assert (tmp_path / "p.txt").read_text() == "a O O\nb B-X O\n\nc B-X\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], r"holds no sentences"),
        (["a O", "b"], r"line 2: there is no label, but the first has one"),
        (["a", "b O"], r"line 2: there is a label, but the first has none"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ner.read_sentences(write_lines(tmp_path / "file.txt", lines))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "`--do_train`, `--do_eval` or `--do_predict` must be given."),
        (["--do_predict"], "`--do_predict` needs `--predict_file`."),
        (["--do_train", "--train_file", "none"], "`--train_file`: there is no file none."),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, model: Path, flags: list[str], message: str) -> None:
    with pytest.raises((ValueError, OSError)) as error:
        run_ner.main(argv(model, tmp_path / "output", *flags))
    assert str(error.value) == message


@pytest.mark.parametrize("task", ["train", "eval", "predict"])
def test_unknown_label_is_named_before_anything_is_loaded(tmp_path: Path, task: str) -> None:
    pytest.importorskip("seqeval")
    data = write_sentences(tmp_path / "data.txt")
    labels = write_lines(tmp_path / "labels.txt", ["O", "B-ANIMAL"])
    flags = [f"--do_{task}", f"--{task}_file", str(data), "--labels", str(labels)]
    with pytest.raises(ValueError) as error:
        run_ner.main(argv(tmp_path / "no model", tmp_path / "output", *flags))
    message = f"{data}, line 12: the label ('I-ANIMAL') must be one of O, B-ANIMAL."
    assert str(error.value) == message


def test_labels_must_be_told(tmp_path: Path, model: Path) -> None:
    data = write_sentences(tmp_path / "words.txt")
    with pytest.raises(ValueError, match="`--labels` must be given, as there is no training file"):
        run_ner.main(argv(model, tmp_path / "o", "--do_predict", "--predict_file", str(data)))
    labels = write_lines(tmp_path / "labels.txt", ["O", "O"])
    with pytest.raises(ValueError, match="must have at least two labels, all different"):
        ner.read_labels(labels)


def test_second_run_reads_the_cached_features(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, labels = write_sentences(tmp_path / "data.txt"), write_lines(tmp_path / "labels", LABELS)
    flags = ["--do_predict", "--predict_file", str(data), "--labels", str(labels)]
    flags += ["--feature_cache_dir", str(tmp_path / "cache")]
    run_ner.main(argv(model, tmp_path / "first", *flags))
    monkeypatch.setattr(ner, "make_features", None)
    run_ner.main(argv(model, tmp_path / "second", *flags))
    first, second = (tmp_path / name / "predictions.txt" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_cached_features_are_those_of_the_same_labels(tmp_path: Path, model: Path) -> None:
    """Sentences in parts as well."""
    path = write_sentences(tmp_path / "data.txt", repeat=1)
    sentences, tokenizer = ner.read_sentences(path), load_tokenizer(model)
    made = ner.make_features(sentences, LABELS, tokenizer, 6)
    assert len(made) > len(sentences)
    for labels in LABELS, LABELS, LABELS[::-1]:
        features = ner.load_features(path, sentences, labels, tokenizer, str(model), 6)
        assert (features == made) == (labels == LABELS)


def test_files_to_learn_from_must_have_labels(tmp_path: Path, model: Path) -> None:
    data = write_lines(tmp_path / "train.txt", ["a", "b"])
    with pytest.raises(ValueError, match=r"`--train_file`: .* must have labels in its last column"):
        run_ner.main(argv(model, tmp_path / "o", "--do_train", "--train_file", str(data)))


def test_missing_seqeval_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(ImportError, match="Scores of entities need seqeval: pip install seqeval"):
        ner.check_seqeval()


def test_samples_are_read() -> None:
    labels = ner.labels_of(ner.read_sentences(REPOSITORY / "samples" / "ner_train.txt"))
    assert labels == ["O", "B-LOC", "B-ORG", "B-PER", "I-ORG", "I-PER"]
    ner.read_sentences(REPOSITORY / "samples" / "ner_dev.txt", labels)
