"""A net with a cache of its last hidden states, as a Predictor: the continuous cache (Grave, Joulin and Usunier 2017).

    p(w) = (1 - weight) p_net(w) + weight p_cache(w)
    p_cache(w) = sum over i of softmax_i(flatness h_t . h_i) where token i+1 is w

of the last N states h_i of the text, each with the token that followed it: what came after states like this one. It
learns nothing, but what it tells adapts to the text.

Shapes: B sequences side by side, T time, V vocabulary, H features, K states that are held, N at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.language_model import LanguageModel
from seqtool.models.loss import token_nats
from seqtool.models.predictor import Stepper
from seqtool.models.state import State

READ_TOKENS = 256  # of a prompt at once


class Cached:
    """p(next token | tokens before) of a net that carries its state, and of its last `size` states. A Predictor.

    Its state is the net's, and last the features held and the tokens behind all but the newest of them.
    """

    context: int | None = None

    def __init__(self, net: LanguageModel, size: int, weight: float, flatness: float) -> None:
        assert net.context is None
        assert size > 0
        assert 0 <= weight < 1
        self.net, self._size, self._weight, self._flatness = net, size, weight, flatness
        self.vocab_size, self.begin_id = net.vocab_size, net.begin_id
        self.numbers_per_token = net.numbers_per_token + size

    def around(self, net: LanguageModel) -> Cached:
        """The same around another net."""
        return Cached(net, self._size, self._weight, self._flatness)

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return self.net.device

    def next_nats(self, ids_BT: Tensor, targets_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """-log p of the token after each of `ids`, (B, T), and the state after the last."""
        logits_BTV, share_BTK, tokens_BK, state = self._read(ids_BT, state)
        same_BTK = tokens_BK[:, None] == targets_BT[..., None]
        return -self._mixed(-token_nats(logits_BTV, targets_BT), (share_BTK * same_BTK).sum(-1), share_BTK), state

    def log_p(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p of all tokens after each of `ids`, (B, T, V), and the state after the last."""
        logits_BTV, share_BTK, tokens_BK, state = self._read(ids_BT, state)
        log_p_BTV = logits_BTV.float().log_softmax(dim=-1)
        p_BTV = torch.zeros_like(log_p_BTV).scatter_add_(2, tokens_BK[:, None].expand_as(share_BTK), share_BTK)
        return self._mixed(log_p_BTV, p_BTV, share_BTK), state

    def _read(self, ids_BT: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor, State]:
        """The net's logits; each state's share, (B, T, K), 0 if it is not held; its token, (B, K); the new state."""
        features_BTH, of_net = self.net.features(ids_BT, None if state is None else state[:-1])
        held_BKH, tokens_BK = (features_BTH[:, :0], ids_BT[:, 1:]) if state is None else state[-1]
        if state is not None:
            tokens_BK = torch.cat([tokens_BK, ids_BT], dim=1)  # the first of these follows the newest state held
        before, T = held_BKH.shape[1], ids_BT.shape[1]
        keys_BKH = torch.cat([held_BKH, features_BTH], dim=1)
        kept = min(before + T, self._size)
        after = (keys_BKH[:, -kept:].detach(), tokens_BK[:, tokens_BK.shape[1] - kept + 1 :])
        places_K = torch.arange(before + T - 1, device=ids_BT.device)  # what follows the last is what is asked
        ages_TK = before + torch.arange(T, device=ids_BT.device)[:, None] - places_K
        held_TK = (ages_TK >= 1) & (ages_TK <= self._size)
        scores_BTK = self._flatness * (features_BTH.float() @ keys_BKH[:, :-1].float().transpose(1, 2))
        least = torch.finfo(scores_BTK.dtype).min  # not -inf: at a beginning none is held, and nothing may be NaN
        share_BTK = scores_BTK.masked_fill(~held_TK, least).softmax(dim=-1) * held_TK
        return self.net.head(features_BTH), share_BTK, tokens_BK, (*of_net, after)

    def _mixed(self, log_p_net: Tensor, p_cache: Tensor, share_BTK: Tensor) -> Tensor:
        """log of the weighed sum; the net alone where nothing is held."""
        weight = self._weight * (share_BTK.sum(-1) > 0).to(log_p_net.dtype)
        weight = weight if log_p_net.dim() == 2 else weight[..., None]
        tiny = torch.finfo(p_cache.dtype).tiny
        return torch.logaddexp(torch.log1p(-weight) + log_p_net, (weight * p_cache).clamp_min(tiny).log())

    def stepper(self, precision: str = "fp32", barred: int = -1) -> Stepper:
        """The same a token at a time."""
        if precision != "fp32":
            raise UsageError(f"--precision {precision}: --cache looks back at states in fp32; leave one of them out")
        return CachedStepper(self, barred)


class CachedStepper:
    """The Stepper of a net with a cache; no row of it is ever full."""

    context: int | None = None
    room: int | None = None

    def __init__(self, model: Cached, barred: int) -> None:
        self._model, self._barred, self.begin_id = model, barred, model.begin_id
        self._states: list[State] = []  # of each row: what is held differs

    @property
    def full(self) -> list[int]:
        """None of the rows."""
        return []

    def begin(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read `<s>` and each prompt; log p of the next tokens, (B, V)."""
        log_p, self._states = self._read([[self.begin_id, *prompt] for prompt in prompts], [None] * len(prompts))
        return log_p

    def step(self, ids_B: Tensor) -> Tensor:
        """log p of the tokens after these, (B, V)."""
        log_p_BV, self._states = self._read([[token] for token in ids_B.tolist()], self._states)
        return log_p_BV

    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, in this order; one may be taken several times."""
        self._states = [self._states[row] for row in rows.tolist()]

    def read_again(self, rows: list[int], prompts: Sequence[Sequence[int]], log_p_BV: Tensor) -> None:
        """Begin these rows with `<s>` and other texts, and put in their log p (B, V)."""
        told, states = self._read([[self.begin_id, *prompt] for prompt in prompts], [None] * len(prompts))
        log_p_BV[rows] = told.to(log_p_BV)
        for row, state in zip(rows, states, strict=True):
            self._states[row] = state

    def _read(self, texts: list[list[int]], states: Sequence[State | None]) -> tuple[Tensor, list[State]]:
        told: list[Tensor] = []
        after: list[State] = []
        for ids, state in zip(texts, states, strict=True):
            for start in range(0, len(ids), READ_TOKENS):
                part_BT = torch.tensor([ids[start : start + READ_TOKENS]], device=self._model.device)
                log_p_BTV, state = self._model.log_p(part_BT, state)
            assert state is not None
            told.append(log_p_BTV[0, -1])
            after.append(state)
        log_p_BV = torch.stack(told)
        if self._barred >= 0:
            log_p_BV[:, self._barred] = -math.inf
        return log_p_BV, after
