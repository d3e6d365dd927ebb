"""Wording shared by error messages."""

from __future__ import annotations


def with_article(value: object) -> str:
    """Returns the type of a value for a message: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
