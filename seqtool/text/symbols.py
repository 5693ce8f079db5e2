"""User-defined symbols: strings that a vocabulary never splits, wherever they occur."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from seqtool.settings.vocabulary import MAX_SYMBOLS


def symbol_pattern(symbols: Collection[str]) -> re.Pattern[str] | None:
    """A pattern that matches any of the symbols, the longest where several match; None if there are none."""
    longest_first = sorted(symbols, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if symbols else None


def known_symbols(claimed: object, pieces: Sequence[str], prefix: str) -> dict[str, int]:
    """The ids of the symbols `claimed` in a model's metadata, of those that, after `prefix`, are among its pieces."""
    if not isinstance(claimed, list) or len(claimed) > MAX_SYMBOLS:
        return {}
    known = {piece: index for index, piece in enumerate(pieces)}
    ids = {symbol: known.get(prefix + symbol) for symbol in claimed if isinstance(symbol, str)}
    return {symbol: index for symbol, index in ids.items() if index is not None and not re.search(r"^$|\s", symbol)}
