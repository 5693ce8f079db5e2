"""The baseline beside a net: n-grams, on the tokens on which the net was validated."""

from __future__ import annotations

import pytest

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.models.counted import CountedModel
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language import baseline
from seqtool.tasks.language.baseline import ngram_baseline
from seqtool.tasks.language.data import TrainingData, prepare_data
from seqtool.tasks.language.validation import held_out_loss


@pytest.fixture(scope="module")
def data(prose: str, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text(prose[:20_000])
    return prepare_data(
        [str(path)], vocabulary=None, vocabulary_config=VocabularyConfig(type="char"), valid=None, errors="strict",
        document="file", seed=0,
    )  # fmt: skip


def test_it_is_the_best_order_on_the_tokens_that_validate_a_net(data: TrainingData):
    found = ngram_baseline(data, 1000, seconds=60.0)
    assert found is not None
    counts = NgramCounts(data.train_ids, data.vocabulary.size, data.vocabulary.begin_id)
    losses = []
    for order in range(1, 7):
        if order > 1:
            counts.grow()
        judged = held_out_loss(CountedModel(estimate(counts, order)), data.valid_ids, 1000)
        assert judged is not None
        assert judged.targets == 1000 // 7 * 7
        losses.append(judged.loss)
    assert found.loss == pytest.approx(losses[found.order - 1], rel=1e-6)
    assert found.loss <= 1.02 * min(losses)
    assert losses[0] > 1.3 * found.loss


def test_counting_takes_little_of_a_trainings_time(data: TrainingData, monkeypatch: pytest.MonkeyPatch):
    assert 17_000 < len(data.train_ids) < 20_000
    assert ngram_baseline(data, 1000, seconds=1.0) is None  # a twentieth does not suffice for three tokens
    clock = iter(range(100))
    monkeypatch.setattr(baseline.time, "perf_counter", lambda: float(next(clock)))
    found = ngram_baseline(data, 1000, seconds=50.0)  # of which 2.5 are for counting, an order a second
    assert found is not None
    assert found.order == 3


def test_without_memory_there_is_none(data: TrainingData, monkeypatch: pytest.MonkeyPatch):
    def full(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(baseline, "NgramCounts", full)
    assert ngram_baseline(data, 1000, seconds=60.0) is None
