"""Maps of words: which words they show, and their points on the plane."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.vectors import mapping
from seqtool.vectors.mapping import ChosenWords
from seqtool.vectors.neighbours import Space
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors


def space(tokens: list[str], matrix: np.ndarray, **metadata: object) -> Space:
    return Space(Vectors(TokenTable.of(tokens), np.asarray(matrix, np.float32), metadata), "some.vectors")


@pytest.mark.parametrize(("rows", "dim"), [(50, 7), (7, 50), (20, 20), (3, 2), (2, 9)])
def test_principal_components_are_those_of_the_singular_values(rows: int, dim: int):
    matrix = np.random.default_rng(rows).standard_normal((rows, dim)) * np.linspace(3, 1, dim)
    points, share = mapping.principal_components(matrix)
    left, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs((left * values)[:, :2]), atol=1e-7)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] >= 0).all()


def test_principal_components_of_points_made_by_hand():
    """A cross in three dimensions: 4 long one way, 2 long another, flat in the third."""
    cross = np.array([[0, 4, 1], [0, -3, 1], [2, 0, 1], [-1, 0, 1], [-1, -1, 1]], float)
    points, share = mapping.principal_components(cross)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(cross[:, :2], axis=1), atol=1e-9)
    assert points[0, 0] > 3.9
    assert share == pytest.approx(1)


@pytest.mark.parametrize("matrix", [[[1.0, 2, 3]], [[0.0, 0]], [[1.0], [2], [-1]], [[1.0, 1], [1, 1], [1, 1]]])
def test_words_that_span_no_plane_have_places(matrix: list[list[float]]):
    points, share = mapping.principal_components(np.array(matrix))
    assert points.shape == (len(matrix), 2)
    assert np.isfinite(points).all()
    assert 0 <= share <= 1 + 1e-9


def test_nearest_are_those_of_all_cosines():
    rows = np.random.default_rng(1).standard_normal((40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found, cosines = mapping.nearest_rows(rows, 5)
    for row in range(40):
        expected = sorted((other for other in range(40) if other != row), key=lambda other: -(rows[row] @ rows[other]))
        assert found[row].tolist() == expected[:5]
        np.testing.assert_allclose(cosines[row], rows[expected[:5]] @ rows[row], atol=1e-6)


def test_length_does_not_matter_and_symbols_are_left_out():
    tokens = ["<unk>", "the", "</s>", "of", "<0x0A>", "<", "a<b>", "king"]
    matrix = np.random.default_rng(2).standard_normal((8, 4))
    one = mapping.choose_words(space(tokens, matrix), 4, [])
    other = mapping.choose_words(space(tokens, matrix * np.arange(1, 9)[:, None]), 4, [])
    assert one.words == ["the", "of", "<", "a<b>"]
    np.testing.assert_allclose(one.unit_ND, other.unit_ND, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(one.unit_ND, axis=1), 1)


def test_named_words_are_marked_among_the_frequent_and_unknown_ones_counted():
    tokens = ["the", "of", "<unk>", "king", "queen"]
    here = space(tokens, np.eye(5), lowercase=True)
    chosen = mapping.choose_words(here, 2, ["King", "of", "of", "ghost", "<unk>", "the queen"])
    assert chosen.words == ["the", "of", "<unk>", "king", "the queen"]
    assert chosen.named_N.tolist() == [False, True, True, True, True]
    assert chosen.unknown == ["ghost"]
    np.testing.assert_allclose(chosen.unit_ND[4], np.array([1, 0, 0, 0, 1]) / 2**0.5)
    with pytest.raises(InputError, match=r"none of the words named has a vector \('ghost'\)"):
        mapping.choose_words(here, 2, ["ghost"])
    with pytest.raises(InputError, match="symbols such as <unk> alone"):
        mapping.choose_words(space(["<unk>"], np.ones((1, 3))), 5, [])


def test_too_many_words_are_refused_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch):
    here = space(list("abcdef"), np.eye(6))
    monkeypatch.setattr(mapping, "MAX_NUMBERS", 20)
    with pytest.raises(UsageError, match=r"6 words are too many .* at most 3"):
        mapping.choose_words(here, 6, [])
    assert len(mapping.choose_words(here, 3, []).words) == 3


def test_places_keep_their_shape_inside_the_square():
    chosen = ChosenWords(["a", "b", "c"], np.eye(3), np.zeros(3, bool), [])
    placed = mapping.place(chosen, np.array([[10.0, 1], [14, 1], [12, 2]]))
    np.testing.assert_allclose(placed.points_N2, [[-1, -0.25], [1, -0.25], [0, 0.25]])


def test_tsne_keeps_groups_apart_and_its_seed_fixes_it():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(3)
    centres = np.repeat(np.eye(3, 10), 20, axis=0)
    rows = centres + rng.standard_normal(centres.shape) * 0.05
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    points = mapping.tsne(rows, seed=7)
    np.testing.assert_array_equal(points, mapping.tsne(rows, seed=7))
    middles = points.reshape(3, 20, 2).mean(axis=1)
    nearest_middle = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest_middle, np.repeat(np.arange(3), 20))
    with pytest.raises(UsageError, match="at least 4 words"):
        mapping.tsne(rows[:3], seed=7)


def test_a_missing_package_is_named_with_its_mend():
    with pytest.raises(UsageError, match=r"pip install 'seqtool\[map\]'"):
        mapping.check_package("--method tsne", "a_package_that_is_nowhere")
