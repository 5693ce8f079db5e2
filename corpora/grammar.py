"""Sentences of a small probabilistic grammar whose entropy is known exactly: how far is a model from the best possible?

    python corpora/grammar.py --train train.txt --valid valid.txt
    python corpora/grammar.py --characters 100000 > text.txt

A sentence is written by rewriting S until only words are left, each rule chosen with its probability. Every sentence
can be derived in one way only (the next word always tells which rule was chosen, and a test holds the grammar to
that), so its probability is the product of its rules', and with independent sentences the entropy rate is exactly

    H(S) / E[length of a sentence],   H(A) = sum over rules r of A:  p_r (-ln p_r + sum of H over the symbols of r).

Printed on stderr: that rate, and for each file what the grammar itself assigns to the very text that was drawn, which
no model can beat by more than luck. Verbs agree with their subject across relative clauses: a dependency without a
bound.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

Rule = tuple[float, tuple[str, ...]]
Grammar = dict[str, list[Rule]]


def words(*names: str) -> list[Rule]:
    """Words with probabilities that fall as 1 / rank (Zipf)."""
    total = sum(1 / rank for rank in range(1, len(names) + 1))
    return [(1 / rank / total, (name,)) for rank, name in enumerate(names, start=1)]


# Upper case: symbols to rewrite. Anything else is a word, written with a space before it unless it begins a sentence.
GRAMMAR: Grammar = {
    "S": [(0.55, ("NP1", "VP1", ".")), (0.45, ("NPN", "VPN", "."))],
    "NP1": [(0.7, ("DET1", "ADJS", "NOUN1", "REL1")), (0.3, ("NAME",))],
    "NPN": [(1.0, ("DETN", "ADJS", "NOUNN", "RELN"))],
    "NP": [(0.6, ("NP1",)), (0.4, ("NPN",))],
    "REL1": [(0.75, ()), (0.25, ("that", "VP1"))],
    "RELN": [(0.75, ()), (0.25, ("that", "VPN"))],
    "VP1": [(0.5, ("GO1", "ADV")), (0.5, ("SEE1", "NP"))],
    "VPN": [(0.5, ("GON", "ADV")), (0.5, ("SEEN", "NP"))],
    "ADJS": [(0.7, ()), (0.3, ("ADJ", "ADJS"))],
    "ADV": [(0.6, ()), (0.4, ("HOW",))],
    "DET1": words("the", "a", "every"),
    "DETN": words("these", "some", "many"),
    "NAME": words("ada", "boole", "cantor", "dedekind", "euler"),
    "ADJ": words("small", "old", "green", "quiet", "clever", "heavy", "strange", "bright"),
    "NOUN1": words("dog", "cat", "teacher", "river", "machine", "garden", "letter", "window", "sailor", "planet"),
    "NOUNN": words(
        "dogs", "cats", "teachers", "rivers", "machines", "gardens", "letters", "windows", "sailors", "planets"
    ),
    "GO1": words("sleeps", "sings", "falls", "waits", "returns"),
    "GON": words("sleep", "sing", "fall", "wait", "return"),
    "SEE1": words("sees", "likes", "follows", "finds", "remembers"),
    "SEEN": words("see", "like", "follow", "find", "remember"),
    "HOW": words("today", "slowly", "again", "alone"),
}  # fmt: skip


def expectations(rule_value: Callable[[float, tuple[str, ...]], float], grammar: Grammar = GRAMMAR) -> dict[str, float]:
    """For each symbol, the expected sum of a value over all rules used below it: the fixed point of a linear map."""
    values = dict.fromkeys(grammar, 0.0)
    for _ in range(10_000):
        after = {
            symbol: sum(p * (rule_value(p, body) + sum(values.get(part, 0.0) for part in body)) for p, body in rules)
            for symbol, rules in grammar.items()
        }
        if all(abs(after[symbol] - values[symbol]) < 1e-15 * max(1.0, after[symbol]) for symbol in grammar):
            return after
        values = after
    raise AssertionError("the grammar's sentences have no finite expected length")


def word_length(word: str) -> int:
    """Characters that a word adds: itself and the space before it; the full stop ends the line and has no space."""
    return len(word) + 1


def entropy_rate() -> float:
    """Nats per character of an endless text of independent sentences, exactly."""
    nats = expectations(lambda p, body: -math.log(p))["S"]
    length = expectations(lambda p, body: sum(word_length(part) for part in body if part not in GRAMMAR))["S"]
    return nats / (length - 1)  # no space before the first word of a sentence


def derived(chance: random.Random, grammar: Grammar = GRAMMAR) -> tuple[list[tuple[str, str]], float]:
    """The words of a sentence, each with the symbol whose rule it stands in, and the nats of all rules used."""
    nats, found, open_symbols = 0.0, [], [("", "S")]
    while open_symbols:
        parent, symbol = open_symbols.pop()
        if symbol not in grammar:
            found.append((symbol, parent))
            continue
        ((p, body),) = chance.choices(grammar[symbol], [p for p, _ in grammar[symbol]])
        nats -= math.log(p)
        open_symbols += [(symbol, part) for part in reversed(body)]
    return found, nats


def sentence(chance: random.Random) -> tuple[str, float]:
    """A sentence with its newline, and its probability's negative logarithm in nats."""
    found, nats = derived(chance)
    return " ".join(word for word, _ in found[:-1]) + ".\n", nats


def text(characters: int, seed: int) -> tuple[str, float]:
    """Whole sentences of at least so many characters, and the nats that the grammar assigns to them."""
    chance, parts, size, nats = random.Random(seed), [], 0, 0.0
    while size < characters:
        part, cost = sentence(chance)
        parts.append(part)
        size, nats = size + len(part), nats + cost
    return "".join(parts), nats


def main() -> None:
    """Write text, and say on stderr what the best possible score on it is."""
    parser = argparse.ArgumentParser(description="Sentences of a grammar with a known entropy.")
    parser.add_argument("--characters", type=int, default=1_000_000, metavar="N", help="for training (or stdout)")
    parser.add_argument("--valid-characters", type=int, default=100_000, metavar="N")
    parser.add_argument("--train", type=Path, metavar="FILE")
    parser.add_argument("--valid", type=Path, metavar="FILE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", action="store_true", help="print the figures as JSON on stdout (with --train, --valid)"
    )
    options = parser.parse_args()
    figures = {"entropy_nats_per_character": entropy_rate()}
    wanted = [(options.train, options.characters, 2 * options.seed)]
    if options.valid is not None:
        wanted.append((options.valid, options.valid_characters, 2 * options.seed + 1))
    for path, characters, seed in wanted:
        written, nats = text(characters, seed)
        figures[f"{path or 'stdout'}_nats_per_character"] = nats / len(written)
        if path is None:
            sys.stdout.write(written)
        else:
            path.write_text(written)
    if options.json and options.train is not None:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' ')}  {value:.5f}", file=sys.stderr)


if __name__ == "__main__":
    main()
