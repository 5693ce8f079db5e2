from __future__ import annotations

import random

import pytest

from corpora import memory
from corpora.memory import MARK, NOTHING, PERMUTATIONS, SYMBOLS, TASKS, Token
from tests.corpora.recipe import ran

EVERY = pytest.mark.parametrize("task", TASKS)


def drawn(task: str, length: int, count: int = 50) -> list[list[Token]]:
    draw = random.Random(0)
    return [TASKS[task](draw, length) for _ in range(count)]


def asked(sequence: list[Token]) -> list[str]:
    return [answer for _, answer in sequence if answer != NOTHING]


@EVERY
@pytest.mark.parametrize("length", [1, 2, 3, 24, 200])
def test_sequences_are_about_as_long_as_asked_and_ask_something(task: str, length: int):
    sequences = drawn(task, length, 20)
    assert all(asked(sequence) for sequence in sequences)
    assert all(len(sequence) <= max(length + 2, 4) for sequence in sequences)
    if task not in ("lag", "recall") and length > 3:
        assert all(len(sequence) >= length - 2 for sequence in sequences)


@EVERY
def test_every_answer_is_drawn_about_as_often(task: str):
    """Nothing is gained by a guess."""
    answers = [answer for sequence in drawn(task, 40, 400) for answer in asked(sequence)]
    share = max(answers.count(answer) for answer in set(answers)) / len(answers)
    assert share < 1.6 / len(set(answers))


def test_parity_and_products_are_those_of_all_tokens_so_far():
    for sequence in drawn("parity", 30):
        for end in range(1, 31):
            ones = sum(token == "1" for token, _ in sequence[:end])
            assert sequence[end - 1][1] == ("even", "odd")[ones % 2]
    for sequence in drawn("group", 30):
        things = [0, 1, 2]
        for token, answer in sequence:
            things = [things[place] for place in PERMUTATIONS[token]]
            assert answer == "".join(map(str, things))


def test_keys_are_asked_for_their_values_each_once():
    for sequence in drawn("recall", 60):
        *told, mark = [token for token, answer in sequence if answer == NOTHING]
        pairs = dict(zip(told[::2], told[1::2], strict=True))
        assert (len(pairs), mark) == (20, MARK)
        found = {token: answer for token, answer in sequence if answer != NOTHING}
        assert found == pairs


@pytest.mark.parametrize("task", ["copy", "selective", "lag"])
def test_symbols_come_back_in_order(task: str):
    for sequence in drawn(task, 40):
        symbols = [token for token, _ in sequence if token in SYMBOLS]
        assert asked(sequence) == symbols
        assert [token for token, answer in sequence if answer != NOTHING] == [MARK] * len(symbols)


def test_lags_are_log_uniform():
    lags = [len(sequence) - 2 for sequence in drawn("lag", 258, 2000)]
    assert (min(lags), max(lags)) == (1, 254)
    assert 0.45 < sum(lag <= 16 for lag in lags) / len(lags) < 0.58


def test_marked_digits_are_summed_and_what_followed_is_found():
    for sequence in drawn("sum", 30):
        marked = [int(token[0]) for token, _ in sequence if token.endswith("!")]
        assert len(marked) == 2
        assert asked(sequence) == [str(sum(marked) % 10)]
    for sequence in drawn("induction", 30):
        tokens = [token for token, _ in sequence]
        place = tokens.index(tokens[-1])
        assert place < len(tokens) - 1
        assert asked(sequence) == [tokens[place + 1]]


def test_the_program_writes_columns():
    done = ran("memory", "copy", "--length", 6, "--rows", 3, "--seed", 2)
    assert done.returncode == 0
    sequences = done.stdout.removesuffix("\n\n").split("\n\n")
    assert len(sequences) == 3
    draw = random.Random("copy 2")
    for lines in sequences:
        expected = memory.copy(draw, draw.randint(1, 6))
        assert [tuple(line.split("\t")) for line in lines.split("\n")] == expected
    assert ran("memory", "copy", "--rows", 0).returncode == 2
