"""generate and score of Transformer-XL, whose memory goes on from one call to the next: against the
model itself, called segment by segment and then token by token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from generation_support import TRANSFO_XL
from ptbert import TransfoXLConfig, TransfoXLLMHeadModel
from ptbert.generation import Decoder
from support import assert_close, seed_weights, seeded_ids

SIZES = {**TRANSFO_XL, "n_layer": 2, "tgt_len": 7, "mem_len": 5}
TEXTS = [[int(i) for i in seeded_ids(str(n), (n,), 0, 61)] for n in (1, 6, 7, 8, 23, 23, 40)]
CASES: dict[str, dict[str, Any]] = {
    "of the paper": {},
    "memory longer than a segment": {"mem_len": 19},
    "other lengths": {"same_length": False},
    "LayerNorm first": {"pre_lnorm": True},
    "shared biases": {"untie_r": False},
    "one table": {"div_val": 1, "d_embed": 16},
    "no clusters": {"cutoffs": []},
    "sampled softmax": {"cutoffs": [], "div_val": 1, "sample_softmax": 8},
    "unlimited distances": {"clamp_len": -1},
    "learned positions": {"attn_type": 1},
    "learned positions, other lengths": {"attn_type": 1, "same_length": False},
}
every_case = pytest.mark.parametrize("fields", CASES.values(), ids=CASES.keys())


def make(**fields: Any) -> TransfoXLLMHeadModel:
    model = TransfoXLLMHeadModel(TransfoXLConfig(61, **{**SIZES, **fields}))
    seed_weights(model)
    return model.eval()


@torch.no_grad()
def read(model: Any, ids: list[int], segment: int, mems: Any = None) -> tuple[Tensor, Any]:
    """The log-probabilities after each token [tokens, n_token], and the memory."""
    parts = []
    for begin in range(0, len(ids), segment):
        log_probs, mems = model(torch.tensor([ids[begin : begin + segment]]), mems=mems)
        parts.append(log_probs[0].double())
    return torch.cat(parts), mems


def greedy(model: Any, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
    log_probs, mems = read(model, prompt, model.transformer.tgt_len)
    ids, own = [], []
    for _ in range(count):
        ids.append(int(log_probs[-1].argmax()))
        own.append(float(log_probs[-1][ids[-1]]))
        log_probs, mems = read(model, ids[-1:], 1, mems)
    return ids, own


@every_case
def test_continuations_are_those_of_the_model(fields: dict[str, Any]) -> None:
    model = make(**fields)
    for prompt, result in zip(TEXTS, model.generate(TEXTS, max_new_tokens=30), strict=True):
        ids, log_probs = greedy(model, prompt, 30)
        assert result.ids == ids
        assert result.stop_reason == "length"
        assert_close(torch.tensor(result.log_probs), torch.tensor(log_probs), atol=1e-5)


@every_case
def test_scores_are_those_of_the_model(fields: dict[str, Any]) -> None:
    model, calls = make(**fields), []
    for batch_tokens in (2048, 15, 1):
        results = model.score(
            TEXTS, batch_tokens=batch_tokens, callback=lambda *counts: calls.append(counts)
        )
        assert calls[-1] == (sum(map(len, TEXTS)) - len(TEXTS),) * 2
        for text, result in zip(TEXTS, results, strict=True):
            assert len(result.log_probs) == len(text) - 1
            if len(text) > 1:
                log_probs, _ = read(model, text[:-1], 7)
                expected = log_probs.gather(1, torch.tensor(text[1:]).unsqueeze(1)).squeeze(1)
                assert_close(torch.tensor(result.log_probs), expected.float(), atol=1e-5)


@pytest.mark.parametrize("change", ["hook", "float64", "bfloat16"])
def test_other_models_continue_too(change: str) -> None:
    model: Any = make()
    if change == "hook":
        model.transformer.word_emb.register_forward_hook(lambda _module, _inputs, out: out * 2)
    else:
        model = model.double() if change == "float64" else model.bfloat16()
    for prompt, result in zip(TEXTS, model.generate(TEXTS, max_new_tokens=9), strict=True):
        if change == "bfloat16":  # rounded otherwise by one token and by many
            assert len(result.ids) == 9
        else:
            assert result.ids == greedy(model, prompt, 9)[0]


def test_reset_lengths_are_used() -> None:
    model = make()
    before = model.generate(TEXTS[-1], max_new_tokens=20)[0].log_probs
    model.reset_length(3, 0, 11)
    result = model.generate(TEXTS[-1], max_new_tokens=20)[0]
    assert result.ids == greedy(model, TEXTS[-1], 20)[0]
    assert result.log_probs != before


@pytest.mark.parametrize("fields", [{}, {"same_length": False}, {"attn_type": 1}], ids=str)
def test_shared_beginnings_do_not_move_segments(fields: dict[str, Any]) -> None:
    model, start = make(**fields), TEXTS[-1][:17]
    prompts = [[*start, 3], [*start, 4, 5, 6], start]
    for prompt, result in zip(prompts, model.generate(prompts, max_new_tokens=8), strict=True):
        assert result.ids == greedy(model, prompt, 8)[0]


def test_prefix_is_read_before_the_prompt() -> None:
    model, start = make(), TEXTS[-1]
    prefix = model.prefix(start)
    expected = model.generate([*start, 3], max_new_tokens=30)[0]
    for _ in range(2):
        result = model.generate([[3], [4]], prefix=prefix, max_new_tokens=30)[0]
        assert result.ids == expected.ids


def test_beams_remember_their_own_tokens() -> None:
    model = make()
    for result in model.generate(TEXTS[:4], max_new_tokens=12, num_beams=4):
        prompt = TEXTS[result.prompt]
        log_probs, mems = read(model, prompt, 7)
        total = 0.0
        for token in result.ids:
            total += float(log_probs[-1][token])
            log_probs, mems = read(model, [token], 1, mems)
        assert abs(total / 12 - result.score) < 1e-5


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_decoder_with_fewer_bytes_reads_and_writes_alike(weights: Any) -> None:
    decoder = Decoder(make(), weights=weights)
    result = decoder.generate(TEXTS[-1], max_new_tokens=30)[0]
    again = decoder.score([*TEXTS[-1], *result.ids])[0].log_probs[len(TEXTS[-1]) - 1 :]
    assert_close(torch.tensor(result.log_probs), torch.tensor(again), atol=1e-4)


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "`max_new_tokens` must be given for a model with memory, which has no window"),
    ({"attn_type": 2}, {"max_new_tokens": 1}, "`attn_type` must be 0 or 1 to generate .* is 2"),
    ({"attn_type": 3}, {"max_new_tokens": 1}, "`attn_type` must be 0 or 1 to generate .* is 3"),
    ({"mem_len": 0}, {"max_new_tokens": 1}, "`mem_len` must be above 0 to generate or score, but"),
    ({"ext_len": 2}, {"max_new_tokens": 1}, "`ext_len` must be 0 to generate or score, but is 2"),
]


@pytest.mark.parametrize(("fields", "options", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_what_cannot_be_continued_is_named(
    fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make(**fields).generate([1, 2], **options)


def test_windows_of_a_model_with_memory_are_refused() -> None:
    given: Any
    for given in ({"window": 4}, {"stride": 4}):
        with pytest.raises(ValueError, match=f"^`{min(given)}` must not be given for a model wi"):
            make().score([1, 2], **given)
    with pytest.raises(ValueError, match=r"must be one that a Decoder can serve, but its `attn_"):
        Decoder(make(attn_type=1))
    with pytest.raises(ValueError, match=r"must be one that a Decoder can serve, but its `ext_len"):
        Decoder(make(mem_len=0))


def test_prefix_of_another_memory_is_refused() -> None:
    prefix = make(mem_len=9).prefix([1, 2])
    with pytest.raises(ValueError, match=r"^`prefix` must have been made with this model, but"):
        make().generate([3], prefix=prefix, max_new_tokens=2)
