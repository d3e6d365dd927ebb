"""peft's LoRA on queries and values: in our models as in plain PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import plain_bert
from ptbert import BertConfig
from support import assert_close, import_or_skip, seeded_values

pytestmark = pytest.mark.filterwarnings("ignore")  # peft warns of its own affairs


def with_lora(model: Any) -> Any:
    """`model` with LoRA matrices of seeded values."""
    peft = import_or_skip("peft")
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"])
    adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.from_numpy(seeded_values(name, parameter.shape)))
    return adapted


@pytest.fixture
def pair(class_name: str, tiny_config: BertConfig) -> tuple[Any, Any]:
    model, plain = plain_bert.make_pair(class_name, tiny_config)
    plain_bert.outputs_of(model, class_name)
    return with_lora(model), with_lora(plain)


def test_lora_takes_effect(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    plain_bert.assert_agree(model, plain, class_name)
    gradients = plain_bert.gradients_of(model, class_name)
    trained = [name for name, gradient in gradients.items() if gradient is not None]
    assert len(trained) == 8
    assert all("lora_" in name for name in trained)


def test_lora_trains(pair: tuple[Any, Any], class_name: str) -> None:
    losses = []
    for model in pair:
        model.eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(**plain_bert.batch(class_name), **plain_bert.labels(class_name))
            loss.backward()
            optimizer.step()
        losses.append(loss)
    assert_close(losses[0], losses[1])


def test_lora_is_turned_off_and_merged(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair[0].eval(), pair[1].eval()
    adapted = plain_bert.outputs_of(model, class_name)
    with model.disable_adapter(), plain.disable_adapter():
        without = plain_bert.outputs_of(model, class_name)
        assert not torch.equal(without[0], adapted[0])
        assert_close(without[0], plain_bert.outputs_of(plain, class_name)[0])
    assert_close(plain_bert.outputs_of(model.merge_and_unload(), class_name)[0], adapted[0])
