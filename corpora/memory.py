"""Sequences that ask what was read before: what can a model remember, and for how long?

    python -m corpora.memory parity --length 24 --rows 5000 > train.conll
    python -m corpora.memory parity --length 128 --rows 500 --seed 1 > test.conll
    seqtool train train.conll --target tag --unscored _ --model gdn --one-way -o run
    seqtool eval run test.conll

A token a line with its answer, `_` where nothing is asked; an empty line ends a sequence. `--length N` is about how
many tokens the longest sequence has. The tasks, and what they take:

    parity       whether the ones so far are odd                                    a state of 1 bit
    group        the product so far of permutations of three things (S3)            a state that no sum can be
    recall       pairs of a key and a value, then keys: their values (MQAR)         a table of all pairs
    selective    symbols among noise, then as many marks: the symbols in order      what to keep is in the input
    copy         symbols, then as many marks: the symbols in order                  all that was read
    lag          a symbol, noise for 1 to N tokens, log-uniform, a mark: the symbol one symbol, for long
    sum          digits, two of them marked, then a mark: their sum modulo 10       two digits
    induction    noise, in which the last symbol stood before: what followed it     a table of pairs of neighbours
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
from collections.abc import Callable, Sequence

from corpora.recipe import run

NOTHING = "_"
MARK = "?"
SYMBOLS = tuple("abcdefghijklmnop")
NOISE = tuple("uvwxyz")
DIGITS = tuple("0123456789")
KEYS = tuple(f"k{number}" for number in range(64))
VALUES = tuple(f"v{number}" for number in range(16))

Token = tuple[str, str]
"""What is read, and the answer, or NOTHING."""

PERMUTATIONS = {"".join(map(str, order)): order for order in itertools.permutations(range(3))}


def parity(draw: random.Random, length: int) -> list[Token]:
    """Bits, and after each whether there have been an odd number of ones."""
    odd, found = 0, []
    for _ in range(length):
        bit = draw.randrange(2)
        odd ^= bit
        found.append((str(bit), ("even", "odd")[odd]))
    return found


def group(draw: random.Random, length: int) -> list[Token]:
    """Permutations of three things, and after each the product of all so far."""
    product: tuple[int, ...] = (0, 1, 2)
    found = []
    for _ in range(length):
        name, order = draw.choice(list(PERMUTATIONS.items()))
        product = tuple(product[place] for place in order)
        found.append((name, "".join(map(str, product))))
    return found


def recall(draw: random.Random, length: int) -> list[Token]:
    """A third of the length pairs of different keys and any values, a mark, and all keys in another order."""
    pairs = dict.fromkeys(draw.sample(KEYS, max(1, min(len(KEYS), length // 3))), "")
    for key in pairs:
        pairs[key] = draw.choice(VALUES)
    told = [(token, NOTHING) for pair in pairs.items() for token in pair]
    return [*told, (MARK, NOTHING), *((key, pairs[key]) for key in draw.sample(list(pairs), len(pairs)))]


def selective(draw: random.Random, length: int) -> list[Token]:
    """An eighth of the length symbols at any places among noise, and then as many marks."""
    count = max(1, length // 8)
    before = max(count, length - count)
    places = sorted(draw.sample(range(before), count))
    kept = {place: draw.choice(SYMBOLS) for place in places}
    told = [(kept.get(place) or draw.choice(NOISE), NOTHING) for place in range(before)]
    return told + [(MARK, kept[place]) for place in places]


def copy(draw: random.Random, length: int) -> list[Token]:
    """Half of the length symbols, and then as many marks."""
    symbols = draw.choices(SYMBOLS, k=max(1, length // 2))
    return [(symbol, NOTHING) for symbol in symbols] + [(MARK, symbol) for symbol in symbols]


def lag(draw: random.Random, length: int) -> list[Token]:
    """A symbol, noise for 1 to about `length` tokens, number log-uniform, and a mark."""
    symbol, noise = draw.choice(SYMBOLS), round(math.exp(draw.uniform(0, math.log(max(1, length - 2)))))
    return [(symbol, NOTHING), *((token, NOTHING) for token in draw.choices(NOISE, k=noise)), (MARK, symbol)]


def marked_sum(draw: random.Random, length: int) -> list[Token]:
    """Digits, of which two are marked, and a mark: the sum of the two, modulo 10."""
    digits = draw.choices(DIGITS, k=max(2, length - 1))
    marked = draw.sample(range(len(digits)), 2)
    told = [(digit + "!" * (place in marked), NOTHING) for place, digit in enumerate(digits)]
    return [*told, (MARK, DIGITS[sum(int(digits[place]) for place in marked) % 10])]


def induction(draw: random.Random, length: int) -> list[Token]:
    """Symbols, and at last one that stood among them once before: what followed it there."""
    told = draw.choices(SYMBOLS[1:], k=max(2, length - 1))
    place = draw.randrange(len(told) - 1)
    told[place] = SYMBOLS[0]
    return [*((symbol, NOTHING) for symbol in told), (SYMBOLS[0], told[place + 1])]


TASKS: dict[str, Callable[[random.Random, int], list[Token]]] = {
    "parity": parity,
    "group": group,
    "recall": recall,
    "selective": selective,
    "copy": copy,
    "lag": lag,
    "sum": marked_sum,
    "induction": induction,
}


def written(sequence: Sequence[Token]) -> str:
    """A sequence in CoNLL columns."""
    return "".join(f"{token}\t{answer}\n" for token, answer in sequence) + "\n"


def main() -> None:
    """Print sequences whose lengths are uniform from 1 to --length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--length", type=int, default=32, metavar="N", help="tokens of the longest sequences, about")
    parser.add_argument("--rows", type=int, default=2000, metavar="N", help="sequences")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.rows < 1 or options.length < 1:
        parser.error("--rows and --length: at least 1")
    draw = random.Random(f"{options.task} {options.seed}")
    for _ in range(options.rows):
        sys.stdout.write(written(TASKS[options.task](draw, draw.randint(1, options.length))))


if __name__ == "__main__":
    run(main)
