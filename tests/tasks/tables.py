"""Small tables that tests of tasks learn from, and reading what the command answers."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path
from typing import Any

from tests.conftest import Command

GOOD, BAD = ("fine", "warm", "bright", "kind", "sweet"), ("dull", "cold", "grim", "harsh", "sour")
PLAIN = ("the", "film", "was", "so", "very", "and", "song", "long")


def texts(path: Path, rows: int = 300, seed: int = 0, header: str = "label\ttext") -> Path:
    """Sentences of plain words and one that tells the label: learned by any model."""
    drawn = random.Random(seed)
    lines = [header] if header else []
    for _ in range(rows):
        good = drawn.random() < 0.5
        words = [drawn.choice(PLAIN) for _ in range(drawn.randint(1, 9))]
        words.insert(drawn.randint(0, len(words)), drawn.choice(GOOD if good else BAD))
        lines.append(f"{'pos' if good else 'neg'}\t{' '.join(words)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def pupils(path: Path, rows: int = 400, seed: int = 0) -> Path:
    """Hours and a school decide who passes; shoes do not."""
    drawn = random.Random(seed)
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["hours", "school", "shoes", "mark", "pass"])
        for _ in range(rows):
            hours, school, shoes = drawn.uniform(0, 20), drawn.choice(["north", "south"]), drawn.gauss(40, 3)
            mark = hours + (4 if school == "north" else 0) + drawn.gauss(0, 1)
            writer.writerow([f"{hours:.2f}", school, f"{shoes:.1f}", f"{mark:.3f}", "yes" if mark > 12 else "no"])
    return path


def waves(path: Path, steps: int = 300, seed: int = 0) -> Path:
    """Two series of season 12 with noise, in a long table."""
    drawn = random.Random(seed)
    lines = ["series,step,value"]
    for name in ("a", "b"):
        for step in range(steps):
            lines.append(f"{name},{step},{math.sin(step * math.pi / 6) + drawn.gauss(0, 0.1):.4f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def done(seqtool: Command, *arguments: object, **options: Any) -> bytes:
    """What a command prints that must succeed."""
    result = seqtool(*arguments, **options)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def report(seqtool: Command, *arguments: object, **options: Any) -> dict[str, Any]:
    """What a command reports as JSON."""
    return dict(json.loads(done(seqtool, *arguments, "--json", **options)))
