"""Features of texts: `ptbert.analysis.hidden_states`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptbert.analysis import hidden_states
from support import assert_close
from text_models import FAMILIES, TEXTS, alone, load


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any]:
    return load(request.param, tmp_path)


@pytest.fixture
def bert(tmp_path: Path) -> tuple[Any, Any]:
    return load("bert", tmp_path)


@pytest.mark.parametrize("pooling", ["first", "mean", "max"])
def test_pooled_states_are_those_of_each_text_alone(
    family: tuple[Any, Any], pooling: Any, tmp_path: Path
) -> None:
    path = tmp_path / "states.npy"
    file = hidden_states(
        *family, TEXTS, path, layers=[0, 1, -1], pooling=pooling, dtype="float32", batch_size=3
    )
    assert family[0].training
    assert file.layers == [0, 1, 2] and file.offsets is None
    for states, text in zip(np.load(path), TEXTS, strict=True):
        expected = alone(*family, text)
        pooled = {"first": expected[:, 0], "mean": expected.mean(1), "max": expected.amax(1)}
        assert_close(torch.tensor(states), pooled[pooling], atol=1e-5)


def test_without_pooling_all_tokens_are_kept(family: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "states.npy"
    file = hidden_states(*family, TEXTS, path, layers="all", pooling=None, batch_size=3)
    assert file.states.dtype == np.float16
    offsets = np.load(tmp_path / "states.offsets.npy")
    assert offsets.tolist() == file.offsets.tolist()
    for number, text in enumerate(TEXTS):
        states = torch.tensor(file.states[offsets[number] : offsets[number + 1]]).float()
        expected = alone(*family, text).transpose(0, 1)
        assert_close(states, expected.half().float(), atol=4e-3)
    assert sorted(one.name for one in tmp_path.glob("*.npy*")) == [
        "states.npy",
        "states.offsets.npy",
    ]


def test_what_is_wrong_is_named(bert: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "states.npy"

    def fails(kind: type[Exception], message: str, texts: Any = TEXTS, **options: Any) -> None:
        with pytest.raises(kind) as error:
            hidden_states(*bert, texts, options.pop("path", path), **options)
        assert str(error.value) == message
        assert not list(tmp_path.glob("*.npy*"))

    fails(ValueError, "`layers` (3) must be between -3 and 2.", layers=[3])
    fails(ValueError, "`layers` must hold at least one number, but is empty.", layers=[])
    message = '`layers` must be a list of numbers, "all" or "last_four", but is '
    fails(ValueError, message + "'last'.", layers="last")
    fails(TypeError, message + "5.", layers=5)
    fails(TypeError, message + "[0.5].", layers=[0.5])
    fails(ValueError, "`layers` (-4) must be between -3 and 2.", layers="last_four")
    message = '`pooling` must be "first", "mean", "max" or None, but is \'sum\'.'
    fails(ValueError, message, pooling="sum")
    fails(ValueError, '`dtype` must be "float16" or "float32", but is \'int8\'.', dtype="int8")
    fails(ValueError, "`path` must end with .npy, but is states.", path="states")
    missing = tmp_path / "missing"
    fails(FileNotFoundError, f"`path`: there is no folder {missing}.", path=missing / "a.npy")
    fails(ValueError, "`texts` must hold at least one text, but is empty.", texts=[])
    message = '`texts` must be an iterable of texts, but is the str "cat".'
    fails(TypeError, message, texts="cat")
    fails(ValueError, "`batch_size` (0) must be at least 1.", batch_size=0)
    message = "`max_length` (65) must be between 3 and 64, the length that the model can read."
    fails(ValueError, message, max_length=65)
    bert[0].bert.embeddings.LayerNorm.bias.data.fill_(1e6)
    message = '`dtype` must be "float32" for this model, but is "float16": its hidden states have '
    fails(ValueError, message + "numbers above 65504.", layers=[0])
