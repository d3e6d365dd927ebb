"""The GLUE tasks of the example scripts: files, features, caches and metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import feature_cache
import glue
import inputs
import ptbert
from examples_support import ids, load_tokenizer, write_lines, write_model
from glue import Example, Features

ENTAILMENT = ("entailment", "not_entailment")

# Task, its labels, a line of its file, and the texts and label that the line holds.
LAYOUTS = [
    ("CoLA", ("0", "1"), "gj04\t1\t\tThe cat sat.", ("The cat sat.", None, 1)),
    ("SST-2", ("0", "1"), "a good film \t1", ("a good film ", None, 1)),
    ("MRPC", ("0", "1"), "0\t11\t12\tThe cat\tA dog", ("The cat", "A dog", 0)),
    ("STS-B", (), "0\tg\tf\t2012\t01\tn\tn\tThe cat\tA dog\t3.25", ("The cat", "A dog", 3.25)),
    ("QQP", ("0", "1"), "5\t1\t2\tWho ran?\tWho sat?\t1", ("Who ran?", "Who sat?", 1)),
    (
        "MNLI",
        ("contradiction", "entailment", "neutral"),
        "0\t1\t1n\tfic\tb1\tb2\tp1\tp2\tThe cat\tA dog\tentailment\tneutral",
        ("The cat", "A dog", 2),
    ),
    ("QNLI", ENTAILMENT, "7\tWho ran?\tThe cat ran.\tentailment", ("Who ran?", "The cat ran.", 0)),
    ("RTE", ENTAILMENT, "7\tThe cat\tA dog\tnot_entailment", ("The cat", "A dog", 1)),
    ("WNLI", ("0", "1"), "7\tThe cat\tA dog\t0", ("The cat", "A dog", 0)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model."""
    return write_model(tmp_path / "model")


@pytest.fixture
def tokenizer(folder: Path) -> ptbert.BertTokenizer:
    """A lower-casing tokenizer of 44 tokens."""
    return load_tokenizer(folder)


@pytest.mark.parametrize(("name", "labels", "line", "expected"), LAYOUTS)
def test_read_examples_knows_the_layout_of_every_task(
    tmp_path: Path,
    name: str,
    labels: tuple[str, ...],
    line: str,
    expected: tuple[str, str | None, float],
) -> None:
    task = glue.find_task(name)
    header = "\t".join("header" for _ in line.split("\t"))
    lines = [line] if name == "CoLA" else [header, line]
    assert glue.read_examples(task, write_lines(tmp_path / "dev.tsv", lines)) == [
        Example(*expected)
    ]
    assert task.labels == labels
    assert task.num_labels == (len(labels) or 1)


def test_read_examples_of_mnli_dev_takes_the_last_column_as_label(tmp_path: Path) -> None:
    cells = ["0", "1", "1c", "fic", "b", "b", "p", "p", "The cat", "A dog", "neutral"]
    line = "\t".join([*cells, "neutral", "neutral", "neutral", "neutral", "contradiction"])
    path = write_lines(tmp_path / "dev_matched.tsv", ["header", line])
    assert glue.read_examples(glue.find_task("mnli"), path) == [Example("The cat", "A dog", 0)]


def test_nine_tasks_are_found_in_any_case() -> None:
    names = [layout[0] for layout in LAYOUTS]
    assert [task.name for task in glue.TASKS] == names
    assert [glue.find_task(name.lower()).name for name in names] == names


def test_unknown_task_is_refused_with_the_known_ones() -> None:
    message = r"`--task_name` \(SST\) must be one of CoLA, SST-2, MRPC, STS-B, QQP, MNLI, QNLI, RTE"
    with pytest.raises(ValueError, match=message):
        glue.find_task("SST")


def test_read_examples_survives_byte_order_marks_quotes_and_windows_line_ends(
    tmp_path: Path,
) -> None:
    path = tmp_path / "dev.tsv"
    path.write_bytes('\ufeffgj04\t1\t\tThe "cat\u2028 sat.\r\n\r\ngj04\t0\t\tDog.'.encode())
    assert glue.read_examples(glue.find_task("CoLA"), path) == [
        Example('The "cat\u2028 sat.', None, 1),
        Example("Dog.", None, 0),
    ]


SST2 = glue.find_task("SST-2")
TWO_FILMS = [Example("good", None, 1), Example("bad", None, 0)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n", "\n\t\n"])
def test_lines_may_end_in_every_way_of_text_files(
    tmp_path: Path, end: str, mark: str, last: str
) -> None:
    text = f"{mark}sentence\tlabel\ngood\t1\n\nbad\t0{last}".replace("\n", end)
    (tmp_path / "dev.tsv").write_bytes(text.encode())
    assert glue.read_examples(SST2, tmp_path / "dev.tsv") == TWO_FILMS


def test_line_numbers_of_errors_count_every_line_end(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    for text in (b"s\tl\rgood\t1\r\nbad\n", b"s\tl\r\r\r\nb\xe9d\t1"):
        path.write_bytes(text)
        line = 3 if b"bad" in text else 4
        with pytest.raises(ValueError, match=rf"dev\.tsv, line {line}: "):
            glue.read_examples(SST2, path)


def test_line_of_bytes_that_are_not_utf8_is_right_after_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_bytes(b"\xef\xbb\xbfs\tl\na\n\xe9")
    with pytest.raises(ValueError, match=r"line 3: the text must be UTF-8, .* byte 0xe9; convert"):
        glue.read_examples(SST2, path)


def test_nul_bytes_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    for text in (b"sentence\tlabel\ngo\0od\t1\n", "\ngood\t1".encode("utf-16-le")):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=r"dev\.tsv, line \d: the line must not hold NUL"):
            glue.read_examples(SST2, path)


def test_quotes_are_part_of_the_text(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "dev.tsv", ["sentence\tlabel", '"good\t1', '"a ""film"""\t0'])
    texts = [example.text_a for example in glue.read_examples(SST2, path)]
    assert texts == ['"good', '"a ""film"""']


def test_first_line_that_is_an_example_is_not_taken_for_column_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lines(tmp_path / "dev.tsv", ["good\t1", "bad\t0"])
    assert glue.read_examples(SST2, path) == TWO_FILMS
    assert "dev.tsv, line 1: the names of the columns are missing" in caplog.text


def test_column_names_of_a_task_without_them_are_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "dev.tsv", ["source\tlabel\tstar\tsentence"])
    with pytest.raises(ValueError, match=r"line 1: the label \('label'\) must be one of 0, 1\."):
        glue.read_examples(glue.find_task("CoLA"), path)


def test_lines_of_more_columns_than_the_first_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["index\tquestion\tsentence\tlabel", "1\ta\tb\tentailment", "2\ta\ta\tb\tentailment"]
    path = write_lines(tmp_path / "dev.tsv", lines)
    assert len(glue.read_examples(glue.find_task("QNLI"), path)) == 2
    assert "dev.tsv, line 3, and 1 lines in all: there are not as many columns" in caplog.text


def test_empty_columns_at_the_end_of_lines_are_not_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["1\ta\tb\tentailment\t", "2\ta\tb\tnot_entailment"]
    for names in ("index\tquestion\tsentence\tlabel", "index\tquestion\tsentence\tlabel\t\t"):
        path = write_lines(tmp_path / "dev.tsv", [names, *lines])
        labels = [example.label for example in glue.read_examples(glue.find_task("QNLI"), path)]
        assert labels == [0, 1]
    assert not caplog.records


def test_spaces_around_labels_do_not_count(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "dev.tsv", ["sentence\tlabel", "good\t 1", "bad\t0 "])
    assert glue.read_examples(SST2, path) == TWO_FILMS


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (
            "MRPC",
            ["header", "1\t1\t2\tcat\tdog", "1\t1\t2\tcat"],
            "line 3: MRPC needs at least 5 tab-separated columns, but there are 4.",
        ),
        ("SST-2", ["header", "cat\tgood"], "line 2: the label ('good') must be one of 0, 1."),
        ("RTE", ["h", "0\tcat\tdog\t1"], "must be one of entailment, not_entailment."),
        ("STS-B", ["h", "\t" * 9 + "x"], "line 2: the label ('x') must be a number."),
        ("STS-B", ["h", "\t" * 9 + "nan"], "line 2: the label ('nan') must be a number."),
        ("STS-B", ["h", "\t" * 9 + "3,5"], "line 2: the label ('3,5') must be a number."),
        ("STS-B", ["h", "\t" * 9 + "3_5"], "line 2: the label ('3_5') must be a number."),
        ("WNLI", ["header"], "dev.tsv holds no examples."),
    ],
)
def test_malformed_lines_are_named(
    tmp_path: Path, name: str, lines: list[str], message: str
) -> None:
    path = write_lines(tmp_path / "dev.tsv", lines)
    with pytest.raises(ValueError) as error:
        glue.read_examples(glue.find_task(name), path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_bytes(b"sentence\tlabel\nfine\t1\nna\xefve\t0\n")
    with pytest.raises(ValueError, match=r"dev\.tsv, line 3: the text must be UTF-8, but has the"):
        glue.read_examples(glue.find_task("SST-2"), path)


def test_short_lines_of_qqp_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["header", "5\t1\t2\tWho ran?", "5\t1\t2\tWho ran?\tWho sat?\t1"]
    path = write_lines(tmp_path / "train.tsv", lines)
    assert len(glue.read_examples(glue.find_task("QQP"), path)) == 1
    assert "line 2: QQP needs at least 6" in caplog.text
    assert "left out" in caplog.text


def test_features_of_a_sentence(tokenizer: ptbert.BertTokenizer) -> None:
    (features,) = glue.make_features([Example("The cats ran.", None, 1)], tokenizer, 16)
    assert features == Features([2, 5, 7, 16, 11, 22, 3], [0] * 7, 1)
    assert features.input_ids == ids("[CLS] the cat ##s ran . [SEP]")


def test_features_of_a_pair(tokenizer: ptbert.BertTokenizer) -> None:
    (features,) = glue.make_features([Example("A dog", "sat, playing", 0)], tokenizer, 16)
    assert features.input_ids == [2, 6, 8, 3, 10, 23, 18, 17, 3]
    assert features.segment_ids == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_features_of_many_are_those_of_each(
    tokenizer: ptbert.BertTokenizer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(glue, "EXAMPLES_AT_ONCE", 2)
    tokenizer.max_len = 6
    examples = [
        Example("the cat sat on the mat", "a dog ran", 1),
        Example("a dog", None, 0),
        Example("the cats", "", 0),
        Example("A dog", "\u200b", 1),  # a second text without a token
        Example("the", "the cat sat on the mat on the mat", 1),
    ]
    features = glue.make_features(examples, tokenizer, 6)
    assert not caplog.records  # long texts are cut, which is no reason to warn
    assert tokenizer.max_len == 6
    for example, found in zip(examples, features, strict=True):
        tokens, segment_ids = inputs.encode(tokenizer, example.text_a, example.text_b, 6)
        assert found == Features(
            tokenizer.convert_tokens_to_ids(tokens), segment_ids, example.label
        )


@pytest.mark.parametrize(
    ("text_a", "text_b", "expected"),
    [
        ("the cat sat on the mat", None, "[CLS] the cat sat on [SEP]"),
        ("the cat sat on the mat", "a dog", "[CLS] the cat [SEP] a [SEP]"),
        ("a dog", "the cat sat on the mat", "[CLS] a dog [SEP] the [SEP]"),
        ("the cat sat on", "a dog ran on", "[CLS] the cat [SEP] a [SEP]"),
        ("the cat", "", "[CLS] the cat [SEP]"),
    ],
)
def test_truncation_shortens_the_longer_text(
    tokenizer: ptbert.BertTokenizer, text_a: str, text_b: str | None, expected: str
) -> None:
    tokens, segment_ids = inputs.encode(tokenizer, text_a, text_b, 6)
    assert tokens == expected.split()
    assert len(segment_ids) == len(tokens)


def test_collate_pads_to_the_longest_member_or_to_the_length() -> None:
    rows = [Features([2, 5, 3], [0, 0, 0], 1), Features([2, 5, 3, 7, 3], [0, 0, 0, 1, 1], 0)]
    batch = glue.collate(rows)
    assert batch["input_ids"].tolist() == [[2, 5, 3, 0, 0], [2, 5, 3, 7, 3]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [1, 0]
    assert glue.collate(rows, length=8)["input_ids"].shape == (2, 8)


SST2_LINES = ["sentence\tlabel", "a good film\t1", "a bad film ran on\t0"]


def load_features(
    path: Path, tokenizer: ptbert.BertTokenizer, length: int = 16, cache_dir: Path | None = None
) -> list[Features]:
    return glue.load_features(
        glue.find_task("SST-2"), path, tokenizer, "some/tiny", length, cache_dir
    )


def test_cached_features_are_reused_and_equal(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lines(tmp_path / "data" / "train.tsv", SST2_LINES)
    first = load_features(path, tokenizer)
    cache = tmp_path / "data" / "cached_train_tiny_16_sst-2.npz"
    with np.load(cache, allow_pickle=False) as stored:
        assert stored["labels"].tolist() == [1, 0]
    monkeypatch.setattr(glue, "make_features", None)
    assert load_features(path, tokenizer) == first


def test_cached_labels_of_a_regression_stay_numbers(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer
) -> None:
    path = write_lines(tmp_path / "dev.tsv", ["h", "\t" * 7 + "cat\tdog\t2.5"])
    task = glue.find_task("STS-B")
    first = glue.load_features(task, path, tokenizer, "tiny", 16)
    assert glue.load_features(task, path, tokenizer, "tiny", 16) == first
    assert first[0].label == 2.5


def test_cache_of_other_data_is_noticed(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lines(tmp_path / "train.tsv", SST2_LINES)
    load_features(path, tokenizer)
    write_lines(path, [*SST2_LINES, "fine\t1"])
    assert len(load_features(path, tokenizer)) == 3
    assert "out of date" in caplog.text


def test_cache_of_another_casing_is_noticed(
    tmp_path: Path, folder: Path, tokenizer: ptbert.BertTokenizer
) -> None:
    path = write_lines(tmp_path / "train.tsv", ["sentence\tlabel", "Cat\t1"])
    assert load_features(path, tokenizer)[0].input_ids == ids("[CLS] cat [SEP]")
    cased = load_tokenizer(folder, do_lower_case=False)
    assert load_features(path, cased)[0].input_ids == ids("[CLS] [UNK] [SEP]")


def test_cache_of_another_vocabulary_is_noticed(
    tmp_path: Path, folder: Path, tokenizer: ptbert.BertTokenizer
) -> None:
    path = write_lines(tmp_path / "train.tsv", ["sentence\tlabel", "cat\t1"])
    load_features(path, tokenizer)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8")
    (folder / "vocab.txt").write_text(vocabulary.replace("cat", "cow"), encoding="utf-8")
    assert load_features(path, load_tokenizer(folder))[0].input_ids == ids("[CLS] [UNK] [SEP]")


def test_every_length_has_its_own_cache(tmp_path: Path, tokenizer: ptbert.BertTokenizer) -> None:
    path = write_lines(tmp_path / "train.tsv", SST2_LINES)
    load_features(path, tokenizer, 16)
    assert len(load_features(path, tokenizer, 4)[1].input_ids) == 4
    assert len(list(tmp_path.glob("cached_*.npz"))) == 2


def test_broken_cache_is_replaced(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lines(tmp_path / "train.tsv", SST2_LINES)
    first = load_features(path, tokenizer)
    cache = tmp_path / "cached_train_tiny_16_sst-2.npz"
    whole = cache.read_bytes()
    for broken in (b"", b"PK\x03\x04 not a zip file", whole[: len(whole) // 2]):
        cache.write_bytes(broken)
        assert load_features(path, tokenizer) == first
    assert "cannot be read" in caplog.text
    assert cache.read_bytes() == whole


def test_cache_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "cached.npz"
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(path, fingerprint=np.array("x"), objects=objects)
    assert feature_cache.load(path, "x") is None


def test_cache_folder_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_lines(tmp_path / "train.tsv", SST2_LINES)
    assert len(load_features(path, tokenizer, cache_dir=path)) == 2
    assert "were not cached" in caplog.text


def test_cache_dir_keeps_the_data_folder_clean(
    tmp_path: Path, tokenizer: ptbert.BertTokenizer
) -> None:
    path = write_lines(tmp_path / "data" / "train.tsv", SST2_LINES)
    load_features(path, tokenizer, cache_dir=tmp_path / "cache")
    assert [file.name for file in path.parent.iterdir()] == ["train.tsv"]
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MRPC", {"acc": 0.5, "f1": 0.5, "acc_and_f1": 0.5}),
        ("QQP", {"acc": 0.5, "f1": 0.5, "acc_and_f1": 0.5}),
        ("CoLA", {"mcc": 0.0}),
        ("SST-2", {"acc": 0.5}),
        ("MNLI", {"acc": 0.5}),
        ("QNLI", {"acc": 0.5}),
        ("RTE", {"acc": 0.5}),
        ("WNLI", {"acc": 0.5}),
    ],
)
def test_metrics_of_classifications(name: str, expected: dict[str, float]) -> None:
    metrics = glue.compute_metrics(glue.find_task(name), [1, 1, 0, 0], [1, 0, 1, 0])
    assert metrics == pytest.approx(expected)


def test_metrics_of_a_regression() -> None:
    metrics = glue.compute_metrics(glue.find_task("STS-B"), [1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    expected = {"pearson": 0.9819805, "spearmanr": 1.0, "corr": 0.9909902}
    assert metrics == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "labels", "culprit"),
    [
        ([1.0], [2.0], "1 predictions"),
        ([1.0, 1.0], [2.0, 3.0], "2 predictions"),
        ([1.0, 2.0], [3.0, 3.0], "2 labels"),
        ([np.nan, 1.0], [2.0, 3.0], "2 predictions"),
        ([np.inf, 1.0], [2.0, 3.0], "2 predictions"),
    ],
)
def test_correlation_that_is_undefined_is_nan_with_a_note(
    predicted: list[float], labels: list[float], culprit: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = glue.compute_metrics(glue.find_task("STS-B"), predicted, labels)
    assert list(metrics) == ["pearson", "spearmanr", "corr"]
    assert all(np.isnan(value) for value in metrics.values())
    assert f"undefined (nan): the {culprit} must be finite, and not all equal." in caplog.text


@pytest.mark.parametrize("name", [task.name for task in glue.TASKS if task.labels])
def test_metrics_of_one_example_are_numbers(name: str) -> None:
    for label in (0, 1):
        metrics = glue.compute_metrics(glue.find_task(name), [label], [label])
        assert all(0.0 <= value <= 1.0 for value in metrics.values())


def test_losses_and_predictions_fit_the_task() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    loss = glue.task_loss(glue.find_task("SST-2"), logits, torch.tensor([1, 0]))
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert loss.item() == pytest.approx(expected)
    assert glue.predictions_of(glue.find_task("SST-2"), logits) == [1, 0]
    values = torch.tensor([[1.0], [3.0]])
    loss = glue.task_loss(glue.find_task("STS-B"), values, torch.tensor([2.0, 5.0]))
    assert loss.item() == 2.5
    assert glue.predictions_of(glue.find_task("STS-B"), values) == [1.0, 3.0]


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("CoLA", "train.tsv", 8551),
        ("CoLA", "dev.tsv", 1043),
        ("SST-2", "train.tsv", 10000),
        ("SST-2", "dev.tsv", 872),
        ("MRPC", "train.tsv", 3668),
        ("MRPC", "dev.tsv", 408),
        ("STS-B", "train.tsv", 5749),
        ("STS-B", "dev.tsv", 1500),
        ("QQP", "train.tsv", 160),
        ("QNLI", "dev.tsv", 5463),
        ("MNLI", "train.tsv", 240),
        ("MNLI", "dev_mismatched.tsv", 1),
        ("WNLI", "dev.tsv", 71),
    ],
)
def test_read_examples_of_the_real_files(
    test_data: Path, name: str, file: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    examples = glue.read_examples(glue.find_task(name), test_data / "glue" / name / file)
    assert len(examples) == count
    assert not caplog.records
