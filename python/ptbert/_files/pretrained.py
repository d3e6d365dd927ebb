"""The table of published models, and finding files by name, directory, archive or URL."""

from __future__ import annotations

import gzip
import logging
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal

from .. import _C
from ..file_utils import (
    BERT_CONFIG_NAME,
    CONFIG_NAME,
    SAFETENSORS_NAME,
    WEIGHTS_NAME,
    StrPath,
    cache_folder,
    cached_copy,
    cached_path,
    is_url,
    not_writable,
)
from .shards import INDEX_SUFFIX, shards_of

logger = logging.getLogger(__name__)

Family = Literal["bert", "openai-gpt", "gpt2", "transfo-xl"]

VOCABULARY_NAMES: dict[Family, str] = {
    "bert": "vocab.txt",
    "openai-gpt": "vocab.json",
    "gpt2": "vocab.json",
    "transfo-xl": "vocab.bin",
}
# In order of preference.
_CONFIG_NAMES: dict[Family, tuple[str, ...]] = {
    "bert": (CONFIG_NAME, BERT_CONFIG_NAME),
    "openai-gpt": (CONFIG_NAME, "openai_gpt_config.json"),
    "gpt2": (CONFIG_NAME,),
    "transfo-xl": (CONFIG_NAME,),
}

MERGES_NAME = "merges.txt"
SPECIAL_TOKENS_NAME = "special_tokens.txt"
CORPUS_NAME = "corpus.bin"

# In order of preference: each in one file, or else in shards.
_WEIGHTS_NAMES = (
    SAFETENSORS_NAME,
    SAFETENSORS_NAME + INDEX_SUFFIX,
    WEIGHTS_NAME,
    WEIGHTS_NAME + INDEX_SUFFIX,
)
# Of TensorFlow checkpoints and OpenAI's NumPy files: a configuration, and the files in archives.
_TF_CONFIG_NAME = "hparams.json"
_TF_FILE = re.compile(
    r"checkpoint|.+\.index|.+\.data-\d{5}-of-\d{5}|params_shapes\.json|params_\d\.npy"
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Pretrained:
    """One published model.

    Attributes:
        name: The shortcut name that `from_pretrained` takes.
        family: The architecture it belongs to.
        hub_id: Its repository on the Hugging Face Hub.
        max_len: The longest input in tokens; None for no limit.

    Example:
        >>> PRETRAINED["gpt2"].url("config.json")
        'https://huggingface.co/openai-community/gpt2/resolve/main/config.json'
    """

    name: str
    family: Family
    hub_id: str
    max_len: int | None

    def url(self, filename: str) -> str:
        """Returns the URL of one of its files."""
        return f"https://huggingface.co/{self.hub_id}/resolve/main/{filename}"


def _bert(name: str) -> Pretrained:
    return Pretrained(name, "bert", f"google-bert/{name}", 512)


PRETRAINED: dict[str, Pretrained] = {
    model.name: model
    for model in (
        _bert("bert-base-uncased"),
        _bert("bert-large-uncased"),
        _bert("bert-base-cased"),
        _bert("bert-large-cased"),
        _bert("bert-base-multilingual-uncased"),
        _bert("bert-base-multilingual-cased"),
        _bert("bert-base-chinese"),
        _bert("bert-base-german-cased"),
        _bert("bert-large-uncased-whole-word-masking"),
        _bert("bert-large-cased-whole-word-masking"),
        _bert("bert-large-uncased-whole-word-masking-finetuned-squad"),
        _bert("bert-large-cased-whole-word-masking-finetuned-squad"),
        _bert("bert-base-cased-finetuned-mrpc"),
        Pretrained("openai-gpt", "openai-gpt", "openai-community/openai-gpt", 512),
        Pretrained("gpt2", "gpt2", "openai-community/gpt2", 1024),
        Pretrained("gpt2-medium", "gpt2", "openai-community/gpt2-medium", 1024),
        Pretrained("transfo-xl-wt103", "transfo-xl", "transfo-xl/transfo-xl-wt103", None),
    )
}

# Hub ids by names without an owner that users know them by. They are not of 2019: no dictionary of
# that time has them, and a directory of that name comes first.
_LATER_NAMES = {
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
}


def archive_map(family: Family, filename: str) -> dict[str, str]:
    """Returns {name: URL of `filename`}: the PRETRAINED_*_ARCHIVE_MAP dictionaries."""
    return {model.name: model.url(filename) for model in _models(family)}


def max_len_map(family: Family) -> dict[str, int]:
    """Returns {name: longest input}: PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP."""
    return {m.name: m.max_len for m in _models(family) if m.max_len is not None}


def _models(family: Family) -> list[Pretrained]:
    return [model for model in PRETRAINED.values() if model.family == family]


@dataclass(frozen=True)
class ModelFiles:
    """The files a model is built from.

    Attributes:
        config: The JSON configuration.
        weights: A .safetensors or PyTorch checkpoint, or the index beside its shards; None without
            `need_weights`.

    Example:
        >>> ModelFiles(Path("config.json"), None).config.name
        'config.json'
    """

    config: Path
    weights: Path | None


def resolve_vocabulary(
    name_or_path: StrPath, cache_dir: StrPath | None = None, family: Family = "bert"
) -> Path:
    """Finds a vocabulary file by its path, directory or URL, or by a model's name or Hub id.

    It may be a .tar.gz archive: open it with `vocabulary_inside`.

    Raises:
        OSError: There is none; the message says what was looked for and where.
    """
    filenames = (VOCABULARY_NAMES[family],)
    if repository := _hub_repository(name_or_path, family):
        return _from_hub(name_or_path, repository, filenames, cache_dir)
    path = _local_path(name_or_path, cache_dir, family)
    return _first_of(filenames, path, path) if path.is_dir() else path


@contextmanager
def vocabulary_inside(file: StrPath, family: Family = "bert") -> Iterator[Path]:
    """Yields a vocabulary file, or that inside a .tar.gz archive until the context ends.

    Raises:
        OSError: The archive is damaged or has no vocabulary.
    """
    path, names = Path(file), (VOCABULARY_NAMES[family],)
    if not _is_archive(path):
        yield path
        return
    with _extracted(path, names.__contains__, _either(names)) as folder:
        yield _first_of(names, folder, path)


@contextmanager
def resolve_bpe_files(
    name_or_path: StrPath, cache_dir: StrPath | None, family: Family
) -> Iterator[tuple[Path, Path, Path | None]]:
    """Finds vocab.json, merges.txt and, if there is one, special_tokens.txt, in a directory, a
    .tar.gz archive (also by URL) or the Hub.

    Files extracted from an archive are deleted when the context ends.

    Raises:
        OSError: One of the first two is missing; the message says what was looked for and where.
    """
    vocab_name, merges_name = VOCABULARY_NAMES[family], MERGES_NAME
    if repository := _hub_repository(name_or_path, family):
        yield (
            _from_hub(name_or_path, repository, (vocab_name,), cache_dir),
            _from_hub(name_or_path, repository, (merges_name,), cache_dir),
            None,
        )
        return
    path = _local_path(name_or_path, cache_dir, family)
    if path.is_dir():
        yield _bpe_files(path, path, vocab_name)
        return
    if not _is_archive(path):
        raise NotADirectoryError(
            f"`{name_or_path}` must be a directory or a .tar.gz archive with `{vocab_name}` and "
            f"`{merges_name}`, but is another file. Pass the directory, or make the tokenizer from "
            "the two files."
        )
    names = (vocab_name, merges_name, SPECIAL_TOKENS_NAME)
    contents = f"`{vocab_name}` and `{merges_name}`"
    with _extracted(path, names.__contains__, contents) as folder:
        yield _bpe_files(folder, path, vocab_name)


def _bpe_files(folder: Path, origin: Path, vocab_name: str) -> tuple[Path, Path, Path | None]:
    special_tokens = folder / SPECIAL_TOKENS_NAME
    return (
        _first_of((vocab_name,), folder, origin),
        _first_of((MERGES_NAME,), folder, origin),
        special_tokens if special_tokens.is_file() else None,
    )


@contextmanager
def resolve_corpus(name_or_path: StrPath, cache_dir: StrPath | None = None) -> Iterator[Path]:
    """Finds the corpus.bin of Transformer-XL in a directory, a .tar.gz archive (also by URL) or
    the Hub.

    A file extracted from an archive is deleted when the context ends.

    Raises:
        OSError: There is none; the message says what was looked for and where.
    """
    names = (CORPUS_NAME,)
    if repository := _hub_repository(name_or_path, "transfo-xl"):
        yield _from_hub(name_or_path, repository, names, cache_dir)
        return
    path = _local_path(name_or_path, cache_dir, "transfo-xl")
    if path.is_dir() or not _is_archive(path):
        yield _first_of(names, path, path)
        return
    with _extracted(path, names.__contains__, _either(names)) as folder:
        yield _first_of(names, folder, path)


@contextmanager
def resolve_model(
    name_or_path: StrPath,
    cache_dir: StrPath | None = None,
    family: Family = "bert",
    *,
    need_weights: bool = True,
) -> Iterator[ModelFiles]:
    """Finds configuration and weights in a directory, a .tar.gz archive (also by URL) or the Hub.

    Files extracted from an archive are deleted when the context ends.

    Raises:
        OSError: There are none; the message says what was looked for and where.
        ValueError: The index of a checkpoint in shards is damaged.
    """
    repository = _hub_repository(name_or_path, family)
    archive = _cached_in_2019(name_or_path, ".tar.gz", cache_dir)
    if repository is not None and archive is None:
        config = _from_hub(name_or_path, repository, (CONFIG_NAME,), cache_dir)
        weights = None
        if need_weights:
            weights = _from_hub(name_or_path, repository, _WEIGHTS_NAMES, cache_dir)
            for shard in shards_of(weights):
                _from_hub(name_or_path, repository, (shard,), cache_dir)
        yield ModelFiles(config, weights)
        return
    path = archive or _local_path(name_or_path, cache_dir, family)
    names = _CONFIG_NAMES[family], _WEIGHTS_NAMES if need_weights else ()
    if path.is_dir():
        yield _model_files(path, path, *names)
        return
    contents = f"{_either(names[0])} and weights"
    with _extracted(path, sum(names, ()).__contains__, contents, weights=names[1]) as folder:
        yield _model_files(folder, path, *names)


@contextmanager
def resolve_tf_model(
    path: StrPath, cache_dir: StrPath | None = None, family: Family = "bert"
) -> Iterator[ModelFiles]:
    """Finds the configuration and TensorFlow's checkpoint in a directory or a .tar.gz archive (also
    by URL), or beside the PREFIX of a checkpoint. OpenAI's GPT has NumPy files in its place.

    Raises:
        OSError: There are none; the message says what was looked for and where.
    """
    configs = (*_CONFIG_NAMES[family], _TF_CONFIG_NAME)
    prefix = Path(path)
    if not prefix.exists() and _C.is_tf_checkpoint(str(prefix)):
        yield ModelFiles(_first_of(configs, prefix.parent, prefix.parent), prefix)
        return
    if _hub_repository(path, family) is not None:
        raise OSError(
            f"`{path}` must be the path of a directory or archive with a TensorFlow checkpoint "
            "with `from_tf`, but is a name."
        )
    found = _local_path(path, cache_dir, family)
    if found.is_dir():
        yield ModelFiles(_first_of(configs, found, found), found)
        return

    def is_wanted(name: str) -> bool:
        return name in configs or _TF_FILE.fullmatch(name) is not None

    contents = f"{_either(configs)} and a TensorFlow checkpoint"
    with _extracted(found, is_wanted, contents) as folder:
        yield ModelFiles(_first_of(configs, folder, found), folder)


@contextmanager
def resolve_checkpoint(
    name_or_path: StrPath, cache_dir: StrPath | None = None, *, with_vocabulary: bool = False
) -> Iterator[ModelFiles]:
    """Finds a checkpoint of any family and format: by a path, which comes before a name, PREFIX of
    a TensorFlow checkpoint, a .tar.gz archive (also by URL), or a model's name or Hub id.

    Yields what is to be read as `weights`, and as `config` the configuration or the folder that it
    is in. Files extracted from an archive are deleted when the context ends.

    Args:
        with_vocabulary: Whether what there is of a vocabulary in the Hub is put beside the weights.

    Raises:
        OSError: It is neither in the cache nor can be downloaded, or the archive is damaged.
    """
    path = Path(name_or_path)
    name = str(name_or_path)
    if not path.exists() and not _C.is_tf_checkpoint(name):
        published = PRETRAINED.get(name)
        family = published.family if published else "bert"
        if repository := _hub_repository(name, family):
            with resolve_model(name, cache_dir, family) as files:
                for filename in (
                    {*VOCABULARY_NAMES.values(), MERGES_NAME} if with_vocabulary else ()
                ):
                    with suppress(OSError):
                        _from_hub(name, repository, (filename,), cache_dir)
                yield files
            return
        if is_url(name):
            path = Path(cached_path(name, cache_dir))
    if path.is_file() and _is_archive(path):
        configs = {*sum(_CONFIG_NAMES.values(), ()), _TF_CONFIG_NAME}
        vocabularies = {*VOCABULARY_NAMES.values(), MERGES_NAME, SPECIAL_TOKENS_NAME}
        known = {*configs, *vocabularies, *_WEIGHTS_NAMES}

        def is_wanted(name: str) -> bool:
            return name in known or _TF_FILE.fullmatch(name) is not None

        contents = "a checkpoint and its configuration"
        with _extracted(path, is_wanted, contents, weights=_WEIGHTS_NAMES) as folder:
            yield ModelFiles(folder, folder)
        return
    yield ModelFiles(path if path.is_dir() else path.parent, path)


def _hub_repository(name_or_path: StrPath, family: Family) -> str | None:
    if not isinstance(name_or_path, str):
        return None
    if model := PRETRAINED.get(name_or_path):
        if model.family != family:
            raise OSError(
                f"`{name_or_path}` must be the name of a {family} model ({_names(family)}), but "
                f"belongs to {model.family}."
            )
        return model.hub_id
    hub_id = _LATER_NAMES.get(name_or_path, name_or_path)
    if _HUB_ID.fullmatch(hub_id) and not Path(name_or_path).exists():
        return hub_id
    return None


def _from_hub(
    name: StrPath, repository: str, filenames: tuple[str, ...], cache_dir: StrPath | None
) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    folder = cache_folder(cache_dir)
    cause: Exception | None = None
    for filename in filenames:
        if cached := _cached_in_2019(name, f"-{filename}", cache_dir):
            return cached
    for filename in filenames:
        try:
            return Path(hf_hub_download(repository, filename, cache_dir=folder))
        except EntryNotFoundError as error:
            cause = error
        except PermissionError as error:
            raise not_writable(folder) from error
        except Exception as error:  # The HTTP libraries in use share no exception class.
            cause = error
            break
    local = Path(name).absolute()
    raise OSError(
        f"{_either(filenames)} of `{repository}` must be on the Hugging Face Hub or in the cache "
        f"folder `{folder}`, but is in neither, or the Hub cannot be reached "
        f"({type(cause).__name__}); the local path `{local}` "
        f"{'exists, pass it in full to load it' if local.exists() else 'does not exist'}. Check "
        "name and connection, or download the files and pass the path of their directory."
    ) from cause


def _cached_in_2019(name: StrPath, suffix: str, cache_dir: StrPath | None) -> Path | None:
    """The file that the library of 2019 has downloaded for a shortcut name, if it is in the cache.

    It found archives of BERT models under `{name}.tar.gz`, other files under `{name}-{filename}`.
    """
    if name not in PRETRAINED:
        return None
    return cached_copy(
        f"https://s3.amazonaws.com/models.huggingface.co/bert/{name}{suffix}", cache_dir
    )


def _local_path(name_or_path: StrPath, cache_dir: StrPath | None, family: Family) -> Path:
    try:
        return Path(cached_path(name_or_path, cache_dir))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"`{name_or_path}` must be an existing file or directory (there is no "
            f"`{Path(name_or_path).absolute()}`), a URL, a Hub id (owner/name) or one of the names "
            f"{_names(family)}."
        ) from error
    except ValueError as error:
        raise OSError(str(error)) from error


def _names(family: Family) -> str:
    return ", ".join(model.name for model in _models(family))


def _either(names: tuple[str, ...]) -> str:
    """Words for a message; an index goes without saying."""
    return " or ".join(f"`{name}`" for name in names if not name.endswith(INDEX_SUFFIX))


def _first_of(names: tuple[str, ...], folder: Path, origin: Path) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"`{origin}` must contain {_either(names)}, but does not. Put the file there, under that "
        "name, or pass another path."
    )


def _model_files(
    folder: Path, origin: Path, configs: tuple[str, ...], weights: tuple[str, ...]
) -> ModelFiles:
    config = _first_of(configs, folder, origin)
    present = [name for name in weights if (folder / name).is_file()]
    if len(present) > 1:
        logger.warning("`%s` holds %s; %s is loaded.", origin, " and ".join(present), present[0])
    if not weights:
        return ModelFiles(config, None)
    chosen = _first_of(weights, folder, origin)
    for shard in shards_of(chosen):
        if not (folder / shard).is_file():
            raise FileNotFoundError(
                f"`{origin}` must contain `{shard}`, which its `{chosen.name}` names, but does "
                "not. Put the file there, or pass another path."
            )
    return ModelFiles(config, chosen)


def _is_archive(path: Path) -> bool:
    """Whether a file is, or by its name should be, a .tar.gz archive."""
    if path.name.endswith((".tar.gz", ".tgz")):
        return True
    with path.open("rb") as file:  # a download has a hash for a name
        return file.read(2) == b"\x1f\x8b"  # RFC 1952: the first bytes of gzip


@contextmanager
def _extracted(
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
