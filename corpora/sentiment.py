"""Sentences whose sentiment a small grammar knows, as label<TAB>text: what can be had without the order of the words?

    python -m corpora.sentiment > train.tsv
    python -m corpora.sentiment --rows 2000 --seed 1 > test.tsv

Every symbol of the grammar has a polarity, which its parts have, too, unless they are marked with ~: those have the
opposite. So "not at all dull" praises what "dull" blames, "never fails to delight" praises again, and of "the plot is
dull , but the music is wonderful" the second clause counts. The sentence tells its label: a model that reads the words
in their order can reach an accuracy of 1.

A bag of words cannot: "the plot is wonderful , but the music is dull" has the same words. The best that any function of
the bag can do is to say, for each bag, the more probable of the labels that its sentences have. Words of one class (the
adjectives that praise, the aspects of a film, …) are drawn independently, so their probability given the label depends
only on how many there are of each class, and the bags of classes, few enough to be listed, give that accuracy exactly.
A sum of weights of words (a linear classifier) does not even reach this: "not" turns "wonderful" one way and "dull" the
other.

Printed on stderr: the accuracy of a model that reads order, of the best function of a bag and of the majority, the
latter two expected and on the sentences written.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from corpora.recipe import asked, run

# Upper case: symbols to rewrite, ~ turns the polarity.
RULES: dict[str, list[tuple[float, str]]] = {
    "REVIEW": [
        (0.40, "CLAUSE"),
        (0.20, "CLAUSE , and CLAUSE"),
        (0.20, "~CLAUSE , but CLAUSE"),
        (0.10, "although ~CLAUSE , CLAUSE"),
        (0.10, "CLAUSE , although ~CLAUSE"),
    ],
    "CLAUSE": [(0.65, "the ASPECT is QUALITY"), (0.35, "the ASPECT EFFECT")],
    "QUALITY": [
        (0.35, "ADJECTIVE"),
        (0.30, "DEGREE ADJECTIVE"),
        (0.12, "not ~ADJECTIVE"),
        (0.08, "not at all ~ADJECTIVE"),
        (0.08, "hardly ~ADJECTIVE"),
        (0.07, "far from ~ADJECTIVE"),
    ],
    "EFFECT": [
        (0.50, "VERB"),
        (0.20, "never ~VERB"),
        (0.15, "fails to ~INFINITIVE"),
        (0.15, "never fails to INFINITIVE"),
    ],
}
Token = tuple[str, bool] | str
"""A class of words with a polarity; or a class without, or a word that stands in a rule."""

# The words of a class are equally probable.
CLASSES: dict[Token, str] = {
    "ASPECT": "plot music cast script camera ending dialogue story pace tone",
    "DEGREE": "very truly utterly quite so remarkably",
    ("ADJECTIVE", True): "wonderful charming clever moving fresh funny elegant honest gripping warm",
    ("ADJECTIVE", False): "dull clumsy shallow tedious stale grating bland hollow forced cold",
    ("VERB", True): "delights moves shines surprises convinces",
    ("VERB", False): "bores annoys drags disappoints rambles",
    ("INFINITIVE", True): "delight move shine surprise convince",
    ("INFINITIVE", False): "bore annoy drag disappoint ramble",
}
WORDS = {token: text.split() for token, text in CLASSES.items()}
LABELS = {True: "positive", False: "negative"}


@cache
def forms(symbol: str, polarity: bool) -> dict[tuple[Token, ...], float]:
    """Everything that a symbol can become, down to classes of words, and its probability."""
    if symbol not in RULES:
        polar = (symbol, polarity)
        return {(polar if polar in WORDS else symbol,): 1.0}
    found: dict[tuple[Token, ...], float] = {}
    for rule_p, body in RULES[symbol]:
        parts = [forms(part.removeprefix("~"), polarity ^ part.startswith("~")) for part in body.split()]
        for choice in itertools.product(*(part.items() for part in parts)):
            p = rule_p
            tokens: tuple[Token, ...] = ()
            for part_tokens, part_p in choice:
                p, tokens = p * part_p, tokens + part_tokens
            found[tokens] = found.get(tokens, 0.0) + p
    return found


def bag(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The tokens without their order."""
    return tuple(sorted(tokens, key=repr))


@cache
def bags() -> dict[tuple[Token, ...], dict[bool, float]]:
    """Each bag of classes, with the probability of it together with each label; both labels are equally probable."""
    found: dict[tuple[Token, ...], dict[bool, float]] = {}
    for label in LABELS:
        for tokens, p in forms("REVIEW", label).items():
            found.setdefault(bag(tokens), dict.fromkeys(LABELS, 0.0))[label] += p / 2
    return found


def best_of_bag() -> float:
    """The expected accuracy of the best function of a bag of words."""
    return sum(max(by_label.values()) for by_label in bags().values())


def drawn(rows: int, seed: int) -> Iterator[tuple[bool, tuple[Token, ...], str]]:
    """Labels, with the sentence as classes and as words."""
    chance = random.Random(seed)
    choices = {label: list(forms("REVIEW", label).items()) for label in LABELS}
    cumulative = {label: list(itertools.accumulate(p for _, p in choices[label])) for label in LABELS}
    for _ in range(rows):
        label = chance.random() < 0.5
        ((tokens, _),) = chance.choices(choices[label], cum_weights=cumulative[label])
        yield label, tokens, " ".join(chance.choice(WORDS.get(token, [str(token)])) for token in tokens)


def main() -> None:
    """Write sentences, and say on stderr how well they can be classified."""
    options = asked("Sentences with a known sentiment, as label<TAB>text.", 10_000)
    print("label\ttext")
    hits: Counter[str] = Counter()
    for label, tokens, words in drawn(options.rows, options.seed):
        print(f"{LABELS[label]}\t{words}")
        by_label = bags()[bag(tokens)]
        hits["bag"] += label == (by_label[True] >= by_label[False])
        hits[LABELS[label]] += 1
    majority = max(hits[label] for label in LABELS.values())
    figures = {
        "reading the words in order": 1.0,
        "best of any bag of words, expected": best_of_bag(),
        "best of any bag of words, on these rows": hits["bag"] / options.rows,
        "majority, expected": 0.5,
        "majority, on these rows": majority / options.rows,
    }
    for name, accuracy in figures.items():
        print(f"{name:<39}  accuracy {accuracy:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
