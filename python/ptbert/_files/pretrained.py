"""Finding the files of models and tokenizers by name, directory, archive or URL."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .. import _C
from ..file_utils import (
    BERT_CONFIG_NAME,
    CONFIG_NAME,
    SAFETENSORS_NAME,
    WEIGHTS_NAME,
    StrPath,
    cached_path,
    is_url,
)
from .archives import extracted, is_archive
from .hub import cached_in_2019, either, from_hub, hub_repository, names_of
from .published import Family, published
from .shards import INDEX_SUFFIX, shards_of

logger = logging.getLogger(__name__)

VOCABULARY_NAMES: dict[Family, str] = {
    "bert": "vocab.txt",
    "openai-gpt": "vocab.json",
    "gpt2": "vocab.json",
    "transfo-xl": "vocab.bin",
}
# Of other libraries, if the file above is missing.
_OTHER_VOCABULARY_NAMES: dict[Family, tuple[str, ...]] = {"transfo-xl": ("vocab.pkl",)}
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
    filenames = _vocabulary_names(family)
    if repository := hub_repository(name_or_path, family):
        return from_hub(name_or_path, repository, filenames, cache_dir)
    path = _local_path(name_or_path, cache_dir, family)
    return _first_of(filenames, path, path) if path.is_dir() else path


def _vocabulary_names(family: Family) -> tuple[str, ...]:
    """In order of preference."""
    return VOCABULARY_NAMES[family], *_OTHER_VOCABULARY_NAMES.get(family, ())


@contextmanager
def vocabulary_inside(file: StrPath, family: Family = "bert") -> Iterator[Path]:
    """Yields a vocabulary file, or that inside a .tar.gz archive until the context ends.

    Raises:
        OSError: The archive is damaged or has no vocabulary.
    """
    path, names = Path(file), _vocabulary_names(family)
    if not is_archive(path):
        yield path
        return
    with extracted(path, names.__contains__, either(names)) as folder:
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
    if repository := hub_repository(name_or_path, family):
        yield (
            from_hub(name_or_path, repository, (vocab_name,), cache_dir),
            from_hub(name_or_path, repository, (merges_name,), cache_dir),
            None,
        )
        return
    path = _local_path(name_or_path, cache_dir, family)
    if path.is_dir():
        yield _bpe_files(path, path, vocab_name)
        return
    if not is_archive(path):
        raise NotADirectoryError(
            f"`{name_or_path}` must be a directory or a .tar.gz archive with `{vocab_name}` and "
            f"`{merges_name}`, but is another file. Pass the directory, or make the tokenizer from "
            "the two files."
        )
    names = (vocab_name, merges_name, SPECIAL_TOKENS_NAME)
    contents = f"`{vocab_name}` and `{merges_name}`"
    with extracted(path, names.__contains__, contents) as folder:
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
    if repository := hub_repository(name_or_path, "transfo-xl"):
        yield from_hub(name_or_path, repository, names, cache_dir)
        return
    path = _local_path(name_or_path, cache_dir, "transfo-xl")
    if path.is_dir() or not is_archive(path):
        yield _first_of(names, path, path)
        return
    with extracted(path, names.__contains__, either(names)) as folder:
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
    repository = hub_repository(name_or_path, family)
    archive = cached_in_2019(name_or_path, ".tar.gz", cache_dir)
    if repository is not None and archive is None:
        config = from_hub(name_or_path, repository, (CONFIG_NAME,), cache_dir)
        weights = None
        if need_weights:
            weights = from_hub(name_or_path, repository, _WEIGHTS_NAMES, cache_dir)
            for shard in shards_of(weights):
                from_hub(name_or_path, repository, (shard,), cache_dir)
        yield ModelFiles(config, weights)
        return
    path = archive or _local_path(name_or_path, cache_dir, family)
    names = _CONFIG_NAMES[family], _WEIGHTS_NAMES if need_weights else ()
    if path.is_dir():
        yield _model_files(path, path, *names)
        return
    contents = f"{either(names[0])} and weights"
    with extracted(path, sum(names, ()).__contains__, contents, weights=names[1]) as folder:
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
    if hub_repository(path, family) is not None:
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

    contents = f"{either(configs)} and a TensorFlow checkpoint"
    with extracted(found, is_wanted, contents) as folder:
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
        model = published(name)
        family = model.family if model else "bert"
        if repository := hub_repository(name, family):
            with resolve_model(name, cache_dir, family) as files:
                for filename in (
                    {*VOCABULARY_NAMES.values(), MERGES_NAME} if with_vocabulary else ()
                ):
                    with suppress(OSError):
                        from_hub(name, repository, (filename,), cache_dir)
                yield files
            return
        if is_url(name):
            path = Path(cached_path(name, cache_dir))
    if path.is_file() and is_archive(path):
        configs = {*sum(_CONFIG_NAMES.values(), ()), _TF_CONFIG_NAME}
        vocabularies = {*VOCABULARY_NAMES.values(), MERGES_NAME, SPECIAL_TOKENS_NAME}
        known = {*configs, *vocabularies, *_WEIGHTS_NAMES}

        def is_wanted(name: str) -> bool:
            return name in known or _TF_FILE.fullmatch(name) is not None

        contents = "a checkpoint and its configuration"
        with extracted(path, is_wanted, contents, weights=_WEIGHTS_NAMES) as folder:
            yield ModelFiles(folder, folder)
        return
    yield ModelFiles(path if path.is_dir() else path.parent, path)


def _local_path(name_or_path: StrPath, cache_dir: StrPath | None, family: Family) -> Path:
    try:
        return Path(cached_path(name_or_path, cache_dir))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"`{name_or_path}` must be an existing file or directory (there is no "
            f"`{Path(name_or_path).absolute()}`), a URL, a Hub id (owner/name) or one of the names "
            f"{names_of(family)}."
        ) from error
    except ValueError as error:
        raise OSError(str(error)) from error


def _first_of(names: tuple[str, ...], folder: Path, origin: Path) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"`{origin}` must contain {either(names)}, but does not. Put the file there, under that "
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
