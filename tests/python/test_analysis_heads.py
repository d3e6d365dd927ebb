"""Entropy and importance of attention heads, masking and pruning, and pruned models as files."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from ptbert import BertConfig, BertForSequenceClassification
from ptbert.analysis import attention_entropy, head_importance, mask_heads, prune_heads
from ptbert.modeling_gpt2 import GPT2Config, GPT2LMHeadModel
from ptbert.modeling_openai import OpenAIGPTConfig, OpenAIGPTLMHeadModel
from support import assert_close, assert_equal, seed_weights

GPT_SIZES: dict[str, Any] = {
    "n_positions": 24,
    "n_ctx": 24,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
}
LENGTHS = (7, 4, 5, 7, 1)


def make(family: str) -> Any:
    model: Any
    if family == "bert":
        model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37))
    elif family == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(99, **GPT_SIZES))
    else:
        model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(99, **GPT_SIZES))
    seed_weights(model)
    return model.eval()


def trunk_of(model: Any) -> Any:
    return getattr(model, "bert", None) or model.transformer


def batch_of(rows: slice = slice(None)) -> dict[str, Tensor]:
    """Five examples, of which four have padding."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor(LENGTHS)[rows]
    ids = torch.randint(1, 99, (5, 7), generator=generator)[rows, : int(lengths.max())]
    mask = (torch.arange(ids.size(1)) < lengths[:, None]).long()
    labels = torch.tensor([0, 1, 1, 0, 1])[rows]
    return {"input_ids": ids * mask, "attention_mask": mask, "label": labels}


def first_of(output: Any) -> Tensor:
    """The scores; of GPT-2 presents come with them."""
    return output if isinstance(output, Tensor) else output[0]


ONE_BY_ONE = [batch_of(slice(n, n + 1)) for n in range(5)]


def losses(model: Any, batch: Any) -> Tensor:
    """Of a classifier its loss, of a writer that of its last token."""
    if isinstance(getattr(model, "func", model), BertForSequenceClassification):
        scores = model(batch["input_ids"], attention_mask=batch["attention_mask"])
    else:
        scores = first_of(model(batch["input_ids"]))
        last = batch["attention_mask"].sum(1) - 1
        scores = scores[torch.arange(len(last)), last]
    return nn.functional.cross_entropy(scores, batch["label"], reduction="none")


every_family = pytest.mark.parametrize("family", ["bert", "gpt2", "openai-gpt"])


def formulas_of_2019(model: Any) -> tuple[Tensor, Tensor]:
    """Entropy and importance without normalisation, by the formulas of the 2019 script, batch size
    1, from what the models have returned and kept since 2019."""
    trunk_of(model).output_attentions = trunk_of(model).keep_multihead_output = True
    entropy, importance, tokens = torch.zeros(2, 4), torch.zeros(2, 4), 0.0
    for batch in ONE_BY_ONE:
        names = ("input_ids", "attention_mask") if hasattr(model, "bert") else ("input_ids",)
        attentions, scores, *_ = model(**{name: batch[name] for name in names})
        if scores.dim() == 3:
            scores = scores[:, -1]
        model.zero_grad()
        nn.functional.cross_entropy(scores, batch["label"]).backward()
        for layer, (attention, heads) in enumerate(
            zip(attentions, trunk_of(model).get_multihead_outputs(), strict=True)
        ):
            plogp = attention * attention.log()
            plogp[attention == 0] = 0
            entropy[layer] += -plogp.sum(-1).sum(-1).sum(0).detach()
            dot = torch.einsum("bhli,bhli->bhl", heads.grad, heads)
            importance[layer] += dot.abs().sum(-1).sum(0).detach()
        tokens += batch["input_ids"].numel()
    return entropy / tokens, importance / tokens


@every_family
def test_formulas_of_2019(family: str) -> None:
    entropy, importance = formulas_of_2019(make(family))
    model = make(family)
    assert_close(attention_entropy(model, ONE_BY_ONE).float(), entropy, 1e-5)
    found = head_importance(
        model, ONE_BY_ONE, losses, normalize_by_layer=False, normalize_globally=False
    )
    assert_close(found.float(), importance, 1e-5)
    by_layer = importance / (importance.square().sum(-1).sqrt()[:, None] + 1e-20)
    found = head_importance(model, ONE_BY_ONE, losses, normalize_globally=False)
    assert_close(found.float(), by_layer, 1e-5)
    expected = (by_layer - by_layer.min()) / (by_layer.max() - by_layer.min())
    assert_close(head_importance(model, ONE_BY_ONE, losses).float(), expected, 1e-5)


@every_family
def test_batches_of_any_size_give_the_same(family: str) -> None:
    model = make(family)
    assert_close(attention_entropy(model, [batch_of()]), attention_entropy(model, ONE_BY_ONE), 1e-5)
    assert_close(
        head_importance(model, [batch_of()], losses),
        head_importance(model, ONE_BY_ONE, losses),
        1e-5,
    )


@every_family
def test_model_is_left_as_it_was(family: str) -> None:
    model = make(family).train()
    frozen = next(model.parameters()).requires_grad_(False)
    trunk_of(model).output_attentions = True
    head_importance(model, [batch_of()], losses)
    attention_entropy(model, [batch_of()])
    assert model.training
    assert trunk_of(model).output_attentions
    assert not trunk_of(model).keep_multihead_output
    for parameter in model.parameters():
        assert parameter.requires_grad is (parameter is not frozen)
        assert parameter.grad is None
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_masked_heads_have_no_entropy_and_no_importance() -> None:
    model, mask = make("bert"), torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 1]])
    entropy = attention_entropy(model, [batch_of()], head_mask=mask)
    importance = head_importance(
        model, [batch_of()], losses, head_mask=mask, normalize_globally=False
    )
    for values in (entropy, importance):
        assert_equal(values == 0, mask == 0)


def test_a_second_head_mask_is_refused() -> None:
    model, mask = make("bert"), torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 1]])
    batches = [{**batch_of(), "head_mask": torch.ones(2, 4)}]
    message = (
        "^`head_mask` must be left to the function that masks heads, but a batch or a callable"
    )

    def by_names(model: Any, batch: Any) -> Tensor:
        return losses(functools.partial(model, head_mask=batch["head_mask"]), batch)

    def metric(model: Any) -> float:
        return -by_names(model, batches[0]).mean().item()

    with pytest.raises(ValueError, match=message):
        attention_entropy(model, batches, head_mask=mask)
    with pytest.raises(ValueError, match=message):
        head_importance(model, batches, by_names, head_mask=mask)
    with pytest.raises(ValueError, match=message):
        mask_heads(model, batches, losses, metric)


def of_choices(model: Any, batch: Any) -> Tensor:
    """The losses of a BERT that chooses."""
    scores = model(batch["input_ids"], attention_mask=batch["attention_mask"])
    return nn.functional.cross_entropy(scores, batch["labels"], reduction="none")


def test_multiple_choice() -> None:
    model = ptbert.BertForMultipleChoice(BertConfig(99, 32, 2, 4, 37), num_choices=2)
    seed_weights(model)
    texts = batch_of(slice(0, 4))
    batch = {name: texts[name].view(2, 2, 7) for name in ("input_ids", "attention_mask")}
    batch["labels"] = torch.tensor([0, 1])
    assert_close(attention_entropy(model, [batch]), attention_entropy(model.bert, [texts]), 1e-6)
    one_by_one = [{name: value[[i]] for name, value in batch.items()} for i in range(2)]
    importance = head_importance(model, [batch], of_choices)
    assert importance.shape == (2, 4)
    assert_close(importance, head_importance(model, one_by_one, of_choices), 1e-5)


def test_mask_heads_stops_below_the_threshold() -> None:
    model = make("bert")
    masks = []

    def metric(model: Any) -> float:
        mask = model.keywords["head_mask"] if hasattr(model, "keywords") else torch.ones(2, 4)
        masks.append(mask)
        return {8: 1.0, 6: 0.95, 4: 0.91, 2: 0.8}[int(mask.sum())]

    found = mask_heads(model, [batch_of()], losses, metric, amount=0.25)
    assert found.curve == [(0, 1.0), (2, 0.95), (4, 0.91), (6, 0.8)]
    assert_equal(found.head_mask, masks[2])
    importance = head_importance(model, [batch_of()], losses)
    assert importance[masks[1] == 0].max() < importance[masks[1] == 1].max()
    # To the end: one head of each layer stays.
    found = mask_heads(model, [batch_of()], losses, lambda _: 1.0, amount=0.3)
    assert found.head_mask.sum(-1).tolist() == [1, 1]
    assert found.curve[-1] == (6, 1.0)


def test_mask_heads_leaves_every_layer_a_head() -> None:
    model = make("bert")
    model.bert.encoder.layer[0].attention.output.dense.weight.data.zero_()  # nobody sees its heads
    masks = []

    def metric(model: Any) -> float:
        masks.append(getattr(model, "keywords", {}).get("head_mask", torch.ones(2, 4)))
        return 1.0

    mask_heads(model, [batch_of()], losses, metric, amount=0.5)
    assert masks[1].sum(-1).tolist() == [1, 3]
    assert masks[-1].sum(-1).tolist() == [1, 1]
    prune_heads(model, masks[-1])


@every_family
def test_a_mask_may_leave_a_layer_no_head_but_pruning_may_not(family: str) -> None:
    model, mask = make(family), torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1]])
    ids, before = batch_of()["input_ids"], copy.deepcopy(model)
    masked = first_of(model(ids, head_mask=mask))
    importance = head_importance(model, [batch_of()], losses, head_mask=mask)
    assert_equal(importance == 0, mask == 0)
    with pytest.raises(ValueError, match=r"must leave at least one of 4 heads, but names all\."):
        prune_heads(model, mask)
    first = before.bert.encoder.layer[0] if family == "bert" else before.transformer.h[0]
    dense = first.attention.output.dense if family == "bert" else first.attn.c_proj
    dense.weight.data.zero_()
    assert_close(masked, first_of(before(ids)), 1e-6)


@every_family
def test_pruning_equals_masking(family: str) -> None:
    model, mask = make(family), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    ids = batch_of()["input_ids"]

    def scores(**options: Any) -> Tensor:
        return first_of(model(ids, **options))

    masked = scores(head_mask=mask)
    prune_heads(model, mask)
    assert_close(scores(), masked, 1e-5)
    assert model.config.pruned_heads == {0: [1, 2], 1: [0]}
    with pytest.raises(ValueError, match=re.escape("but have [2, 3]; measure before heads are")):
        attention_entropy(model, [batch_of()])


@every_family
@pytest.mark.parametrize("safe", [True, False])
def test_pruned_model_loads_and_trains_on(family: str, safe: bool, tmp_path: Path) -> None:
    model = make(family)
    trunk_of(model).prune_heads({0: [1]})
    trunk_of(model).prune_heads({0: [2], -1: [0]})  # heads are numbered anew
    assert model.config.pruned_heads == {0: [1, 3], 1: [0]}
    model.save_pretrained(tmp_path, safe_serialization=safe)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert saved["pruned_heads"] == {"0": [1, 3], "1": [0]}
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert loaded.config.pruned_heads == model.config.pruned_heads
    batch = batch_of()
    assert_equal(losses(loaded, batch), losses(model, batch))
    optimizer = torch.optim.SGD(loaded.parameters(), 1e-3)
    before = losses(loaded, batch).sum()
    before.backward()
    optimizer.step()
    assert losses(loaded, batch).sum() < before
    trunk_of(loaded).prune_heads({0: [0]})
    assert loaded.config.pruned_heads == {0: [0, 1, 3], 1: [0]}


def test_configuration_with_wrong_pruned_heads() -> None:
    config: Any = BertConfig(99, 32, 2, 4, 37)
    for heads, error, message in (
        ({"0": [4]}, ValueError, r"`pruned_heads\[0\]` must be in \[0, 4\), but 4 is among them\."),
        ({2: [0]}, ValueError, r"`pruned_heads` must name layers in \[-2, 2\), but has 2\."),
        ({"a": [0]}, TypeError, r"`pruned_heads` must be a dict .* layers as keys, but is \{'a'"),
        ({"-1": [0]}, TypeError, r"`pruned_heads` must be a dict .* layers as keys, but is \{'-1'"),
        ([0], TypeError, r"`pruned_heads` must be a dict .* layers as keys, but is \[0\]\."),
        ({"0": 0}, TypeError, r"`pruned_heads\[0\]` must be a list of heads, but is 0\."),
    ):
        config.pruned_heads = heads
        with pytest.raises(error, match=message):
            ptbert.BertModel(config)
        assert config.pruned_heads == heads


def test_wrong_arguments() -> None:
    model = make("bert")
    for run, error, message in (
        (lambda: attention_entropy(nn.Linear(1, 1), []), TypeError, "`model` must be a BERT, GPT"),
        (
            lambda: attention_entropy(model, []),
            ValueError,
            "Batches must hold at least one token",
        ),
        (
            lambda: head_importance(model, [batch_of()], lambda m, b: losses(m, b).sum()),
            ValueError,
            r"`losses` must return the loss of each example, \[batch\], .* of shape \[\]\.",
        ),
        (
            lambda: head_importance(model, [batch_of()], lambda m, b: losses(m, b).mean()[None]),
            ValueError,
            "`losses` must return a loss for each of the 5 examples of a batch, but returns 1\\.",
        ),
        (
            lambda: attention_entropy(
                model,
                [{**batch_of(), "attention_mask": torch.ones(5, 6)}],
                lambda m, b: m(b["input_ids"]),
            ),
            ValueError,
            r"`attention_mask` must have 7 numbers for each of the 5 texts that the model reads, "
            r"but is of shape \[5, 6\]\.",
        ),
        (
            lambda: mask_heads(model, [], losses, lambda _: 1.0, threshold=2),
            ValueError,
            r"`threshold` must be in \[0, 1\], but is 2\.",
        ),
        (
            lambda: mask_heads(model, [], losses, lambda _: 1.0, amount=0),
            ValueError,
            r"`amount` must be above 0 and at most 1, but is 0\.",
        ),
        (
            lambda: prune_heads(model, torch.ones(3, 4)),
            ValueError,
            r"`head_mask` must be of shape \[2, heads\], but is of shape \[3, 4\]\.",
        ),
        (
            lambda: prune_heads(model, torch.full((2, 4), 0.5)),
            ValueError,
            "`head_mask` must be of 0 and 1, but has other values",
        ),
    ):
        with pytest.raises(error, match=message):
            run()
