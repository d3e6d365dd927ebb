"""peft's LoRA on queries and values: in our models as in plain PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import plain_models
from support import assert_close, import_or_skip, seeded_values

pytestmark = pytest.mark.filterwarnings("ignore")  # peft warns of its own affairs


TARGETS = {
    "bert": ["query", "value"],
    "gpt2": ["c_attn"],
    "openai-gpt": ["c_attn", "c_proj"],
    "transfo-xl": ["qkv_net", "o_net"],
}


def with_lora(model: Any) -> Any:
    """`model` with LoRA matrices of seeded values."""
    peft = import_or_skip("peft")
    family = plain_models.family_of(model)
    has_convs = family in ("gpt2", "openai-gpt")
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=TARGETS[family], fan_in_fan_out=has_convs
    )
    if has_convs:
        # peft knows transformers' Conv1D by its class, and others by what they are registered as.
        convs = {type(plain_models.part_of(model, "queries")): peft.tuners.lora.Linear}
        config._register_custom_module(convs)
    adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                # Small: rounding grows with the weights of a model.
                parameter.copy_(0.3 * torch.from_numpy(seeded_values(name, parameter.shape)))
    return adapted


@pytest.fixture
def pair(class_name: str) -> tuple[Any, Any]:
    model, plain = plain_models.make_pair(class_name)
    plain_models.outputs_of(model, class_name)
    return with_lora(model), with_lora(plain)


def test_lora_takes_effect(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    plain_models.assert_agree(model, plain, class_name)
    gradients = plain_models.gradients_of(model, class_name)
    family = plain_models.family_of(plain.base_model.model)
    trained = [name for name, gradient in gradients.items() if gradient is not None]
    assert len(trained) == {"gpt2": 4, "openai-gpt": 12}.get(family, 8)
    assert all("lora_" in name for name in trained)


def test_lora_trains(pair: tuple[Any, Any], class_name: str) -> None:
    losses = []
    for model in pair:
        model.eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            loss = plain_models.loss_of(model(**plain_models.batch_and_labels(class_name)))
            loss.backward()
            optimizer.step()
        losses.append(loss)
    assert_close(losses[0], losses[1])


def test_lora_is_turned_off_and_merged(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair[0].eval(), pair[1].eval()
    adapted = plain_models.outputs_of(model, class_name)
    with model.disable_adapter(), plain.disable_adapter():
        without = plain_models.outputs_of(model, class_name)
        assert not torch.equal(without[0], adapted[0])
        assert_close(without[0], plain_models.outputs_of(plain, class_name)[0])
    scale = max(1.0, float(adapted[0].detach().abs().max()))
    merged = plain_models.outputs_of(model.merge_and_unload(), class_name)
    assert_close(merged[0], adapted[0], 1e-5 * scale)
