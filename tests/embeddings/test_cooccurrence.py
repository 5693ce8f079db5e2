"""Counting pairs: against a double loop over the text, in memory and through files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from seqtool.embeddings import cooccurrence
from seqtool.embeddings.cooccurrence import Chunk, Cooccurrences, count_pairs
from seqtool.errors import InputError, SeqtoolError
from seqtool.files import spools

TEXTS = {
    "documents of one token": [[3], [1], [4, 1], [1]],
    "a window longer than the text": [[0, 1, 2], [2, 0]],
    "one token again and again": [[2] * 9, [2]],
    "repeated and distant": [[0, 5, 0, 5, 5, 1], [], [4, 4, 0, 1, 2, 3, 0, 1, 2, 3], [1]],
}


def chunk_of(documents: list[list[int]]) -> Chunk:
    rows = [row for document in documents for row in document]
    numbers = [number for number, document in enumerate(documents) for _ in document]
    return np.array(rows, np.int32), np.array(numbers, np.int64)


def counted_one_by_one(chunks: list[list[list[int]]], size: int, window: int, weighting: str) -> np.ndarray:
    sums = np.zeros((size, size))
    for documents in chunks:
        for document in documents:
            for here, row in enumerate(document):
                for there in range(max(here - window, 0), min(here + window + 1, len(document))):
                    distance = abs(here - there)
                    if distance:
                        weight = 1 / distance if weighting == "reciprocal" else (window - distance + 1) / window
                        sums[row, document[there]] += weight
    return sums


def dense(counts: Cooccurrences) -> np.ndarray:
    matrix = np.zeros((counts.vocab_size, counts.vocab_size))
    rows = counts.rows(0, len(counts))
    for row in range(counts.vocab_size):
        columns = counts.columns[counts.starts[row] : counts.starts[row + 1]].astype(np.int64)
        assert (np.diff(columns) > 0).all()
    assert (counts.values > 0).all()
    matrix[rows, counts.columns] = counts.values
    return matrix


def long_text(size: int, tokens: int, seed: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    rows = np.minimum(generator.zipf(1.3, tokens) - 1, size - 1)
    return [part.tolist() for part in np.split(rows, np.sort(generator.integers(0, tokens, tokens // 30)))]


@pytest.mark.parametrize("weighting", ["reciprocal", "linear"])
@pytest.mark.parametrize("window", [1, 2, 5, 40])
@pytest.mark.parametrize("name", TEXTS)
def test_counts_are_those_of_a_double_loop(name, window, weighting):
    counts = count_pairs([chunk_of(TEXTS[name])], 6, window, weighting)
    np.testing.assert_allclose(
        dense(counts), counted_one_by_one([TEXTS[name]], 6, window, weighting), rtol=1e-6, atol=0
    )


def test_many_chunks_sum_up_and_pairs_do_not_cross_them():
    chunks = [long_text(50, tokens, tokens) for tokens in (700, 1, 30, 900, 2)]
    counts = count_pairs(map(chunk_of, chunks), 50, 7, "reciprocal")
    np.testing.assert_allclose(dense(counts), counted_one_by_one(chunks, 50, 7, "reciprocal"), rtol=1e-6)


def test_stretches_of_a_chunk_lose_no_pair(monkeypatch):
    text = long_text(30, 2000, 1)
    whole = count_pairs([chunk_of(text)], 30, 9, "linear")
    monkeypatch.setattr(cooccurrence, "PAIRS_AT_ONCE", 100)
    np.testing.assert_allclose(dense(count_pairs([chunk_of(text)], 30, 9, "linear")), dense(whole), rtol=1e-7)


def test_counts_that_go_through_files_are_those_of_memory(monkeypatch):
    chunks = [chunk_of(long_text(200, 2000, seed)) for seed in range(6)]
    held = count_pairs(chunks, 200, 5, "reciprocal")
    monkeypatch.setattr(cooccurrence, "HELD_PAIRS", 1500)
    monkeypatch.setattr(cooccurrence, "MERGED_AT_ONCE", 100)
    mapped = count_pairs(chunks, 200, 5, "reciprocal")
    assert isinstance(mapped.values, np.memmap)
    assert not isinstance(held.values, np.memmap)
    for name in ("starts", "columns", "values"):
        assert np.array_equal(getattr(mapped, name), getattr(held, name))
    again = count_pairs(chunks, 200, 5, "reciprocal")
    assert mapped.values.tobytes() == again.values.tobytes()


@pytest.mark.parametrize("tokens", [1, 30])
def test_one_run_in_a_file_is_enough(monkeypatch, tokens):
    chunks = [chunk_of([list(range(tokens)), [0, 1]])]
    held = count_pairs(chunks, 30, 2, "linear")
    monkeypatch.setattr(cooccurrence, "HELD_PAIRS", 0)
    assert np.array_equal(dense(count_pairs(chunks, 30, 2, "linear")), dense(held))


@pytest.mark.parametrize("documents", [[], [[3], [1], [4], [1]]])
def test_a_text_without_pairs_is_refused(documents):
    with pytest.raises(InputError, match="nothing to count: give more text, or a lower --min-count"):
        count_pairs([chunk_of(documents)], 6, 5, "linear")


def test_a_large_vocabulary_and_window_fit_the_keys():
    rows = np.array([9_999_999, 9_999_998, 0, 9_999_999], np.int32)
    counts = count_pairs([(rows, np.zeros(4, np.int64))], 10_000_000, 1000, "reciprocal")
    start, end = counts.starts[-2:]
    assert counts.columns[start:end].tolist() == [0, 9_999_998, 9_999_999]
    assert counts.values[start:end] == pytest.approx([1 + 1 / 2, 1 + 1 / 2, 2 / 3])


def test_rows_of_any_stretch_of_entries():
    counts = count_pairs([chunk_of([[0, 2, 5, 2, 0]])], 6, 2, "linear")
    rows = np.repeat(np.arange(6), np.diff(counts.starts))
    for start in range(len(counts)):
        for end in range(start + 1, len(counts) + 1):
            assert counts.rows(start, end).tolist() == rows[start:end].tolist()


def test_a_full_disk_is_named(monkeypatch):
    class Full:
        def write(self, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(cooccurrence, "HELD_PAIRS", 2)
    monkeypatch.setattr(spools.tempfile, "TemporaryFile", lambda **options: Full())

    def chunks() -> Iterator[Chunk]:
        yield chunk_of([[0, 1, 2, 3]])

    with pytest.raises(SeqtoolError, match="No space left on device; set TMPDIR"):
        count_pairs(chunks(), 4, 2, "linear")
