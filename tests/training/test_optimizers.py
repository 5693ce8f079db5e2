"""Each update rule against its equation, written out here, and against torch's plain implementation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from seqtool.settings.training import TrainConfig
from seqtool.training.gradients import clip_gradients
from seqtool.training.optimizers import OPTIMIZERS, make_optimizers, set_rate
from tests.conftest import ROOT
from tests.zoo import ZOO, zoo_model

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


def made(parameters: list[torch.nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    (optimizer, *_) = make_optimizers([("weight", parameter) for parameter in parameters], config)
    return optimizer


TORCH = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, foreach=False),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=False),
    "sgd nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=False),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), foreach=False),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.2, foreach=False),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.1, rho=0.95, foreach=False),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, foreach=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.95, foreach=False),
    "asgd": lambda p: torch.optim.SGD(p, lr=0.1, foreach=False),
    "nt-asgd": lambda p: torch.optim.SGD(p, lr=0.1, foreach=False),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1, foreach=False),
    "muon": lambda p: torch.optim.Muon(p, lr=0.1, momentum=0.9, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"),
}
OURS = {
    "sgd": {"momentum": 0.0},
    "sgd momentum": {"momentum": 0.9},
    "sgd nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"weight_decay": 0.0},
    "adamw": {"weight_decay": 0.2},
    "muon": {"momentum": 0.9, "weight_decay": 0.2},
}


def config(name: str) -> TrainConfig:
    settings = {"weight_decay": 0.0, "beta1": 0.8, "beta2": 0.95, **OURS.get(name, {})}
    return TrainConfig(optimizer=name.split()[0], lr=0.1, **settings)


@pytest.mark.parametrize("name", TORCH)
def test_update_equals_torchs(name: str):
    torch.testing.assert_close(updated(lambda p: made(p, config(name))), updated(TORCH[name]))


def adafactor_update(
    g: torch.Tensor, t: int, w: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Shazeer & Stern 2018, algorithm 4, with the decay of section 7.2 and the relative step of section 8."""
    decay = 1 - t**-0.8
    rows.mul_(decay).add_((1 - decay) * g.square().mean(1, keepdim=True))
    columns.mul_(decay).add_((1 - decay) * g.square().mean(0, keepdim=True))
    update = g / (rows @ columns / rows.mean()).sqrt()
    update = update / max(1.0, float(update.square().mean().sqrt()))
    rate = min(0.1, t**-0.5) / 0.1  # torch: the rate is at most 1 / sqrt(t), here divided out
    return update * max(1e-3, float(w.square().mean().sqrt())) * rate


def newton_schulz(v: torch.Tensor) -> torch.Tensor:
    """Jordan 2024: five steps of a X + b (X X^T) X + c (X X^T)^2 X, in bfloat16, towards the nearest orthogonal matrix."""
    x = v.bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        xx = x @ x.T
        x = 3.4445 * x + (-4.775 * xx + 2.0315 * xx @ xx) @ x
    return x.float()


def by_equation(name: str) -> torch.Tensor:
    w = torch.linspace(-1, 1, 12).view(3, 4)
    zero = torch.zeros_like(w)
    v, s, u, m = zero, zero.clone(), zero.clone(), zero.clone()
    rows, columns = torch.zeros(3, 1), torch.zeros(1, 4)
    lr, b1, b2, decay, mu = 0.1, 0.8, 0.95, 0.2, 0.9
    for t, g in enumerate(gradients(), start=1):
        if name == "sgd":
            w = w - lr * g
        elif name in ("asgd", "nt-asgd"):
            w = w - lr * g  # the averages are seqtool.training.averages
        elif name == "adafactor":
            w = w - lr * adafactor_update(g, t, w, rows, columns)
        elif name == "muon":
            v = v.lerp(g, 1 - mu)
            w = w - lr * decay * w - lr * 0.2 * 4**0.5 * newton_schulz(g.lerp(v, mu))
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
    ours = updated(lambda p: made(p, config(name)))
    tolerance = (
        {"rtol": 0.05, "atol": 0.02} if name == "muon" else {"rtol": 1e-5, "atol": 1e-6}
    )  # muon multiplies in bf16
    torch.testing.assert_close(ours, by_equation(name), **tolerance)


def test_all_are_tested():
    assert {name.split()[0] for name in TORCH} == set(OPTIMIZERS)


def test_biases_do_not_decay():
    weight, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    (optimizer,) = make_optimizers([("weight", weight), ("bias", bias)], config("adamw"))
    set_rate([optimizer], 0.5)
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


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest():
    model = zoo_model("lstm tied")
    muon, adamw = make_optimizers(model.weights(), TrainConfig(optimizer="muon", lr=0.1))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert taken == {"core.layers.0.kernel.weight_ih_l0", "core.layers.0.kernel.weight_hh_l0", "core.layers.1.kernel.weight_ih_l0",
                     "core.layers.1.kernel.weight_hh_l0", "head.narrow.weight"} & set(names.values())  # fmt: skip
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert taken | rest == set(names.values())
    assert not taken & rest


@pytest.mark.parametrize("name", ZOO)
def test_embeddings_norms_and_biases_do_not_decay(name: str):
    model = zoo_model(name)
    (optimizer,) = make_optimizers(model.weights(), TrainConfig(optimizer="adamw", lr=0.1, weight_decay=0.5))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            spared = any(
                word in names[id(parameter)] for word in ("bias", "norm", "embedding", "positions", "log_decay")
            )
            assert (group["weight_decay"] == 0.0) == spared, names[id(parameter)]


def test_the_norm_is_told_before_clipping_so_that_infinity_is_seen():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.tensor([float("inf"), 1.0, 2.0])
    assert clip_gradients([p], TrainConfig(clip_value=0.5)).item() == float("inf")
    p.grad = torch.tensor([3.0, 0.0, -4.0])
    assert clip_gradients([p], TrainConfig(clip_value=1.0, clip_norm=0.1)).item() == pytest.approx(5.0)
    assert p.grad.norm().item() == pytest.approx(0.1, rel=1e-4)


@pytest.mark.slow
def test_no_optimizer_loads_torchs_compiler():
    """It takes over a second of every training's start, to be left alone by it."""
    code = (
        "import sys, torch\n"
        "from seqtool.settings.training import OPTIMIZER_NAMES, TrainConfig\n"
        "from seqtool.training.optimizers import make_optimizers\n"
        "for name in OPTIMIZER_NAMES:\n"
        "    weight = torch.nn.Parameter(torch.ones(3, 4))\n"
        "    for optimizer in make_optimizers([('weight', weight)], TrainConfig(optimizer=name, lr=0.1)):\n"
        "        weight.grad = torch.ones(3, 4)\n"
        "        optimizer.step()\n"
        "        optimizer.load_state_dict(optimizer.state_dict())\n"
        "print([name for name in sys.modules if name.startswith('torch._dynamo')][:1])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"
