from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from corpora import grammar
from tests.conftest import ROOT, Command
from tests.corpora.recipe import ran


def derivations(words: tuple[str, ...]) -> tuple[int, float]:
    """How many ways the grammar derives these words, and the sum of their probabilities: a plain chart parser."""

    @cache
    def spans(symbol: str, start: int, stop: int) -> tuple[int, float]:
        if symbol not in grammar.GRAMMAR:
            return (1, 1.0) if words[start:stop] == (symbol,) else (0, 0.0)
        ways, total = 0, 0.0
        for p, body in grammar.GRAMMAR[symbol]:
            found, probability = sequence(body, start, stop)
            ways, total = ways + found, total + p * probability
        return ways, total

    @cache
    def sequence(body: tuple[str, ...], start: int, stop: int) -> tuple[int, float]:
        if not body:
            return (1, 1.0) if start == stop else (0, 0.0)
        ways, total = 0, 0.0
        for middle in range(start, stop + 1):
            if middle == start and body[0] not in grammar.GRAMMAR:
                continue
            first, p_first = spans(body[0], start, middle)
            if first:
                rest, p_rest = sequence(body[1:], middle, stop)
                ways, total = ways + first * rest, total + p_first * p_rest
        return ways, total

    return spans("S", 0, len(words))


def test_each_sentence_has_one_derivation_and_its_probability():
    chance = random.Random(0)
    for _ in range(60):
        sentence, nats = grammar.sentence(chance)
        ways, probability = derivations((*sentence.removesuffix(".\n").split(), "."))
        assert ways == 1
        assert -math.log(probability) == pytest.approx(nats)


def test_probabilities_sum_to_one():
    for rules in grammar.GRAMMAR.values():
        assert sum(p for p, _ in rules) == pytest.approx(1.0)


@pytest.mark.slow
def test_the_exact_entropy_rate_is_what_long_texts_cost():
    text, nats = grammar.text(1_000_000, seed=3)
    assert nats / len(text) == pytest.approx(grammar.entropy_rate(), rel=0.005)


def test_no_count_model_beats_the_entropy():
    """An oracle of another kind: conditional entropies of 6-grams on fresh text, with add-one smoothing, lie above."""
    train, _ = grammar.text(300_000, seed=1)
    fresh, _ = grammar.text(50_000, seed=2)
    contexts, grams = (Counter(train[i : i + n] for i in range(len(train))) for n in (5, 6))
    nats = -sum(
        math.log((grams[fresh[i : i + 6]] + 1) / (contexts[fresh[i : i + 5]] + 30)) for i in range(len(fresh) - 6)
    )
    assert nats / (len(fresh) - 6) > grammar.entropy_rate()


@pytest.mark.parametrize("recipe", ["python_docs.py", "stdlib_source.py", "grammar.py"])
def test_recipes_write_utf8_text(recipe: str, tmp_path: Path):
    small = {"stdlib_source.py": ["--bytes", "100000"], "grammar.py": ["--characters", "20000"]}.get(recipe, [])
    result = subprocess.run([sys.executable, ROOT / "corpora" / recipe, *small], capture_output=True, check=True)
    assert len(result.stdout.decode()) > 10_000
    again = subprocess.run([sys.executable, ROOT / "corpora" / recipe, *small], capture_output=True, check=True)
    assert result.stdout == again.stdout


def test_python_docs_are_split_by_topic(tmp_path: Path):
    subprocess.run(
        [sys.executable, ROOT / "corpora" / "python_docs.py", "--train", tmp_path / "a", "--valid", tmp_path / "b"],
        check=True,
        capture_output=True,
    )
    train, valid = (tmp_path / "a").read_text(), (tmp_path / "b").read_text()
    assert len(train) > 4 * len(valid) > 40_000
    names = ("--train", tmp_path / "a", "--valid", tmp_path / "c", "--test", tmp_path / "d")
    recipe = ROOT / "corpora" / "python_docs.py"
    told = subprocess.run([sys.executable, recipe, *names], check=True, capture_output=True).stderr
    assert told.count(b"topics") == 3
    assert (tmp_path / "a").read_text() == train
    halves = [(tmp_path / name).read_text() for name in "cd"]
    assert sum(map(len, halves)) == len(valid)
    assert min(map(len, halves)) > 0.2 * len(valid)
    assert all(line in valid for half in halves for line in half.splitlines()[:50])


@pytest.mark.parametrize("name", ["pass_or_fail", "sentiment", "tagged", "seasonal"])
def test_a_seed_gives_the_same_examples(name: str):
    first, again, other = (ran(name, "--rows", 200, "--seed", seed) for seed in (7, 7, 8))
    assert first.returncode == 0
    assert (first.stdout, first.stderr) == (again.stdout, again.stderr)
    assert first.stdout != other.stdout
    assert first.stdout.count("\n") > 200
    assert ran(name, "--rows", 1).returncode == 0
    none = ran(name, "--rows", 0)
    assert (none.returncode, none.stdout) == (2, "")
    assert "--rows: at least 1" in none.stderr


@pytest.mark.parametrize("name", ["pass_or_fail", "sentiment", "tagged", "seasonal"])
def test_a_reader_that_goes_away_ends_it_silently(name: str, shell: Command):
    result = shell(f"{sys.executable} -m corpora.{name} --rows 20000 2>/dev/null | head -1; echo ${{PIPESTATUS[0]}}")
    assert result.stdout.splitlines()[-1] == b"141"
