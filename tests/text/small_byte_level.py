"""Small vocabularies of byte-level BPE."""

from __future__ import annotations

from collections.abc import Sequence

from seqtool.text.byte_level import byte_characters, byte_level_model
from seqtool.text.vocabulary import Vocabulary

MERGES = [
    ("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "a"), ("i", "n"), (".", "Ċ"), (".Ċ", "Ċ"), ("Ċ", "Ċ"), ("Ġ", "Ġ"),
    ("ĠĠ", "ĠĠ"), ("a", "b"), ("ab", "a"), ("b", "a"), ("e", "r"), ("he", "r"), ("h", "e"), ("Ã", "©"), ("1", "2"),
    ("12", "3"), ("!", "!"), ("'", "s"), ("a", "a"), ("aa", "aa"),
]  # fmt: skip
WHOLE = "Ġwhole"  # a piece that no merges make


def small_model(
    splitting: str = "gpt-2", symbols: Sequence[str] = (), merges: Sequence[tuple[str, str]] = MERGES, **told: object
) -> bytes:
    """The file of a vocabulary of the bytes, `merges`, a piece that is never merged, and some symbols."""
    pieces = [*byte_characters(), *("".join(pair) for pair in merges), WHOLE, *symbols, "<|endoftext|>"]
    ids = {piece: index for index, piece in enumerate(pieces)}
    begin = ids["<|endoftext|>"]
    pairs = [(ids[left], ids[right]) for left, right in merges]
    kept = [ids[symbol] for symbol in symbols]
    settings = {"begin_id": begin, "special": [begin], "symbols": kept, **told}
    return byte_level_model(pieces, pairs, splitting=splitting, **settings)  # type: ignore[arg-type]


def small_vocabulary(splitting: str = "gpt-2", symbols: Sequence[str] = (), **told: object) -> Vocabulary:
    """The vocabulary of `small_model`."""
    return Vocabulary(small_model(splitting, symbols, **told))  # type: ignore[arg-type]
