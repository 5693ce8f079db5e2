"""Dynamic evaluation (Krause et al. 2018): a net that goes on learning from the text that it scores.

A text is read once, in segments. Each is scored first, by the weights that the text before has left, and learned from
then, by one step of Adam; and the weights are drawn back towards those that were trained. So each token is scored
once, by what came before it alone, and figures of this kind are called adapted: they do not compare with static ones.

Shapes: T tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqtool.errors import UsageError
from seqtool.models.language_model import LanguageModel
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor
from seqtool.models.state import State, detached
from seqtool.scoring.scorer import Nats, check_window, windows
from seqtool.settings.scoring import EvalConfig

BETAS = (0.9, 0.99)
CLIP_NORM = 1.0


def adaptable(model: Predictor) -> tuple[Predictor, list[nn.Parameter]]:
    """The model with weights of its own, and those that can be learned; UsageError where there are none."""
    own = _own(model)
    weights = [weight for net in _nets(own) for weight in net.parameters() if weight.requires_grad]
    if not weights:
        raise UsageError("--adapt: counts have no weights to go on learning; mix them with a net, or leave it out")
    return own, weights


def _own(model: Predictor) -> Predictor:
    if isinstance(model, Mixture):
        return Mixture([_own(part) for part in model.models], np.exp(model.log_weights).tolist())
    return copy.deepcopy(model).requires_grad_(True) if isinstance(model, LanguageModel) else model


def _nets(model: Predictor) -> list[LanguageModel]:
    if isinstance(model, Mixture):
        return [net for part in model.models for net in _nets(part)]
    return [model] if isinstance(model, LanguageModel) else []


class AdaptiveScorer:
    """Scores a text as it arrives, as `Scorer` does, one document after the other, and learns from what was scored.

    The weights go on from document to document; the state begins anew with each. Where tokens are seen in windows, a
    segment is what a window scores.
    """

    def __init__(self, model: Predictor, config: EvalConfig) -> None:
        self._model, self._weights = adaptable(model)
        self._context, self._stride = check_window(model, config.context, config.stride)
        self._every, self._decay, self._learns = config.adapt_every, config.adapt_decay, config.adapt_rate > 0
        self._trained = [weight.detach().clone() for weight in self._weights]
        self._optimizer = torch.optim.Adam(self._weights, lr=config.adapt_rate, betas=BETAS)
        self._state: State | None = None
        # Of the open document: how many tokens are scored, and the last of them, of which the next is told.
        self._scored, self._tail = 0, np.array([model.begin_id], np.int64)

    def score(self, ids: npt.NDArray[np.unsignedinteger], starts: Sequence[int]) -> Nats:
        """The nats (T,) of the next ids: text without `<s>`, in which documents begin at `starts`, ascending.

        Ids before the first of `starts` continue the open document.
        """
        found = [np.empty(0, np.float32)]
        for begin, end in pairwise([*([0] if not starts or starts[0] > 0 else []), *starts, len(ids)]):
            if begin in starts:
                self._state, self._scored, self._tail = None, 0, np.array([self._model.begin_id], np.int64)
            text = ids[begin:end].astype(np.int64)
            found += self._slide(text) if self._context else self._carry(text)
        return np.concatenate(found)

    def _carry(self, text: npt.NDArray[np.int64]) -> list[Nats]:
        """Score with a state that is carried through the document."""
        found = []
        for start in range(0, len(text), self._every):
            segment = text[start : start + self._every]
            read = np.concatenate([self._tail, segment])
            nats_T, self._state = self._read(read, len(segment), self._state)
            self._tail = read[-1:]
            found.append(nats_T)
        return found

    def _slide(self, text: npt.NDArray[np.int64]) -> list[Nats]:
        """Score in windows; the tail is the end of what came before, as much as a window can hold."""
        known = np.concatenate([self._tail[1:], text])
        before = self._scored - (len(self._tail) - 1)  # tokens that are not held any more
        found = []
        for window in windows(self._scored, self._scored + len(text), self._context, self._stride):
            part = known[window.start - before : window.stop - before]
            read = np.concatenate([[self._model.begin_id], part])
            found.append(self._read(read, window.stop - window.score_from, None)[0])
        self._scored += len(text)
        self._tail = np.concatenate([[self._model.begin_id], known[-self._context :]])
        return found

    def _read(self, ids: npt.NDArray[np.int64], scored: int, state: State | None) -> tuple[Nats, State]:
        """The nats of the last `scored` of the ids, and the state before the last; then learn from them."""
        ids_BT = torch.from_numpy(ids)[None].to(self._model.device)
        # cuDNN takes no gradients of a model that is not in training.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            nats_BT, state = self._model.next_nats(ids_BT[:, :-1], ids_BT[:, 1:], state)
            nats_T = nats_BT[0, -scored:]
            if self._learns:
                self._learn(nats_T.mean())
        return nats_T.detach().cpu().numpy(), detached(state)

    def _learn(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._weights, CLIP_NORM)
        self._optimizer.step()
        if self._decay:
            with torch.no_grad():
                for weight, trained in zip(self._weights, self._trained, strict=True):
                    weight.lerp_(trained, self._decay)
