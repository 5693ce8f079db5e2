from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

from corpora import capitals
from tests.conftest import ROOT


def test_questions_are_of_words_that_the_text_has(tmp_path: Path):
    recipe = [sys.executable, ROOT / "corpora" / "capitals.py", "--words", "50000"]
    subprocess.run([*recipe, "--train", tmp_path / "text", "--questions", tmp_path / "questions"], check=True)
    text = (tmp_path / "text").read_text()
    counts = Counter(text.split())
    assert 50_000 <= counts.total() < 50_020
    lines = (tmp_path / "questions").read_text().splitlines()
    asked = [line.split() for line in lines if not line.startswith(":")]
    assert all(len(words) == len(set(words)) == 4 for words in asked)
    assert min(counts[word] for words in asked for word in words) >= 5
    assert len({tuple(words) for words in asked}) == len(asked) == len(lines) - len(capitals.RELATIONS)
    assert subprocess.run(recipe, check=True, capture_output=True).stdout.decode() == text
    assert capitals.text(5000, seed=1) != capitals.text(5000, seed=2)


def test_a_word_is_in_one_place_of_one_relation():
    """What tells the things, what stands around them and the things themselves are different words."""
    for relation in capitals.RELATIONS:
        telling = relation.telling.split()
        around = {word for role in relation.sentences for pattern in role for word in pattern.split()} - {"X", "A"}
        things = list(itertools.chain.from_iterable(relation.things))
        assert len(set(telling)) == len(telling) >= 2 * capitals.OWN_WORDS
        assert len(set(things)) == len(things)
        assert not around & {*things, *telling}
        assert not set(things) & set(telling)
