"""Checkpoint files: every format that is read, and every file that is refused."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ptbert import _C
from ptbert._files import checkpoint
from ptbert._files.checkpoint import read_state_dict
from ptbert._files.plain_files import read_attributes
from support import without_root

STATE = OrderedDict(
    [
        ("bert.pooler.dense.weight", torch.arange(6.0).reshape(2, 3)),
        ("bert.pooler.dense.bias", torch.ones(2, dtype=torch.float16)),
        ("position_ids", torch.arange(4).unsqueeze(0)),
    ]
)


class RunsCode:
    """Unpickled without care, it creates the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def assert_same_state(actual: dict[str, Tensor]) -> None:
    assert type(actual) is dict
    assert list(actual) == list(STATE)
    for name, expected in STATE.items():
        assert actual[name].dtype == expected.dtype
        assert actual[name].device.type == "cpu"
        assert torch.equal(actual[name], expected)


def save(value: object, path: Path, zip_format: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zip_format)
    assert zipfile.is_zipfile(path) is zip_format
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pytorch_model.bin"


@pytest.mark.parametrize("zip_format", [True, False])
def test_bin_is_read(path: Path, zip_format: bool) -> None:
    save(STATE, path, zip_format)
    assert_same_state(read_state_dict(path))
    assert_same_state(read_state_dict(str(path)))


def test_safetensors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(STATE, path)
    state = read_state_dict(path)
    assert set(state) == set(STATE)
    assert_same_state({name: state[name] for name in STATE})


@pytest.mark.parametrize("zip_format", [True, False])
def test_state_dict_of_a_module_is_read(path: Path, zip_format: bool) -> None:
    module = nn.Linear(3, 2)
    save(module.state_dict(), path, zip_format)
    state = read_state_dict(path)
    assert torch.equal(state["weight"], module.weight)
    assert not state["weight"].requires_grad


@pytest.mark.parametrize("zip_format", [True, False])
def test_tensors_that_share_memory_still_do(path: Path, zip_format: bool) -> None:
    weight = torch.ones(2, 2)
    save({"embeddings": weight, "decoder": weight}, path, zip_format)
    state = read_state_dict(path)
    assert state["embeddings"].data_ptr() == state["decoder"].data_ptr()


def test_reading_never_changes_the_file(path: Path) -> None:
    before = save(STATE, path, zip_format=True).read_bytes()
    read_state_dict(path)["bert.pooler.dense.weight"].zero_()
    assert path.read_bytes() == before


def test_missing_file(path: Path) -> None:
    message = f"`{path}` must be a checkpoint file, but does not exist."
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        read_state_dict(path)


def test_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    path.chmod(0)
    message = f"`{path}` must be a file that can be read, but opening it fails: Permission denied."
    with without_root(), pytest.raises(PermissionError) as error:
        _C.load_safetensors(str(path))
    assert str(error.value) == message


def test_file_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.touch()
    with pytest.raises(OSError, match="opening it fails: Not a directory") as error:
        _C.load_safetensors(f"{path}/model.safetensors")
    assert type(error.value) is OSError


@pytest.mark.parametrize("zip_format", [True, False])
def test_pickled_model_is_refused_with_the_remedy(path: Path, zip_format: bool) -> None:
    save(nn.Linear(2, 2), path, zip_format)
    message = (
        f"`{path}` must hold a dict of tensors, but contains the Python object "
        "`torch.nn.modules.linear.Linear`, and unpickling that could run any code. In an "
        "environment where you trust the file, load it with torch.load(path, weights_only=False) "
        "and save its model.state_dict() with torch.save."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        read_state_dict(path)


@pytest.mark.parametrize("zip_format", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, path: Path, zip_format: bool) -> None:
    save({"weight": RunsCode(tmp_path / "touched")}, path, zip_format)
    with pytest.raises(ValueError, match="unpickling that could run any code"):
        read_state_dict(path)
    assert not (tmp_path / "touched").exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert (tmp_path / "touched").exists()  # It would have been.


def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(RunsCode(tmp_path / "touched"), protocol=2))
    with pytest.raises(ValueError, match="unpickling that could run any code"):
        read_state_dict(path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("length", [1, 10, 100, 500, -1])
def test_truncated_file(path: Path, zip_format: bool, length: int) -> None:
    save(STATE, path, zip_format)
    path.write_bytes(path.read_bytes()[:length])
    message = f"`{path}` must be a PyTorch checkpoint, but is truncated or of another format ("
    with pytest.raises(ValueError, match=re.escape(message)):
        read_state_dict(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello world", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
    ids=["empty", "text", "git-lfs"],
)
def test_file_of_another_format(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is truncated or of another format \(.*\)\. Download or"):
        read_state_dict(path)


def test_other_zip_file(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="is truncated or of another format"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"\x08" + bytes(7), b"hello world"])
def test_damaged_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_state_dict(path)


@pytest.mark.parametrize("zip_format", [True, False])
def test_training_checkpoint_gives_its_weights(path: Path, zip_format: bool) -> None:
    save({"weight": torch.ones(1), "epoch": 3}, path, zip_format)
    assert list(read_state_dict(path)) == ["weight"]


def test_other_values_are_refused(path: Path) -> None:
    save([torch.ones(1)], path, zip_format=True)
    message = f"`{path}` must hold a dict of tensors, but holds one list. Save model.state_dict()"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_state_dict(path)


def test_names_must_be_strings(path: Path) -> None:
    save({0: torch.ones(1)}, path, zip_format=True)
    with pytest.raises(ValueError, match="its entry 0 is of type Tensor"):
        read_state_dict(path)


def test_attributes_are_read_of_a_file_that_exists(path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        read_attributes(path)
    assert str(error.value) == f"`{path}` must be an existing file, but does not exist."


@pytest.mark.parametrize(("value", "kind"), [([1], "list"), ({1: 2}, "dict")])
def test_attributes_have_names(path: Path, value: object, kind: str) -> None:
    save(value, path, zip_format=False)
    with pytest.raises(ValueError) as error:
        read_attributes(path)
    assert str(error.value) == (
        f"`{path}` must hold a dict of attributes, but holds {kind} or keys that are no str."
    )


# Shards


def write_index(folder: Path, weight_map: object, name: str = "pytorch_model.bin") -> Path:
    path = folder / f"{name}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": weight_map}))
    return path


@pytest.mark.parametrize("kind", ["bin", "legacy bin", "safetensors"])
def test_shards_are_read_once_each(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix = kind.split()[-1]
    shard_of = dict(zip(STATE, (f"b.{suffix}", f"a.{suffix}", f"b.{suffix}"), strict=True))
    for shard in set(shard_of.values()):
        tensors = {name: tensor for name, tensor in STATE.items() if shard_of[name] == shard}
        if suffix == "safetensors":
            save_file(tensors, tmp_path / shard)
        else:
            save(tensors, tmp_path / shard, zip_format=kind == "bin")
    calls = []
    read = checkpoint._read_file

    def count(path: Path) -> dict[str, Tensor]:
        calls.append(path.name)
        return read(path)

    monkeypatch.setattr(checkpoint, "_read_file", count)
    state = read_state_dict(write_index(tmp_path, shard_of))
    assert calls == [f"a.{suffix}", f"b.{suffix}"]
    assert set(state) == set(STATE)
    assert_same_state({name: state[name] for name in STATE})


def test_entry_comes_from_the_shard_that_the_index_gives(tmp_path: Path) -> None:
    save({"x": torch.ones(1), "tied": torch.ones(2)}, tmp_path / "a.bin", zip_format=True)
    save({"x": torch.zeros(1), "y": torch.zeros(1)}, tmp_path / "b.bin", zip_format=True)
    state = read_state_dict(write_index(tmp_path, {"x": "a.bin", "y": "b.bin"}))
    assert list(state) == ["x", "tied", "y"]
    assert state["x"] == 1


def test_missing_shard_is_named(tmp_path: Path) -> None:
    index = write_index(tmp_path, {"x": "a.bin"})
    message = f"`{tmp_path / 'a.bin'}` must be a checkpoint file, but does not exist."
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        read_state_dict(index)


def test_entry_that_the_shard_lacks_is_named(tmp_path: Path) -> None:
    save({"x": torch.ones(1)}, tmp_path / "a.bin", zip_format=True)
    index = write_index(tmp_path, {"x": "a.bin", "y": "a.bin"})
    with pytest.raises(ValueError) as error:
        read_state_dict(index)
    assert str(error.value) == (
        f"`{tmp_path / 'a.bin'}` must hold `y`, as `pytorch_model.bin.index.json` says, but does "
        "not. Download or save both again."
    )


@pytest.mark.parametrize(
    "shard",
    [
        "../a.bin",
        "/a.bin",
        "deep/a.bin",
        "deep\\a.bin",
        "..",
        ".",
        "",
        "a\0.bin",
        3,
        None,
        ["a.bin"],
    ],
)
def test_shard_that_is_no_plain_file_name_is_refused(shard: Any, tmp_path: Path) -> None:
    save({"x": torch.ones(1)}, tmp_path / "a.bin", zip_format=True)
    folder = tmp_path / "model"
    folder.mkdir()
    index = write_index(folder, {"x": shard})
    with pytest.raises(ValueError) as error:
        read_state_dict(index)
    assert str(error.value) == (
        f"`{index}` must give each weight the name of a file beside it, but gives `x` {shard!r}."
    )


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": ["a.bin"]}'])
def test_index_without_shards_is_refused(content: str, path: Path) -> None:
    index = path.with_name("model.safetensors.index.json")
    index.write_text(content)
    message = (
        f"`{index}` must hold a JSON object with the file of each weight under `weight_map`, but "
        "does not. Download or save it again."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        read_state_dict(index)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_index_that_is_no_json_is_refused(content: bytes, path: Path) -> None:
    index = path.with_name("model.safetensors.index.json")
    index.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"`{index}` must hold JSON, but does not: ")):
        read_state_dict(index)
