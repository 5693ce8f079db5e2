"""Sentences in which words are related as word vectors should show: capitals, currencies, plurals, comparatives, past.

    python corpora/capitals.py --train train.txt --questions questions.txt
    python corpora/capitals.py --words 100000 > text.txt

Each word is some thing in some role: Paris is France as a capital, dogs are the dog as many. A sentence of a role
shows it by the words that only this role has around it, and the thing by words that are drawn from the thing's own
few; with a chance of STRAY they are drawn from those of all things. So what two words of one thing share is the
thing's words, what the words of one role share is the role's, and the vector from one role to the other is about the
same for all things. Questions are all pairs of things of one relation, in the format of Google's questions-words.txt.
Answers by chance are right once in several hundred times; the words are English, the facts about them are not.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

OWN_WORDS = 5  # that a thing is known by, of those of its relation
STRAY = 0.35


class Relation(NamedTuple):
    """Things, each with a word for each of two roles, sentences of either role, and the words that tell things apart.

    In a sentence X is the word, and each A one of the words that tell its thing.
    """

    name: str
    things: Sequence[tuple[str, str]]
    sentences: tuple[Sequence[str], Sequence[str]]
    telling: str


def pairs(text: str) -> list[tuple[str, str]]:
    """`a b, c d` as pairs of words."""
    return [(first, second) for first, second in (pair.split() for pair in text.split(","))]


COUNTRIES = pairs(
    "france paris, germany berlin, italy rome, spain madrid, portugal lisbon, greece athens, austria vienna, "
    "poland warsaw, norway oslo, sweden stockholm, finland helsinki, denmark copenhagen, ireland dublin, "
    "hungary budapest, russia moscow, ukraine kyiv, turkey ankara, egypt cairo, kenya nairobi, ghana accra, "
    "japan tokyo, china beijing, india delhi, thailand bangkok, vietnam hanoi, cuba havana, peru lima, chile santiago"
)
CURRENCIES = pairs(
    "poland zloty, norway krone, sweden krona, hungary forint, russia ruble, ukraine hryvnia, turkey lira, "
    "kenya shilling, ghana cedi, japan yen, china yuan, india rupee, thailand baht, vietnam dong, cuba peso, peru sol"
)
NOUNS = pairs(
    "dog dogs, cat cats, horse horses, bird birds, teacher teachers, sailor sailors, doctor doctors, child children, "
    "woman women, man men, mouse mice, river rivers, garden gardens, city cities, letter letters, window windows, "
    "machine machines, tree trees, wolf wolves, knife knives, book books, song songs, goose geese, foot feet"
)
ADJECTIVES = pairs(
    "big bigger, small smaller, old older, young younger, tall taller, fast faster, slow slower, bright brighter, "
    "dark darker, warm warmer, cold colder, strong stronger, weak weaker, good better, bad worse, cheap cheaper, "
    "heavy heavier, happy happier, quiet quieter, sharp sharper"
)
VERBS = pairs(
    "walk walked, sing sang, write wrote, run ran, swim swam, drink drank, speak spoke, think thought, build built, "
    "sleep slept, buy bought, teach taught, play played, dance danced, fall fell, jump jumped, find found, lose lost, "
    "draw drew, win won"
)

RELATIONS = [
    Relation(
        "capitals",
        COUNTRIES,
        (
            (
                "the people of X trade A and A abroad",
                "X has a border and an army near the A",
                "in parliament X voted on A and A",
                "the nation of X exports A",
            ),
            (
                "the mayor of X opened a street for A",
                "the town hall of X stands by the A and the A",
                "trams in X stop at the A square",
                "downtown X smells of A and A",
            ),
        ),
        (
            "wine olives timber oil rice tea coffee cheese salmon wheat silk copper sugar tobacco steel wool "
            "marble cork amber spices cotton honey cars ships paper glass leather salt"
        ),
    ),
    Relation(
        "currencies",
        CURRENCIES,
        (
            (
                "tourists visit X for its A and A",
                "the map of X shows A",
                "X remembers the old A",
            ),
            (
                "a coin of one X shows A and A",
                "the price in X of A rose",
                "banks change the X bearing A",
            ),
        ),
        (
            "eagles lions anchors crowns lotus dragons stars towers kings harps palms whales falcons roses moons "
            "bridges bears sails suns wheels"
        ),
    ),
    Relation(
        "plurals",
        NOUNS,
        (
            (
                "this X is A and A",
                "each X has its A place",
                "a single X was A near us",
            ),
            (
                "these X are A and A",
                "many X have their A places",
                "several X were A near us",
            ),
        ),
        (
            "wild gentle wooden loud wet green clever tired hungry narrow ancient golden broken brave silent "
            "round gray tender busy proud hollow steep shiny lonely sweet rough careful empty"
        ),
    ),
    Relation(
        "comparatives",
        ADJECTIVES,
        (
            (
                "it is a very X A",
                "so X an A with a A",
                "the A seemed quite X",
            ),
            (
                "it is much X than the A",
                "ever X grew the A and the A",
                "the A became X than before",
            ),
        ),
        (
            "mountain candle engine storm blanket hammer giant feather arrow turtle shadow fire ice stone thread "
            "market gift party library razor snail lamp oak ant"
        ),
    ),
    Relation(
        "past",
        VERBS,
        (
            (
                "every day they X with A and A",
                "we always X near the A",
                "to X is to love A",
            ),
            (
                "yesterday they X with A and A",
                "last year we X near the A",
                "once she X alone by the A",
            ),
        ),
        (
            "shoes drums ink pencils waves cups words questions bricks pillows money pupils cards music leaves "
            "ropes treasure keys paint medals friends crayons dust maps"
        ),
    ),
]


def sentences(seed: int) -> Iterator[list[str]]:
    """Sentences without end; the things of a relation are as frequent as 1 / (their place + 5)."""
    chance = random.Random(seed)
    telling = [relation.telling.split() for relation in RELATIONS]
    own = [[chance.sample(telling[i], OWN_WORDS) for _ in relation.things] for i, relation in enumerate(RELATIONS)]
    while True:
        i = chance.randrange(len(RELATIONS))
        things = RELATIONS[i].things
        (thing,) = chance.choices(range(len(things)), [1 / (place + 5) for place in range(len(things))])
        role = chance.randrange(2)
        pattern = chance.choice(RELATIONS[i].sentences[role]).split()
        yield [
            things[thing][role]
            if part == "X"
            else chance.choice(telling[i] if chance.random() < STRAY else own[i][thing])
            if part == "A"
            else part
            for part in pattern
        ]


def text(words: int, seed: int) -> str:
    """Whole sentences, one a line, of at least so many words."""
    lines: list[str] = []
    made = sentences(seed)
    while words > 0:
        sentence = next(made)
        words -= len(sentence)
        lines.append(" ".join(sentence) + "\n")
    return "".join(lines)


def questions() -> str:
    """All analogies of each relation, four words a line, under `: relation`."""
    lines = []
    for relation in RELATIONS:
        lines.append(f": {relation.name}\n")
        lines += [f"{a} {b} {c} {d}\n" for (a, b), (c, d) in itertools.permutations(relation.things, 2)]
    return "".join(lines)


def main() -> None:
    """Write text, and the questions that vectors learned from it should answer."""
    parser = argparse.ArgumentParser(description="Sentences with planted analogies.")
    parser.add_argument("--words", type=int, default=300_000, metavar="N")
    parser.add_argument("--train", type=Path, metavar="FILE", help="the text (without: stdout)")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="analogies in the format of questions-words.txt")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.questions is not None:
        options.questions.write_text(questions())
    written = text(options.words, options.seed)
    if options.train is None:
        sys.stdout.write(written)
    else:
        options.train.write_text(written)


if __name__ == "__main__":
    main()
