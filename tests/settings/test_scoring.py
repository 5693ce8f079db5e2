"""How text is scored where nothing is asked: settings of 0 stand for the model's own."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.scoring.scorer import score_documents
from seqtool.settings.checking import check
from seqtool.settings.scoring import EvalConfig
from tests.zoo import V, zoo_model


def test_no_context_and_stride_are_the_models_and_half_of_it():
    model, config = zoo_model("transformer plain"), EvalConfig()
    ids = np.random.default_rng(0).integers(2, V, 100).astype(np.uint16)

    def nats(context: int, stride: int) -> list[float]:
        scored = score_documents(model, [ids], batch_size=config.batch_size, context=context, stride=stride)
        return np.concatenate([part.nats for part in scored]).tolist()

    assert nats(config.context, config.stride) == nats(24, 12)
    assert nats(config.context, config.stride) != nats(24, 24)


@pytest.mark.parametrize(("changes", "told"), [
    ({"oov": "excluded"}, "--oov 'excluded': did you mean exclude? choose from include, exclude"),
    ({"stride": -1}, "--stride -1: at least 0"),
    ({"batch_size": 0}, "--batch-size 0: at least 1"),
])  # fmt: skip
def test_settings_that_cannot_be_are_told(changes: dict[str, object], told: str):
    assert check(EvalConfig(**changes)) == [told]
