"""score: against the scores of the model itself."""

from __future__ import annotations

import math

import pytest
import torch

from generation_support import PROMPTS, every_model, logits_of, make
from support import assert_close, seeded_ids


@every_model
def test_scores_are_those_of_the_model(class_name: str) -> None:
    model = make(class_name)
    results = model.score([*PROMPTS, [int(i) for i in seeded_ids("text", (48,), 0, 61)]])
    for prompt, result in zip(PROMPTS, results, strict=False):
        scores = logits_of(model, prompt).double().log_softmax(-1)
        expected = [float(scores[i, token]) for i, token in enumerate(prompt[1:])]
        assert len(result.log_probs) == len(expected)
        if expected:
            assert_close(torch.tensor(result.log_probs), torch.tensor(expected), atol=1e-4)
            assert math.isclose(
                result.perplexity, math.exp(-sum(expected) / len(expected)), rel_tol=1e-4
            )
    assert math.isnan(results[1].perplexity)


def test_long_texts_are_scored_in_strides() -> None:
    model = make("GPT2LMHeadModel")
    text = [int(i) for i in seeded_ids("long", (200,), 0, 61)]
    calls: list[tuple[int, int]] = []
    result = model.score(text, stride=16, callback=lambda *counts: calls.append(counts))[0]
    assert len(result.log_probs) == 199
    assert calls[-1] == (199, 199)
    for begin, end, first in ((0, 48, 1), (16, 64, 48), (152, 200, 192)):
        scores = logits_of(model, text[begin:end]).double().log_softmax(-1)
        for i in range(first, end):
            if (i - 48) // 16 * 16 + 48 == first or first == 1:
                expected = float(scores[i - 1 - begin, text[i]])
                assert abs(result.log_probs[i - 1] - expected) < 1e-4
    small = model.score([text] * 3, window=10, batch_tokens=1)
    assert small[0] == small[2]


def test_wrong_argument_is_named() -> None:
    model = make("GPT2LMHeadModel")
    with pytest.raises(ValueError, match=r"^`stride` must be at least 1, but is 0"):
        model.score([1, 2], stride=0)
    with pytest.raises(ValueError, match=r"^`window` must be in \[2, 48\], .* but is 49"):
        model.score([1, 2], window=49)
    with pytest.raises(ValueError, match=r"^`stride` must be in \[1, 48\), .* but is 48"):
        model.score([1, 2], stride=48)
    with pytest.raises(ValueError, match=r"^`batch_tokens` must be at least 1, but is 0"):
        model.score([1, 2], batch_tokens=0)
    with pytest.raises(TypeError, match=r"^`batch_tokens` must be an int, but is a float"):
        model.score([1, 2], batch_tokens=1.5)
    with pytest.raises(ValueError, match=r"^`texts` must hold at least one token each, but text 1"):
        model.score([[1], []])
