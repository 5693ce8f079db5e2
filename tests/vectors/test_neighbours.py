from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from seqtool.vectors import neighbours
from seqtool.vectors.neighbours import Space, UnknownWordError, analogous, cosine
from seqtool.vectors.subwords import Ngrams
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors
from tests.text.small_byte_level import small_model


def make(matrix: np.ndarray, tokens: list[str] | None = None, **metadata: object) -> Space:
    names = tokens or [f"w{row}" for row in range(len(matrix))]
    return Space(Vectors(TokenTable.of(names), matrix.astype(np.float32), metadata))


def naive(space: Space, point: np.ndarray, left_out: set[int], count: int, among: int) -> list[tuple[int, float]]:
    """All cosines by Python's own sums and a full sort."""
    found = []
    for row in range(among):
        vector = [float(x) for x in space.vectors.matrix_VD[row]]
        length = sum(x * x for x in vector) ** 0.5
        dot = sum(x * float(y) for x, y in zip(vector, point, strict=True))
        found.append((row, dot / length if length else 0.0))
    found = [one for one in found if one[0] not in left_out]
    return sorted(found, key=lambda one: (-round(one[1], 12), one[0]))[:count]


@pytest.mark.parametrize("block_rows", [1 << 17, 64])
@pytest.mark.parametrize(("count", "among"), [(1, None), (10, None), (10, 57), (999, None)])
def test_nearest_is_what_a_full_sort_finds(
    monkeypatch: pytest.MonkeyPatch, count: int, among: int | None, block_rows: int
):
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", block_rows)
    random = np.random.default_rng(1)
    matrix = random.normal(size=(300, 7)) * random.gamma(1, size=(300, 1))
    matrix[[5, 250]] = 0
    matrix[70:90] = matrix[3]  # as near as each other
    space = make(matrix)
    queries = [space.query(f"w{row}") for row in (0, 3, 75, 299, 5)]
    left_out = [[0], [3, 9], [], [299, 299], [5]]
    found = space.nearest([query.unit_D for query in queries], left_out, count, among)
    for query, rows, got in zip(queries, left_out, found, strict=True):
        expected = naive(space, query.unit_D, set(rows), count, among or 300)
        assert [row for row, _ in got] == [row for row, _ in expected]
        np.testing.assert_allclose([score for _, score in got], [score for _, score in expected], atol=1e-12)


def test_an_answer_is_the_same_alone_and_among_others():
    space = make(np.random.default_rng(2).normal(size=(500, 20)))
    queries = [space.query(f"w{row}") for row in range(200)]
    together = space.nearest([query.unit_D for query in queries], [query.rows for query in queries], 5)
    alone = [space.nearest([query.unit_D], [query.rows], 5)[0] for query in queries]
    assert together == alone


def test_equally_near_tokens_come_by_row():
    space = make(np.eye(500))
    (found,) = space.nearest([space.query("w7").unit_D], [[7]], 60)
    assert found == [(row, 0.0) for row in range(61) if row != 7]
    signs = np.random.default_rng(5).choice([-1, 1], 500)
    space = make(np.stack([signs, np.zeros(500)], axis=1))
    (found,) = space.nearest([np.array([1.0, 0])], [[]], 400)
    assert [row for row, _ in found] == [*np.flatnonzero(signs > 0), *np.flatnonzero(signs < 0)][:400]


def test_what_float32_cannot_tell_apart_is_in_order():
    random = np.random.default_rng(6)
    point = random.normal(size=50)
    noise = random.normal(size=(15, 50)) * 3e-5 * random.permutation(np.arange(5, 20))[:, None] / 5
    space = make(np.concatenate([point + noise, random.normal(size=(85, 50))]))
    unit_D = point / np.linalg.norm(point)
    (found,) = space.nearest([unit_D], [[]], 5)
    assert [row for row, _ in found] == [row for row, _ in naive(space, unit_D, set(), 5, 100)]


def test_lengths_that_float32_cannot_square_and_what_is_not_finite():
    matrix = np.array([[3, 4], [3e-30, 4e-30], [-3e30, -4e30], [0, 0], [np.nan, 1], [np.inf, 1], [1e-3, 0]])
    space = make(matrix)
    (found,) = space.nearest([space.query("w0").unit_D], [[0]], 10)
    assert [row for row, _ in found] == [1, 6, 3, 4, 5, 2]
    np.testing.assert_allclose([score for _, score in found], [1, 0.6, 0, 0, 0, -1], atol=1e-6)


def test_analogy_and_similarity_by_hand():
    space = make(
        np.array([[1, 0, 0], [1, 0, 2], [0, 1, 0], [0, 1, 1.3], [1, 1, 0]]), ["man", "king", "woman", "queen", "x"]
    )
    man, king, woman, queen = (space.query(word) for word in ("man", "king", "woman", "queen"))
    point = king.unit_D - man.unit_D + woman.unit_D
    np.testing.assert_allclose(analogous(man.unit_D, king.unit_D, woman.unit_D), point / np.linalg.norm(point))
    (found,) = space.nearest([point / np.linalg.norm(point)], [man.rows + king.rows + woman.rows], 1)
    assert space.vectors.tokens[found[0].row] == "queen"
    assert cosine(king, queen) == pytest.approx(2 * 1.3 / (5 * 2.69) ** 0.5)


def test_phrases_lie_between_their_words_and_unknown_ones_are_named():
    space = make(np.array([[3, 0], [0, 5], [1, 1]]), ["new", "york", "new york"])
    assert space.query("new york").rows == (2,)
    phrase = space.query("york  new\tnew")
    np.testing.assert_allclose(phrase.unit_D, np.array([2, 1]) / 5**0.5)
    assert phrase.rows == (1, 0, 0)
    for text, word in [("new  jersey", "jersey"), (" ", " "), ("a\x1bb", "a\x1bb")]:
        with pytest.raises(UnknownWordError, match="has no vector") as caught:
            space.query(text)
        assert caught.value.word == word


def test_queries_are_normalised_as_the_tokens_are():
    space = make(np.eye(2), ["straße", "ab"], normalize="nfkc", lowercase=True)
    assert [space.row(text) for text in ("STRAße", "ＡＢ", "ac")] == [0, 1, None]
    assert make(np.eye(2), ["straße", "ab"]).row("AB") is None
    greek = make(np.eye(2), ["οδυσσευσ", "i\u0307"], lowercase=True)
    assert [greek.row(text) for text in ("ΟΔΥΣΣΕΥΣ", "İ")] == [0, 1]


def test_unseen_words_lie_between_their_ngrams():
    ngrams = Ngrams(3, 3, 50)
    ngrams_BD = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
    space = Space(Vectors(TokenTable.of(["a"]), np.ones((1, 4), np.float32), {"ngrams": [3, 3]}, ngrams_BD))
    mean = np.mean([ngrams_BD[row] for row in ngrams.of("unseen")], axis=0)
    found = space.query("unseen")
    np.testing.assert_allclose(found.unit_D, mean / np.linalg.norm(mean), rtol=1e-5)
    assert found.rows == ()


def test_unseen_text_lies_between_the_pieces_of_its_vocabulary(tmp_path: Path):
    (tmp_path / "text").write_text("the queen and the king of the town " * 50)
    vocabulary = learn_vocabulary(
        TextSource([str(tmp_path / "text")], rereadable=True), VocabularyConfig(type="bpe", size=290), 0
    )
    pieces = list(vocabulary.scores())
    matrix = np.random.default_rng(4).normal(size=(len(pieces), 6)).astype(np.float32)
    space = Space(Vectors(TokenTable.of(pieces), matrix, {"vocabulary_type": "bpe"}, model=vocabulary.model))
    assert space.query("the").rows == (pieces.index("\u2581the"),)
    spelled = [vocabulary.piece(index) for index in vocabulary.encode(" theking")]
    rows = [pieces.index(piece) for piece in spelled]
    assert len(rows) > 1
    expected = sum(matrix[row] / np.linalg.norm(matrix[row]) for row in rows)
    found = space.query("theking")
    assert found.rows == tuple(rows)
    np.testing.assert_allclose(found.unit_D, expected / np.linalg.norm(expected), rtol=1e-5)
    with pytest.raises(UnknownWordError):
        space.query("\ud800漢")


def test_a_word_of_byte_level_bpe_is_found_with_a_space_before_it_or_in_its_pieces():
    vocabulary = Vocabulary(small_model())
    pieces = [vocabulary.piece(index) for index in range(vocabulary.size)]
    matrix = np.eye(vocabulary.size, dtype=np.float32)
    space = Space(Vectors(TokenTable.of(pieces), matrix, {"vocabulary_type": "byte-bpe"}, model=vocabulary.model))
    assert space.row("whole") == pieces.index("Ġwhole")
    assert space.row("é") == pieces.index("Ã©")
    assert set(space.query("the in").rows) == {pieces.index("the"), pieces.index("in")}
    assert set(space.query("thein").rows) == {pieces.index("Ġthe"), pieces.index("in")}
