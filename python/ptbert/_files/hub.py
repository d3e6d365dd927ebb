"""Files of models in the Hugging Face Hub, through huggingface_hub, which knows of mirrors
(HF_ENDPOINT), proxies (HTTPS_PROXY), HF_HUB_OFFLINE and tokens, and locks its cache.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path

from ..file_utils import StrPath, cache_folder, cached_copy, write_error
from .published import LATER_NAMES, PRETRAINED, Family, models_of, published
from .shards import INDEX_SUFFIX

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[\w./-]+")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Repository:
    """A repository of the Hub.

    Attributes:
        id: OWNER/NAME.
        revision: A branch, a tag or a commit; None for the newest of the default branch.

    Example:
        >>> str(Repository("openai-community/gpt2", "main"))
        'openai-community/gpt2@main'
    """

    id: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.id if self.revision is None else f"{self.id}@{self.revision}"


def hub_repository(name_or_path: StrPath, family: Family) -> Repository | None:
    """Returns the repository of a published model or a Hub id, each also as `NAME@REVISION`; None
    for anything else. Paths come before Hub ids, and names of published models before paths.

    Raises:
        OSError: The published model is of another family.
    """
    if not isinstance(name_or_path, str):
        return None
    name, at, revision = name_or_path.partition("@")
    if at and not _REVISION.fullmatch(revision):
        return None
    if model := published(name_or_path):
        if model.family != family:
            raise OSError(
                f"`{name_or_path}` must be the name of a {family} model ({names_of(family)}), but "
                f"belongs to {model.family}."
            )
        return Repository(model.hub_id, revision or None)
    hub_id = LATER_NAMES.get(name, name)
    if _HUB_ID.fullmatch(hub_id) and not Path(name_or_path).exists():
        return Repository(hub_id, revision or None)
    return None


def from_hub(
    name: StrPath, repository: Repository, filenames: tuple[str, ...], cache_dir: StrPath | None
) -> Path:
    """Returns the first of these files that the repository has, from the cache or downloaded.

    What was downloaded has the checksum that the Hub names, or is deleted again.

    Args:
        name: What the user calls the model.
        repository: Where it is.
        filenames: Names in order of preference.
        cache_dir: Where downloaded files are kept.

    Raises:
        OSError: There is none; the message says what was looked for, and where, and why it failed.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    folder = cache_folder(cache_dir)
    for filename in filenames:
        if cached := cached_in_2019(name, f"-{filename}", cache_dir):
            return cached
    cause: Exception | None = None
    for filename in filenames:
        before = _in_cache(repository, filename, folder)
        try:
            path = hf_hub_download(
                repository.id, filename, revision=repository.revision, cache_dir=folder
            )
        except EntryNotFoundError as error:
            cause = error
        except Exception as error:  # The HTTP libraries in use share no exception class.
            cause = error
            break
        else:
            if Path(path) != before:
                _check_hash(Path(path), repository)
            return Path(path)
    if isinstance(cause, OSError) and (failure := write_error(folder, cause)):
        for filename in filenames:
            if kept := _in_cache(repository, filename, folder):
                logger.warning("%s Loading the copy in it, `%s`.", failure, kept)
                return kept
        raise failure from cause
    local = Path(name).absolute()
    raise OSError(
        f"{either(filenames)} of `{repository}` must be on the Hugging Face Hub or in the cache "
        f"folder `{folder}`, but {_reason(repository, cause)}; the local path `{local}` "
        f"{'exists, pass it in full to load it' if local.exists() else 'does not exist'}. Check "
        "name and connection, or download the files and pass the path of their directory."
    ) from cause


def cached_in_2019(name: StrPath, suffix: str, cache_dir: StrPath | None) -> Path | None:
    """Returns the file that the library of 2019 has downloaded for a shortcut name, or None.

    It found archives of BERT models under `{name}.tar.gz`, other files under `{name}-{filename}`.
    """
    if name not in PRETRAINED:
        return None
    return cached_copy(
        f"https://s3.amazonaws.com/models.huggingface.co/bert/{name}{suffix}", cache_dir
    )


def names_of(family: Family) -> str:
    """Returns the names of the published models of a family, for a message."""
    return ", ".join(model.name for model in models_of(family))


def either(names: tuple[str, ...]) -> str:
    """Returns names of files for a message, in which an index goes without saying."""
    return " or ".join(f"`{name}`" for name in names if not name.endswith(INDEX_SUFFIX))


def _in_cache(repository: Repository, filename: str, folder: Path) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        repository.id, filename, cache_dir=folder, revision=repository.revision
    )
    return Path(found) if isinstance(found, str) else None


def _reason(repository: Repository, cause: Exception | None) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(cause, RevisionNotFoundError):
        return f"the Hub knows no revision `{repository.revision}` of `{repository.id}`"
    if isinstance(cause, RepositoryNotFoundError):
        return (
            f"the Hub shows no `{repository.id}` (one that is private or needs consent is shown "
            "after `hf auth login`)"
        )
    if constants.HF_HUB_OFFLINE:
        return "is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub"
    return f"is in neither, or the Hub cannot be reached ({type(cause).__name__})"


def _check_hash(file: Path, repository: Repository) -> None:
    """Compares a file with its name in the cache, which is the checksum that the Hub has sent.

    It is the SHA-256 of large files and git's SHA-1 of small ones, or a mirror's SHA-1; elsewhere
    than in the Hub it may be no checksum at all.
    """
    blob = file.resolve()
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
        return
    if len(blob.name) == 64:
        hashes = [sha256()]
    else:
        hashes = [sha1(b"blob %d\0" % blob.stat().st_size), sha1()]
    with blob.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            for digest in hashes:
                digest.update(chunk)
    if blob.name in (digest.hexdigest() for digest in hashes):
        return
    file.unlink()
    blob.unlink(missing_ok=True)
    raise OSError(
        f"`{file.name}` of `{repository}` must have the checksum {blob.name} that the Hub names, "
        f"but what arrived has {hashes[0].hexdigest()}. It was deleted: load it again, and if that "
        "does not help, look for the fault in the proxy or mirror."
    )
