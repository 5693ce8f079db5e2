"""How well tunes in ABC notation are formed: header fields in order, bars that sum to the metre.

    seqtool generate RUN --prompt X: -n 20 --stop $'\\n\\n' --max-tokens 2000 --seed 1 --json | python tests/benchmarks/abc_tunes.py
    python tests/benchmarks/abc_tunes.py < tunes.abc

Reads tunes apart by blank lines, or samples as JSON lines, and prints how many of them have the fields X T Z M L K in this
order, how many bars sum to the metre, and for how many tunes all bars do. The first and the last bar of a part may be
short (an upbeat and its complement), so they are not counted. Durations follow the ABC standard 2.1: lengths and
fractions after a note, broken rhythm (`>`, `<`), tuplets `(3`, chords `[...]`, rests; grace notes `{...}` take no time.
"""

from __future__ import annotations

import json
import re
import sys
from fractions import Fraction

FIELDS = ["X", "T", "Z", "M", "L", "K"]
METRES = {"C": Fraction(1), "C|": Fraction(1)}
PART_ENDS = re.compile(r":\||\|:|\|\||\|\]|::|\[\||\[[12]|\|[12]")
NOTE = re.compile(
    r"(?P<tuplet>\(\d)|(?P<note>\[[^\]|]*\]|[_^=]*[A-Ga-gzx][,']*)(?P<length>\d*/*\d*)|(?P<broken>[<>]+)|(?P<other>.)"
)
TUPLET_TIME = {2: 3, 3: 2, 4: 3, 5: 2, 6: 2, 7: 2, 8: 3, 9: 2}


def length_of(text: str) -> Fraction:
    """`` is 1, `3` is 3, `/` a half, `//` a quarter, `3/2` three halves."""
    top, slash, bottom = text.partition("/")
    if bottom.startswith("/"):
        return Fraction(int(top or 1), 2 ** (1 + len(bottom)))
    return Fraction(int(top or 1), int(bottom or 2) or 1) if slash else Fraction(int(top or 1))


def bar_length(bar: str) -> Fraction:
    """The time a bar takes, in unit note lengths."""
    bar = re.sub(r"\{[^}]*\}|\"[^\"]*\"|!", "", bar)
    lengths: list[Fraction] = []
    tuplet_notes, tuplet_factor, pending = 0, Fraction(1), Fraction(1)
    for match in NOTE.finditer(bar):
        if match["tuplet"]:
            number = int(match["tuplet"][1])
            if number in TUPLET_TIME:
                tuplet_notes, tuplet_factor = number, Fraction(TUPLET_TIME[number], number)
        elif match["note"]:
            length = length_of(match["length"]) * pending
            pending = Fraction(1)
            if tuplet_notes:
                length, tuplet_notes = length * tuplet_factor, tuplet_notes - 1
            lengths.append(length)
        elif match["broken"] and lengths:
            short = Fraction(1, 2 ** len(match["broken"]))
            long = 2 - short
            before, after = (long, short) if match["broken"][0] == ">" else (short, long)
            lengths[-1] *= before
            pending = after
    return sum(lengths, Fraction(0))


def metre_in_units(tune: str) -> Fraction | None:
    """The length of a whole bar in unit note lengths, or None when the header does not say."""
    fields = dict(re.findall(r"^([ML]):\s*(\S+)", tune, re.MULTILINE))
    try:
        metre = METRES.get(fields["M"]) or Fraction(fields["M"])
        return metre / Fraction(fields["L"])
    except (KeyError, ValueError, ZeroDivisionError):
        return None


def bars_of(tune: str) -> list[str]:
    """The inner bars: those that are neither first nor last in a part."""
    body = "".join(line for line in tune.splitlines() if not re.match(r"[A-Za-z]:", line))
    inner = []
    for part in PART_ENDS.split(body):
        bars = [bar for bar in part.split("|") if re.search(r"[A-Ga-gz]", bar)]
        inner += bars[1:-1]
    return inner


def report(tunes: list[str]) -> dict[str, int]:
    """Counts over all tunes."""
    counts = dict.fromkeys(["tunes", "header_in_order", "all_bars_sum", "bars", "bars_sum"], 0)
    for tune in tunes:
        counts["tunes"] += 1
        counts["header_in_order"] += re.findall(r"^([A-Z]):", tune, re.MULTILINE) == FIELDS
        whole = metre_in_units(tune)
        bars = bars_of(tune)
        right = sum(bar_length(bar) == whole for bar in bars) if whole else 0
        counts["bars"] += len(bars)
        counts["bars_sum"] += right
        counts["all_bars_sum"] += bool(bars) and right == len(bars)
    return counts


def main() -> None:
    """Read stdin, print the counts."""
    text = sys.stdin.read()
    if text.startswith("{"):
        records = [json.loads(line) for line in text.splitlines()]
        tunes = [record["prompt"] + record["text"] for record in records]
    else:
        tunes = [tune for tune in re.split(r"\n\s*\n", text) if tune.strip()]
    print(json.dumps(report(tunes)))


if __name__ == "__main__":
    main()
