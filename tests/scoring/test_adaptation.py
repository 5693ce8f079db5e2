"""Whatever adapts, adapts by one name, and a copy of it that has learned can be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.runs.loading import load_run
from seqtool.scoring.adaptation import adapted_model, adaptive_scorer
from seqtool.scoring.adapting import AdaptiveScorer
from seqtool.scoring.learning import LearningScorer
from seqtool.scoring.scorer import Scorer
from seqtool.settings.scoring import EvalConfig
from seqtool.text.documents import TextSource
from tests.models.test_gated import gated
from tests.models.test_mixture import counted, net


def test_gates_count_nets_learn_and_counts_do_neither():
    config = EvalConfig(adapt=True)
    assert isinstance(adaptive_scorer(gated([counted()]), config), LearningScorer)
    assert isinstance(adaptive_scorer(net("lstm"), config), AdaptiveScorer)
    with pytest.raises(UsageError, match="no weights"):
        adaptive_scorer(counted(), config)


def test_an_adapted_net_knows_what_it_read_and_the_run_does_not(small_run: Path, prose: str, tmp_path: Path):
    text = tmp_path / "text"
    text.write_text(prose[9000:12000])
    run = load_run(small_run, torch.device("cpu"))
    ids = run.vocabulary.encode(text.read_text())
    before = Scorer(run.model).score(ids, [0])
    adapted = adapted_model(run, TextSource([str(text)]))
    assert Scorer(adapted).score(ids, [0]).mean() < before.mean() - 0.05
    assert np.array_equal(Scorer(run.model).score(ids, [0]), before)
    assert not any(weight.requires_grad for weight in adapted.parameters())


def test_nothing_read_is_nothing_learned(small_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "empty").write_text("\n")
    run = load_run(small_run, torch.device("cpu"))
    adapted = adapted_model(run, TextSource([str(tmp_path / "empty")]))
    ids = run.vocabulary.encode("the")
    assert Scorer(adapted).score(ids, [0]).mean() == pytest.approx(Scorer(run.model).score(ids, [0]).mean(), abs=0.1)
