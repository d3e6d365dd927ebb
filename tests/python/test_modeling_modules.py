"""The parts of BERT on their own: their classes, their calls, their first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from model_cases import CASES_BY_KEY, model_inputs
from ptbert import BertConfig, modeling
from support import assert_close, assert_equal, seed_weights, seeded_values


def pretraining_model(config: BertConfig) -> Any:
    model = ptbert.BertForPreTraining(config)
    seed_weights(model)
    return model.eval()


def additive_mask(attention_mask: Tensor) -> Tensor:
    # [batch, seq] -> [batch, 1, 1, seq]
    return (1.0 - attention_mask[:, None, None, :].float()) * -10000.0


@pytest.mark.parametrize(
    ("path", "class_name"),
    [
        ("bert", "BertModel"),
        ("bert.embeddings", "BertEmbeddings"),
        ("bert.embeddings.LayerNorm", "BertLayerNorm"),
        ("bert.encoder", "BertEncoder"),
        ("bert.encoder.layer.1", "BertLayer"),
        ("bert.encoder.layer.1.attention", "BertAttention"),
        ("bert.encoder.layer.1.attention.self", "BertSelfAttention"),
        ("bert.encoder.layer.1.attention.output", "BertSelfOutput"),
        ("bert.encoder.layer.1.intermediate", "BertIntermediate"),
        ("bert.encoder.layer.1.output", "BertOutput"),
        ("bert.pooler", "BertPooler"),
        ("cls", "BertPreTrainingHeads"),
        ("cls.predictions", "BertLMPredictionHead"),
        ("cls.predictions.transform", "BertPredictionHeadTransform"),
    ],
)
def test_part_has_the_class_of_2019(path: str, class_name: str, tiny_config: BertConfig) -> None:
    part = pretraining_model(tiny_config).get_submodule(path)
    assert type(part) is getattr(modeling, class_name)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("bert.embeddings.word_embeddings", nn.Embedding),
        ("bert.embeddings.LayerNorm", nn.LayerNorm),
        ("bert.embeddings.dropout", nn.Dropout),
        ("bert.encoder.layer", nn.ModuleList),
        ("bert.encoder.layer.0.attention.self.query", nn.Linear),
        ("bert.pooler.activation", nn.Tanh),
        ("cls.predictions.decoder", nn.Linear),
        ("cls.seq_relationship", nn.Linear),
    ],
)
def test_part_is_a_module_of_torch(
    path: str, kind: type[nn.Module], tiny_config: BertConfig
) -> None:
    assert isinstance(pretraining_model(tiny_config).get_submodule(path), kind)


def test_heads_without_the_other_have_their_classes(tiny_config: BertConfig) -> None:
    assert type(ptbert.BertForMaskedLM(tiny_config).cls) is modeling.BertOnlyMLMHead
    assert type(ptbert.BertForNextSentencePrediction(tiny_config).cls) is modeling.BertOnlyNSPHead


def test_model_derives_from_the_base_class(tiny_config: BertConfig) -> None:
    model = ptbert.BertModel(tiny_config)
    assert isinstance(model, modeling.BertPreTrainedModel)
    assert model.config is tiny_config


def test_parts_called_one_by_one_give_what_the_model_gives(tiny_config: BertConfig) -> None:
    model = pretraining_model(tiny_config)
    inputs = model_inputs(CASES_BY_KEY["BertForPreTraining/full"])
    mask = additive_mask(inputs["attention_mask"])
    layers, pooled = model.bert(**inputs)

    hidden = model.bert.embeddings(inputs["input_ids"], inputs["token_type_ids"])
    for layer, expected in zip(model.bert.encoder.layer, layers, strict=True):
        context = layer.attention.self(hidden, mask)
        attended = layer.attention.output(context, hidden)
        assert_close(layer.attention(hidden, mask), attended)
        hidden = layer.output(layer.intermediate(attended), attended)
        assert_close(hidden, expected)
    assert_close(model.bert.pooler(hidden), pooled)

    scores, relation = model(**inputs)
    transformed = model.cls.predictions.transform(hidden)
    head = model.cls.predictions
    assert_close(head.decoder(transformed) + head.bias, scores)
    assert_close(head(hidden), scores)
    assert_close(model.cls.seq_relationship(pooled), relation)
    for left, right in zip(model.cls(hidden, pooled), (scores, relation), strict=True):
        assert_close(left, right)


def test_encoder_returns_all_layers_or_the_last(tiny_config: BertConfig) -> None:
    encoder: Any = modeling.BertEncoder(tiny_config).eval()
    hidden = torch.from_numpy(seeded_values("hidden", (2, 5, 32))).float()
    mask = additive_mask(torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]))
    layers = encoder(hidden, mask)
    assert len(layers) == 2
    assert_close(layers[0], encoder.layer[0](hidden, mask))
    (last,) = encoder(hidden, mask, output_all_encoded_layers=False)
    assert_close(last, layers[1])


def test_layers_may_live_in_a_user_s_own_model(tiny_config: BertConfig) -> None:
    layers = nn.ModuleList([modeling.BertLayer(tiny_config) for _ in range(3)]).eval()
    hidden = torch.from_numpy(seeded_values("hidden", (2, 5, 32))).float().requires_grad_()
    output: Tensor = hidden
    for layer in layers:
        output = layer(output, torch.zeros(2, 1, 1, 5))
    output.sum().backward()
    assert hidden.grad is not None
    query = layers[2].get_parameter("attention.self.query.weight")
    assert query.grad is not None
    assert query.grad.shape == (32, 32)


def test_prediction_head_is_tied_to_the_given_embedding(tiny_config: BertConfig) -> None:
    embedding = nn.Embedding(99, 32)
    weight: Any = embedding.weight
    heads: list[Any] = [
        modeling.BertLMPredictionHead(tiny_config, weight),
        modeling.BertOnlyMLMHead(tiny_config, weight).predictions,
        modeling.BertPreTrainingHeads(tiny_config, weight).predictions,
    ]
    for head in heads:
        assert head.decoder.weight is embedding.weight
        assert head.decoder.bias is None
        assert_equal(head.bias.detach(), torch.zeros(99))
        assert head(torch.zeros(2, 3, 32)).shape == (2, 3, 99)


def test_layer_norm_is_torch_s_with_the_names_of_2019() -> None:
    norm = modeling.BertLayerNorm(4)
    assert isinstance(norm, nn.LayerNorm)
    assert norm.variance_epsilon == 1e-12
    assert modeling.BertLayerNorm(4, eps=1e-3).variance_epsilon == 1e-3
    hidden = torch.tensor([[1.0, 2.0, 3.0, 6.0]])
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 1.0, 1.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 5.0]))
    deviation = 3.5**0.5
    expected = torch.tensor([[-2 / deviation, -2 / deviation, 0.0, 5 + 3 / deviation]])
    assert_close(norm(hidden), expected, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_model_uses_the_epsilon_of_its_config(epsilon: float, tiny_fields: dict[str, Any]) -> None:
    config = BertConfig.from_dict({**tiny_fields, "layer_norm_eps": epsilon})
    model: Any = ptbert.BertModel(config)
    norms = [part for part in model.modules() if isinstance(part, modeling.BertLayerNorm)]
    assert len(norms) == 5
    assert {norm.variance_epsilon for norm in norms} == {epsilon}
    model.eval()
    with torch.no_grad():
        model.embeddings.LayerNorm.bias.fill_(0.0)
        words = model.embeddings.word_embeddings.weight[3]
        sums = words + model.embeddings.position_embeddings.weight[0]
        sums = sums + model.embeddings.token_type_embeddings.weight[0]
        centred = sums - sums.mean()
        expected = centred / (centred.square().mean() + epsilon).sqrt()
        assert_close(model.embeddings(torch.tensor([[3]]))[0, 0], expected)


def test_activations_are_those_of_bert() -> None:
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    assert_close(modeling.gelu(x), x * 0.5 * (1 + torch.erf(x / 2**0.5)), atol=1e-12)
    assert_close(modeling.swish(x), x / (1 + torch.exp(-x)), atol=1e-12)
    assert set(modeling.ACT2FN) == {"gelu", "relu", "swish"}
    assert_close(modeling.ACT2FN["gelu"](x), modeling.gelu(x), atol=0)
    assert_close(modeling.ACT2FN["swish"](x), modeling.swish(x), atol=0)
    assert_close(modeling.ACT2FN["relu"](x), x.clamp(min=0), atol=0)


def test_activation_of_the_user_s_own_is_called(tiny_fields: dict[str, Any]) -> None:
    calls = []

    def doubled(x: Tensor) -> Tensor:
        calls.append(x.shape)
        return 2 * x

    config = BertConfig.from_dict({**tiny_fields, "hidden_act": doubled})
    intermediate: Any = modeling.BertIntermediate(config)
    hidden = torch.from_numpy(seeded_values("hidden", (2, 5, 32))).float()
    assert_close(intermediate(hidden), 2 * intermediate.dense(hidden), atol=1e-6)
    assert calls == [(2, 5, 37)]
    ptbert.BertModel(config)(torch.tensor([[1, 2, 3]]))
    assert calls[1:] == [(1, 3, 37)] * 2


@pytest.mark.parametrize("class_name", ["BertModel", "BertForPreTraining"])
def test_first_weights_are_those_of_the_config(
    class_name: str, tiny_fields: dict[str, Any]
) -> None:
    config = BertConfig.from_dict({**tiny_fields, "initializer_range": 0.5})
    model = getattr(ptbert, class_name)(config)
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            assert_equal(parameter.detach(), torch.ones_like(parameter))
        elif name.endswith("bias"):
            assert_equal(parameter.detach(), torch.zeros_like(parameter))
        else:
            # Six standard errors of the smallest matrix, the token types' 2 x 32.
            assert abs(parameter.std().item() / 0.5 - 1) < 6 / (2 * parameter.numel()) ** 0.5, name
            assert abs(parameter.mean().item()) < 6 * 0.5 / parameter.numel() ** 0.5, name


def test_apply_of_init_bert_weights_renews_a_subtree(tiny_config: BertConfig) -> None:
    model = pretraining_model(tiny_config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.bert.pooler.apply(model.init_bert_weights)
    changed = [name for name, t in model.state_dict().items() if not torch.equal(t, before[name])]
    assert changed == ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]


def test_padding_row_is_initialised_but_gets_no_gradient(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertModel(tiny_config)
    assert model.embeddings.word_embeddings.padding_idx == 0
    assert model.embeddings.word_embeddings.weight[0].abs().sum() > 0
    _, pooled = model(torch.tensor([[5, 0]]))
    pooled.sum().backward()
    grad = model.embeddings.word_embeddings.weight.grad
    assert grad is not None
    assert_equal(grad[0], torch.zeros(32))
    assert grad[5].abs().sum() > 0
