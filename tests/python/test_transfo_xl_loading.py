"""Loading of Transformer-XL: folders as published, and round trips with 0.6.2."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ptbert
from ptbert import CONFIG_NAME, WEIGHTS_NAME
from support import assert_close, assert_equal, import_or_skip, seed_weights, seeded_ids
from transfo_xl_cases import CASES_BY_NAME, TINY_TRANSFO_XL

CLASSES = ["TransfoXLModel", "TransfoXLLMHeadModel"]
every_class = pytest.mark.parametrize("class_name", CLASSES)
IDS = seeded_ids("input_ids", (2, 4), 0, 29)
# One of each attention, and every way to share.
NAMES = ["paper", "shared_biases", "one_table_projected", "own_projections", "own_weights"]
NAMES += ["learned", "absolute", "deep", "pre_lnorm"]


@pytest.fixture(scope="module")
def original() -> Any:
    return import_or_skip("pytorch_pretrained_bert")


@pytest.fixture
def bool_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.6.2 makes byte masks, which today's torch refuses."""
    monkeypatch.setattr(Tensor, "byte", Tensor.bool)


def build(class_name: str, library: Any = ptbert, **fields: Any) -> Any:
    config = library.TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, **fields})
    model = getattr(library, class_name)(config)
    seed_weights(model)
    return model.eval()


def save(model: Any, folder: Path, state: dict[str, Tensor] | None = None) -> Path:
    """Saves as 2019's documentation says, with another state dict when one is given."""
    torch.save(model.state_dict() if state is None else state, folder / WEIGHTS_NAME)
    model.config.to_json_file(str(folder / CONFIG_NAME))
    return folder


def load(class_name: str, folder: Path, library: Any = ptbert) -> Any:
    return getattr(library, class_name).from_pretrained(str(folder)).eval()


def outputs_of(model: Any) -> list[Tensor]:
    with torch.no_grad():
        output, mems = model(IDS)
        return [output, *mems]


def assert_all_close(actual: list[Tensor], expected: list[Tensor]) -> None:
    for left, right in zip(actual, expected, strict=True):
        assert_close(left, right)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("ptbert.") and record.levelno >= logging.WARNING
    ]


def test_published_name_is_known() -> None:
    maps = ptbert.modeling_transfo_xl
    url = maps.PRETRAINED_MODEL_ARCHIVE_MAP["transfo-xl-wt103"]
    assert url.endswith("transfo-xl/transfo-xl-wt103/resolve/main/pytorch_model.bin")


@every_class
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(
    class_name: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(class_name, **CASES_BY_NAME[name].config)
    again = load(class_name, save(model, tmp_path))
    assert warnings_of(caplog) == []
    for key, tensor in model.state_dict().items():
        assert_equal(again.state_dict()[key], tensor)
    assert_all_close(outputs_of(again), outputs_of(model))


@pytest.mark.usefixtures("bool_masks")
@pytest.mark.filterwarnings("ignore")  # what the original warns about
@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("name", NAMES)
def test_files_go_both_ways(
    class_name: str, name: str, original: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fields = CASES_BY_NAME[name].config
    model = build(class_name, **fields)
    theirs = load(class_name, save(model, tmp_path), original)
    assert list(theirs.state_dict()) == list(model.state_dict())
    assert_all_close(outputs_of(theirs), outputs_of(model))
    theirs = build(class_name, original, **fields)
    model = load(class_name, save(theirs, tmp_path))
    assert warnings_of(caplog) == []
    assert_all_close(outputs_of(model), outputs_of(theirs))


def test_trunk_and_head_take_each_other_s_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = build("TransfoXLLMHeadModel")
    trunk = load("TransfoXLModel", save(head, tmp_path))
    assert_all_close(outputs_of(trunk), outputs_of(head.transformer))
    assert all("crit." in name for name in warnings_of(caplog)[0].split(": ")[-1].split(", "))
    caplog.clear()
    again = load("TransfoXLLMHeadModel", save(trunk, tmp_path))
    assert_all_close(outputs_of(again.transformer), outputs_of(trunk))
    (warning,) = warnings_of(caplog)
    # Of the head all is missing but what it shares.
    assert "crit.cluster_weight" in warning
    assert "crit.out_layers.0.bias" in warning
    assert "crit.out_layers.0.weight" not in warning


def test_published_file_has_no_frequencies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build("TransfoXLLMHeadModel")
    state = {name: t for name, t in model.state_dict().items() if not name.endswith("inv_freq")}
    again = load("TransfoXLLMHeadModel", save(model, tmp_path, state))
    assert warnings_of(caplog) == []
    assert_all_close(outputs_of(again), outputs_of(model))


def test_weights_that_are_shared_must_be_equal_in_the_file(tmp_path: Path) -> None:
    model = build("TransfoXLLMHeadModel")
    for name in ("crit.out_layers.1.weight", "crit.out_projs.2"):
        state = {**model.state_dict(), name: model.state_dict()[name] + 1}
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load("TransfoXLLMHeadModel", save(model, tmp_path, state))


def test_sizes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = build("TransfoXLLMHeadModel")
    save(model, tmp_path)
    model.config.d_inner = 16
    model.config.to_json_file(tmp_path / CONFIG_NAME)
    with pytest.raises(ValueError, match=r"transformer\.layers\.0\.pos_ff\.CoreNet\.0\.weight"):
        load("TransfoXLLMHeadModel", tmp_path)


def test_head_of_the_user_s_own_is_loaded(tmp_path: Path) -> None:
    class Scorer(ptbert.modeling_transfo_xl.TransfoXLPreTrainedModel):
        def __init__(self, config: ptbert.TransfoXLConfig) -> None:
            super().__init__(config)
            self.transformer = ptbert.TransfoXLModel(config)
            self.score = torch.nn.Linear(config.d_model, 1)
            self.apply(self.init_weights)

        def forward(self, input_ids: Tensor) -> Any:
            last_hidden, mems = self.transformer(input_ids)
            return self.score(last_hidden), mems

    model = build("TransfoXLLMHeadModel")
    scorer = Scorer.from_pretrained(save(model, tmp_path)).eval()
    assert scorer(IDS)[0].shape == (2, 4, 1)
    assert_equal(scorer(IDS)[1][1], model(IDS)[1][1])
    assert 0 < float(scorer.score.weight.detach().std()) < 0.05


@every_class
@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_and_what_comes_next_are_as_drawn(
    name: str, class_name: str, tmp_path: Path
) -> None:
    """Although weights that the checkpoint has are not drawn."""
    model = build(class_name, **CASES_BY_NAME[name].config)
    state = model.state_dict()
    tied = (
        {weight.data_ptr() for weight in model.transformer.state_dict().values()}
        if (class_name == "TransfoXLLMHeadModel")
        else set()
    )
    kept = {
        key: weight
        for i, (key, weight) in enumerate(state.items())
        if i % 3 > 0 and not (key.startswith("crit.") and weight.data_ptr() in tied)
    }
    save(model, tmp_path, kept)
    torch.manual_seed(4)
    expected = getattr(ptbert, class_name)(model.config)
    next_numbers = torch.rand(3)
    expected.load_state_dict(kept, strict=False)
    torch.manual_seed(4)
    loaded = getattr(ptbert, class_name).from_pretrained(tmp_path)
    assert torch.equal(torch.rand(3), next_numbers)
    for key, weight in loaded.state_dict().items():
        assert_equal(weight, expected.state_dict()[key])
