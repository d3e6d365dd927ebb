"""Finding a model's files: names, directories, archives (hostile ones too), URLs, the Hub."""

from __future__ import annotations

import gzip
import importlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

import ptbert
from ptbert import file_utils
from ptbert._files import pretrained
from ptbert._files.pretrained import ModelFiles, resolve_model, resolve_vocabulary
from ptbert._files.published import PRETRAINED, archive_map, max_len_map

CONFIG = b'{"vocab_size": 99}'
WEIGHTS = b"weights of the model"
INDEX = b'{"weight_map": {"a": "part-1.bin", "b": "part-2.bin", "c": "part-1.bin"}}'
SHARDS = ("part-1.bin", "part-2.bin")
BIN_INDEX = "pytorch_model.bin.index.json"
SAFETENSORS_INDEX = "model.safetensors.index.json"


class FakeHub:
    """Stands in for huggingface_hub.hf_hub_download; holds `files` and fails for all others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: set[tuple[str, str]] = set()
        self.calls: list[tuple[str, str, Path]] = []
        self.failure: Exception = LocalEntryNotFoundError("offline and not in the cache")

    def download(
        self, repo_id: str, filename: str, *, revision: str | None, cache_dir: Path
    ) -> str:
        assert revision is None
        self.calls.append((repo_id, filename, cache_dir))
        if (repo_id, filename) not in self.files:
            raise self.failure
        return str(self.folder / filename)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub.download)
    monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    return hub


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def content_of(name: str) -> bytes:
    if name.endswith(".index.json"):
        return INDEX
    return CONFIG if name.endswith(".json") else WEIGHTS


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content_of(name))
    return folder


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def write_archive(path: Path, members: Sequence[str | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info in (member(m) if isinstance(m, str) else m for m in members):
            content = content_of(info.name) if info.isreg() else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_import_leaves_the_network_libraries_alone() -> None:
    code = (
        "import sys, ptbert.file_utils, ptbert._files.pretrained\n"
        "sys.exit(' '.join({'huggingface_hub', 'requests'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_table_has_every_documented_model_under_its_name() -> None:
    assert all(name == model.name for name, model in PRETRAINED.items())
    families = {model.family for model in PRETRAINED.values()}
    counts = {family: len(archive_map(family, "config.json")) for family in families}
    assert counts == {"bert": 13, "openai-gpt": 1, "gpt2": 2, "transfo-xl": 1}


def test_maps_of_2019_are_derived_from_the_table() -> None:
    assert archive_map("gpt2", "vocab.json") == {
        "gpt2": "https://huggingface.co/openai-community/gpt2/resolve/main/vocab.json",
        "gpt2-medium": "https://huggingface.co/openai-community/gpt2-medium/resolve/main/vocab.json",
    }
    assert set(max_len_map("bert").values()) == {512}
    assert max_len_map("gpt2") == {"gpt2": 1024, "gpt2-medium": 1024}
    assert max_len_map("transfo-xl") == {}


@pytest.mark.parametrize(
    ("module", "family"),
    [
        ("modeling_openai", "openai-gpt"),
        ("modeling_gpt2", "gpt2"),
        ("modeling_transfo_xl", "transfo-xl"),
    ],
)
def test_constants_of_families_are_real(module: str, family: str) -> None:
    found = importlib.import_module(f"ptbert.{module}")
    names = {model.name for model in PRETRAINED.values() if model.family == family}
    assert found.PRETRAINED_MODEL_ARCHIVE_MAP.keys() == names
    assert all(url.endswith("/config.json") for url in found.PRETRAINED_CONFIG_ARCHIVE_MAP.values())
    assert (found.CONFIG_NAME, found.WEIGHTS_NAME) == ("config.json", "pytorch_model.bin")
    assert ptbert.modeling.TF_WEIGHTS_NAME == "model.ckpt"


@pytest.mark.parametrize(
    ("names", "config", "weights"),
    [
        (("config.json", "pytorch_model.bin"), "config.json", "pytorch_model.bin"),
        (("bert_config.json", "model.safetensors"), "bert_config.json", "model.safetensors"),
        (
            ("config.json", "bert_config.json", "model.safetensors", "pytorch_model.bin"),
            "config.json",
            "model.safetensors",
        ),
    ],
)
def test_directory(tmp_path: Path, names: tuple[str, ...], config: str, weights: str) -> None:
    write(tmp_path, *names)
    for name_or_path in (tmp_path, str(tmp_path)):
        with resolve_model(name_or_path) as files:
            assert files == ModelFiles(tmp_path / config, tmp_path / weights)


@pytest.mark.parametrize(
    "present",
    [
        (BIN_INDEX, *SHARDS),
        ("pytorch_model.bin", BIN_INDEX),
        (SAFETENSORS_INDEX, *SHARDS),
        (SAFETENSORS_INDEX, "pytorch_model.bin", *SHARDS),
        ("model.safetensors", SAFETENSORS_INDEX, BIN_INDEX),
    ],
)
def test_one_file_comes_before_its_shards_and_safetensors_before_bin(
    present: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "config.json", *present)
    with resolve_model(tmp_path) as files:
        assert files.weights == tmp_path / present[0]
    formats = [name for name in present if name not in SHARDS]
    assert [record.getMessage() for record in caplog.records] == (
        [f"`{tmp_path}` holds {' and '.join(formats)}; {present[0]} is loaded."]
        if len(formats) > 1
        else []
    )


@pytest.mark.parametrize("kind", ["directory", "archive"])
def test_missing_shard_is_named(kind: str, tmp_path: Path) -> None:
    present = ("config.json", BIN_INDEX, SHARDS[0])
    path = tmp_path / "model"
    if kind == "directory":
        write(path, *present)
    else:
        write_archive(path, present)
    message = (
        f"`{path}` must contain `part-2.bin`, which its `{BIN_INDEX}` names, but does not. Put the "
        "file there, or pass another path."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)), resolve_model(path):
        pass


@pytest.mark.parametrize("prefix", ["", "./", "model/"])
@pytest.mark.parametrize("index_comes", ["first", "last"])
def test_archive_with_shards_is_extracted_and_removed(
    prefix: str, index_comes: str, tmp_path: Path, scratch: Path
) -> None:
    names = ["config.json", BIN_INDEX, *SHARDS, "part-3.bin"]
    names = names if index_comes == "first" else names[::-1]
    archive = write_archive(tmp_path / "model.tar.gz", [f"{prefix}{name}" for name in names])
    with resolve_model(archive) as files:
        assert files.weights is not None
        assert files.weights.name == BIN_INDEX
        folder = files.weights.parent
        assert {path.name for path in folder.iterdir()} == {"config.json", BIN_INDEX, *SHARDS}
        assert (folder / SHARDS[1]).read_bytes() == WEIGHTS
    assert list(scratch.iterdir()) == []


def test_shards_in_an_archive_that_are_not_loaded_are_not_extracted(tmp_path: Path) -> None:
    names = ["config.json", "model.safetensors", BIN_INDEX, *SHARDS]
    with resolve_model(write_archive(tmp_path / "model.tar.gz", names)) as files:
        assert files.weights is not None
        assert files.weights.name == "model.safetensors"
        assert not (files.weights.parent / SHARDS[0]).exists()


def test_directory_without_weights_serves_a_given_state_dict(tmp_path: Path) -> None:
    write(tmp_path, "config.json")
    with resolve_model(tmp_path, need_weights=False) as files:
        assert files == ModelFiles(tmp_path / "config.json", None)


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ("pytorch_model.bin", "`config.json` or `bert_config.json`"),
        ("config.json", "`model.safetensors` or `pytorch_model.bin`"),
    ],
)
def test_directory_that_lacks_a_file(tmp_path: Path, present: str, missing: str) -> None:
    write(tmp_path, present)
    message = (
        f"`{tmp_path}` must contain {missing}, but does not. Put the file there, under that name, "
        "or pass another path."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)), resolve_model(tmp_path):
        pass


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("config", ["config.json", "bert_config.json"])
def test_archive_is_extracted_and_removed(
    tmp_path: Path, scratch: Path, prefix: str, config: str
) -> None:
    folder = member(prefix or "unused", tarfile.DIRTYPE)
    archive = write_archive(
        tmp_path / "model.tar.gz",
        [folder, f"{prefix}{config}", f"{prefix}pytorch_model.bin", f"{prefix}vocab.txt"],
    )
    with resolve_model(archive) as files:
        assert files.config.name == config
        assert files.config.read_bytes() == CONFIG
        assert files.weights is not None
        assert files.weights.read_bytes() == WEIGHTS
        assert {path.name for path in files.config.parent.iterdir()} == {config, files.weights.name}
        assert files.config.parent.parent == scratch
    assert list(scratch.iterdir()) == []


def test_archive_is_removed_after_an_exception(tmp_path: Path, scratch: Path) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["config.json", "pytorch_model.bin"])
    with pytest.raises(KeyError), resolve_model(archive):
        raise KeyError
    assert list(scratch.iterdir()) == []


def test_archive_without_weights_serves_a_given_state_dict(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["config.json", "pytorch_model.bin"])
    with resolve_model(archive, need_weights=False) as files:
        assert files.weights is None
        assert [path.name for path in files.config.parent.iterdir()] == ["config.json"]


def test_archive_that_lacks_a_file_is_named(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["config.json", "deep/pytorch_model.bin"])
    message = f"`{archive}` must contain `model.safetensors` or `pytorch_model.bin`, but does not."
    with pytest.raises(FileNotFoundError, match=re.escape(message)), resolve_model(archive):
        pass


@pytest.mark.parametrize(
    "name", ["/tmp/config.json", "../config.json", "a/../../config.json", "a/../config.json"]
)
def test_archive_with_a_path_outside_is_refused(tmp_path: Path, scratch: Path, name: str) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["pytorch_model.bin", name])
    message = (
        f"`{archive}` must contain only paths inside itself, but has a member `{name}`. Extract it "
        "yourself if you trust it, and pass the directory."
    )
    with pytest.raises(OSError, match=re.escape(message)), resolve_model(archive):
        pass
    assert list(tmp_path.rglob("config.json")) == []
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    "hostile",
    [
        member("config.json", tarfile.SYMTYPE, "/etc/passwd"),
        member("folder", tarfile.SYMTYPE, ".."),
        member("config.json", tarfile.LNKTYPE, "pytorch_model.bin"),
        member("config.json", tarfile.CHRTYPE),
        member("config.json", tarfile.BLKTYPE),
        member("config.json", tarfile.FIFOTYPE),
    ],
    ids=["symlink", "symlinked folder", "hard link", "character device", "block device", "fifo"],
)
def test_archive_with_a_link_or_device_is_refused(
    tmp_path: Path, scratch: Path, hostile: tarfile.TarInfo
) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["pytorch_model.bin", hostile])
    message = (
        f"`{archive}` must contain only files and directories, but its member `{hostile.name}` is "
        "a link or a device. Extract it yourself if you trust it, and pass the directory."
    )
    with pytest.raises(OSError, match=re.escape(message)), resolve_model(archive):
        pass
    assert list(scratch.iterdir()) == []


def damaged(archive: Path) -> list[bytes]:
    content = archive.read_bytes()
    flipped = bytearray(content)
    flipped[-8] ^= 1  # The first byte of gzip's checksum.
    return [
        b"",
        b"no archive",
        gzip.compress(b"no archive"),
        content[:20],
        content[: len(content) // 2],
        content[:-4],
        bytes(flipped),
    ]


def test_damaged_archive_is_refused(tmp_path: Path, scratch: Path) -> None:
    archive = write_archive(tmp_path / "model.tar.gz", ["config.json", "pytorch_model.bin"])
    for content in damaged(archive):
        archive.write_bytes(content)
        message = (
            f"`{archive}` must be a directory or a complete .tar.gz archive with `config.json`"
        )
        with pytest.raises(OSError, match=re.escape(message)), resolve_model(archive):
            pass
        assert list(scratch.iterdir()) == []


def test_url_of_an_archive_and_of_a_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / "hash", ["config.json", "pytorch_model.bin"])
    calls = []

    def download(url: str, cache_dir: Path) -> str:
        calls.append((url, cache_dir))
        return str(archive)

    monkeypatch.setattr(pretrained, "cached_path", download)
    with resolve_model("https://example.org/model.tar.gz", tmp_path) as files:
        assert files.config.read_bytes() == CONFIG
    assert resolve_vocabulary("https://example.org/vocab.txt", tmp_path) == archive
    assert calls == [
        ("https://example.org/model.tar.gz", tmp_path),
        ("https://example.org/vocab.txt", tmp_path),
    ]


def test_s3_url_is_an_os_error() -> None:
    with pytest.raises(OSError, match="s3:// is not supported"):
        resolve_vocabulary("s3://bucket/vocab.txt")


def test_vocabulary_by_path_and_by_directory(tmp_path: Path) -> None:
    write(tmp_path, "vocab.txt", "my-vocab.txt")
    assert resolve_vocabulary(tmp_path) == tmp_path / "vocab.txt"
    assert resolve_vocabulary(tmp_path / "my-vocab.txt") == tmp_path / "my-vocab.txt"


def test_vocabulary_missing_in_a_directory(tmp_path: Path) -> None:
    message = f"`{tmp_path}` must contain `vocab.txt`, but does not."
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        resolve_vocabulary(tmp_path)


@pytest.mark.parametrize("repository", ["google-bert/bert-base-cased", "someone/my-model_1.0"])
def test_hub_prefers_safetensors(hub: FakeHub, tmp_path: Path, repository: str) -> None:
    name = repository.removeprefix("google-bert/")
    hub.files = {(repository, file) for file in ("config.json", "model.safetensors", "vocab.txt")}
    with resolve_model(name) as files:
        assert files == ModelFiles(hub.folder / "config.json", hub.folder / "model.safetensors")
    assert resolve_vocabulary(name, "my-cache") == hub.folder / "vocab.txt"
    assert hub.calls == [
        (repository, "config.json", tmp_path / "cache"),
        (repository, "model.safetensors", tmp_path / "cache"),
        (repository, "vocab.txt", Path("my-cache")),
    ]


def test_hub_falls_back_to_pytorch_model_bin(hub: FakeHub) -> None:
    hub.files = {("google-bert/bert-base-cased", f) for f in ("config.json", "pytorch_model.bin")}
    with resolve_model("bert-base-cased") as files:
        assert files.weights == hub.folder / "pytorch_model.bin"


def test_hub_gives_every_shard_once(hub: FakeHub) -> None:
    names = ("config.json", BIN_INDEX, *SHARDS)
    write(hub.folder, *names)
    hub.files = {("someone/large", name) for name in names}
    with resolve_model("someone/large") as files:
        assert files.weights == hub.folder / BIN_INDEX
    assert [name for _, name, _ in hub.calls] == [
        "config.json",
        "model.safetensors",
        SAFETENSORS_INDEX,
        "pytorch_model.bin",
        BIN_INDEX,
        *SHARDS,
    ]


def test_shard_that_the_hub_lacks_is_named(hub: FakeHub) -> None:
    names = ("config.json", SAFETENSORS_INDEX, SHARDS[0])
    write(hub.folder, *names)
    hub.files = {("someone/large", name) for name in names}
    message = "`part-2.bin` of `someone/large` must be on the Hugging Face Hub or in the cache"
    with pytest.raises(OSError, match=re.escape(message)), resolve_model("someone/large"):
        pass


def test_hub_is_not_asked_for_weights_that_are_not_needed(hub: FakeHub) -> None:
    hub.files = {("google-bert/bert-base-cased", "config.json")}
    with resolve_model("bert-base-cased", need_weights=False) as files:
        assert files == ModelFiles(hub.folder / "config.json", None)
    assert len(hub.calls) == 1


@pytest.mark.parametrize("failure", [LocalEntryNotFoundError("offline"), ConnectionError("reset")])
def test_hub_failure_says_what_was_looked_for(
    hub: FakeHub, tmp_path: Path, failure: Exception
) -> None:
    hub.failure = failure
    hub.files = {("google-bert/bert-base-cased", "config.json")}
    message = (
        "`model.safetensors` or `pytorch_model.bin` of `google-bert/bert-base-cased` must be on "
        f"the Hugging Face Hub or in the cache folder `{tmp_path / 'cache'}`, but is in neither, "
        f"or the Hub cannot be reached ({type(failure).__name__}); the local path "
        f"`{tmp_path / 'bert-base-cased'}` does not exist. Check name and connection, or download "
        "the files and pass the path of their directory."
    )
    with pytest.raises(OSError, match=re.escape(message)), resolve_model("bert-base-cased"):
        pass


def test_broken_connection_does_not_change_the_weights_format(hub: FakeHub) -> None:
    hub.failure = ConnectionError("reset")
    hub.files = {("google-bert/bert-base-cased", f) for f in ("config.json", "pytorch_model.bin")}
    with pytest.raises(OSError, match="ConnectionError"), resolve_model("bert-base-cased"):
        pass


def test_shortcut_name_wins_over_a_directory_of_that_name(hub: FakeHub, tmp_path: Path) -> None:
    folder = write(tmp_path / "bert-base-cased", "vocab.txt")
    message = f"the local path `{folder}` exists, pass it in full to load it."
    with pytest.raises(OSError, match=re.escape(message)):
        resolve_vocabulary("bert-base-cased")
    for name_or_path in (folder, "./bert-base-cased", Path("bert-base-cased")):
        assert resolve_vocabulary(name_or_path).samefile(folder / "vocab.txt")


def test_directory_wins_over_a_hub_id(hub: FakeHub, tmp_path: Path) -> None:
    write(tmp_path / "output" / "model", "vocab.txt")
    assert resolve_vocabulary("output/model") == Path("output/model/vocab.txt")
    assert hub.calls == []


@pytest.mark.parametrize("name", ["bert-base-uncasd", "/missing/model", "./missing", "a/b/c"])
def test_unknown_name_lists_what_was_looked_for(hub: FakeHub, name: str) -> None:
    message = (
        f"`{name}` must be an existing file or directory (there is no `{Path(name).absolute()}`), "
        "a URL, a Hub id (owner/name) or one of the names bert-base-uncased, bert-large-uncased, "
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        resolve_vocabulary(name)
    with pytest.raises(FileNotFoundError, match=re.escape(message)), resolve_model(name):
        pass
    assert hub.calls == []


def test_name_of_another_family_is_refused(hub: FakeHub) -> None:
    message = "`gpt2` must be the name of a bert model (bert-base-uncased, bert-large-uncased, "
    with pytest.raises(OSError, match=re.escape(message) + ".*, but belongs to gpt2."):
        resolve_vocabulary("gpt2")
    hub.files = {("openai-community/gpt2", "vocab.json")}
    assert resolve_vocabulary("gpt2", family="gpt2") == hub.folder / "vocab.json"
