"""Sentences of grammar.py's grammar with a tag for each word, as CoNLL-U: what does a tagger gain by context?

    python -m corpora.tagged > train.conllu
    python -m corpora.tagged --rows 1000 --seed 1 > test.conllu

The rule that a word stands in gives its tag. Some words are added to several classes: "finds" and "returns" are nouns
or verbs, "that" determines or relates, "fast" is an adjective or an adverb, "light" and "cold" are adjectives or nouns.
Every sentence still has one derivation only (a test holds the grammar to that), so a tagger that reads all of it can
reach an accuracy of 1. The best of two others is known exactly:

- A tagger of words alone gives each its most frequent tag.
- A tagger that reads from left to right knows the tag of a word as soon as it has come, but for "light" and "cold": in
  "the light …" it may be an adjective or already the noun. Wherever a singular noun may stand, it errs with the less
  probable of the two. (No plural noun here is an adjective, too, and no singular noun a verb.)

Printed on stderr: the accuracy of the three, expected and on the sentences written.
"""

from __future__ import annotations

import random
import sys

from corpora.grammar import GRAMMAR, Grammar, derived, expectations, words
from corpora.recipe import asked, run

# Words of several classes stand early, so that they are frequent.
AMBIGUOUS: Grammar = GRAMMAR | {
    "DET1": words("the", "that", "a", "every"),
    "ADJ": words("light", "small", "fast", "old", "cold", "green", "quiet", "clever"),
    "NOUN1": words("dog", "light", "teacher", "cold", "river", "garden", "letter", "window"),
    "NOUNN": words("returns", "dogs", "finds", "teachers", "falls", "rivers", "gardens", "letters"),
    "GO1": words("falls", "returns", "sleeps", "sings", "waits"),
    "SEE1": words("finds", "sees", "likes", "follows", "remembers"),
    "HOW": words("fast", "today", "slowly", "again"),
}
TAGS = {
    "DET1": "DET",
    "DETN": "DET",
    "NAME": "PROPN",
    "ADJ": "ADJ",
    "NOUN1": "NOUN",
    "NOUNN": "NOUN",
    "GO1": "VERB",
    "GON": "VERB",
    "SEE1": "VERB",
    "SEEN": "VERB",
    "HOW": "ADV",
    "REL1": "PRON",
    "RELN": "PRON",
    "S": "PUNCT",
}
"""The tag of the words in a symbol's rules, in Universal Dependencies' names."""

Sentence = list[tuple[str, str]]
"""Words, each with the symbol whose rule it stands in."""


Counts = dict[tuple[str, str], float]
"""Of words, each in a symbol's rules."""


def uses(symbol: str) -> float:
    """How often a sentence's derivation rewrites the symbol, on average."""
    return expectations(lambda p, body: body.count(symbol), AMBIGUOUS)["S"] + (symbol == "S")


def expected_counts() -> Counts:
    """How often a sentence has each word in each symbol's rules, on average."""
    counts: Counts = {}
    for symbol in TAGS:
        times = uses(symbol)
        for p, body in AMBIGUOUS[symbol]:
            for word in body:
                if word not in AMBIGUOUS:
                    counts[word, symbol] = counts.get((word, symbol), 0.0) + times * p
    return counts


def frequent_tags(counts: Counts) -> dict[str, str]:
    """The most frequent tag of each word."""
    by_tag: dict[str, dict[str, float]] = {}
    for (word, symbol), count in counts.items():
        tags = by_tag.setdefault(word, {})
        tags[TAGS[symbol]] = tags.get(TAGS[symbol], 0.0) + count
    return {word: max(tags, key=tags.__getitem__) for word, tags in by_tag.items()}


def unlikely_in_singular(counts: Counts) -> Counts:
    """Words that can be adjective or noun after a singular determiner: the less probable of the two, and its count."""
    nouns = {number: sum(n for (_, symbol), n in counts.items() if symbol == number) for number in ("NOUN1", "NOUNN")}
    singular = nouns["NOUN1"] / sum(nouns.values())  # the share of adjectives whose noun is singular
    found: Counts = {}
    for word in [word for word, symbol in counts if symbol == "ADJ" and (word, "NOUN1") in counts]:
        as_either = {"ADJ": singular * counts[word, "ADJ"], "NOUN1": counts[word, "NOUN1"]}
        symbol = min(as_either, key=as_either.__getitem__)
        found[word, symbol] = as_either[symbol]
    return found


def drawn(rows: int, seed: int) -> list[Sentence]:
    """Sentences, each ending with its full stop."""
    chance = random.Random(seed)
    return [derived(chance, AMBIGUOUS)[0] for _ in range(rows)]


def accuracies(sentences: list[Sentence]) -> dict[str, float]:
    """What the taggers reach, expected and on these sentences."""
    counts = expected_counts()
    total = sum(counts.values())
    frequent, unlikely = frequent_tags(counts), unlikely_in_singular(counts)
    tokens = frequent_right = causal_wrong = 0
    for sentence in sentences:
        determiner = ""
        for word, symbol in sentence:
            if symbol in ("DET1", "DETN"):
                determiner = symbol
            tokens += 1
            frequent_right += frequent[word] == TAGS[symbol]
            causal_wrong += determiner == "DET1" and (word, symbol) in unlikely
    expected_right = sum(count for (word, symbol), count in counts.items() if frequent[word] == TAGS[symbol])
    return {
        "reading the whole sentence": 1.0,
        "best from left to right, expected": 1 - sum(unlikely.values()) / total,
        "best from left to right, on these rows": 1 - causal_wrong / tokens,
        "most frequent tag of a word, expected": expected_right / total,
        "most frequent tag of a word, on these rows": frequent_right / tokens,
    }


def conllu(sentence: Sentence) -> str:
    """The sentence in ten columns, of which the number, the word and the tag (upos) are filled, and an empty line."""
    lines = [f"{i}\t{word}\t_\t{TAGS[symbol]}" + "\t_" * 6 for i, (word, symbol) in enumerate(sentence, start=1)]
    return "\n".join([*lines, "", ""])


def main() -> None:
    """Write sentences, and say on stderr how well their words can be tagged."""
    options = asked("Sentences with a part of speech for each word, as CoNLL-U.", 5000, "sentences")
    sentences = drawn(options.rows, options.seed)
    sys.stdout.writelines(map(conllu, sentences))
    for name, accuracy in accuracies(sentences).items():
        print(f"{name:<42}  accuracy {accuracy:.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
