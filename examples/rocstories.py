"""ROCStories, the Story Cloze Test: four sentences and two endings, one of which is right."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import inputs
from inputs import Batch
from ptbert import OpenAIGPTTokenizer
from ptbert.training import track

SPECIAL_TOKENS = ("_start_", "_delimiter_", "_classify_")
COLUMNS = 8  # id, four sentences, two endings, number of the right one
IGNORED = -1


@dataclass(frozen=True)
class Story:
    """One line of a file."""

    beginning: str
    endings: tuple[str, str]
    label: int
    """Index of the right ending."""


@dataclass(frozen=True)
class Features:
    """A story as the model reads it."""

    choices: tuple[list[int], list[int]]
    """`_start_ beginning _delimiter_ ending _classify_` with each ending."""
    label: int


def read_stories(path: Path) -> list[Story]:
    """The stories of a CSV file with a header; an error names a line that is not one."""
    lines = csv.reader(io.StringIO(inputs.read_text(path)), strict=True)
    stories = []
    try:
        for cells in lines:
            if lines.line_num == 1 or not cells:
                continue
            if len(cells) != COLUMNS or cells[-1] not in ("1", "2"):
                raise ValueError(
                    f"{path}, line {lines.line_num}: a story must have {COLUMNS} cells, the last "
                    f"of them 1 or 2, but has {len(cells)} cells, the last of them {cells[-1]!r}."
                )
            stories.append(Story(" ".join(cells[1:5]), (cells[5], cells[6]), int(cells[7]) - 1))
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}.") from None
    if not stories:
        raise ValueError(f"{path} must hold stories after a line of titles, but holds none.")
    return stories


def make_features(
    stories: Sequence[Story], tokenizer: OpenAIGPTTokenizer, n_positions: int
) -> list[Features]:
    """The stories as token ids; beginnings and endings are cut to half the window each."""
    start, delimiter, classify = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    longest = n_positions // 2 - 2
    features = []
    for story in track(stories, desc="Tokenizing", unit="story"):
        beginning = tokenizer.encode(story.beginning)[:longest]
        first, second = (
            [start, *beginning, delimiter, *tokenizer.encode(ending)[:longest], classify]
            for ending in story.endings
        )
        features.append(Features((first, second), story.label))
    return features


def length_of(features: Features) -> int:
    """Tokens of the longer choice."""
    return max(map(len, features.choices))


def collate(rows: Sequence[Features]) -> Batch:
    """Features as `input_ids` and `lm_labels` `[batch, 2, seq]`, `mc_token_ids` `[batch, 2]` (the
    places of `_classify_`) and `mc_labels` `[batch]`."""
    length = max(map(length_of, rows))
    choices = [choice for row in rows for choice in row.choices]
    labels = [[*choice, *[IGNORED] * (length - len(choice))] for choice in choices]
    last = [[len(choice) - 1 for choice in row.choices] for row in rows]
    return {
        "input_ids": inputs.pad(choices, length).view(len(rows), 2, length),
        "lm_labels": torch.tensor(labels).view(len(rows), 2, length),
        "mc_token_ids": torch.tensor(last),
        "mc_labels": torch.tensor([row.label for row in rows]),
    }
