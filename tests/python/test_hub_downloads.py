"""Downloads from the Hub by a server on this machine: names, revisions, mirrors, faults."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import huggingface_hub
import pytest
from huggingface_hub import constants, file_download

from ptbert import BertTokenizer, GPT2Tokenizer, file_utils
from ptbert._files import hub
from ptbert._files.pretrained import resolve_model, resolve_vocabulary
from ptbert._files.published import PRETRAINED
from support import without_root

REPOSITORY = "someone/small"
# From this size on, files are named by SHA-256, as those in LFS.
LARGE = 1000
FILES = {
    "config.json": b'{"vocab_size": 99}',
    "model.safetensors": b"0123456789" * 5000,
    "vocab.txt": b"[UNK]\nhello\n",
}


def checksum(content: bytes) -> str:
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def commit_of(revision: str) -> str:
    return hashlib.sha1(revision.encode()).hexdigest()


class HubServer(ThreadingHTTPServer):
    """Answers as the Hub does; the other attributes make it misbehave.

    Attributes:
        repositories: {id: {revision: {filename: content}}}
        sends: What is sent in the place of a content.
        cuts: How many more answers break off in the middle.
        paths: The files that were asked for with GET.
        proxied: The same, by those who took the server for a proxy.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {
            REPOSITORY: {"main": dict(FILES)}
        }
        self.sends: dict[bytes, bytes] = {}
        self.cuts = 0
        self.paths: list[str] = []
        self.proxied: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class HubHandler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        content = self.answer()
        if content is None:
            return
        content = self.server.sends.get(content, content)
        if match := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            content = content[int(match[1]) :]
        if self.server.cuts and len(content) >= LARGE:
            self.server.cuts -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    def answer(self) -> bytes | None:
        """Sends the headers; returns the content of the file, or None if there is none."""
        path = self.path
        if not path.startswith("/"):
            path = "/" + path.split("/", 3)[3]
            self.server.proxied.append(self.path)
        if self.command == "GET" and "/resolve/" in path:
            self.server.paths.append(path)
        match = re.fullmatch(r"/(\w[\w-]*/[\w.-]+)/resolve/(\w+)/(.+)", path)
        revisions = self.server.repositories.get(match[1]) if match else None
        if match is None or revisions is None:
            self.refuse("RepoNotFound")
            return None
        files = revisions.get(match[2])
        if files is None:
            self.refuse("RevisionNotFound")
            return None
        content = files.get(match[3])
        if content is None:
            self.refuse("EntryNotFound", commit_of(match[2]))
            return None
        partial = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(partial[1]) if partial else 0
        self.send_response(206 if partial else 200)
        self.send_header("X-Repo-Commit", commit_of(match[2]))
        self.send_header("ETag", f'"{checksum(content)}"')
        self.send_header("Content-Length", str(len(content) - start))
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        return content

    def refuse(self, code: str, commit: str | None = None) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output clean."""


def close_session() -> None:
    """Makes huggingface_hub read the proxies of the environment again; before 1.0 it always did."""
    getattr(huggingface_hub, "close_session", lambda: None)()


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As HF_ENDPOINT does, which is read when huggingface_hub is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    close_session()
    with HubServer() as server:
        use_endpoint(monkeypatch, server.url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    close_session()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub waits between its attempts."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def load(name: str = REPOSITORY) -> dict[str, bytes]:
    with resolve_model(name) as files:
        assert files.weights is not None
        return {path.name: path.read_bytes() for path in (files.config, files.weights)}


MODEL = {name: FILES[name] for name in ("config.json", "model.safetensors")}


@pytest.mark.parametrize("name", PRETRAINED)
def test_every_published_name_is_found_in_its_repository(name: str, server: HubServer) -> None:
    model = PRETRAINED[name]
    server.repositories = {model.hub_id: {"main": dict(MODEL)}}
    with resolve_model(name, family=model.family) as files:
        assert files.config.read_bytes() == MODEL["config.json"]
    assert server.paths == [
        f"/{model.hub_id}/resolve/main/{file}" for file in ("config.json", "model.safetensors")
    ]


def test_file_is_downloaded_once(server: HubServer) -> None:
    assert load() == load() == MODEL
    assert len(server.paths) == 2


@pytest.mark.parametrize("revision", ["main", "v1", commit_of("v1")])
def test_revision_is_asked_for_and_kept_apart(revision: str, server: HubServer) -> None:
    later = {**FILES, "config.json": b'{"vocab_size": 100}'}
    server.repositories[REPOSITORY] = {"main": dict(FILES), "v1": later, commit_of("v1"): later}
    assert load()["config.json"] == FILES["config.json"]
    expected = FILES if revision == "main" else later
    assert load(f"{REPOSITORY}@{revision}")["config.json"] == expected["config.json"]


def test_revision_of_a_published_name(server: HubServer) -> None:
    server.repositories = {
        "google-bert/bert-base-cased": {"v1": dict(FILES)},
        "openai-community/gpt2": {"v1": {"vocab.json": b'{"a": 0}', "merges.txt": b"#\n"}},
        "openai-community/gpt2-large": {"v1": dict(FILES)},
    }
    tokenizer = BertTokenizer.from_pretrained("bert-base-cased@v1", do_lower_case=False)
    assert (tokenizer.max_len, tokenizer.basic_tokenizer.do_lower_case) == (512, False)
    assert GPT2Tokenizer.from_pretrained("gpt2@v1").max_len == 1024
    assert resolve_vocabulary("gpt2-large@v1", family="bert").read_bytes() == FILES["vocab.txt"]


def test_path_with_an_at_sign_comes_before_a_revision(server: HubServer, tmp_path: Path) -> None:
    for name in ("bert-base-cased@v1", "someone/small@v1"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "vocab.txt").write_bytes(FILES["vocab.txt"])
        assert resolve_vocabulary(name) == Path(name, "vocab.txt")
    assert BertTokenizer.from_pretrained("bert-base-cased@v1").max_len > 512
    assert server.paths == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{REPOSITORY}@v9", f"`config.json` of `{REPOSITORY}@v9` must be on the Hugging Face Hub"),
        (f"{REPOSITORY}@v9", f"but the Hub knows no revision `v9` of `{REPOSITORY}`; the local"),
        ("someone/unknown", "but the Hub shows no `someone/unknown` (one that is private or needs"),
        ("someone/empty", "but is in neither, or the Hub cannot be reached ("),
    ],
)
def test_what_the_hub_lacks_is_said(name: str, reason: str, server: HubServer) -> None:
    server.repositories["someone/empty"] = {"main": {}}
    with pytest.raises(OSError, match=re.escape(reason)):
        load(name)


def test_offline_only_the_cache_is_used(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.paths.clear()
    assert load() == MODEL
    message = "but is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub; the local path"
    with pytest.raises(OSError, match=re.escape(message)):
        resolve_vocabulary(REPOSITORY)
    assert server.paths == []


def test_url_offline_is_taken_from_the_cache_only(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt", tmp_path / "urls"
    path = file_utils.cached_path(url, folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server.paths.clear()
    assert file_utils.cached_path(url, folder) == path
    message = f"`{url}` must be in the cache folder `{tmp_path}`, as HF_HUB_OFFLINE forbids to"
    with pytest.raises(OSError, match=re.escape(message)):
        file_utils.cached_path(url, tmp_path)
    assert server.paths == []


def test_proxy_of_the_environment_is_used(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_endpoint(monkeypatch, "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    close_session()
    assert load() == MODEL
    assert f"http://hub.invalid/{REPOSITORY}/resolve/main/config.json" in server.proxied


TWO_PROCESSES = """
import multiprocessing, sys
from ptbert._files.pretrained import resolve_model, resolve_vocabulary

def load(name, url, folder):
    barrier.wait()
    with resolve_model(name, folder) as files:
        assert files.weights.stat().st_size == 50000
    assert resolve_vocabulary(url, folder).stat().st_size == 12

context = multiprocessing.get_context("fork")
barrier = context.Barrier(2)
processes = [context.Process(target=load, args=sys.argv[1:]) for _ in range(2)]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(max(process.exitcode for process in processes))
"""


def test_two_processes_load_at_once(server: HubServer, tmp_path: Path) -> None:
    url = f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt"
    command = [sys.executable, "-c", TWO_PROCESSES, REPOSITORY, url, str(tmp_path / "cache")]
    environment = {**os.environ, "HF_ENDPOINT": server.url}
    subprocess.run(command, env=environment, check=True, timeout=120)
    cache = tmp_path / "cache"
    assert list(cache.rglob("*.incomplete")) == []
    assert sorted(path.stat().st_size for path in cache.glob("models--*/blobs/*")) == [18, 50000]


@pytest.mark.usefixtures("no_waiting")
def test_download_that_breaks_off_goes_on_where_it_was(server: HubServer) -> None:
    server.cuts = 1
    assert load() == MODEL
    assert server.cuts == 0


@pytest.mark.usefixtures("no_waiting")
def test_half_a_file_is_never_used(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_again(url: str, temp_file: BinaryIO, **kwargs: Any) -> None:
        temp_file.write(FILES["model.safetensors"][:100])
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    resolve_model(REPOSITORY, need_weights=False).__enter__()
    with monkeypatch.context() as patch:
        patch.setattr(file_download, "http_get", cut_again)
        with pytest.raises(OSError, match=r"cannot be reached \(ConnectionResetError\)"):
            load()
        with pytest.raises(OSError, match=r"cannot be reached \(ConnectionResetError\)"):
            load()
    assert load() == MODEL


@pytest.mark.parametrize("filename", list(MODEL))
@pytest.mark.parametrize("fault", ["flipped", "another"])
def test_file_with_a_wrong_checksum_is_deleted(
    filename: str, fault: str, server: HubServer, tmp_path: Path
) -> None:
    content = FILES[filename]
    sent = bytes([content[0] ^ 1]) + content[1:] if fault == "flipped" else content[::-1]
    server.sends = {content: sent}
    message = (
        f"`{filename}` of `{REPOSITORY}` must have the checksum {checksum(content)} that the Hub "
        f"names, but what arrived has {checksum(sent)}. It was deleted: load it again, and if that "
        "does not help, look for the fault in the proxy or mirror."
    )
    for _ in range(2):
        with pytest.raises(OSError, match=re.escape(message)):
            load()
    assert not any(path.read_bytes() == sent for path in tmp_path.rglob("*") if path.is_file())
    server.sends = {}
    assert load() == MODEL


@pytest.mark.parametrize(
    ("name", "content", "is_good"),
    [
        (hashlib.sha1(b"abc").hexdigest(), b"abc", True),  # a mirror's, without git's header
        (hashlib.sha1(b"abc").hexdigest(), b"abd", False),
        ("5d41402abc4b2a76b9719d911017c592", b"abc", True),  # no checksum we know
    ],
)
def test_checksums_of_mirrors(name: str, content: bytes, is_good: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    if is_good:
        hub._check_hash(tmp_path / name, hub.Repository(REPOSITORY))
    else:
        with pytest.raises(OSError, match="must have the checksum"):
            hub._check_hash(tmp_path / name, hub.Repository(REPOSITORY))
    assert (tmp_path / name).exists() is is_good


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a download write a part, and no more."""

    def write_some(url: str, temp_file: BinaryIO, **kwargs: Any) -> None:
        temp_file.write(b"012")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", write_some)
    monkeypatch.setattr(file_utils, "http_get", write_some)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("kind", ["Hub", "URL"])
def test_full_disk(kind: str, server: HubServer, tmp_path: Path) -> None:
    name = REPOSITORY if kind == "Hub" else f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt"
    cache = tmp_path / "cache"
    message = (
        f"`cache_dir` ({cache}) must have room for the download, but has not (No space left on "
        "device). Free some, or pass the path of another `cache_dir`."
    )
    with pytest.raises(OSError, match=re.escape(message)):
        resolve_vocabulary(name)
    kept = [path for path in cache.rglob("*") if path.is_file() and b"012" in path.read_bytes()]
    assert kept == []


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The default cache, for `close`, where the user can reach it that `without_root` runs as."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", cache)
        monkeypatch.chdir(folder)
        yield cache
        change_modes(cache, 0o755)


def change_modes(cache: Path, mode: int) -> None:
    for path in (cache.parent, cache, *cache.rglob("*")):
        if not path.is_symlink():
            path.chmod(mode)


def close(cache: Path) -> None:
    """Lets nobody write to it."""
    change_modes(cache, 0o555)


@pytest.mark.parametrize("kind", ["Hub", "URL"])
def test_read_only_cache_says_so(kind: str, server: HubServer, read_only: Path) -> None:
    name = REPOSITORY if kind == "Hub" else f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt"
    close(read_only)
    message = f"`cache_dir` ({read_only}) must be a directory that can be written to, but is not."
    with without_root(), pytest.raises(PermissionError, match=re.escape(message)):
        resolve_vocabulary(name)


def test_read_only_cache_is_read(server: HubServer, read_only: Path) -> None:
    load()
    close(read_only)
    with without_root():
        assert load() == MODEL


def test_read_only_cache_serves_its_copy_of_a_later_version(
    server: HubServer, read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load()
    close(read_only)
    # The same branch at another commit.
    server.repositories[REPOSITORY]["main"] = {"config.json": b"{}", "pytorch_model.bin": b"new"}
    with without_root(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "commit_of", lambda revision: "f" * 40)
        assert load() == MODEL
    assert "can be written to, but is not. Loading the copy in it" in caplog.text


def test_progress_bars_can_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    url = f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt"
    file = io.BytesIO()
    file_utils.http_get(url, file)
    assert file.getvalue() == FILES["vocab.txt"]
    assert capsys.readouterr().err == ""


def test_description_of_a_url_is_whole(server: HubServer, tmp_path: Path) -> None:
    url = f"{server.url}/{REPOSITORY}/resolve/main/vocab.txt"
    path = Path(file_utils.cached_path(url, tmp_path))
    description = json.loads(path.with_name(path.name + ".json").read_text())
    assert description["url"] == url
