from __future__ import annotations

import json
from pathlib import Path

from seqtool.exchange.model_card import measured, model_card
from seqtool.runs.config import METRICS, RunConfig
from tests.exchange.untrained import LLAMA, untrained_run, vocabulary_of


def test_a_card_has_the_figures_of_the_weights_that_were_kept(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **LLAMA)
    assert isinstance(run.config, RunConfig)
    assert measured(run.path) == []
    rows = [
        {"step": step, "tokens": 10 * step, "elapsed_s": 1, "valid_loss": loss, "best_step": best}
        for step, loss, best in ((5, 2.0, 5), (9, 1.5, 9), (12, 1.75, 9))
    ]
    (run.path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert dict(measured(run.path)) == {
        "nats per token of the validation text": "1.5000",
        "perplexity per token of the validation text": "4.482",
        "steps of training until then": "9",
        "tokens read until then": "90",
    }
    card = model_card(run.path, run.config, run.vocabulary, {"library_name": "some"}, "    load it\n", ["Odd texts."])
    assert card.startswith('---\nlibrary_name: "some"\n---\n')
    assert "| nats per token of the validation text | 1.5000 |" in card
    assert "| name | some \\| text.txt |" in card
    assert "- Odd texts." in card


def test_a_card_without_figures_says_so(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), **LLAMA)
    assert isinstance(run.config, RunConfig)
    assert "None were recorded." in model_card(run.path, run.config, run.vocabulary, {}, "", [])
