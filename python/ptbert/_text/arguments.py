"""Checks of arguments that are tokens or ids of a text."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ONLY_INTS = {int}


def token_list(tokens: Iterable[str] | None, name: str) -> list[str]:
    """Returns an argument that is a collection of tokens as a list; a str is most likely one token.

    Raises:
        TypeError: It is a str.
    """
    if isinstance(tokens, (bytes, str)):
        raise TypeError(
            f"`{name}` must be a list of tokens, but is the {type(tokens).__name__} {tokens!r}."
        )
    return [] if tokens is None else list(tokens)


def fault_of_tokens(tokens: Any, name: str) -> TypeError | None:
    """Returns the error for tokens that could not be looked up, None if nothing is wrong with them.

    For use after the failure: checking them before would take as long as looking them up.
    """
    if not hasattr(tokens, "__iter__"):
        return TypeError(f"`{name}` must be a list of strs, but is {_a(tokens)}.")
    bad = [token for token in tokens if not isinstance(token, str)]
    return TypeError(f"`{name}[...]` must be a str, but is {_a(bad[0])}.") if bad else None


def check_sentences(sents: Any) -> None:
    """Raises TypeError if sentences are a str."""
    if isinstance(sents, str):
        raise TypeError(f"`sents` must be a list of lists of symbols, but is the str {sents!r}.")


def id_list(ids: Any, name: str) -> list[Any]:
    """Returns ids as a list of ints: a list, a tensor or an array, or a list of their elements.

    Raises:
        TypeError: It is a single id, a batch, or holds something that is not an int.
    """
    rule = f"`{name}` must be the ids of one text"
    shape = getattr(ids, "shape", None)
    if shape is not None:
        if len(shape) == 0:
            raise TypeError(f"{rule}, but is the single id {ids}: pass `[{ids.item()}]`.")
        if len(shape) > 1:
            raise TypeError(
                f"{rule}, but is {_a(ids)} of shape {list(shape)}: pass one row at a time."
            )
        ids = ids.tolist()
    elif isinstance(ids, (bytes, str)):
        raise TypeError(f"{rule}, but is the {type(ids).__name__} {ids!r}.")
    elif not isinstance(ids, list):
        try:
            ids = list(ids)
        except TypeError:
            if hasattr(ids, "__index__"):
                message = f"is the single id {ids}: pass `[{ids}]`"
            else:
                message = f"is {_a(ids)}"
            raise TypeError(f"{rule}, but {message}.") from None
    if set(map(type, ids)) <= _ONLY_INTS:
        found: list[Any] = ids
        return found
    return [_id(index, name) for index in ids]


def _id(index: Any, name: str) -> Any:
    if isinstance(index, float):  # equal to an int or to no id, also as a key of a dict
        return index
    try:
        return operator.index(index)
    except TypeError:
        pass
    if isinstance(index, (list, tuple)) or len(getattr(index, "shape", ())) > 0:
        raise TypeError(
            f"`{name}` must be the ids of one text, but holds {_a(index)}: pass one row at a time."
        )
    raise TypeError(f"`{name}[...]` must be an int, but is {_a(index)}.")


def _a(value: Any) -> str:
    """The type of `value` for a message: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def read_special_tokens(file: Path) -> list[str]:
    """Reads a special_tokens.txt: one token per line; the last may lack an end, the first have a
    byte order mark.

    Raises:
        ValueError: The file is not UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")  # "\r\n" and a lone "\r" end lines, too
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`{file.name}` must be UTF-8, but byte {error.start} of {file} is not."
        ) from error
    return text.removesuffix("\n").split("\n") if text else []
