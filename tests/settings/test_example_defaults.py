"""What suits a task on examples where nothing is named."""

from __future__ import annotations

import pytest

from seqtool.errors import UsageError
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.checking import checked
from seqtool.settings.example_defaults import (
    check_meant,
    model_for,
    resolve_examples,
    suited_settings_of,
    suited_to_examples,
)
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig


@pytest.mark.parametrize(
    ("kind", "model"),
    [(kind, model) for kind, of in suited_to_examples().items() for model in of if model in ARCHITECTURES],
)
def test_every_suited_setting_is_one_and_is_possible(kind: str, model: str):
    suited = suited_settings_of(kind, model)
    assert suited.pop("vocab_type", "bpe") in VOCABULARY_TYPES
    checked(VocabularyConfig(lowercase=suited.pop("lowercase", False)))
    checked(ExampleConfig(task="classify", max_length=suited.pop("max_length", 1)))
    config, training = resolve_examples({}, {**suited, "model": model}, 1000, False)
    known = vars(config) | vars(training)
    assert suited.keys() <= known.keys()
    assert checked(config).model == model
    assert not training.stateful


def test_what_is_asked_beats_what_suits():
    suited = {**suited_settings_of("table", "ffn"), "model": "ffn"}
    config, training = resolve_examples({"hidden": 7, "epochs": 3.0}, suited, 1000, False)
    assert (config.hidden, training.epochs, training.steps) == (7, 3.0, 0)
    assert resolve_examples({"optimizer": "sgd"}, suited, 1000, False)[1].lr == 0.1
    assert resolve_examples({}, suited, 30, False)[1].batch_size <= 4
    assert resolve_examples({"batch_size": 64}, suited, 30, False)[1].batch_size == 64


def test_a_model_that_cannot_learn_the_task_is_refused_with_those_that_can():
    assert model_for("classify", "text", {}) == suited_to_examples()["text"]["model"]
    with pytest.raises(UsageError, match=r"--model bag does not learn to regress from table: choose from .*ffn"):
        model_for("regress", "table", {"model": "bag"})
    with pytest.raises(UsageError, match="--bptt and --tied: that is for language models"):
        check_meant(frozenset({"tied", "bptt", "hidden"}), "classify")


def test_a_batch_of_tokens_is_as_large_as_its_tokens():
    suited = {**suited_settings_of("pairs", "lstm"), "batch_size": 80}
    assert resolve_examples({}, suited, 200, False)[1].batch_size == 80
    assert resolve_examples({}, {**suited, "batch_tokens": 0}, 200, False)[1].batch_size == 25
