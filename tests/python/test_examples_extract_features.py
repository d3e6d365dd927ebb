"""extract_features.py: one JSON record for every line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import extract_features
import ptbert
from examples_support import ids, load_tokenizer, write_lines, write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tiny model."""
    return write_model(tmp_path / "model", dropout=0.1)


def run(tmp_path: Path, lines: list[str], *more: str) -> list[dict[str, Any]]:
    """The records for the lines."""
    output = tmp_path / "output.jsonl"
    text = write_lines(tmp_path / "input.txt", lines)
    argv = ["--bert_model", str(tmp_path / "model"), "--input_file", str(text)]
    argv += ["--output_file", str(output), "--do_lower_case", "--max_seq_length", "12", *more]
    extract_features.main(argv)
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_flags_have_the_defaults_of_2019() -> None:
    required = ["--input_file", "i", "--output_file", "o", "--bert_model", "m"]
    assert vars(extract_features.parse_arguments(required)) == {
        "input_file": Path("i"),
        "output_file": Path("o"),
        "output_format": "jsonl",
        "bert_model": "m",
        "cache_dir": None,
        "do_lower_case": False,
        "layers": "-1,-2,-3,-4",
        "max_seq_length": 128,
        "batch_size": 32,
        "pad_to_max_seq_length": False,
        "no_cuda": False,
        "local_rank": -1,
        "ddp_timeout": 1800.0,
    }


def test_records_hold_the_hidden_states_of_the_layers(tmp_path: Path, model: Path) -> None:
    records = run(tmp_path, ["The cats", "Who ran ? ||| A dog"], "--layers=-1,0")
    assert [record["linex_index"] for record in records] == [0, 1]
    assert [list(record) for record in records] == [["linex_index", "features"]] * 2
    tokens = [[feature["token"] for feature in record["features"]] for record in records]
    assert tokens[0] == ["[CLS]", "the", "cat", "##s", "[SEP]"]
    assert tokens[1] == ["[CLS]", "who", "ran", "?", "[SEP]", "a", "dog", "[SEP]"]

    reference = ptbert.BertModel.from_pretrained(str(model)).eval()
    input_ids = torch.tensor([ids("[CLS] who ran ? [SEP] a dog [SEP]")])
    segment_ids = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1]])
    with torch.no_grad():
        hidden_states, _ = reference(input_ids, segment_ids)
    for position, feature in enumerate(records[1]["features"]):
        assert list(feature) == ["token", "layers"]
        assert [layer["index"] for layer in feature["layers"]] == [-1, 0]
        for layer in feature["layers"]:
            expected = hidden_states[layer["index"]][0, position].tolist()
            assert layer["values"] == pytest.approx(expected, abs=2e-6)
            assert layer["values"] == [round(value, 6) for value in layer["values"]]


def test_records_do_not_depend_on_batches_or_padding(tmp_path: Path, model: Path) -> None:
    lines = ["the cat", "the cat sat on the very good mat", "", "a ||| dog"]
    first = run(tmp_path, lines, "--layers=-1")
    for more in (["--batch_size", "1"], ["--pad_to_max_seq_length"]):
        for record, again in zip(first, run(tmp_path, lines, "--layers=-1", *more), strict=True):
            pairs = zip(record["features"], again["features"], strict=True)
            for left, right in pairs:
                assert left["token"] == right["token"]
                values = right["layers"][0]["values"]
                assert left["layers"][0]["values"] == pytest.approx(values, abs=3e-6)
    assert [feature["token"] for feature in first[2]["features"]] == ["[CLS]", "[SEP]"]


def test_the_last_separator_divides_a_line(tmp_path: Path, model: Path) -> None:
    tokenizer = load_tokenizer(model)
    path = write_lines(tmp_path / "input.txt", ["a ||| b ||| dog", "a|||dog"])
    first, second = extract_features.read_input(path, tokenizer, 20)
    assert first.segment_ids.count(1) == 2
    assert second.segment_ids.count(1) == 0


def test_long_lines_are_cut(tmp_path: Path, model: Path) -> None:
    (record,) = run(tmp_path, ["cat " * 30], "--layers=-1")
    assert len(record["features"]) == 12


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_may_end_in_every_way_of_text_files(
    tmp_path: Path, model: Path, end: str, mark: str
) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(f"{mark}a cat{end}{end}the \u2028dog{end}".encode())
    lines = extract_features.read_input(path, load_tokenizer(model), 12)
    assert [line.index for line in lines] == [0, 1, 2]
    assert [line.tokens[1:-1] for line in lines] == [["a", "cat"], [], ["the", "dog"]]


def test_file_without_lines_has_no_records(tmp_path: Path, model: Path) -> None:
    assert run(tmp_path, [], "--layers=-1") == []


def test_text_that_is_not_utf8_is_named(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_bytes(b"a cat\rna\xefve\r")
    with pytest.raises(ValueError, match=r"input\.txt, line 2: the text must be UTF-8, but has"):
        extract_features.read_input(path, load_tokenizer(model), 12)


def test_output_never_replaces_the_input(tmp_path: Path) -> None:
    text = write_lines(tmp_path / "input.txt", ["a cat"])
    argv = ["--input_file", str(text), "--output_file", str(text), "--bert_model", "no model"]
    with pytest.raises(ValueError, match=r"`--output_file` \(.*\) must not be the `--input_file`"):
        extract_features.main(argv)
    argv[3] = str(tmp_path / "none" / "output.jsonl")
    with pytest.raises(FileNotFoundError, match=r"`--output_file`: there is no folder .*none"):
        extract_features.main(argv)
    assert text.read_text() == "a cat\n"


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("-3", r"`--layers` \(-3\) must be between -2 and 1\."),
        ("2", r"`--layers` \(2\) must be between -2 and 1\."),
        ("a", r"`--layers` \(a\) must be numbers with commas between\."),
    ],
)
def test_wrong_layers_are_refused(layers: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extract_features.parse_layers(layers, 2)


def test_missing_input_is_refused(tmp_path: Path) -> None:
    argv = ["--input_file", str(tmp_path / "none"), "--output_file", "o", "--bert_model", "m"]
    with pytest.raises(FileNotFoundError, match=r"`--input_file`: there is no file .*none\."):
        extract_features.main(argv)


def test_npz_holds_what_the_records_hold(tmp_path: Path, model: Path) -> None:
    lines = ["The cats", "Who ran ? ||| A dog"]
    records = run(tmp_path, lines, "--layers=-1,0")
    output = tmp_path / "output.npz"
    argv = ["--bert_model", str(model), "--input_file", str(tmp_path / "input.txt")]
    argv += ["--output_file", str(output), "--do_lower_case", "--max_seq_length", "12"]
    extract_features.main([*argv, "--layers=-1,0", "--output_format", "npz"])
    with np.load(output) as arrays:
        assert sorted(arrays) == ["layers", "states_0", "states_1", "tokens_0", "tokens_1"]
        assert arrays["layers"].tolist() == [-1, 0]
        for record in records:
            states = arrays[f"states_{record['linex_index']}"]
            tokens = [feature["token"] for feature in record["features"]]
            assert arrays[f"tokens_{record['linex_index']}"].tolist() == tokens
            values = [[one["values"] for one in f["layers"]] for f in record["features"]]
            assert states.dtype == np.float32
            np.testing.assert_allclose(states, values, rtol=0, atol=1e-6)
