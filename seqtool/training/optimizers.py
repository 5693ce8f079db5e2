"""The lecture's update rules, by torch's own (fused) implementations, and their names.

With gradient g and rate lr, elementwise, for each weight w:

    sgd       v = momentum v + g;  w -= lr v          (Nesterov: w -= lr (g + momentum v))
    adagrad   s += g^2;            w -= lr g / (sqrt(s) + eps)              Duchi et al. 2011
    rmsprop   s = b s + (1-b) g^2; w -= lr g / (sqrt(s) + eps)              Tieleman & Hinton 2012
    adadelta  s = b s + (1-b) g^2; d = g sqrt(u + eps) / sqrt(s + eps);
              u = b u + (1-b) d^2; w -= lr d                                Zeiler 2012, algorithm 1
    adam      m = b1 m + (1-b1) g; s = b2 s + (1-b2) g^2;
              w -= lr m/(1-b1^t) / (sqrt(s/(1-b2^t)) + eps)                 Kingma & Ba 2015, algorithm 1
    adamw     as adam, and w -= lr decay w first                            Loshchilov & Hutter 2019, algorithm 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from seqtool.config import TrainConfig

Groups = list[dict[str, Any]]


def _adam(kind: type[torch.optim.Optimizer]) -> Callable[[Groups, TrainConfig], torch.optim.Optimizer]:
    def make(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
        return kind(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)  # type: ignore[call-arg]

    return make


def _sgd(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)


def _adadelta(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(groups, lr=config.lr, rho=config.beta2)


def _adagrad(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(groups, lr=config.lr)


def _rmsprop(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=config.lr, alpha=config.beta2, momentum=config.momentum)


OPTIMIZERS: dict[str, Callable[[Groups, TrainConfig], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam(torch.optim.Adam),
    "adamw": _adam(torch.optim.AdamW),
    "adadelta": _adadelta,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
}


def make_optimizer(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of `config` on these parameters. Matrices decay; biases and the gains of norms do not."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[config.optimizer](groups, config)


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr
