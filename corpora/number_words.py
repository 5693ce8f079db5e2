"""Numbers in words and in digits, as words<TAB>digits: there is one right answer to each, so all can be told.

    python -m corpora.number_words > train.tsv
    python -m corpora.number_words --rows 2000 --seed 1 > test.tsv

The number of digits is drawn, from 1 to 6, then a number with so many. British and American writings are mixed: "three
hundred and four" and "three hundred four", "forty-two" and "forty two". What is read grows with the number, and what is
written must have a digit for every place, the zeros that no word names included: that is what has to be learned.

Printed on stderr: the accuracy that is possible, which is 1, and that of the commonest number on the rows written.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator

from corpora.recipe import asked, run

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
MOST_DIGITS = 6


def in_words(number: int, with_and: bool, hyphen: bool) -> str:
    """A number below a million in English words."""
    if number < 20:
        return SMALL[number]
    if number < 100:
        tens, ones = TENS[number // 10 - 2], number % 10
        return f"{tens}{'-' if hyphen else ' '}{SMALL[ones]}" if ones else tens
    unit, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head, rest = in_words(number // unit, with_and, hyphen), number % unit
    if not rest:
        return f"{head} {name}"
    joint = " and " if with_and and rest < 100 else " "
    return f"{head} {name}{joint}{in_words(rest, with_and, hyphen)}"


def drawn(rows: int, seed: int) -> Iterator[tuple[str, int]]:
    """Numbers in words, and the numbers."""
    chance = random.Random(seed)
    for _ in range(rows):
        digits = chance.randint(1, MOST_DIGITS)
        number = chance.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        yield in_words(number, chance.random() < 0.5, chance.random() < 0.5), number


def main() -> None:
    """Write numbers, and say on stderr how many of them can be told."""
    options = asked("Numbers in words and in digits, as words<TAB>digits.", 10_000)
    print("words\tdigits")
    counts: Counter[int] = Counter()
    for words, number in drawn(options.rows, options.seed):
        print(f"{words}\t{number}")
        counts[number] += 1
    print(f"best possible                  accuracy {1.0:.4f}", file=sys.stderr)
    print(f"the commonest, on these rows   accuracy {max(counts.values()) / options.rows:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
