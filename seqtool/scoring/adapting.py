"""Dynamic evaluation (Krause et al. 2018): a net that goes on learning from the text that it scores.

A text is read once, in segments. Each is scored first, by the weights that the text before has left, and learned from
then, by one step of Adam; and the weights are drawn back towards those that were trained. So each token is scored
once, by what came before it alone, and figures of this kind are called adapted: they do not compare with static ones.

Shapes: T tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqtool.errors import UsageError
from seqtool.models.cached import Cached
from seqtool.models.language_model import LanguageModel
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor
from seqtool.models.state import State, detached
from seqtool.scoring.scorer import Nats, check_window, document_parts, windows
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
    if isinstance(model, Cached):
        return model.around(copy.deepcopy(model.net).requires_grad_(True))
    return copy.deepcopy(model).requires_grad_(True) if isinstance(model, LanguageModel) else model


def _nets(model: Predictor) -> list[LanguageModel]:
    if isinstance(model, Mixture):
        return [net for part in model.models for net in _nets(part)]
    if isinstance(model, Cached):
        return [model.net]
    return [model] if isinstance(model, LanguageModel) else []


class AdaptiveScorer:
    """Scores a text as it arrives, as `Scorer` does, one document after the other, and learns from what was scored.

    The weights go on from document to document; the state begins anew with each. A segment ends after `adapt_every`
    tokens of a document, or where tokens are seen in windows, with what a window scores; and it is learned from when it
    has ended, so that nothing depends on the parts in which a text arrives.
    """

    def __init__(self, model: Predictor, config: EvalConfig) -> None:
        self._model, self._weights = adaptable(model)
        self._context, self._stride = check_window(model, config.context, config.stride)
        self._every, self._decay, self._learns = config.adapt_every, config.adapt_decay, config.adapt_rate > 0
        self._trained = [weight.detach().clone() for weight in self._weights]
        self._optimizer = torch.optim.Adam(self._weights, lr=config.adapt_rate, betas=BETAS)
        self._unlearned: Tensor | None = None  # the nats of a segment that has not ended
        self._begin_document()

    def _begin_document(self) -> None:
        self._learn()
        # How many tokens are scored, how many of these are learned from, and the last of them, behind `<s>`.
        self._scored, self._learned, self._tail = 0, 0, np.empty(0, np.int64)
        self._state: State | None = None  # before the token that the open segment follows
        self._before = self._model.begin_id  # that token

    def score(self, ids: npt.NDArray[np.unsignedinteger], starts: Sequence[int]) -> Nats:
        """The nats (T,) of the next ids: text without `<s>`, in which documents begin at `starts`, ascending.

        Ids before the first of `starts` continue the open document.
        """
        found = [np.empty(0, np.float32)]
        for begins, text in document_parts(ids, starts):
            if begins:
                self._begin_document()
            found += self._slide(text) if self._context else self._carry(text)
        return np.concatenate(found)

    def finish(self) -> Predictor:
        """The model that has learned from all that was scored."""
        self._learn()
        for net in _nets(self._model):
            net.requires_grad_(False)
        return self._model

    def _carry(self, text: npt.NDArray[np.int64]) -> list[Nats]:
        """Score with a state that is carried through the document; the tail are the tokens of the open segment."""
        found = []
        while len(text):
            part, text = np.split(text, [self._every - len(self._tail)])
            self._tail = np.concatenate([self._tail, part])
            state = self._read([self._before, *self._tail], len(self._tail), self._state)
            found.append(self._newest(len(part)))
            if len(self._tail) == self._every:
                self._learn()
                self._state, self._before, self._tail = state, int(self._tail[-1]), self._tail[:0]
        return found

    def _slide(self, text: npt.NDArray[np.int64]) -> list[Nats]:
        """Score in windows; the tail is the end of what came before, as much as a window can hold."""
        known = np.concatenate([self._tail, text])
        first = self._scored - len(self._tail)  # place in the document of the first token that is held
        found = []
        for begin, score_from, stop in windows(self._scored, self._scored + len(text), self._context, self._stride):
            self._read([self._model.begin_id, *known[begin - first : stop - first]], stop - self._learned, None)
            found.append(self._newest(stop - score_from))
            if stop == begin + self._context:
                self._learn()
                self._learned = stop
        self._scored += len(text)
        self._tail = known[-self._context :]
        return found

    def _read(self, ids: Sequence[int], segment: int, state: State | None) -> State:
        """Keep the nats of the last `segment` of the ids, told from those before; the state before the last of all."""
        ids_BT = torch.tensor([list(map(int, ids))], device=self._model.device)
        # cuDNN takes no gradients of a model that is not in training.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            nats_BT, state = self._model.next_nats(ids_BT[:, :-1], ids_BT[:, 1:], state)
        self._unlearned = nats_BT[0, -segment:]
        return detached(state)

    def _newest(self, count: int) -> Nats:
        """The nats of the last tokens that were read."""
        assert self._unlearned is not None
        nats: Nats = self._unlearned[-count:].detach().cpu().numpy()
        return nats

    def _learn(self) -> None:
        """Take a step by the nats of the segment that has ended, if there is one."""
        nats_T, self._unlearned = self._unlearned, None
        if nats_T is None or not self._learns:
            return
        self._optimizer.zero_grad()
        nats_T.mean().backward()
        nn.utils.clip_grad_norm_(self._weights, CLIP_NORM)
        self._optimizer.step()
        with torch.no_grad():
            for weight, trained in zip(self._weights, self._trained, strict=True):
                weight.lerp_(trained, self._decay)
