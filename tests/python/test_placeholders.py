"""Names of 2019 whose code is not written yet: importing and asking is free, calling says so."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import ptbert
from ptbert._files.pretrained import PRETRAINED
from test_parity_table import ROWS, find

NAMES = [row.name for row in ROWS if row.status == "placeholder"]


@pytest.mark.parametrize("name", NAMES)
def test_placeholder_raises_when_it_is_called(name: str) -> None:
    found: Any = find(name)
    values: list[Any] = list(found.values()) if isinstance(found, dict) else [found]
    for value in values:
        message = (
            r"is a name of pytorch-pretrained-bert that this version of ptbert does not implement "
            r"yet; PARITY\.md lists what it does\.$"
        )
        with pytest.raises(NotImplementedError, match=message):
            value("anything", option=1)


@pytest.mark.parametrize(
    ("module", "family"),
    [
        ("modeling_openai", "openai-gpt"),
        ("modeling_gpt2", "gpt2"),
        ("modeling_transfo_xl", "transfo-xl"),
    ],
)
def test_constants_of_families_are_real(module: str, family: str) -> None:
    found = importlib.import_module(f"ptbert.{module}")
    names = {model.name for model in PRETRAINED.values() if model.family == family}
    assert found.PRETRAINED_MODEL_ARCHIVE_MAP.keys() == names
    assert all(url.endswith("/config.json") for url in found.PRETRAINED_CONFIG_ARCHIVE_MAP.values())
    assert (found.CONFIG_NAME, found.WEIGHTS_NAME) == ("config.json", "pytorch_model.bin")
    assert ptbert.modeling.TF_WEIGHTS_NAME == "model.ckpt"
