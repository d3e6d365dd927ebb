"""generate, stream and score: against loops over the model itself, and against transformers."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from generation_support import (
    CONFIGS,
    FIELDS,
    PROMPTS,
    every_model,
    every_model_with_a_window,
    logits_of,
    make,
)
from ptbert.generation import Decoder, Generated, NewToken, Prefix, ScoredText
from support import assert_close, import_or_skip, seeded_ids


def greedy(model: Any, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities by the model itself, which computes everything each time."""
    ids, log_probs = list(prompt), []
    for _ in range(count):
        scores = logits_of(model, ids)[-1].double().log_softmax(-1)
        ids.append(int(scores.argmax()))
        log_probs.append(float(scores[ids[-1]]))
    return ids[len(prompt) :], log_probs


@every_model
def test_greedy_tokens_are_those_of_the_model(class_name: str) -> None:
    model = make(class_name)
    results = model.generate(PROMPTS, max_new_tokens=20)
    assert [one.prompt for one in results] == [0, 1, 2, 3]
    for prompt, result in zip(PROMPTS, results, strict=True):
        ids, log_probs = greedy(model, prompt, 20)
        assert result.ids == ids
        assert result.stop_reason == "length"
        assert_close(torch.tensor(result.log_probs), torch.tensor(log_probs), atol=1e-4)


def layers_of(model: Any) -> Any:
    trunk = model.transformer
    return trunk.layers if isinstance(trunk, ptbert.TransfoXLModel) else trunk.h


def halved(_module: Any, _inputs: Any, output: Any) -> Any:
    return (output[0] / 2, *output[1:]) if isinstance(output, tuple) else output / 2


CHANGES = [
    "hook",
    "hook of the model",
    "part",
    "float64",
    "forward of the class",
    "forward of a derived class",
    "call of a derived class",
]


@every_model
@pytest.mark.parametrize("change", CHANGES)
def test_changed_model_generates_with_its_changes(
    class_name: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(class_name)
    before = model.generate(PROMPTS[:2], max_new_tokens=5)
    if change == "hook":
        layers_of(model)[1].register_forward_hook(halved)
    elif change == "hook of the model":
        model.register_forward_hook(halved)
    elif change == "part":
        first = layers_of(model)[0]
        if class_name == "TransfoXLLMHeadModel":
            first.pos_ff.CoreNet[0] = nn.Sequential(nn.Linear(32, 64))
        else:
            first.mlp.c_fc = nn.Linear(32, 128)
    elif change == "float64":
        model.double()
    else:
        kind = type(model)
        if change.endswith("derived class"):
            kind = model.__class__ = type("Mine", (kind,), {})
        name = "__call__" if change == "call of a derived class" else "forward"
        original = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda self, *args: halved(self, args, original(self, *args))
        )
    results = model.generate(PROMPTS[:2], max_new_tokens=5)
    if change != "float64":
        assert [one.log_probs for one in results] != [one.log_probs for one in before]
        with pytest.raises(ValueError, match=r"^`model` must be one that a Decoder can serve, but"):
            Decoder(model)
    for prompt, result in zip(PROMPTS[:2], results, strict=True):
        ids, log_probs = greedy(model, prompt, 5)
        assert result.ids == ids
        assert_close(torch.tensor(result.log_probs), torch.tensor(log_probs), atol=1e-4)


@every_model
def test_derived_class_with_other_methods_is_decoded(class_name: str) -> None:
    model = make(class_name)
    model.__class__ = type("Mine", (type(model),), {"name": lambda self: "mine"})
    assert Decoder(model).generate([1, 2], max_new_tokens=3)[0].ids == greedy(model, [1, 2], 3)[0]


@every_model
def test_prompt_gives_the_same_in_any_batch(class_name: str) -> None:
    model = make(class_name)
    for options in ({}, {"temperature": 1.0, "seed": 3, "top_k": 20}):
        together = model.generate(PROMPTS, max_new_tokens=16, **options)
        for prompt, result in zip(PROMPTS, together, strict=True):
            (alone,) = model.generate(prompt, max_new_tokens=16, **options)
            assert alone.ids == result.ids
            assert_close(torch.tensor(alone.log_probs), torch.tensor(result.log_probs), atol=1e-5)


def test_prompts_may_be_tensors_lists_and_arrays() -> None:
    model = make("GPT2LMHeadModel")
    expected = model.generate([5, 9, 3], max_new_tokens=3)[0].ids
    tensor = torch.tensor([5, 9, 3])
    for prompt in (tensor, tensor.int(), tensor.numpy().tolist(), (5, 9, 3), [tensor], [*tensor]):
        assert model.generate(prompt, max_new_tokens=3)[0].ids == expected
    both = model.generate(torch.tensor([[5, 9, 3], [5, 9, 4]]), max_new_tokens=3)
    assert both[0].ids == expected
    assert len(both) == 2


@every_model
def test_shared_beginnings_and_prefixes_change_nothing(class_name: str) -> None:
    model = make(class_name)
    start = [int(i) for i in seeded_ids("start", (14,), 0, 61)]
    prompts = [[*start, 3], [*start, 4, 5], [*start]]
    expected = [model.generate(prompt, max_new_tokens=8)[0].ids for prompt in prompts]
    assert [one.ids for one in model.generate(prompts, max_new_tokens=8)] == expected
    prefix = model.prefix(start)
    assert prefix.ids == start
    for _ in range(2):  # it is not changed
        results = model.generate([[3], [4, 5]], max_new_tokens=8, prefix=prefix)
        assert [one.ids for one in results] == expected[:2]


@every_model
def test_stop_ids_end_rows_and_the_others_go_on(class_name: str) -> None:
    model = make(class_name)
    free = model.generate(PROMPTS, max_new_tokens=12)
    stop = free[0].ids[4]
    for result, other in zip(
        model.generate(PROMPTS, max_new_tokens=12, stop_ids=[stop]), free, strict=True
    ):
        end = other.ids.index(stop) + 1 if stop in other.ids else 12
        assert result.ids == other.ids[:end]
        assert result.stop_reason == ("stop_id" if stop in other.ids else "length")
    late = model.generate(PROMPTS[0], max_new_tokens=12, stop_ids=[stop], min_new_tokens=8)[0]
    assert stop not in late.ids[:8]


class Letters:
    """Decodes each id to a letter or two."""

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(97 + i % 26) * (1 + i // 26) for i in ids)


def test_stop_strings_end_rows_where_their_text_is_whole() -> None:
    model, letters = make("GPT2LMHeadModel"), Letters()
    free = model.generate(PROMPTS[2], max_new_tokens=12)[0].ids
    text = letters.decode(free)
    stop = text[3:6]
    result = model.generate(
        PROMPTS[2], max_new_tokens=12, stop_strings=[stop, "never"], tokenizer=letters
    )[0]
    assert result.stop_reason == "stop_string"
    assert stop in letters.decode(result.ids)
    assert stop not in letters.decode(result.ids[:-1])
    streamed = model.stream(PROMPTS[2], max_new_tokens=12, stop_strings=[stop], tokenizer=letters)
    assert [token.id for token in streamed] == result.ids


@every_model
def test_stream_yields_what_generate_returns(class_name: str) -> None:
    model = make(class_name)
    results = model.generate(PROMPTS, max_new_tokens=6)
    rows: list[list[NewToken]] = [[] for _ in PROMPTS]
    for token in model.stream(PROMPTS, max_new_tokens=6):
        rows[token.row].append(token)
    for result, row in zip(results, rows, strict=True):
        assert [token.id for token in row] == result.ids
        assert [token.log_prob for token in row] == result.log_probs
    stream = model.stream(PROMPTS[0], max_new_tokens=6)
    assert next(stream).id == results[0].ids[0]  # and the rest is never computed


def test_callback_sees_every_token_and_may_end_rows() -> None:
    model, seen = make("GPT2LMHeadModel"), []

    def stop_first_row(token: NewToken) -> bool:
        seen.append(token)
        return token.row != 0

    results = model.generate(PROMPTS[:2], max_new_tokens=5, callback=stop_first_row)
    assert (len(results[0].ids), results[0].stop_reason) == (1, "callback")
    assert (len(results[1].ids), results[1].stop_reason) == (5, "length")
    assert len(seen) == 6

    def fail(_: NewToken) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.generate(PROMPTS, max_new_tokens=5, callback=fail)
    assert len(model.generate(PROMPTS, max_new_tokens=5)) == 4


@every_model_with_a_window
def test_window_ends_a_text_unless_it_slides(class_name: str) -> None:
    model = make(class_name)
    result = model.generate(PROMPTS[0])[0]
    assert (len(result.ids), result.stop_reason) == (45, "window")
    with pytest.raises(
        ValueError,
        match=r"^Prompt 0 \(3 tokens\) and `max_new_tokens` \(46\) must "
        r"fit into the window of 48 tokens; `sliding_window` lifts this\.",
    ):
        model.generate(PROMPTS[0], max_new_tokens=46)
    slid = model.generate(PROMPTS, max_new_tokens=80, sliding_window=True)
    assert [len(one.ids) for one in slid] == [80] * 4
    assert slid[0].ids[:45] == result.ids
    # When 48 tokens are computed the last 24 stay, and the newest one after them.
    text = [*PROMPTS[0], *slid[0].ids]
    for length in range(49, 73):
        assert text[length] == int(logits_of(model, text[24:length])[-1].argmax())
    assert text[73] == int(logits_of(model, text[48:73])[-1].argmax())


@every_model
def test_samples_follow_the_distribution(class_name: str) -> None:
    model = make(class_name)
    count = 4000
    drawn = model.generate(
        [5, 9, 3], max_new_tokens=1, temperature=1.5, num_return_sequences=count, seed=1
    )
    expected = (logits_of(model, [5, 9, 3])[-1] / 1.5).softmax(-1).double()
    counts = torch.bincount(torch.tensor([one.ids[0] for one in drawn]), minlength=61).double()
    likely = expected * count >= 5
    chi_square = ((counts - count * expected) ** 2 / (count * expected))[likely].sum()
    freedom = int(likely.sum())
    assert float(chi_square) < freedom + 5 * math.sqrt(2 * freedom)


CANDIDATES: list[tuple[dict[str, float], Callable[[Tensor], Tensor]]] = [
    ({"top_k": 5}, lambda p: p >= p.topk(5).values[-1]),
    ({"top_p": 0.6}, lambda p: of_share(p, 0.6)),
    ({"top_p": 0.999}, lambda p: of_share(p, 0.999)),
    ({"min_p": 0.2}, lambda p: p >= 0.2 * p.max()),
    ({"top_k": 7, "top_p": 0.5}, lambda p: of_share(p * (p >= p.topk(7).values[-1]), 0.5)),
]


def of_share(p: Tensor, share: float) -> Tensor:
    values, ids = (p / p.sum()).sort(descending=True)
    kept = torch.zeros_like(p, dtype=torch.bool)
    kept[ids[: int((values.cumsum(0) < share).sum()) + 1]] = True
    return kept


@pytest.mark.parametrize(("options", "allowed"), CANDIDATES, ids=lambda x: str(x)[:30])
def test_only_candidates_are_drawn(
    options: dict[str, Any], allowed: Callable[[Tensor], Tensor]
) -> None:
    model = make("GPT2LMHeadModel")
    drawn = model.generate(
        [5, 9, 3], max_new_tokens=1, temperature=1.3, num_return_sequences=2000, seed=2, **options
    )
    kept = allowed((logits_of(model, [5, 9, 3])[-1].double() / 1.3).softmax(-1))
    found = {one.ids[0] for one in drawn}
    assert found <= set(kept.nonzero().flatten().tolist())
    if int(kept.sum()) < 10:
        assert len(found) == int(kept.sum())


def test_seed_repeats_and_none_does_not() -> None:
    model = make("GPT2LMHeadModel")
    options: dict[str, Any] = {"max_new_tokens": 20, "temperature": 2.0}

    def texts(**more: Any) -> list[list[int]]:
        return [one.ids for one in model.generate(PROMPTS, **options, **more)]

    assert texts(seed=7) == texts(seed=7)
    assert texts(seed=7) != texts(seed=8)
    assert texts() != texts()
    several = model.generate([5, 9], **options, num_return_sequences=3, seed=7)
    assert len({tuple(one.ids) for one in several}) == 3
    assert several[0].ids == model.generate([5, 9], **options, seed=7)[0].ids


def hugging_face(model: Any) -> Any:
    """The same GPT-2 in transformers."""
    transformers = import_or_skip("transformers")
    config = transformers.GPT2Config(**FIELDS, bos_token_id=0, eos_token_id=None)
    theirs = transformers.GPT2LMHeadModel(config)
    state = {
        name.replace("lm_head.decoder.", "lm_head."): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith(".attn.bias")
    }
    theirs.load_state_dict(state, strict=False)
    return theirs.eval()


HF_OPTIONS: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 2},
    {"num_beams": 3},
    {"num_beams": 4, "length_penalty": 0.3, "stops": True},
    {"num_beams": 4, "length_penalty": 2.0, "stops": True},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.2, "stops": True},
    {"num_beams": 4, "num_return_sequences": 3, "stops": True},
    {"min_new_tokens": 6, "num_beams": 2, "stops": True},
    {"min_new_tokens": 6, "stops": True},
]


@pytest.mark.parametrize("options", HF_OPTIONS, ids=str)
def test_tokens_are_those_of_transformers(options: dict[str, Any]) -> None:
    model = make("GPT2LMHeadModel").double()
    theirs = hugging_face(model).double()
    options = dict(options)
    stops = (
        [model.generate(PROMPTS[0], max_new_tokens=4)[0].ids[-1], 17]
        if options.pop("stops", 0)
        else []
    )
    mine = model.generate(PROMPTS, max_new_tokens=15, stop_ids=stops, **options)
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        output = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=15,
            do_sample=False,
            eos_token_id=stops or None,
            pad_token_id=60,
            **options,
        )
        expected += [row[len(prompt) :].tolist() for row in output]
    assert len(mine) == len(expected)
    for result, other in zip(mine, expected, strict=True):
        assert result.ids == other[: len(result.ids)]
        assert set(other[len(result.ids) :]) <= {60}


@every_model
@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_decoder_with_fewer_bytes_is_close(class_name: str, weights: Any) -> None:
    model = make(class_name)
    decoder = Decoder(model, weights=weights)
    assert decoder.window == (None if class_name == "TransfoXLLMHeadModel" else 48)
    mine, exact = decoder.score(PROMPTS), model.score(PROMPTS)
    allowed = {"float32": 1e-5, "bfloat16": 0.05, "int8": 0.1}[weights]
    for text, other in zip(mine, exact, strict=True):
        assert_close(torch.tensor(text.log_probs), torch.tensor(other.log_probs), atol=allowed)
    # One token at a time and many at once multiply with the same weights.
    ids = decoder.generate(PROMPTS[2], max_new_tokens=20)[0]
    again = decoder.score([*PROMPTS[2], *ids.ids])[0].log_probs[len(PROMPTS[2]) - 1 :]
    assert_close(torch.tensor(ids.log_probs), torch.tensor(again), atol=1e-4)


def test_decoder_shares_float32_parameters() -> None:
    model = make("GPT2LMHeadModel")
    decoder = Decoder(model)
    with torch.no_grad():
        model.transformer.wte.weight.normal_()
    expected = model.generate([1, 2], max_new_tokens=3)[0].ids
    assert decoder.generate([1, 2], max_new_tokens=3)[0].ids == expected


def test_bfloat16_model_is_decoded() -> None:
    model = make("GPT2LMHeadModel").bfloat16()
    exact = make("GPT2LMHeadModel").score(PROMPTS)
    for text, other in zip(model.score(PROMPTS), exact, strict=True):
        assert_close(torch.tensor(text.log_probs), torch.tensor(other.log_probs), atol=0.05)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@every_model
def test_threads_generate_from_one_decoder(class_name: str, weights: Any) -> None:
    decoder = Decoder(make(class_name), weights=weights)
    expected = [one.ids for one in decoder.generate(PROMPTS, max_new_tokens=20)]
    found: list[list[list[int]]] = []

    def work() -> None:
        for _ in range(3):
            found.append([one.ids for one in decoder.generate(PROMPTS, max_new_tokens=20)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 24


def test_model_in_training_mode_is_refused() -> None:
    model = make("GPT2LMHeadModel")
    model.transformer.h[1].mlp.train()
    with pytest.raises(
        ValueError, match=r"a part of it is in training mode; call `model\.eval\(\)"
    ):
        model.generate([1])
    model.train()
    with pytest.raises(ValueError, match=r"is in training mode; call `model\.eval\(\)`\.$"):
        model.generate([1])
    with pytest.raises(
        ValueError, match=r"^`model` must be one that a Decoder can serve, but drop"
    ):
        Decoder(model)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"max_new_tokens": 0}, ValueError, "`max_new_tokens` must be at least 1, but is 0"),
    ({"max_new_tokens": 1.5}, TypeError, "`max_new_tokens` must be an int, but is a float"),
    ({"min_new_tokens": -1}, ValueError, "`min_new_tokens` must be at least 0, but is -1"),
    (
        {"min_new_tokens": 5, "max_new_tokens": 4},
        ValueError,
        r"`min_new_tokens` \(5\) must be at most `max_new_tokens` \(4\)",
    ),
    ({"temperature": -1.0}, ValueError, "`temperature` must be at least 0 .* but is -1"),
    ({"temperature": "1"}, TypeError, "`temperature` must be a number, but is a str"),
    ({"temperature": math.nan}, ValueError, "`temperature` must be at least 0"),
    ({"temperature": 1, "top_k": 62}, ValueError, r"`top_k` must be in \[0, 61\] .* but is 62"),
    ({"temperature": 1, "top_k": -1}, ValueError, r"`top_k` must be in \[0, 61\] .* but is -1"),
    ({"temperature": 1, "top_p": 0.0}, ValueError, r"`top_p` must be in \(0, 1\], but is 0"),
    ({"temperature": 1, "min_p": 1.5}, ValueError, r"`min_p` must be in \[0, 1\], but is 1\.5"),
    ({"top_k": 5}, ValueError, "`temperature` must be above 0 for `top_k`, `top_p` and `min_p`"),
    ({"repetition_penalty": 0}, ValueError, "`repetition_penalty` must be above 0, but is 0"),
    ({"no_repeat_ngram_size": -2}, ValueError, "`no_repeat_ngram_size` must be at least 0"),
    ({"num_beams": 0}, ValueError, "`num_beams` must be at least 1, but is 0"),
    (
        {"num_beams": 2, "temperature": 1},
        ValueError,
        "`temperature` must be 0 with `num_beams`, but is 1",
    ),
    (
        {"num_return_sequences": 2},
        ValueError,
        r"`num_return_sequences` must be at most `num_beams` \(1\) unless tokens are drawn",
    ),
    (
        {"num_beams": 2, "sliding_window": True, "max_new_tokens": 3},
        ValueError,
        "`sliding_window` must be false with `num_beams`",
    ),
    ({"sliding_window": True}, ValueError, "`max_new_tokens` must be given with `sliding_window`"),
    ({"sliding_window": 1}, TypeError, "`sliding_window` must be a bool, but is an int"),
    ({"stop_ids": [61]}, IndexError, r"`stop_ids` must be in \[0, 61\), but hold 61"),
    ({"stop_ids": 3}, TypeError, "`stop_ids` must be a list of ints, but is an int"),
    ({"stop_ids": ["a"]}, TypeError, "`stop_ids` must hold ints, but holds a str"),
    ({"stop_strings": "end"}, TypeError, "`stop_strings` must be a list of str, but is a str"),
    ({"stop_strings": [""]}, TypeError, "`stop_strings` must hold non-empty str"),
    ({"stop_strings": ["."]}, ValueError, "`tokenizer` must be given with `stop_strings`"),
    ({"seed": -1}, ValueError, r"`seed` must be in \[0, 2 \*\* 64\), but is -1"),
    ({"prefix": [1]}, TypeError, "`prefix` must be a Prefix, but is a list"),
    ({"input_ids": []}, ValueError, "`input_ids` must hold at least one token a prompt, but pr"),
    ({"input_ids": [[1], []]}, ValueError, "`input_ids` must .* but prompt 1 is empty"),
    ({"input_ids": [61]}, IndexError, r"`input_ids` must be in \[0, 61\), but row 0 holds 61"),
    ({"input_ids": "text"}, TypeError, "`input_ids` must be ids: a tensor, .* but is a str"),
    ({"input_ids": [1.5]}, TypeError, "`input_ids` must be ids: .* but is a float"),
    ({"input_ids": torch.ones(2)}, TypeError, "`input_ids` must be ints of shape"),
    ({"input_ids": [1] * 48}, ValueError, r"Prompt 0 \(48 tokens\) and `max_new_tokens` \(1\)"),
]


@every_model_with_a_window
@pytest.mark.parametrize(("options", "error", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_wrong_argument_is_named(
    class_name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make(class_name).generate(**{"input_ids": [1, 2], **options})


def test_wrong_argument_of_stream_and_decoder_is_named() -> None:
    model = make("GPT2LMHeadModel")
    with pytest.raises(TypeError, match=r"^`callback` must be an option of `generate`, but is not"):
        model.stream([1], callback=print)
    with pytest.raises(ValueError, match=r"^`num_beams` must be 1 in a stream"):
        model.stream([1], num_beams=2)
    with pytest.raises(TypeError, match=r"^`model` must be a GPT2LMHeadModel, OpenAIGPTLMHeadM"):
        Decoder(nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r'^`weights` must be "float32", "bfloat16" or "int8", but'
    ):
        Decoder(model, weights="int4")  # type: ignore[arg-type]


def test_prefix_of_another_model_is_refused() -> None:
    prefix = make("GPT2LMHeadModel", n_layer=2).prefix([1, 2])
    for class_name in [*CONFIGS, "TransfoXLLMHeadModel"]:
        with pytest.raises(ValueError, match=r"^`prefix` must have been made with this model, but"):
            make(class_name).generate([3], prefix=prefix, max_new_tokens=2)
    hooked = make("GPT2LMHeadModel")
    hooked.register_forward_hook(halved)
    with pytest.raises(ValueError, match=r"^`prefix` must have been made with this model, but"):
        hooked.generate([3], prefix=make("GPT2LMHeadModel").prefix([1, 2]))


@every_model_with_a_window
def test_smaller_mask_is_the_window(class_name: str) -> None:
    model = make(class_name, n_ctx=16)
    assert Decoder(model).window == 16
    assert model.generate([1, 2])[0].stop_reason == "window"
    assert len(model.generate([1, 2])[0].ids) == 14
    assert len(model.score([[1, 2, 3] * 10])[0].log_probs) == 29
    model.register_forward_hook(lambda _module, _inputs, output: output)
    assert len(model.generate([1, 2])[0].ids) == 14


def test_results_can_be_compared_and_shown() -> None:
    result = make("GPT2LMHeadModel").generate([1, 2], max_new_tokens=2)[0]
    assert result == Generated(result.ids, result.log_probs, "length", 0, 0.0)
    assert repr(ScoredText([-1.0])) == "ScoredText(log_probs=[-1.0])"
    assert isinstance(make("GPT2LMHeadModel").prefix(torch.tensor([1, 2])), Prefix)


@pytest.fixture(autouse=True)
def _threads_stay_few() -> Iterator[None]:
    """Many small products by two threads take longer than by one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
