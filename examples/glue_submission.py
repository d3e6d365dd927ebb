"""Test files of GLUE, which have no labels, and the files that its site takes answers in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glue import Example, Label, Task
from inputs import read_lines

logger = logging.getLogger(__name__)

HIGHEST_SIMILARITY = 5.0  # of STS-B; the site refuses values beyond


@dataclass(frozen=True)
class UnlabelledFile:
    """A file to predict: columns are counted from 0; the first one numbers the examples."""

    name: str
    """Its name in the data folder."""
    submission: str
    """The name of the file with the answers."""
    text_a: int
    """Column of the first text."""
    text_b: int | None
    """Column of the second text; `None` for single sentences."""
    is_optional: bool = False
    """Whether it is predicted only where it is there."""


TEST_FILES = {
    "CoLA": (UnlabelledFile("test.tsv", "CoLA.tsv", 1, None),),
    "SST-2": (UnlabelledFile("test.tsv", "SST-2.tsv", 1, None),),
    "MRPC": (UnlabelledFile("test.tsv", "MRPC.tsv", 3, 4),),
    "STS-B": (UnlabelledFile("test.tsv", "STS-B.tsv", 7, 8),),
    "QQP": (UnlabelledFile("test.tsv", "QQP.tsv", 1, 2),),
    "MNLI": (
        UnlabelledFile("test_matched.tsv", "MNLI-m.tsv", 8, 9),
        UnlabelledFile("test_mismatched.tsv", "MNLI-mm.tsv", 8, 9),
        # The diagnostic data, which a model for MNLI answers.
        UnlabelledFile("diagnostic.tsv", "AX.tsv", 1, 2, is_optional=True),
    ),
    "QNLI": (UnlabelledFile("test.tsv", "QNLI.tsv", 1, 2),),
    "RTE": (UnlabelledFile("test.tsv", "RTE.tsv", 1, 2),),
    "WNLI": (UnlabelledFile("test.tsv", "WNLI.tsv", 1, 2),),
}


def files_to_predict(task: Task, folder: Path) -> list[UnlabelledFile]:
    """The task's test files, without optional ones that are not there."""
    files = TEST_FILES[task.name]
    return [file for file in files if not file.is_optional or (folder / file.name).is_file()]


def read_test_examples(file: UnlabelledFile, path: Path) -> tuple[list[str], list[Example]]:
    """The numbers of the examples, and the examples, whose labels are 0 as they are unknown.

    No line is left out, as each one must be answered, but lines of tabs and spaces only, and a
    first line that names the columns.

    Raises:
        ValueError: A line has too few columns, a wrong number, or the number of another one.
    """
    columns = max(file.text_a, file.text_b or 0) + 1
    line_of: dict[str, int] = {}
    examples = []
    lines = [(n, line) for n, line in enumerate(read_lines(path), start=1) if line.strip()]
    if lines and is_number(lines[0][1].split("\t")[0]):
        logger.warning(
            "%s, line %d: the names of the columns are missing; the line is an example.",
            path,
            lines[0][0],
        )
    else:
        lines = lines[1:]
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) < columns:
            raise ValueError(
                f"{path}, line {number}: there must be at least {columns} tab-separated columns, "
                f"but there are {len(cells)}."
            )
        index = cells[0].strip()
        if not is_number(index):
            raise ValueError(
                f"{path}, line {number}: the first column ({index!r}) must be a whole number."
            )
        if index in line_of:
            raise ValueError(
                f"{path}, line {number}: the number {index} stands in line {line_of[index]} too."
            )
        line_of[index] = number
        text_b = None if file.text_b is None else cells[file.text_b]
        examples.append(Example(cells[file.text_a], text_b, 0))
    if not examples:
        raise ValueError(f"{path} holds no examples.")
    return list(line_of), examples


def is_number(cell: str) -> bool:
    """Whether a cell is a whole number."""
    digits = cell.strip()
    return digits.isascii() and digits.isdigit()


def write_submission(
    task: Task, path: Path, indices: Sequence[str], predicted: Sequence[Label]
) -> None:
    """Write `index` and `prediction` of each example, tab-separated, as the site asks: names of the
    classes, or values from 0 to 5 of a regression."""
    lines = ["index\tprediction\n"]
    for index, value in zip(indices, predicted, strict=True):
        if task.is_regression:
            answer = f"{min(max(float(value), 0.0), HIGHEST_SIMILARITY):.3f}"
        else:
            answer = task.labels[int(value)]
        lines.append(f"{index}\t{answer}\n")
    path.write_text("".join(lines), encoding="utf-8")
