"""The map of a model's embedding: the vectors are the model's, and the places those of the map page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from seqtool.reports.drawing import HEIGHT, WIDTH
from seqtool.reports.embedding import MOST_TOKENS, embedding_map
from seqtool.runs.loading import load_run


def test_dots_are_the_principal_components_of_the_models_own_vectors(small_run: Path):
    run = load_run(small_run, torch.device("cpu"))
    drawn = embedding_map(run)
    seen = run.model.head.seen_ids
    names = [run.vocabulary.token(index) for index in seen.tolist()]
    words = [
        place for place, name in enumerate(names) if not (name.startswith("<") and name.endswith(">") and len(name) > 2)
    ]
    rows_ND = run.model.input_rows()[seen][words].detach().double().numpy()[:MOST_TOKENS]
    unit_ND = rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)
    centred_ND = unit_ND - unit_ND.mean(0)
    left, sizes, _ = np.linalg.svd(centred_ND, full_matrices=False)
    expected_N2 = (left * sizes)[:, :2]
    dots_N2 = np.array(drawn["dots"])
    assert dots_N2.shape == expected_N2.shape
    for axis in (0, 1):
        r = np.corrcoef(dots_N2[:, axis], expected_N2[:, axis])[0, 1]
        assert abs(r) > 0.999
    assert f"hold {(sizes[:2] ** 2).sum() / (sizes**2).sum():.0%} of their variance" in drawn["about"]
    assert (dots_N2 >= 0).all()
    assert (dots_N2 <= [WIDTH, HEIGHT]).all()
    assert {"e", "t", "a", "␣", "⏎"} <= set(drawn["names"])
    assert len(drawn["names"]) == len(dots_N2)


def test_counts_have_no_map(small_run: Path):
    run = dataclasses.replace(load_run(small_run, torch.device("cpu")), model=object())
    assert embedding_map(run) is None
