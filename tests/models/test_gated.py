"""A gated mixture behind the protocol: what gates say of what its models say, wherever and however it is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtool.counts.gates.gates import Gates
from seqtool.errors import UsageError
from seqtool.models.gated import Gated
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor, advance
from seqtool.scoring.scorer import Scorer
from tests.models.test_mixture import BEGIN, EVERY, V, counted, net, text


def gates_for(models: int) -> Gates:
    random = np.random.default_rng(0)
    gates = Gates.new(np.ones(V, int), random.integers(0, 3, V), random.integers(0, 4, V), BEGIN, models, 100, 1 << 20)
    gates.read(gates.begin(1)[0], text(9, 80).astype(np.int64), [None] * models, learn=True)
    return gates


def gated(parts: list[Predictor]) -> Gated:
    return Gated(parts, gates_for(len(parts)))


def weighed(parts: list[Predictor]) -> Gated:
    """Half of what gates say, and the models' own share alike of the rest."""
    return Gated(parts, gates_for(len(parts)), [0.5, *[0.5 / len(parts)] * len(parts)])


KINDS = pytest.mark.parametrize("kind", [gated, weighed])


@EVERY
@KINDS
@torch.inference_mode()
def test_all_next_symbols_sum_to_1(models, kind):
    mixture = kind(models())
    for prompt in ([], [3], text(4, 5).tolist()):
        log_p_V = mixture.stepper().begin([prompt])[0]
        assert float(log_p_V.double().exp().sum()) == pytest.approx(1, abs=1e-6)


@EVERY
@torch.inference_mode()
def test_scoring_is_what_the_gates_make_of_what_the_models_say(models):
    parts, ids = models(), text(1, 5)
    mixture = gated(parts)
    told = [part.log_p(torch.tensor([[BEGIN, *ids[:-1].tolist()]]), None)[0][0].numpy() for part in parts]
    gates = gates_for(len(parts))
    expected = gates.read(gates.begin(1)[0], ids.astype(np.int64), told)
    assert Scorer(mixture).score(ids, [0]) == pytest.approx(expected, abs=1e-4)


@EVERY
@torch.inference_mode()
def test_weights_mix_what_the_gates_say_with_what_each_model_says(models):
    parts, ids = models(), text(1, 30)
    each = [Scorer(gated(parts)).score(ids, [0])]
    each += [Scorer(Mixture([part], [1.0], gated(parts).context)).score(ids, [0]) for part in parts]
    mixture = weighed(parts)
    shares = np.exp(-np.stack(each).astype(np.float64)) * np.array([0.5, *[0.5 / len(parts)] * len(parts)])[:, None]
    assert Scorer(mixture).score(ids, [0]) == pytest.approx(-np.log(shares.sum(axis=0)), abs=1e-4)


@EVERY
@KINDS
def test_no_score_depends_on_what_follows_nor_on_how_the_text_arrives(models, kind):
    mixture = kind(models())
    ids = text(2, 40)
    whole = Scorer(mixture).score(ids, [0, 11])
    other = ids.copy()
    other[30:] = 3
    assert Scorer(mixture).score(other, [0, 11])[:30] == pytest.approx(whole[:30], abs=1e-6)
    scorer = Scorer(mixture, batch_size=1)
    pieces = [scorer.score(ids[:4], [0]), scorer.score(ids[4:20], [7]), scorer.score(ids[20:], [])]
    assert np.concatenate(pieces) == pytest.approx(whole, abs=1e-4)


@EVERY
@KINDS
@torch.inference_mode()
def test_the_stepper_and_all_tokens_at_once_predict_what_scoring_does(models, kind):
    mixture = kind(models())
    stepper, texts = mixture.stepper(), [[3, 4], [2, 2]]
    log_p_BV = stepper.begin(texts)
    for chosen in text(3, 2 if mixture.context else 6).tolist():
        for row, known in enumerate(texts):
            nats = Scorer(mixture).score(np.array([*known, chosen], np.uint16), [0])
            assert -float(log_p_BV[row, chosen]) == pytest.approx(float(nats[-1]), abs=1e-4)
            whole, _ = mixture.log_p(torch.tensor([[BEGIN, *known]]), None)
            assert whole[0, -1].tolist() == pytest.approx(log_p_BV[row].tolist(), abs=1e-4)
            known.append(chosen)
        log_p_BV = advance(stepper, texts, torch.tensor([chosen, chosen]), log_p_BV)
    stepper.keep(torch.tensor([1]))
    assert len(stepper.step(torch.tensor([4]))) == 1


@KINDS
@torch.inference_mode()
def test_other_targets_than_those_that_follow_are_scored_where_they_are_asked_for(kind):
    mixture = kind([net("lstm")])
    ids_BT = torch.tensor([[BEGIN, 3, 4, 5, 4]])
    log_p_BTV, _ = mixture.log_p(ids_BT, None)
    for targets in ([3, 4, 5, 4, 2], [3, 7, 5, 0, 2], [0, 0, 0, 0, 0]):
        nats_BT, state = mixture.next_nats(ids_BT, torch.tensor([targets]), None)
        expected = [-float(log_p_BTV[0, t, target]) for t, target in enumerate(targets)]
        assert nats_BT[0].tolist() == pytest.approx(expected, abs=1e-4)
        after, _ = mixture.next_nats(torch.tensor([[6]]), torch.tensor([[2]]), state)
        whole, _ = mixture.log_p(torch.tensor([[*ids_BT[0].tolist(), 6]]), None)
        assert float(after) == pytest.approx(-float(whole[0, -1, 2]), abs=1e-4)


@torch.inference_mode()
def test_a_full_row_goes_on_with_the_end_of_its_text_and_what_is_barred_never_comes():
    mixture = gated([counted(), net("transformer", context=8)])
    stepper, texts = mixture.stepper(), [[3] * 6, [2]]
    log_p_BV = stepper.begin(texts)
    for step in range(12):
        chosen = torch.tensor([step % 3 + 2, 4])
        for row, token in enumerate(chosen.tolist()):
            texts[row].append(token)
        log_p_BV = advance(stepper, texts, chosen, log_p_BV)
        assert log_p_BV.double().exp().sum(dim=-1).numpy() == pytest.approx(1, abs=1e-5)
    assert mixture.stepper(barred=4).begin([[3]])[0, 4] == -torch.inf
    with pytest.raises(UsageError, match="one of a mixture"):
        mixture.stepper("int8")
