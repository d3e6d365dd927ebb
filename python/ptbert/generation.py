"""Text generation and scoring with GPT, GPT-2 and Transformer-XL.

`model.generate`, `model.stream` and `model.score` of a model with the language-model head use the
weights as they are. A `Decoder` may store them in fewer bytes, which is faster, and keeps the model
out of memory.

A Transformer-XL has memory instead of a window: texts may have any length, and every token costs
the same. It reads a prompt in segments of `tgt_len` tokens and then goes on token by token, with
the `mem_len` last tokens in memory. `max_new_tokens` must be given, and `sliding_window` changes
nothing.

Tokens are chosen from the scores of the model in this order: `repetition_penalty`,
`no_repeat_ngram_size`, `min_new_tokens`, then with `temperature` above 0 `temperature`, `top_k`,
`top_p`, `min_p`. The interpreter is free while C++ computes, so that threads generate in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, nan
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from . import _C
from ._models.messages import with_article

__all__ = ["Decoder", "Generated", "NewToken", "Prefix", "ScoredText", "TextGenerator"]

Weights = Literal["float32", "bfloat16", "int8"]
# Ids of one text, or of several.
Prompts = Tensor | Sequence[int] | Sequence[Sequence[int]] | Sequence[Tensor]


class _Decodes(Protocol):
    """A tokenizer of this package, or another with this method."""

    def decode(self, ids: list[int], /) -> str: ...


@dataclass(frozen=True)
class Generated:
    """A continuation of a prompt.

    Attributes:
        ids: The new tokens, without the prompt; a stop id is the last of them.
        log_probs: The log-probability of each, by the model's own scores: before penalties,
            temperature and the choice of candidates.
        stop_reason: Why it ended: "length" (`max_new_tokens`), "window" (it is full), "stop_id",
            "stop_string" or "callback".
        prompt: Index of its prompt.
        score: With beams, the sum of `log_probs` / length ** `length_penalty`.

    Example:
        >>> Generated([5, 6], [-1.0, -0.5], "length", 0, 0.0).ids
        [5, 6]
    """

    ids: list[int]
    log_probs: list[float]
    stop_reason: str
    prompt: int
    score: float


class NewToken(NamedTuple):
    """A token that was written.

    Attributes:
        row: Index among the continuations, which are in the order of their prompts.
        id: The token.
        log_prob: Its log-probability; see `Generated`.

    Example:
        >>> NewToken(0, 42, -1.5).id
        42
    """

    row: int
    id: int
    log_prob: float


@dataclass(frozen=True)
class ScoredText:
    """What a model thinks of a text.

    Attributes:
        log_probs: The log-probability of each token but the first, given those before it.

    Example:
        >>> round(ScoredText([-1.0, -3.0]).perplexity, 3)
        7.389
    """

    log_probs: list[float]

    @property
    def perplexity(self) -> float:
        """exp(-mean of `log_probs`); NaN for a text of one token."""
        return exp(-sum(self.log_probs) / len(self.log_probs)) if self.log_probs else nan


class Prefix:
    """Tokens that stand before the prompts of several calls, and are computed once.

    Made by `Decoder.prefix` or `model.prefix`; it belongs to the weights that it was made with.

    Example:
        >>> from ptbert import GPT2Config, GPT2LMHeadModel
        >>> model = GPT2LMHeadModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4)).eval()
        >>> prefix = model.prefix([1, 2, 3])
        >>> model.generate([4], prefix=prefix, max_new_tokens=2)[0].ids == model.generate(
        ...     [1, 2, 3, 4], max_new_tokens=2)[0].ids
        True
    """

    def __init__(self, state: Any) -> None:
        self._state = state

    @property
    def ids(self) -> list[int]:
        """The tokens."""
        return list(self._state.tokens[0])


class TextGenerator:
    """What models with a language-model head and decoders can do."""

    def _decoder(self) -> Any:
        """Returns the C++ decoder."""
        raise NotImplementedError

    def generate(
        self,
        input_ids: Prompts,
        *,
        max_new_tokens: int | None = None,
        min_new_tokens: int = 0,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
        num_return_sequences: int = 1,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        stop_ids: Iterable[int] = (),
        stop_strings: Iterable[str] = (),
        tokenizer: _Decodes | None = None,
        seed: int | None = None,
        sliding_window: bool = False,
        prefix: Prefix | None = None,
        callback: Callable[[NewToken], bool | None] | None = None,
    ) -> list[Generated]:
        """Continues prompts.

        Args:
            input_ids: One prompt (ids, or a tensor [seq]) or several, of any lengths (lists of ids,
                or a tensor [batch, seq]). Prompts are computed without padding: give them none.
            max_new_tokens: How many tokens to write at most; None until the window is full, which a
                model with memory does not have.
            min_new_tokens: How many to write before a stop id may be chosen.
            temperature: 0 takes the most probable token; above 0 tokens are drawn, with scores
                divided by it.
            top_k: Draw among so many most probable tokens; 0 for all.
            top_p: Draw among the fewest tokens whose probabilities sum to so much.
            min_p: Draw among tokens at least so many times as probable as the most probable one.
            repetition_penalty: Above 1, makes tokens less probable that the row holds.
            no_repeat_ngram_size: No sequence of so many tokens occurs twice in a row; 0 allows it.
            num_return_sequences: Continuations per prompt; more than one need `temperature` above 0
                or as many beams.
            num_beams: Above 1, searches for the most probable continuation, keeping so many.
            length_penalty: With beams: log-probabilities are divided by length ** so much.
            stop_ids: Tokens after which a row ends.
            stop_strings: Texts after which a row ends; they need `tokenizer`.
            tokenizer: Decodes ids, for `stop_strings`.
            seed: Start of the random numbers. The numbers of a row depend on it and on the row's
                number among the continuations of its prompt, so that a prompt gives the same text
                whatever else is in the batch.
            sliding_window: When the window is full, go on after the last half of it; otherwise it
                is an error to ask for more than fits.
            prefix: Tokens before every prompt that are computed already.
            callback: Called for each token; if it returns False, the row ends.

        Returns:
            The continuations, in the order of their prompts.

        Raises:
            TypeError, ValueError, IndexError: An argument is wrong; the message names it.
        """
        options = _options(locals())
        generation, stops = self._start(input_ids, options, prefix, stop_strings, tokenizer)
        while not generation.done:
            for token in map(NewToken._make, generation.step()):
                if callback is not None and callback(token) is False:
                    generation.stop(token.row, "callback")
                if stops is not None and stops.add(token):
                    generation.stop(token.row, "stop_string")
        return [
            Generated(ids, log_probs, reason, prompt, score)
            for prompt, ids, log_probs, reason, score in generation.rows()
        ]

    def stream(
        self,
        input_ids: Prompts,
        *,
        stop_strings: Iterable[str] = (),
        tokenizer: _Decodes | None = None,
        prefix: Prefix | None = None,
        **options: Any,
    ) -> Iterator[NewToken]:
        """Continues prompts and yields each token as it is written; end the loop to stop.

        Arguments are those of `generate`, except `callback` and beams, which know their tokens at
        the end only.

        Example:
            >>> from ptbert import GPT2Config, GPT2LMHeadModel
            >>> model = GPT2LMHeadModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4)).eval()
            >>> len([token.id for token in model.stream([1, 2, 3], max_new_tokens=4)])
            4
        """
        if unknown := options.keys() - _DEFAULTS.keys():
            raise TypeError(f"`{min(unknown)}` must be an option of `generate`, but is not.")
        if options.get("num_beams", 1) != 1:
            raise ValueError(
                "`num_beams` must be 1 in a stream: beams know their tokens at the end only; use "
                "`generate`."
            )
        generation, stops = self._start(
            input_ids, {**_DEFAULTS, **options}, prefix, stop_strings, tokenizer
        )

        def tokens() -> Iterator[NewToken]:
            while not generation.done:
                for token in map(NewToken._make, generation.step()):
                    if stops is not None and stops.add(token):
                        generation.stop(token.row, "stop_string")
                    yield token

        return tokens()

    def prefix(self, input_ids: Tensor | Sequence[int]) -> Prefix:
        """Computes tokens that will stand before the prompts of several calls."""
        (ids,) = _rows(input_ids)
        return Prefix(self._decoder().prefix(ids))

    def score(
        self,
        texts: Prompts,
        *,
        stride: int | None = None,
        window: int | None = None,
        batch_tokens: int = 2048,
        callback: Callable[[int, int], None] | None = None,
    ) -> list[ScoredText]:
        """Returns the log-probability of every token of texts.

        Args:
            texts: Ids of one text or of several, as for `generate`.
            stride: A text longer than the window is scored in steps of so many tokens, each step
                with `window - stride` tokens before it; None for half a window. Fewer are slower
                and more exact. Always None with a model that has memory, which reads texts from
                beginning to end.
            window: Length of the window; None for that of the model. Always None with memory.
            batch_tokens: About how many tokens are computed at once.
            callback: Called with the numbers of tokens scored so far and of all.

        Raises:
            TypeError, ValueError, IndexError: An argument is wrong; the message names it.

        Example:
            >>> from ptbert import GPT2Config, GPT2LMHeadModel
            >>> model = GPT2LMHeadModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4)).eval()
            >>> [len(text.log_probs) for text in model.score([[1, 2, 3], [4, 5]])]
            [2, 1]
        """
        log_probs = _C.score(
            self._decoder(),
            _rows(texts, "texts"),
            _given("stride", stride),
            _given("window", window),
            _integer("batch_tokens", batch_tokens),
            callback,
        )
        return [ScoredText(one) for one in log_probs]

    def _start(
        self,
        input_ids: Prompts,
        options: Mapping[str, Any],
        prefix: Prefix | None,
        stop_strings: Iterable[str],
        tokenizer: _Decodes | None,
    ) -> tuple[Any, _StopStrings | None]:
        checked = {name: _checked(name, value) for name, value in options.items()}
        stops = _stop_strings(stop_strings, tokenizer)
        if prefix is not None and not isinstance(prefix, Prefix):
            raise TypeError(f"`prefix` must be a Prefix, but is {with_article(prefix)}.")
        state = None if prefix is None else prefix._state
        decoder = self._decoder()
        return _C.Generation(decoder, _rows(input_ids), state, checked), stops


class Decoder(TextGenerator):
    """Generates and scores with the weights of a model, stored in fewer bytes if you like.

    Writing a token takes about the time of reading all weights from memory, so fewer bytes are
    faster. `docs/GENERATION.md` has speed and accuracy of each format.

    Args:
        model: A `GPT2LMHeadModel`, `OpenAIGPTLMHeadModel` or `TransfoXLLMHeadModel` (`attn_type`
            0) on the CPU, in evaluation mode.
        weights: "float32" shares the model's parameters; "bfloat16" and "int8" (a scale for each
            output) copy those of the layers and of GPT's softmax. Sums are computed in float32. It
            does not see parameters that are replaced later.

    Raises:
        TypeError: `model` is something else.
        ValueError: `weights` is none of these, or the model has hooks, replaced parts, another
            device or dtype, or is in training mode.

    Example:
        >>> from ptbert import GPT2Config, GPT2LMHeadModel
        >>> model = GPT2LMHeadModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4)).eval()
        >>> len(Decoder(model, weights="int8").generate([1, 2, 3], max_new_tokens=4)[0].ids)
        4
    """

    def __init__(self, model: LanguageModel, weights: Weights = "float32") -> None:
        if not isinstance(model, LanguageModel):
            raise TypeError(
                "`model` must be a GPT2LMHeadModel, OpenAIGPTLMHeadModel or TransfoXLLMHeadModel, "
                f"but is {with_article(model)}."
            )
        self.weights = weights
        self._cpp = _C.make_decoder(model, weights)

    def _decoder(self) -> Any:
        return self._cpp

    @property
    def window(self) -> int | None:
        """Longest text, in tokens; None for a model with memory, which has no limit."""
        return None if self._cpp.has_memory else self._cpp.window


class LanguageModel(TextGenerator, nn.Module):
    """A model of this package with the language-model head."""

    transformer: Any
    lm_head: Any

    def _decoder(self) -> Any:
        if self.training or any(
            isinstance(part, _DropoutNd) and part.training and part.p > 0 for part in self.modules()
        ):
            raise ValueError(
                "The model must be in evaluation mode to generate or score, but it or a part of it "
                "is in training mode; call `model.eval()`."
            )
        if _C.why_not_decoded(self) is None:
            return _C.make_decoder(self, "float32")
        device = next(self.parameters()).device

        def forward(ids: Tensor, *rest: Any) -> Any:
            with torch.no_grad():
                return self(ids.to(device), *rest)

        return self._plain_decoder(forward)

    def _plain_decoder(self, forward: Callable[..., Any]) -> Any:
        """Returns a C++ decoder that calls `forward`, of GPT and GPT-2."""
        config = self.transformer.config
        rows = config.total_tokens_embeddings
        vocabulary = rows if self.lm_head.predict_special_tokens else config.vocab_size
        has_past = hasattr(self.transformer, "wte")
        window = min(config.n_positions, config.n_ctx)
        return _C.make_plain_decoder(forward, has_past, window, vocabulary)


class _StopStrings:
    """Tells when the text of a row ends in a string that ends it."""

    def __init__(self, strings: list[str], tokenizer: _Decodes) -> None:
        self.strings, self.tokenizer = strings, tokenizer
        # A token has at least one byte, so that a string and the token it ends in are among these.
        self.longest = max(len(string.encode()) for string in strings) + 1
        self.rows: dict[int, list[int]] = {}

    def add(self, token: NewToken) -> bool:
        ids = self.rows.setdefault(token.row, [])
        ids.append(token.id)
        del ids[: -self.longest]
        text = self.tokenizer.decode(ids)
        return any(string in text for string in self.strings)


def _stop_strings(strings: Iterable[str], tokenizer: _Decodes | None) -> _StopStrings | None:
    if isinstance(strings, str):
        raise TypeError("`stop_strings` must be a list of str, but is a str; put it in a list.")
    given = list(strings)
    for string in given:
        if not isinstance(string, str) or not string:
            raise TypeError(f"`stop_strings` must hold non-empty str, but hold {string!r}.")
    if not given:
        return None
    if tokenizer is None:
        raise ValueError("`tokenizer` must be given with `stop_strings`, but is None.")
    return _StopStrings(given, tokenizer)


_DEFAULTS: dict[str, Any] = {
    "max_new_tokens": None,
    "min_new_tokens": 0,
    "temperature": 0.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_return_sequences": 1,
    "num_beams": 1,
    "length_penalty": 1.0,
    "stop_ids": (),
    "seed": None,
    "sliding_window": False,
}


def _options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in _DEFAULTS}


def _checked(name: str, value: Any) -> Any:
    """Returns an option as C++ takes it; TypeError if it is of another type."""
    default = _DEFAULTS[name]
    if name == "stop_ids":
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise TypeError(f"`stop_ids` must be a list of ints, but is {with_article(value)}.")
        return _integers("stop_ids", value)
    if name == "sliding_window":
        if not isinstance(value, bool):
            raise TypeError(f"`{name}` must be a bool, but is {with_article(value)}.")
        return value
    if value is None and default is None:
        return None
    if isinstance(default, float):
        if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
            raise TypeError(f"`{name}` must be a number, but is {with_article(value)}.")
        return float(value)
    value = _integer(name, value)
    if name == "seed" and not 0 <= value < 1 << 64:
        raise ValueError(f"`seed` must be in [0, 2 ** 64), but is {value}.")
    return value


def _integer(name: str, value: Any, rule: str = "be an int, but is") -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"`{name}` must {rule} {with_article(value)}.")
    return int(value.__index__())


def _integers(name: str, values: Iterable[Any]) -> list[int]:
    return [_integer(name, value, "hold ints, but holds") for value in values]


def _given(name: str, value: int | None) -> int:
    """Returns an int for C++, where 0 means that none was given."""
    if value is None:
        return 0
    if _integer(name, value) < 1:
        raise ValueError(f"`{name}` must be at least 1, but is {value}.")
    return value


def _rows(texts: Any, name: str = "input_ids") -> list[list[int]]:
    """Returns one text or several as lists of ids."""
    if isinstance(texts, Tensor):
        if texts.is_floating_point() or texts.dtype == torch.bool or texts.dim() not in (1, 2):
            raise TypeError(
                f"`{name}` must be ints of shape [seq] or [batch, seq], but is of dtype "
                f"{texts.dtype} and shape {list(texts.shape)}."
            )
        rows = texts if texts.dim() == 2 else texts.unsqueeze(0)
        found: list[list[int]] = rows.tolist()
        return found
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise TypeError(
            f"`{name}` must be ids: a tensor, or a list of ints or of such lists, but is "
            f"{with_article(texts)}."
        )
    if all(hasattr(item, "__index__") and getattr(item, "ndim", 0) == 0 for item in texts):
        return [_integers(name, texts)]
    return [row for text in texts for row in _rows(text, name)]
