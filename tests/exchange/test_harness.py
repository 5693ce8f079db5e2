"""The questions of lm-evaluation-harness, by its documented interface; with the harness itself where it is installed."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.exchange.harness import Asked, of_harness, stops
from seqtool.runs.loading import Run
from seqtool.scoring.scorer import Scorer
from tests.conftest import ROOT
from tests.exchange.untrained import greedy, untrained_run, vocabulary_of

KINDS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "stem": 4},
    "mingru": {"model": "mingru"},
    "transformer": {},
    "ffn": {"model": "ffn", "stem": 4, "context": 5},
}


@pytest.fixture(scope="module", params=KINDS)
def run(request: pytest.FixtureRequest, short_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("asked") / "run"
    return untrained_run(path, vocabulary_of(short_text, "bpe"), **KINDS[request.param])


def asked_of(*arguments: Any) -> SimpleNamespace:
    """A request as the harness makes it."""
    return SimpleNamespace(args=arguments)


def test_a_text_has_the_nats_of_eval_whatever_its_length(run: Run, short_text: Path):
    asked = Asked(run)
    assert asked.nats("") == 0.0
    for text in ("The", "  a line\n\n🙂", short_text.read_text()[:600]):
        expected = float(Scorer(run.model).score(run.vocabulary.encode(text), [0]).sum(dtype=float))
        assert asked.nats(text) == pytest.approx(expected, rel=1e-9)
        log_p, _ = asked.continuation("", text)
        assert -log_p == pytest.approx(expected, rel=1e-4)  # the same windows, another way


def test_a_continuation_is_the_rest_of_the_whole(run: Run):
    asked = Asked(run)
    context, text = "The statement is", " executed once"
    log_p, _ = asked.continuation(context, text)
    assert log_p == pytest.approx(asked.nats(context) - asked.nats(context + text), rel=1e-3)
    assert asked.continuation(f"{context} ", "executed once")[0] == pytest.approx(log_p, rel=1e-6)


def test_a_token_that_joins_both_is_of_the_continuation(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "bpe"), model="gru", hidden=8)
    joined = next(
        piece for piece in map(run.vocabulary.piece, range(run.vocabulary.size)) if re.fullmatch("[a-z]{2}", piece)
    )
    context, text = f"a {joined[0]}", joined[1]
    log_p, _ = Asked(run).continuation(context, text)
    assert log_p < 0
    assert log_p == pytest.approx(Asked(run).nats("a ") - Asked(run).nats(context + text), rel=0.5)


def test_what_is_written_greedily_is_the_likeliest(run: Run):
    asked, prompt = Asked(run), "The"
    ids = run.vocabulary.encode(prompt).tolist()
    written = asked.written(prompt, [], 20)
    tokens = greedy(run.model, ids, 20)
    tokens = tokens[: tokens.index(run.vocabulary.begin_id)] if run.vocabulary.begin_id in tokens else tokens
    assert written == run.vocabulary.decode([*ids, *tokens]).removeprefix(prompt)
    if len(written) > 3:
        end = written[2:4]
        assert asked.written(prompt, [end, "never there"], 20) == written[: written.index(end)]


def test_the_class_answers_in_the_order_of_the_requests(short_text: Path, tmp_path: Path):
    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), model="gru", stem=4)
    model = of_harness(object)(run=str(tmp_path / "run"), batch_size=1)
    pairs = [("a", "b"), ("", "The"), ("The s", "tatement")]
    found = model.loglikelihood([asked_of(*pair) for pair in pairs])
    assert found == [Asked(run).continuation(*pair) for pair in pairs]
    (rolling,) = model.loglikelihood_rolling([asked_of("The statement")])
    assert rolling == -Asked(run).nats("The statement")
    assert model.generate_until([asked_of("a", {"until": "\n", "max_gen_toks": 4})]) == [
        Asked(run).written("a", ["\n"], 4)
    ]
    with pytest.raises(UsageError, match=r"--model_args run=novel\.run"):
        of_harness(object)()


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without one")
def test_the_harness_own_device_is_no_demand(short_text: Path, tmp_path: Path):
    untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), model="gru", stem=4)
    model = of_harness(object)(run=str(tmp_path / "run"), device="cuda:0")
    assert model.asked.model.device.type == "cpu"


def test_how_a_text_ends_is_read_from_the_options():
    assert stops({"until": ["\n", ""], "max_gen_toks": 5}) == (["\n"], 5)
    assert stops({"until": "x"}) == (["x"], 256)
    assert stops({"do_sample": True, "temperature": 0}) == ([], 256)
    with pytest.raises(UsageError, match="greedily"):
        stops({"do_sample": True, "temperature": 0.7})


@pytest.mark.slow
def test_without_the_harness_a_sentence_says_how_to_install_it():
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        ran = subprocess.run(
            [sys.executable, "-m", "seqtool.exchange.harness"], capture_output=True, text=True, cwd=ROOT
        )
        assert ran.returncode == 1
        assert ran.stderr.startswith("seqtool: error: the harness is not installed")
        assert ran.stderr.endswith("pip install 'seqtool[harness]'\n")


@pytest.mark.slow
@torch.inference_mode()
def test_the_harness_itself_gives_the_bits_per_byte_of_eval(short_text: Path, tmp_path: Path):
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

    run = untrained_run(tmp_path / "run", vocabulary_of(short_text, "char"), model="lstm", stem=4)
    text = short_text.read_text()[:500]
    model = of_harness(LM).create_from_arg_string(f"run={run.path}")
    instance = Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
    (log_p,) = model.loglikelihood_rolling([instance])
    bits = -log_p / math.log(2) / len(text.encode())
    nats = Scorer(run.model).score(run.vocabulary.encode(text), [0]).sum(dtype=float)
    assert bits == pytest.approx(nats / math.log(2) / len(text.encode()))
