"""The curve of a loss, dot by dot."""

from __future__ import annotations

from seqtool.cli.curve import BLANK, draw


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
