"""A small language and its translation, word for word, to learn from."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = dict(
    zip(
        ["red", "blue", "green", "big", "small", "cat", "dog", "bird", "sees", "likes", "the"],
        ["rot", "blau", "grün", "groß", "klein", "Katze", "Hund", "Vogel", "sieht", "mag", "das"],
        strict=True,
    )
)


def translated(sentence: str) -> str:
    """The right translation."""
    return " ".join(WORDS[word] for word in sentence.split()) + "."


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of three or six words."""
    drawn = random.Random(seed)
    found = []
    for _ in range(count):
        words = ["the", drawn.choice(["red", "blue", "green", "big", "small"]), drawn.choice(["cat", "dog", "bird"])]
        if drawn.random() < 0.5:
            words += [drawn.choice(["sees", "likes"]), "the", drawn.choice(["cat", "dog", "bird"])]
        found.append(" ".join(words))
    return found


def parallel(folder: Path, name: str, count: int, seed: int = 0) -> tuple[Path, Path]:
    """Two files, a sentence a line."""
    source, target = folder / f"{name}.a", folder / f"{name}.b"
    lines = sentences(count, seed)
    source.write_text("".join(line + "\n" for line in lines))
    target.write_text("".join(translated(line) + "\n" for line in lines))
    return source, target


SMALL = ("--hidden", 48, "--embed", 48, "--lr", "6e-3", "--dropout", 0, "--batch-tokens", 400, "-q")
"""Settings of a run that learns it in seconds."""
