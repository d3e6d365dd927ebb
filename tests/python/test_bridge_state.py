"""Copies, pickles and state dicts are those of the Python tree."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
import ptbert
from model_cases import flat_outputs
from plain_models import halved_state, loss_of, new_model, part_of, path_of
from ptbert import BertConfig
from support import assert_close, assert_equal, seed_weights

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def pair(class_name: str, ids: tuple[Tensor, ...]) -> tuple[Any, Any]:
    """A model that has been called, and its counterpart in plain PyTorch."""
    model, plain = plain_models.make_pair(class_name)
    model(*ids)
    return model, plain


def meta_model(class_name: str) -> Any:
    """A model without storage, which has been called."""
    with torch.device("meta"):
        model = new_model(class_name)
    tensors = [*model.parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    inputs = (tensor.to("meta") for tensor in plain_models.ids(class_name))
    assert {output.device.type for output in flat_outputs(model(*inputs))} == {"meta"}
    return model


def tie(tree: Any) -> None:
    """Ties the weights again that `nn.Module` unties when it assigns them; ours stay tied."""
    if hasattr(tree, "lm_head"):
        part_of(tree, "words").weight = tree.lm_head.decoder.weight
    if hasattr(tree, "crit"):
        trunk, softmax = tree.transformer, tree.crit
        for i, layer in enumerate(softmax.out_layers):
            trunk.word_emb.emb_layers[i].weight = layer.weight
            if tree.config.tie_projs[i]:
                trunk.word_emb.emb_projs[i] = softmax.out_projs[i]
        last = trunk.layers[-1].dec_attn
        for owner in (trunk, *(layer.dec_attn for layer in trunk.layers)):
            owner.r_w_bias, owner.r_r_bias = last.r_w_bias, last.r_r_bias


def train(tree: Any, class_name: str) -> None:
    """One step of SGD, in which dropout draws alike in both trees."""
    optimizer = torch.optim.SGD(tree.parameters(), lr=0.1)
    with plain_models.plain_paths():
        torch.manual_seed(2)
        loss_of(tree(**plain_models.batch_and_labels(class_name))).backward()
    optimizer.step()


def test_meta_model_is_filled_by_loading(pair: tuple[Any, Any], class_name: str) -> None:
    empty = meta_model(class_name)
    empty.to_empty(device="cpu").load_state_dict(pair[1].state_dict())
    plain_models.assert_agree(empty, pair[1], class_name)


def test_meta_model_takes_assigned_tensors(pair: tuple[Any, Any], class_name: str) -> None:
    empty = meta_model(class_name)
    state = pair[1].state_dict()
    empty.load_state_dict(state, assign=True)
    plain_models.assert_agree(empty, pair[1], class_name)
    for name, tensor in empty.state_dict().items():
        assert tensor.data_ptr() == state[name].data_ptr()


def saved_and_loaded(tree: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(tree, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda tree: pickle.loads(pickle.dumps(tree)),
    "torch.save": saved_and_loaded,
}


def doubled(node: nn.Module, inputs: Any, output: Any) -> Any:
    return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output


@pytest.mark.parametrize("way", COPIES)
def test_copy_is_equal_and_independent(way: str, pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    for tree in pair:
        part_of(tree, "trunk").note = "kept"
        part_of(tree, "words").requires_grad_(False)
        plain_models.put(tree, "dropout", nn.Identity())
        part_of(tree, "block").register_forward_hook(doubled)
        part_of(tree, "block", 1).eval()
    other, plain_other = COPIES[way](model), COPIES[way](plain)
    plain_models.assert_agree(other, plain, class_name)
    assert part_of(other, "trunk").note == "kept"
    for mine, copied in zip(model.parameters(), other.parameters(), strict=True):
        assert mine is not copied
        assert mine.requires_grad == copied.requires_grad
    for tree in (other, plain_other):
        tree.load_state_dict(halved_state(tree))
        plain_models.put(tree, "dropout", nn.Dropout(0.5))
    plain_models.assert_agree(other, plain_other, class_name)
    plain_models.assert_agree(model, plain, class_name)


def test_shallow_copy_shares_parts(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    other = copy.copy(model)
    assert part_of(other, "trunk") is part_of(model, "trunk")
    for tree in (other, plain):
        train(tree, class_name)
    plain_models.assert_agree(other, plain, class_name)
    plain_models.assert_agree(model, plain, class_name)


def test_state_dict_round_trip(
    pair: tuple[Any, Any], class_name: str, ids: tuple[Tensor, ...]
) -> None:
    model, plain = pair
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    model(*ids)
    assert str(model.load_state_dict(plain.state_dict())) == "<All keys matched successfully>"
    plain_models.assert_agree(model, plain, class_name)
    plain.load_state_dict(halved_state(model))
    model.load_state_dict(plain.state_dict())
    plain_models.assert_agree(model, plain, class_name)


def test_state_dict_has_the_metadata_of_plain_pytorch(pair: tuple[Any, Any]) -> None:
    mine, expected = (tree.state_dict()._metadata for tree in pair)
    assert list(mine.items()) == list(expected.items())


def test_hooks_of_state_dicts_are_those_of_plain_pytorch(pair: tuple[Any, Any]) -> None:
    logs = []
    for tree in pair:
        log: list[tuple[str, list[Any]]] = []

        def note(event: str, log: Any = log) -> Callable[..., None]:
            return lambda node, *seen: log.append(
                (event, [list(x) if isinstance(x, (dict, list, tuple)) else x for x in seen])
            )

        for name, module in tree.named_modules():
            for kind in ("state_dict_pre", "state_dict_post"):
                getattr(module, f"register_{kind}_hook")(note(f"{kind} of {name}"))
                getattr(module, f"register_load_{kind}_hook")(note(f"load_{kind} of {name}"))
        tree.load_state_dict(tree.state_dict())
        logs.append(log)
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4 * len(list(pair[0].modules()))


@pytest.mark.parametrize("assign", [False, True])
def test_loading_names_what_does_not_fit(
    assign: bool, pair: tuple[Any, Any], class_name: str
) -> None:
    messages = []
    for tree in pair:
        state = halved_state(tree)
        state["stranger"] = state.pop(f"{path_of(tree, 'dense', 1)}.bias")
        state[f"{path_of(tree, 'dense')}.weight"] = torch.zeros(4, 32)
        with pytest.raises(RuntimeError) as raised:
            tree.load_state_dict(state, assign=assign)
        messages.append(str(raised.value).splitlines()[1:])
    tie(pair[1])
    assert messages[0] == messages[1]
    for text, line in zip(("Missing", "Unexpected", "size mismatch"), messages[0], strict=True):
        assert text in line
    # What fits is loaded, as in plain PyTorch.
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize("assign", [False, True])
def test_partly_loaded_model_trains(assign: bool, pair: tuple[Any, Any], class_name: str) -> None:
    bias = f"{path_of(pair[0], 'dense', 1)}.bias"
    for tree in pair:
        state = halved_state(tree)
        state["stranger"] = state.pop(bias)
        missing, unexpected = tree.load_state_dict(state, strict=False, assign=assign)
        assert (missing, unexpected) == ([bias], ["stranger"])
        name = f"{path_of(tree, 'queries')}.weight"
        parameter = tree.get_parameter(name)
        assert (parameter.data_ptr() == state[name].data_ptr()) == assign
    tie(pair[1])
    plain_models.assert_agree(*pair, class_name)
    for tree in pair:
        train(tree, class_name)
    plain_models.assert_agree(*pair, class_name)


@pytest.fixture
def swapping() -> Iterator[None]:
    """Parameters are swapped instead of replaced, so that references to them stay valid."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(before)


@pytest.mark.usefixtures("swapping")
def test_parameters_can_be_swapped(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    parameters = list(model.parameters())
    changes: list[Callable[[Any], Any]] = [
        lambda tree: tree.double(),
        lambda tree: tree.load_state_dict(halved_state(tree)),
        lambda tree: tree.load_state_dict(halved_state(tree), assign=True),
        lambda tree: tree.float(),
    ]
    for change in changes:
        plain_models.assert_agree(model, plain, class_name)
        for tree in pair:
            train(tree, class_name)
            change(tree)
        for before, after in zip(parameters, model.parameters(), strict=True):
            assert before is after
    plain_models.assert_agree(model, plain, class_name)


TIED = ["BertForMaskedLM", "BertForPreTraining", "GPT2LMHeadModel", "OpenAIGPTDoubleHeadsModel"]


def tied_names(model: Any) -> tuple[str, str]:
    """The names of the weight that the embeddings and the decoder share."""
    decoder = "cls.predictions.decoder" if hasattr(model, "bert") else "lm_head.decoder"
    if hasattr(model, "crit"):
        decoder = "crit.out_layers.0"
    return f"{path_of(model, 'words')}.weight", f"{decoder}.weight"


def assert_tied(model: Any) -> None:
    words, decoder = tied_names(model)
    assert model.get_parameter(decoder) is model.get_parameter(words)
    assert decoder not in dict(model.named_parameters())


def loaded(model: Any, assign: bool = False) -> Any:
    """`model` with the seeded weights, each loaded from a separate tensor."""
    source = new_model(type(model).__name__)
    seed_weights(source)
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    model.load_state_dict(state, assign=assign)
    return model


def made_on_meta(model: Any) -> Any:
    return meta_model(type(model).__name__)


WAYS: dict[str, Callable[[Any], Any]] = {
    **COPIES,
    "to": lambda model: model.to("cpu", torch.float64).to(torch.float32),
    "double": lambda model: model.double().float(),
    "load": loaded,
    "assign": lambda model: loaded(model, assign=True),
    "to meta, to_empty, load": lambda model: loaded(model.to("meta").to_empty(device="cpu")),
    "meta, to_empty, load": lambda model: loaded(made_on_meta(model).to_empty(device="cpu")),
    "meta, assign": lambda model: loaded(made_on_meta(model), assign=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("class_name", TIED)
def test_tied_weights_stay_tied(class_name: str, way: str, ids: tuple[Tensor, ...]) -> None:
    model, untouched = new_model(class_name), new_model(class_name)
    for tree in (model, untouched):
        seed_weights(tree)
        tree(*ids)
    model = WAYS[way](model)
    assert_tied(model)
    for tree in (model, untouched):
        train(tree, class_name)
    assert_tied(model)
    plain_models.assert_agree(model, untouched, class_name)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("given", [[0], [1], [0, 1]], ids=["words", "decoder", "both"])
@pytest.mark.parametrize("class_name", TIED)
def test_tied_weights_take_the_value_loaded_last(
    class_name: str, given: list[int], assign: bool
) -> None:
    model = new_model(class_name)
    names = tied_names(model)
    state = {names[index]: torch.rand(99, 32) for index in given}
    model.load_state_dict(state, strict=False, assign=assign)
    assert_tied(model)
    assert_equal(model.get_parameter(names[0]).detach(), state[names[given[-1]]])


class WithItsBridge(ptbert.BertModel):
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


class GPT2WithItsBridge(ptbert.GPT2Model):
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()


def test_copy_that_takes_everything_along_can_be_called(tiny_config: BertConfig) -> None:
    config = new_model("GPT2LMHeadModel").config
    for model in (WithItsBridge(tiny_config).eval(), GPT2WithItsBridge(config).eval()):
        expected = flat_outputs(model(IDS))[-1]
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert_close(flat_outputs(other(IDS))[-1], expected)


class DropsParameter(nn.Linear):
    """Modules may replace their parameters when a state dict is loaded."""

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        del self.bias
        self.register_parameter("bias", None)


def test_part_may_drop_a_parameter_in_loading(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertModel(tiny_config).eval()
    model.pooler.dense = DropsParameter(32, 32)
    model.load_state_dict(model.state_dict())
    assert model.pooler.dense.bias is None
    assert model(IDS)[1].shape == (len(IDS), 32)


def test_names_of_one_parameter_in_one_part_stay_one(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertModel(tiny_config)
    model.alias = model.pooler.dense.alias = model.pooler.dense.weight
    model.to("meta").to_empty(device="cpu")
    assert model.alias is model.pooler.dense.alias is model.pooler.dense.weight
