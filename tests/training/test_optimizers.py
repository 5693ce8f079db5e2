"""Each update rule against its equation, written out here, and against torch's plain implementation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from seqtool.config import TrainConfig
from seqtool.training.loop import clip_gradients
from seqtool.training.optimizers import OPTIMIZERS, make_optimizer, set_rate

STEPS = 6


def gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, generator=generator) for _ in range(STEPS)]


def updated(optimizer_of: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]) -> torch.Tensor:
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4))
    optimizer = optimizer_of([weight])
    for gradient in gradients():
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, foreach=False),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=False),
    "sgd nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=False),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), foreach=False),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.2, foreach=False),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1, rho=0.95, foreach=False),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, foreach=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.95, foreach=False),
}
OURS = {
    "sgd": {"momentum": 0.0},
    "sgd momentum": {"momentum": 0.9},
    "sgd nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"weight_decay": 0.0},
    "adamw": {"weight_decay": 0.2},
}


def config(name: str) -> TrainConfig:
    settings = {"weight_decay": 0.0, "beta1": 0.8, "beta2": 0.95, **OURS.get(name, {})}
    return TrainConfig(optimizer=name.split()[0], lr=0.1, **settings)


@pytest.mark.parametrize("name", TORCH)
def test_update_equals_torchs(name: str):
    torch.testing.assert_close(updated(lambda p: make_optimizer(p, config(name))), updated(TORCH[name]))


def by_equation(name: str) -> torch.Tensor:
    w = torch.linspace(-1, 1, 12).view(3, 4)
    zero = torch.zeros_like(w)
    v, s, u, m = zero, zero.clone(), zero.clone(), zero.clone()
    lr, b1, b2, decay, mu = 0.1, 0.8, 0.95, 0.2, 0.9
    for t, g in enumerate(gradients(), start=1):
        if name == "sgd":
            w = w - lr * g
        elif name.startswith("sgd"):
            v = mu * v + g
            w = w - lr * (g + mu * v if "nesterov" in name else v)
        elif name == "adagrad":
            s = s + g**2
            w = w - lr * g / (s.sqrt() + 1e-10)
        elif name == "rmsprop":
            s = b2 * s + (1 - b2) * g**2
            w = w - lr * g / (s.sqrt() + 1e-8)
        elif name == "adadelta":
            s = b2 * s + (1 - b2) * g**2
            d = g * (u + 1e-6).sqrt() / (s + 1e-6).sqrt()
            u = b2 * u + (1 - b2) * d**2
            w = w - lr * d
        else:
            if name == "adamw":
                w = w - lr * decay * w
            m = b1 * m + (1 - b1) * g
            s = b2 * s + (1 - b2) * g**2
            w = w - lr * (m / (1 - b1**t)) / ((s / (1 - b2**t)).sqrt() + 1e-8)
    return w


@pytest.mark.parametrize("name", TORCH)
def test_update_equals_its_equation(name: str):
    ours = updated(lambda p: make_optimizer(p, config(name)))
    torch.testing.assert_close(ours, by_equation(name), rtol=1e-5, atol=1e-6)


def test_all_are_tested():
    assert {name.split()[0] for name in TORCH} == set(OPTIMIZERS)


def test_biases_do_not_decay():
    weight, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    optimizer = make_optimizer([weight, bias], config("adamw"))
    set_rate(optimizer, 0.5)
    weight.grad, bias.grad = torch.zeros(2, 2), torch.zeros(2)
    optimizer.step()
    assert torch.allclose(weight, torch.full((2, 2), 0.9))
    assert torch.equal(bias, torch.ones(2))


def test_clipping_by_norm_and_by_value():
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, -4.0])
    assert clip_gradients([p], TrainConfig(clip_norm=1.0)).item() == pytest.approx(5.0)
    torch.testing.assert_close(p.grad, torch.tensor([0.6, -0.8]), rtol=1e-4, atol=1e-5)
    p.grad = torch.tensor([3.0, -0.25])
    clip_gradients([p], TrainConfig(clip_norm=0.0, clip_value=0.5))
    assert p.grad.tolist() == [0.5, -0.25]
    p.grad = torch.tensor([3.0, -4.0])
    clip_gradients([p], TrainConfig(clip_norm=0.0))
    assert p.grad.tolist() == [3.0, -4.0]
