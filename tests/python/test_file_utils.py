"""The download cache: names, order of folders, offline use, damaged downloads."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ptbert import file_utils
from ptbert.file_utils import cached_path, filename_to_url, get_from_cache, url_to_filename

URL = "https://example.org/vocab.txt"


class FileServer(ThreadingHTTPServer):
    """Serves `content` at every path of 127.0.0.1; the other attributes make it misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FileHandler)
        self.content = b"first"
        self.etag: str | None = '"1"'
        self.status = 200
        self.missing_bytes = 0
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/folder/vocab.txt"


class FileHandler(BaseHTTPRequestHandler):
    server: FileServer

    def do_HEAD(self) -> None:
        self.server.requests.append(self.command)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        if self.server.etag is not None:
            self.send_header("ETag", self.server.etag)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(
            self.server.content[: len(self.server.content) - self.server.missing_bytes]
        )

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_cache_dir_follows_the_environment_in_order() -> None:
    environ = {"HOME": "unused"}
    home = Path.home()
    assert file_utils._default_cache_dir(environ) == home / ".cache/torch/pytorch_pretrained_bert"
    environ["XDG_CACHE_HOME"] = "/xdg"
    assert file_utils._default_cache_dir(environ) == Path("/xdg/torch/pytorch_pretrained_bert")
    environ["TORCH_HOME"] = "~/torch"
    assert file_utils._default_cache_dir(environ) == home / "torch/pytorch_pretrained_bert"
    environ["PYTORCH_PRETRAINED_BERT_CACHE"] = "given"
    assert file_utils._default_cache_dir(environ) == Path("given")


def test_cache_dir_treats_empty_variables_as_unset() -> None:
    variables = ("PYTORCH_PRETRAINED_BERT_CACHE", "TORCH_HOME", "XDG_CACHE_HOME")
    expected = file_utils._default_cache_dir({})
    assert file_utils._default_cache_dir(dict.fromkeys(variables, "")) == expected


def test_file_names_are_those_of_2019() -> None:
    assert file_utils.CONFIG_NAME == "config.json"
    assert file_utils.WEIGHTS_NAME == "pytorch_model.bin"


def test_url_to_filename_joins_the_hashes_of_url_and_etag() -> None:
    url_hash, etag_hash = sha256(URL.encode()).hexdigest(), sha256(b'"1"').hexdigest()
    assert url_to_filename(URL) == url_hash
    assert url_to_filename(URL, '"1"') == f"{url_hash}.{etag_hash}"


def test_filename_to_url_reads_the_description(tmp_path: Path) -> None:
    (tmp_path / "cached").touch()
    (tmp_path / "cached.json").write_text('{"url": "https://example.org", "etag": null}')
    assert filename_to_url("cached", tmp_path) == ("https://example.org", None)


@pytest.mark.parametrize(("present", "missing"), [((), "cached"), (("cached",), "cached.json")])
def test_filename_to_url_of_a_missing_file(
    tmp_path: Path, present: tuple[str, ...], missing: str
) -> None:
    for name in present:
        (tmp_path / name).touch()
    message = f"`{tmp_path / missing}` must be a file of the cache, but does not exist."
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        filename_to_url("cached", tmp_path)


def test_cached_path_of_a_path_is_the_path(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.touch()
    assert cached_path(path) == str(path)
    assert cached_path(str(path)) == str(path)


def test_cached_path_of_a_missing_path() -> None:
    with pytest.raises(FileNotFoundError) as error:
        cached_path("missing/vocab.txt")
    assert str(error.value) == (
        "`url_or_filename` (missing/vocab.txt) must be an existing path or a URL, but does not "
        "exist."
    )


@pytest.mark.parametrize("url", ["ftp://example.org/vocab.txt", "s3://bucket/vocab.txt"])
def test_cached_path_of_another_scheme(url: str) -> None:
    message = f"`url_or_filename` ({url}) must be an http(s) URL or a local path"
    with pytest.raises(ValueError, match=re.escape(message)):
        cached_path(url)


def test_cached_path_says_that_s3_is_not_supported() -> None:
    message = "s3:// is not supported. Download the file with a tool of your own and pass its path."
    with pytest.raises(ValueError, match=re.escape(message)):
        cached_path("s3://bucket/vocab.txt")


def test_download_is_stored_under_the_2019_name_once(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    path = Path(cached_path(server.url, folder))
    name = url_to_filename(server.url, '"1"')
    assert path == folder / name
    assert path.read_bytes() == b"first"
    assert names(folder) == {name, f"{name}.json"}
    assert json.loads((folder / f"{name}.json").read_text()) == {"url": server.url, "etag": '"1"'}
    assert filename_to_url(name, folder) == (server.url, '"1"')
    assert cached_path(server.url, folder) == str(path)
    assert server.requests == ["HEAD", "GET", "HEAD"]


def test_download_goes_to_the_default_cache(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", tmp_path)
    assert Path(get_from_cache(server.url)).parent == tmp_path


def test_download_shows_progress(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get_from_cache(server.url, tmp_path)
    assert "5.00/5.00" in capsys.readouterr().err


def test_download_is_readable_for_others_as_the_umask_says(
    server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "ordinary").touch()
    downloaded = Path(get_from_cache(server.url, tmp_path))
    assert downloaded.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_new_version_is_downloaded_beside_the_old(server: FileServer, tmp_path: Path) -> None:
    old = Path(get_from_cache(server.url, tmp_path))
    server.content, server.etag = b"second", '"2"'
    new = Path(get_from_cache(server.url, tmp_path))
    assert (old.read_bytes(), new.read_bytes()) == (b"first", b"second")


def test_server_without_etags_is_asked_once(server: FileServer, tmp_path: Path) -> None:
    server.etag = None
    path = get_from_cache(server.url, tmp_path)
    assert Path(path).name == url_to_filename(server.url)
    assert get_from_cache(server.url, tmp_path) == path
    assert server.requests == ["HEAD", "GET", "HEAD"]


@pytest.mark.parametrize("reachable", [False, True])
def test_newest_copy_serves_when_the_server_does_not(
    server: FileServer, tmp_path: Path, reachable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url
    if reachable:
        server.status = 503
    else:
        url = "http://127.0.0.1:9/vocab.txt"  # The discard port: nobody listens.
    for age, etag in enumerate((None, '"new"', '"old"')):
        path = tmp_path / url_to_filename(url, etag)
        path.touch()
        os.utime(path, (0, 100 - age if etag else 0))
        path.with_name(f"{path.name}.json").touch()
    with caplog.at_level(logging.INFO, "ptbert.file_utils"):
        assert get_from_cache(url, tmp_path) == str(tmp_path / url_to_filename(url, '"new"'))
    assert ("cannot be reached" in caplog.text) is not reachable


def test_unreachable_server_without_a_copy(tmp_path: Path) -> None:
    message = (
        rf"`http://127\.0\.0\.1:9/vocab\.txt` could not be downloaded \(.*\), and the cache folder "
        rf"`{tmp_path}` holds no copy\. Check the address and the connection, or pass a local path"
    )
    with pytest.raises(OSError, match=message):
        get_from_cache("http://127.0.0.1:9/vocab.txt", tmp_path)
    assert names(tmp_path) == set()


def test_error_page_is_not_cached(server: FileServer, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(OSError, match=r"could not be downloaded \(404 Client Error"):
        get_from_cache(server.url, tmp_path)
    assert names(tmp_path) == set()


def test_interrupted_download_is_not_cached(server: FileServer, tmp_path: Path) -> None:
    server.missing_bytes = 2
    with pytest.raises(OSError, match=r"could not be downloaded"):
        get_from_cache(server.url, tmp_path)
    assert names(tmp_path) == set()
