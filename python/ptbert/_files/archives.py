"""Archives of 2019, .tar.gz: which files are, and the extraction of those that are wanted."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from .shards import shards_of

_CHUNK_BYTES = 1 << 20


def is_archive(path: Path) -> bool:
    """Whether a file is, or by its name should be, a .tar.gz archive."""
    if path.name.endswith((".tar.gz", ".tgz")):
        return True
    with path.open("rb") as file:  # a download has a hash for a name
        return file.read(2) == b"\x1f\x8b"  # RFC 1952: the first bytes of gzip


@contextmanager
def extracted(
    archive: Path,
    is_wanted: Callable[[str], bool],
    contents: str,
    weights: tuple[str, ...] = (),
) -> Iterator[Path]:
    """Yields a temporary folder with the files in a .tar.gz archive whose names are wanted, and the
    shards of the first of `weights` that is there.

    They are at its top or, as `tar czf model.tar.gz model` puts them, in one folder of it.
    """
    with TemporaryDirectory(prefix="ptbert-") as temporary:
        top = Path(temporary)
        _extract(archive, top, is_wanted, contents)
        folder = _only_folder(archive, top, contents)
        present = [folder / name for name in weights if (folder / name).is_file()]
        if present and (shards := shards_of(present[0])):
            # Again from the start: in the archive they may come before their index.
            _extract(archive, top, set(shards).__contains__, contents)
        yield folder


def _only_folder(archive: Path, top: Path, contents: str) -> Path:
    folders = sorted(path for path in top.iterdir() if path.is_dir())
    if not folders or any(path.is_file() for path in top.iterdir()):
        return top
    if len(folders) > 1:
        raise OSError(
            f"`{archive}` must contain {contents} once, but does in the folders "
            f"{', '.join(f'`{path.name}`' for path in folders)}. Extract it, and pass one of them."
        )
    return folders[0]


def _extract(archive: Path, folder: Path, is_wanted: Callable[[str], bool], contents: str) -> None:
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    _check_member(archive, member)
                    parts = PurePosixPath(member.name).parts
                    source = tar.extractfile(member)
                    if source is not None and len(parts) <= 2 and is_wanted(parts[-1]):
                        path = folder.joinpath(*parts)
                        path.parent.mkdir(exist_ok=True)
                        with source, path.open("wb") as target:
                            shutil.copyfileobj(source, target, _CHUNK_BYTES)
            while stream.read(_CHUNK_BYTES):  # gzip checks its checksum only at the end.
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise OSError(
            f"`{archive}` must be a directory or a complete .tar.gz archive with "
            f"{contents}, but cannot be read as one ({error}). Download it again, or pass the "
            "directory with the files."
        ) from error


def _check_member(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        raise OSError(
            f"`{archive}` must contain only files and directories, but its member "
            f"`{member.name}` is a link or a device. Extract it yourself if you trust it, and pass "
            "the directory."
        )
    if path.is_absolute() or ".." in path.parts:
        raise OSError(
            f"`{archive}` must contain only paths inside itself, but has a member "
            f"`{member.name}`. Extract it yourself if you trust it, and pass the directory."
        )
