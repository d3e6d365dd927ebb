"""Models of every family, each with its counterpart in plain PyTorch (plain_bert.py, plain_gpt.py,
plain_transfo_xl.py).

What users do to ptbert's models is done to the counterparts as well, and both must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import gpt_cases
import model_cases
import plain_bert
import plain_transfo_xl
import ptbert
from gpt_cases import GPTCase, gpt_inputs, gpt_labels
from model_cases import flat_outputs, model_inputs, model_labels
from plain_gpt import PLAIN as PLAIN_GPT
from ptbert.utils import enable_fast_paths, fast_paths_enabled
from support import TINY_CONFIG, assert_close, seed_weights, seeded_ids
from transfo_xl_cases import TINY_TRANSFO_XL

BERT_CLASSES = ["BertForSequenceClassification", "BertForQuestionAnswering"]
GPT_CLASSES = ["GPT2LMHeadModel", "OpenAIGPTDoubleHeadsModel"]
TRANSFO_XL = "TransfoXLLMHeadModel"
CLASSES = [*BERT_CLASSES, *GPT_CLASSES, TRANSFO_XL]
# For tests that take long.
FEWER_CLASSES = ["BertForSequenceClassification", *GPT_CLASSES, TRANSFO_XL]
# Some of their parameters take no part in the loss: the pooler's.
WITH_UNUSED_PARTS = ["BertForQuestionAnswering"]

# BERT's width, vocabulary and longest sequence, so that one test fits all.
GPT_FIELDS = {"n_embd": 32, "vocab_size": 99, "n_positions": 512, "n_ctx": 512}
GPT_CASES = {
    name: GPTCase(name, "full", labelled="end", token_types=True, config=GPT_FIELDS)
    for name in gpt_cases.CLASSES
}
# With everything shared that can be: tables, projections and the biases of positions.
TRANSFO_XL_FIELDS = {
    **TINY_TRANSFO_XL,
    "n_token": 99,
    "cutoffs": [20, 60],
    "d_model": 32,
    "d_embed": 32,
    "n_head": 4,
    "d_head": 8,
    "d_inner": 37,
    "mem_len": 5,
    "proj_init_std": 0.02,
    "untie_r": False,
}
GPT_CONFIGS: dict[str, Any] = {"gpt2": ptbert.GPT2Config, "openai-gpt": ptbert.OpenAIGPTConfig}


def make_pair(class_name: str, **fields: Any) -> tuple[Any, Any]:
    """A tiny model and its counterpart in plain PyTorch, of equal weights, in training mode;
    `fields` change its configuration."""
    config: Any
    plain: nn.Module
    if class_name in GPT_CASES:
        case = GPT_CASES[class_name]
        config = GPT_CONFIGS[case.family].from_dict({**case.config_fields, **fields})
        model, plain = getattr(ptbert, class_name)(config), PLAIN_GPT[class_name](config)
    elif class_name == TRANSFO_XL:
        config = ptbert.TransfoXLConfig.from_dict({**TRANSFO_XL_FIELDS, **fields})
        model = ptbert.TransfoXLLMHeadModel(config)
        plain = plain_transfo_xl.TransfoXLLMHeadModel(config)
    else:
        config = ptbert.BertConfig.from_dict({**TINY_CONFIG, **fields})
        arguments = model_cases.SIZES.get(class_name)
        sizes = () if arguments is None else (arguments,)
        model = getattr(ptbert, class_name)(config, *sizes)
        plain = getattr(plain_bert, class_name.removeprefix("BertFor"))(config, *sizes)
    for tree in (model, plain):
        seed_weights(tree)
    return model, plain


def new_model(class_name: str) -> Any:
    """A tiny model of random weights, in training mode."""
    if class_name in GPT_CASES or class_name == TRANSFO_XL:
        return make_pair(class_name)[0]
    case = model_cases.CASES_BY_KEY[f"{class_name}/full"]
    return getattr(ptbert, class_name)(ptbert.BertConfig.from_dict(TINY_CONFIG), *case.arguments)


def batch(class_name: str) -> dict[str, Tensor]:
    """Three rows, with padding where the model takes a mask, by the names of `forward`."""
    if class_name in GPT_CASES:
        return gpt_inputs(GPT_CASES[class_name])
    if class_name == TRANSFO_XL:
        return {"input_ids": seeded_ids("input_ids", (3, 7), 0, 99)}
    return model_inputs(model_cases.CASES_BY_KEY[f"{class_name}/full"])


def labels(class_name: str) -> dict[str, Tensor]:
    if class_name in GPT_CASES:
        return gpt_labels(GPT_CASES[class_name])
    if class_name == TRANSFO_XL:
        return {"target": seeded_ids("target", (3, 7), 0, 99)}
    return model_labels(model_cases.CASES_BY_KEY[f"{class_name}/full"])


def ids(class_name: str, batch: int = 2, seq: int = 3, name: str = "ids") -> tuple[Tensor, ...]:
    """Rows without padding: all that the model must be given, by position."""
    if "DoubleHeads" not in class_name:
        return (seeded_ids(name, (batch, seq), 1, 99),)
    ends = seeded_ids(f"{name}.ends", (batch, 2), 0, seq)
    return seeded_ids(name, (batch, 2, seq), 1, 99), ends


# Where typical parts of a model are; {} is the number of a block.

_BERT_BLOCK, _GPT_BLOCK = "bert.encoder.layer.{}", "transformer.h.{}"
_GPT_PATHS = {
    "trunk": "transformer",
    "blocks": "transformer.h",
    "block": _GPT_BLOCK,
    "attention": f"{_GPT_BLOCK}.attn",
    "queries": f"{_GPT_BLOCK}.attn.c_attn",
    "attention_output": f"{_GPT_BLOCK}.attn.c_proj",
    "attention_dropout": f"{_GPT_BLOCK}.attn.attn_dropout",
    "feed_forward": f"{_GPT_BLOCK}.mlp",
    "inner": f"{_GPT_BLOCK}.mlp.c_fc",
    "dense": f"{_GPT_BLOCK}.mlp.c_proj",
    "dropout": f"{_GPT_BLOCK}.mlp.dropout",
    "norm": f"{_GPT_BLOCK}.ln_2",
    "embeddings": "transformer",  # which adds them up
    "embeddings_dropout": "transformer.drop",
}
_LAYER = "transformer.layers.{}"
_PATHS = {
    "transfo-xl": {
        "trunk": "transformer",
        "blocks": "transformer.layers",
        "block": _LAYER,
        "attention": f"{_LAYER}.dec_attn",
        "queries": f"{_LAYER}.dec_attn.qkv_net",
        "attention_output": f"{_LAYER}.dec_attn.o_net",
        "attention_dropout": f"{_LAYER}.dec_attn.dropatt",
        "feed_forward": f"{_LAYER}.pos_ff",
        "inner": f"{_LAYER}.pos_ff.CoreNet.0",
        "dense": f"{_LAYER}.pos_ff.CoreNet.3",
        "dropout": f"{_LAYER}.pos_ff.CoreNet.4",
        "norm": f"{_LAYER}.pos_ff.layer_norm",
        "embeddings": "transformer.word_emb",
        "words": "transformer.word_emb.emb_layers.0",
        "positions": f"{_LAYER}.dec_attn.r_net",  # which projects them
        "embeddings_dropout": "transformer.drop",
    },
    "bert": {
        "trunk": "bert",
        "blocks": "bert.encoder.layer",
        "block": _BERT_BLOCK,
        "attention": f"{_BERT_BLOCK}.attention.self",
        "queries": f"{_BERT_BLOCK}.attention.self.query",
        "attention_output": f"{_BERT_BLOCK}.attention.output.dense",
        "attention_dropout": f"{_BERT_BLOCK}.attention.self.dropout",
        "feed_forward": f"{_BERT_BLOCK}.output",
        "inner": f"{_BERT_BLOCK}.intermediate.dense",
        "dense": f"{_BERT_BLOCK}.output.dense",
        "dropout": f"{_BERT_BLOCK}.output.dropout",
        "norm": f"{_BERT_BLOCK}.output.LayerNorm",
        "embeddings": "bert.embeddings",
        "words": "bert.embeddings.word_embeddings",
        "positions": "bert.embeddings.position_embeddings",
        "embeddings_dropout": "bert.embeddings.dropout",
    },
    "gpt2": {**_GPT_PATHS, "words": "transformer.wte", "positions": "transformer.wpe"},
    "openai-gpt": {
        **_GPT_PATHS,
        "words": "transformer.tokens_embed",
        "positions": "transformer.positions_embed",
    },
}


def family_of(tree: Any) -> str:
    """The family of a model or its counterpart."""
    if hasattr(tree, "bert"):
        return "bert"
    if hasattr(tree.transformer, "word_emb"):
        return "transfo-xl"
    return "gpt2" if hasattr(tree.transformer, "wte") else "openai-gpt"


def path_of(tree: Any, role: str, block: int = 0) -> str:
    """The path of a part by its role, such as "dense"."""
    return _PATHS[family_of(tree)][role].format(block)


def part_of(tree: Any, role: str, block: int = 0) -> Any:
    return tree.get_submodule(path_of(tree, role, block))


def put(tree: Any, role: str, part: nn.Module, block: int = 0) -> None:
    """Puts another part in the place of one."""
    tree.set_submodule(path_of(tree, role, block), part)


def called_parts(tree: nn.Module) -> list[str]:
    """The paths of all parts below the root that are called: all but lists."""
    lists = (nn.ModuleList, nn.ParameterList)
    return [path for path, part in tree.named_modules() if path and not isinstance(part, lists)]


def block_inputs(tree: Any, seq: int) -> tuple[Tensor, ...]:
    """What a block must be given."""
    states = torch.zeros(1, seq, 32)
    return (states, torch.zeros(1, 1, 32)) if family_of(tree) == "transfo-xl" else (states,)


def activation_of(tree: Any, block: int = 0) -> tuple[Any, str]:
    """The node that has the activation of a block, and its name there."""
    if family_of(tree) == "bert":
        return tree.bert.encoder.layer[block].intermediate, "intermediate_act_fn"
    return tree.transformer.h[block].mlp, "act"


# But for a family's name in front.
_NAMES_OF_PLAIN = {
    "Model": "Trunk",
    "SelfOutput": "AddAndNorm",
    "Output": "AddAndNorm",
}


def bare_names(text: str) -> str:
    """`text` with the names that classes of models and of counterparts have in common."""

    def bare(match: re.Match[str]) -> str:
        return _NAMES_OF_PLAIN.get(match[1], match[1])

    return re.sub(r"\b(?:Bert(?:For)?|GPT2|OpenAIGPT|GPT)(\w+)", bare, text)


@contextmanager
def plain_paths() -> Iterator[None]:
    """A context in which models compute and draw random numbers as plain PyTorch does."""
    before = fast_paths_enabled()
    enable_fast_paths(False)
    try:
        yield
    finally:
        enable_fast_paths(before)


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """A context in which all modules are in evaluation mode; restores their modes at the end."""
    before = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def loss_of(outputs: Any) -> Tensor:
    """The loss, or the sum of the losses, that a model gives for labels."""
    if isinstance(outputs, tuple):  # of Transformer-XL: the losses of tokens, and memory
        outputs = outputs[0].mean()
    return torch.stack(flat_outputs(outputs)).sum()


def joined(outputs: Any) -> Tensor:
    """All outputs of a model, [batch, *]."""
    tensors = flat_outputs(outputs)
    batch = len(tensors[0])
    rows = [  # presents are [2, batch, ...], where batch may count choices, memory [5, batch, ...]
        tensor.movedim(1, 0) if tensor.dim() == 5 or len(tensor) != batch else tensor
        for tensor in tensors
    ]
    return torch.cat([tensor.reshape(batch, -1) for tensor in rows], -1)


def halved_state(tree: nn.Module) -> dict[str, Tensor]:
    """A state dict with all parameters halved, and buffers as they are."""
    buffers = dict(tree.named_buffers())
    return {
        name: tensor.clone() if name in buffers else 0.5 * tensor
        for name, tensor in tree.state_dict().items()
    }


def outputs_of(model: Any, class_name: str) -> list[Tensor]:
    """The model's output for the batch; on the plain path dropout is equal in every call."""
    torch.manual_seed(1)
    return flat_outputs(model(**batch(class_name)))


def gradients_of(model: Any, class_name: str) -> dict[str, Tensor | None]:
    """The gradients of the loss; the model's `grad`s are cleared again."""
    model.zero_grad()
    torch.manual_seed(1)
    loss_of(model(**batch_and_labels(class_name))).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return gradients


def assert_agree(
    model: Any, plain: Any, class_name: str, atol: float = 1e-5, relative: bool = False
) -> None:
    """Fails unless both give equal outputs and gradients: as they are, on the plain paths, where
    dropout draws alike in both, and without dropout on the fast paths."""
    with plain_paths():
        assert_same(model, plain, class_name, atol, relative)
    with evaluating(model, plain):
        assert_same(model, plain, class_name, atol, relative=True)


def assert_same(
    model: Any, plain: Any, class_name: str, atol: float, relative: bool = False
) -> None:
    """Fails unless both give equal outputs and gradients; `relative` to those larger than one."""

    def allowed(expected: Tensor) -> float:
        return atol * max(1.0, float(expected.detach().abs().max())) if relative else atol

    outputs, expected = outputs_of(model, class_name), outputs_of(plain, class_name)
    assert len(outputs) == len(expected)
    for output, other in zip(outputs, expected, strict=True):
        assert output.dtype == other.dtype
        assert_close(output, other, allowed(other))
    actual, wanted = gradients_of(model, class_name), gradients_of(plain, class_name)
    assert set(actual) == set(wanted)
    for name, gradient in wanted.items():
        mine = actual[name]
        if gradient is None or mine is None:
            assert gradient is None, name
            assert mine is None, name
        else:
            assert_close(mine, gradient, allowed(gradient))


def batch_and_labels(class_name: str) -> dict[str, Tensor]:
    return {**batch(class_name), **labels(class_name)}


def gradients(tree: nn.Module) -> list[Tensor | None]:
    return [parameter.grad for parameter in tree.parameters()]


def assert_all_close(
    actual: Iterable[Tensor | None], expected: Iterable[Tensor | None], atol: float = 1e-5
) -> None:
    """Compares tensors, relative to those larger than one; None is equal to None."""
    for left, right in zip(actual, expected, strict=True):
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            assert left.dtype == right.dtype
            assert_close(left, right, atol * max(1.0, float(right.detach().abs().max())))
