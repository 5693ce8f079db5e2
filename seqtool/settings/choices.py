"""Naming the choices in a message, and the one that was meant."""

from __future__ import annotations

from collections.abc import Collection


def choose_from(value: str, choices: Collection[str]) -> str:
    """`choose from sgd, adam`; where one of the choices is like `value`, `did you mean adam? choose from sgd, adam`."""
    meant = nearest(value, choices)
    return (f"did you mean {meant}? " if meant else "") + f"choose from {', '.join(choices)}"


def nearest(value: str, choices: Collection[str]) -> str:
    """The choice most like `value`; empty where none is like it."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(value, choices, n=1)), "")
