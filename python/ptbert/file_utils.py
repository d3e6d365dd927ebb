"""Files by path or URL, and the cache of downloads."""

from __future__ import annotations

import errno
import fnmatch
import json
import logging
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlparse

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm

__all__ = [
    "BERT_CONFIG_NAME",
    "CONFIG_NAME",
    "PYTORCH_PRETRAINED_BERT_CACHE",
    "WEIGHTS_NAME",
    "cached_path",
    "filename_to_url",
    "get_from_cache",
    "http_get",
    "url_to_filename",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["Path", "fnmatch", "json", "logger", "logging", "os", "requests", "sha256", "shutil"]
__all__ += ["sys", "tempfile", "tqdm", "urlparse", "wraps"]

logger = logging.getLogger(__name__)

CONFIG_NAME = "config.json"
BERT_CONFIG_NAME = "bert_config.json"
WEIGHTS_NAME = "pytorch_model.bin"
SAFETENSORS_NAME = "model.safetensors"
TF_WEIGHTS_NAME = "model.ckpt"

StrPath = str | os.PathLike[str]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 10.0
# Without compression in transit, Content-Length is the size of the file.
_REQUEST_HEADERS = {"Accept-Encoding": "identity"}


def __getattr__(name: str) -> Any:
    """`requests` and `tqdm`, which take long to import, when they are first asked for."""
    if name == "requests":
        import requests

        return requests
    if name == "tqdm":
        from tqdm import tqdm

        return tqdm
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")


def _default_cache_dir(environ: Mapping[str, str]) -> Path:
    if given := environ.get("PYTORCH_PRETRAINED_BERT_CACHE"):
        return Path(given)
    torch_home = environ.get("TORCH_HOME")
    if not torch_home:
        torch_home = str(Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch")
    # Path.expanduser raises for a user without a home directory, which must not break the import.
    return Path(os.path.expanduser(torch_home)) / "pytorch_pretrained_bert"  # noqa: PTH111


PYTORCH_PRETRAINED_BERT_CACHE = _default_cache_dir(os.environ)


def url_to_filename(url: str, etag: str | None = None) -> str:
    """Returns the name of `url` in the cache: sha256(url), or sha256(url).sha256(etag).

    Example:
        >>> name = url_to_filename("https://example.org/vocab.txt", etag="1")
        >>> [len(part) for part in name.split(".")]
        [64, 64]
    """
    return ".".join(sha256(part.encode()).hexdigest() for part in (url, etag) if part)


def filename_to_url(filename: str, cache_dir: StrPath | None = None) -> tuple[str, str | None]:
    """Returns the URL and the ETag (or None) of a file in the cache.

    Raises:
        FileNotFoundError: The file, or the .json file with its URL, is not in the cache.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Path(folder, "1a2b").touch()
        ...     description = '{"url": "https://example.org/vocab.txt", "etag": null}'
        ...     _ = Path(folder, "1a2b.json").write_text(description)
        ...     filename_to_url("1a2b", folder)
        ('https://example.org/vocab.txt', None)
    """
    cached = cache_folder(cache_dir) / filename
    description = cached.with_name(cached.name + ".json")
    for path in (cached, description):
        if not path.exists():
            raise FileNotFoundError(f"`{path}` must be a file of the cache, but does not exist.")
    metadata = json.loads(description.read_text(encoding="utf-8"))
    return metadata["url"], metadata["etag"]


def is_url(name: str) -> bool:
    """Whether a name is an http(s) URL.

    Example:
        >>> is_url("https://example.org/model.tar.gz"), is_url("model.tar.gz")
        (True, False)
    """
    return urlparse(name).scheme in ("http", "https")


def cached_path(url_or_filename: StrPath, cache_dir: StrPath | None = None) -> str:
    """Returns a local path for a path (which must exist) or a URL (downloaded once).

    Raises:
        FileNotFoundError: The path does not exist.
        OSError: The URL is not in the cache and cannot be downloaded.
        ValueError: Neither a path nor an http(s) URL.

    Example:
        >>> cached_path(".")
        '.'
    """
    name = os.fspath(url_or_filename)
    if is_url(name):
        return get_from_cache(name, cache_dir)
    scheme = urlparse(name).scheme
    if scheme == "s3":
        raise ValueError(
            f"`url_or_filename` ({name}) must be an http(s) URL or a local path: s3:// is not "
            "supported. Download the file with a tool of your own and pass its path."
        )
    if Path(name).exists():
        return name
    if not scheme:
        raise FileNotFoundError(
            f"`url_or_filename` ({name}) must be an existing path or a URL, but does not exist."
        )
    raise ValueError(f"`url_or_filename` ({name}) must be an http(s) URL or a local path.")


def get_from_cache(url: str, cache_dir: StrPath | None = None) -> str:
    """Returns the path of `url` in the cache; downloads it if it is not there.

    If the server cannot be asked for the current version (ETag), or must not be, as HF_HUB_OFFLINE
    is set, returns the newest copy.

    Raises:
        OSError: It is not in the cache, and cannot be downloaded or written to it.
    """
    folder = cache_folder(cache_dir)
    etag = None if _is_offline() else _server_etag(url)
    cached = folder / url_to_filename(url, etag)
    if etag is None:
        cached = _newest_copy(cached) or cached
    if not cached.exists():
        _download(url, etag, cached)
    return str(cached)


def http_get(url: str, temp_file: BinaryIO) -> None:
    """Downloads `url` into an open file, with a progress bar unless HF_HUB_DISABLE_PROGRESS_BARS
    is set.
    """
    import requests
    from tqdm import tqdm

    with requests.get(
        url, stream=True, timeout=_TIMEOUT_SECONDS, headers=_REQUEST_HEADERS
    ) as response:
        response.raise_for_status()
        size = response.headers.get("Content-Length")
        total = int(size) if size and "Content-Encoding" not in response.headers else None
        hidden = _is_set("HF_HUB_DISABLE_PROGRESS_BARS")
        received = 0
        with tqdm(total=total, unit="B", unit_scale=True, disable=hidden) as progress:
            for chunk in response.iter_content(_CHUNK_BYTES):
                temp_file.write(chunk)
                received += len(chunk)
                progress.update(len(chunk))
        # urllib3 checks this only since version 2.
        if total is not None and received != total:
            raise requests.ConnectionError(f"{received} of {total} bytes received")


def cache_folder(cache_dir: StrPath | None) -> Path:
    """Returns `cache_dir`, or the default cache for None.

    Raises:
        NotADirectoryError: It is a file, or a link to nothing.
    """
    folder = PYTORCH_PRETRAINED_BERT_CACHE if cache_dir is None else Path(cache_dir)
    for part in (folder, *folder.parents):
        if part.is_dir():
            break
        if part.exists() or part.is_symlink():
            found = "a file" if part.exists() else "a link to nothing"
            raise NotADirectoryError(
                f"`cache_dir` ({folder}) must be a directory, but `{part}` is {found}."
            )
    return folder


def write_error(folder: Path, error: OSError) -> OSError | None:
    """Returns what to raise if a download could not be written to the cache, None for any other
    error.
    """
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionError(
            f"`cache_dir` ({folder}) must be a directory that can be written to, but is not."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OSError(
            f"`cache_dir` ({folder}) must have room for the download, but has not "
            f"({error.strerror}). Free some, or pass the path of another `cache_dir`."
        )
    return None


def cached_copy(url: str, cache_dir: StrPath | None = None) -> Path | None:
    """Returns the newest copy of `url` in the cache, or None.

    The default cache is searched under its name of 2019, `~/.pytorch_pretrained_bert`, as well.
    """
    folders = [cache_folder(cache_dir)]
    if cache_dir is None:
        folders.append(Path(os.path.expanduser("~/.pytorch_pretrained_bert")))  # noqa: PTH111
    copies = (_newest_copy(folder / url_to_filename(url)) for folder in folders)
    return next((copy for copy in copies if copy is not None), None)


def _is_set(variable: str) -> bool:
    """As huggingface_hub reads its variables."""
    return os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")


def _is_offline() -> bool:
    return _is_set("HF_HUB_OFFLINE")


def _server_etag(url: str) -> str | None:
    import requests

    try:
        response = requests.head(
            url, allow_redirects=True, timeout=_TIMEOUT_SECONDS, headers=_REQUEST_HEADERS
        )
    except requests.RequestException as error:
        logger.info("%s cannot be reached: %s", url, error)
        return None
    return response.headers.get("ETag") if response.status_code == requests.codes.ok else None


def _newest_copy(cached: Path) -> Path | None:
    copies = [path for path in cached.parent.glob(f"{cached.name}*") if path.suffix != ".json"]
    return max(copies, key=lambda path: path.stat().st_mtime, default=None)


def _download(url: str, etag: str | None, target: Path) -> None:
    import requests

    if _is_offline():
        raise OSError(
            f"`{url}` must be in the cache folder `{target.parent}`, as HF_HUB_OFFLINE forbids to "
            "download it, but is not. Unset the variable, or pass a local path."
        )
    # A unique name, so that processes that download the same file do not collide. Not by tempfile:
    # only their owner can read its files, and a cache may be shared.
    incomplete = target.with_name(f"{uuid.uuid4().hex}.incomplete")
    description = incomplete.with_suffix(".json.incomplete")
    logger.info("downloading %s to %s", url, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with incomplete.open("xb") as file:
            http_get(url, file)
        metadata = json.dumps({"url": url, "etag": etag})
        description.write_text(metadata, encoding="utf-8")
        description.replace(target.with_name(target.name + ".json"))
        incomplete.replace(target)
    except requests.RequestException as error:
        raise OSError(
            f"`{url}` could not be downloaded ({error}), and the cache folder `{target.parent}` "
            "holds no copy. Check the address and the connection, or pass a local path."
        ) from error
    except OSError as error:
        if failure := write_error(target.parent, error):
            raise failure from error
        raise
    finally:
        for path in (incomplete, description):
            with suppress(OSError):  # what failed before matters more
                path.unlink(missing_ok=True)
