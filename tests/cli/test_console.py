"""What a person sees: the curve's dots, and the view of a training on a real terminal."""

from __future__ import annotations

import os
import pty
from pathlib import Path

from seqtool.cli.curve import BLANK, draw
from tests.conftest import Start


def dots(lines: list[str]) -> list[tuple[int, int]]:
    """Columns and rows (from the top) of the dots in a drawing."""
    places = {
        0x01: (0, 0),
        0x02: (0, 1),
        0x04: (0, 2),
        0x40: (0, 3),
        0x08: (1, 0),
        0x10: (1, 1),
        0x20: (1, 2),
        0x80: (1, 3),
    }
    found = []
    for row, line in enumerate(lines):
        for column, character in enumerate(line[8:]):
            for bit, (x, y) in places.items():
                if ord(character) - BLANK & bit:
                    found.append((2 * column + x, 4 * row + y))
    return sorted(found)


def test_a_falling_line_is_drawn_from_corner_to_corner():
    lines = draw([(share / 7, 4.0 - share * 3 / 7) for share in range(8)], width=4, height=2, end=1.0)
    assert dots(lines) == [(n, n) for n in range(8)]
    assert lines[0].startswith("  4.000 ")
    assert lines[-1].startswith("  1.000 ")


def test_nothing_and_one_point_and_no_numbers():
    assert draw([], 4, 2, 1.0) == []
    assert draw([(0.5, float("nan"))], 4, 2, 1.0) == []
    assert len(dots(draw([(0.5, 2.0), (0.6, float("inf"))], 4, 2, 1.0))) == 1


def test_on_a_terminal_the_curve_grows_and_goes(start: Start, prose_file: Path, tmp_path: Path):
    parent, child = pty.openpty()
    words = ["train", prose_file, "-o", tmp_path / "run", "--vocab-type", "char", "--hidden", 24, "--steps", 60]
    process = start(*words, env={"TERM": "xterm"}, stderr=os.ttyname(child))
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert process.wait() == 0
    text = seen.decode()
    assert any(BLANK < ord(character) <= BLANK + 0xFF for character in text)
    assert "validation loss" in text
    assert "best step" in process.stdout.read().decode()
