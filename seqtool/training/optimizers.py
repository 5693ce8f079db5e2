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
    adafactor as adam without m, s of a matrix kept as the product of its rows' and columns' means, and an update
              never over 1 in root mean square                              Shazeer & Stern 2018, algorithm 4
    muon      v = m v + (1-m) g; w -= lr 0.2 sqrt(longer side) U V^T, of m v + (1-m) g = U S V^T by Newton and Schulz;
              what is no matrix, embeddings and the output layer by adamw   Jordan 2024; the factor: Liu et al. 2025
    asgd      as sgd, and in validation and in the end the mean of the weights since --average-from
                                                                            Polyak & Juditsky 1992, eq. 3
    nt-asgd   the same since validation stopped getting better              Merity et al. 2017, algorithm 1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from seqtool.settings.training import TrainConfig

Groups = list[dict[str, Any]]


def light(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimizer, of which no method loads torch's compiler, to be left alone by it: that takes a second."""
    plain: dict[str, Any] = {}
    for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad", "step"):
        method: Any = getattr(kind, name)
        if hasattr(method, "__wrapped__"):
            plain[name] = torch.no_grad()(method.__wrapped__) if name == "step" else method.__wrapped__
    return type(kind.__name__, (kind,), plain)


def _adam(kind: type[torch.optim.Optimizer]) -> Callable[[Groups, TrainConfig], torch.optim.Optimizer]:
    def make(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
        fused = not config.shard  # a sharded weight has no fused kernel
        return light(kind)(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=fused)

    return make


def _sgd(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    options = {"momentum": config.momentum, "nesterov": config.nesterov, "fused": not config.shard}
    return light(torch.optim.SGD)(groups, lr=config.lr, **options)


def _adadelta(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return light(torch.optim.Adadelta)(groups, lr=config.lr, rho=config.beta2)


def _adagrad(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return light(torch.optim.Adagrad)(groups, lr=config.lr)


def _rmsprop(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return light(torch.optim.RMSprop)(groups, lr=config.lr, alpha=config.beta2, momentum=config.momentum)


def _adafactor(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return light(torch.optim.Adafactor)(groups, lr=config.lr)


def _muon(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    options = {"momentum": config.momentum, "adjust_lr_fn": "match_rms_adamw"}
    return light(torch.optim.Muon)(groups, lr=config.lr, **options)


OPTIMIZERS: dict[str, Callable[[Groups, TrainConfig], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam(torch.optim.Adam),
    "adamw": _adam(torch.optim.AdamW),
    "adadelta": _adadelta,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "asgd": _sgd,
    "nt-asgd": _sgd,
    "adafactor": _adafactor,
    "muon": _muon,
}


def make_optimizers(parameters: Iterable[tuple[str, nn.Parameter]], config: TrainConfig) -> list[torch.optim.Optimizer]:
    """The optimizer of `config` on these named parameters; for muon, adamw beside it for what muon does not take.

    Frozen ones are left out. Matrices decay; embeddings, positions, biases and the gains of norms do not.
    """
    hidden: list[nn.Parameter] = []
    output: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        if parameter.dim() < 2 or "embedding" in name or "positions" in name:
            rest.append(parameter)
        else:
            (output if name.startswith("head.output.") else hidden).append(parameter)
    kept = {"params": rest, "weight_decay": 0.0}
    if config.optimizer == "muon":
        decaying = {"params": output, "weight_decay": config.weight_decay}
        matrices = {"params": hidden, "weight_decay": config.weight_decay}
        return [OPTIMIZERS["muon"]([matrices], config), OPTIMIZERS["adamw"]([decaying, kept], config)]
    decaying = {"params": [*hidden, *output], "weight_decay": config.weight_decay}
    return [OPTIMIZERS[config.optimizer]([decaying, kept], config)]


def set_rate(optimizers: list[torch.optim.Optimizer], lr: float) -> None:
    """Use this learning rate from the next step on."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
