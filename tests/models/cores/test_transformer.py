"""The transformer without what seqtool adds to it, against its equations written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from seqtool.errors import UsageError
from seqtool.models.language_model import build_model
from seqtool.models.size import parameter_count
from seqtool.settings.checking import checked
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.objective import Objective
from tests.zoo import zoo_model

V, H, L, HEADS, T = 17, 24, 2, 3, 11

PLAIN = {
    "model": "transformer", "hidden": H, "layers": L, "heads": HEADS, "context": 16, "stem": 1, "norm": "rms", "feedforward": "swiglu",
    "position": "rope", "output_bias": False,
}  # fmt: skip


def llama(weights: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """Logits of a Llama-shaped model (Touvron et al. 2023, section 2.2), a head at a time."""

    def norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt() * gain

    width = H // HEADS
    angle = torch.arange(T).unsqueeze(1) * 10000.0 ** (-torch.arange(0, width, 2) / width)

    def turned(x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, : width // 2], x[:, width // 2 :]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    x = weights["inputs.embedding.weight"][ids]
    for layer in range(L):
        own = {
            name.removeprefix(f"core.layers.{layer}."): weight
            for name, weight in weights.items()
            if name.startswith(f"core.layers.{layer}.")
        }
        y = norm(x, own["attention_norm.weight"])
        queries, keys, values = (y @ part.t() for part in own["attention.queries_keys_values.weight"].chunk(3))
        gathered = []
        for head in range(HEADS):
            columns = slice(head * width, (head + 1) * width)
            q, k, v = turned(queries[:, columns]), turned(keys[:, columns]), values[:, columns]
            scores = (q @ k.t() / math.sqrt(width)).masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf)
            gathered.append(scores.softmax(-1) @ v)
        x = x + torch.cat(gathered, -1) @ own["attention.output.weight"].t()
        gate, up = (norm(x, own["feedforward_norm.weight"]) @ own["feedforward.up.weight"].t()).chunk(2, -1)
        x = x + (F.silu(gate) * up) @ own["feedforward.down.weight"].t()
    return norm(x, weights["core.norm.weight"]) @ weights["head.output.weight"].t()


def test_a_plain_transformer_is_llama_shaped_and_trained_exactly():
    """No stem, no bias, and every symbol in the softmax: logits, loss and gradients are those of the equations."""
    config, symbols = checked(ModelConfig(**PLAIN)), Symbols(V, 1, V, 100)
    model = build_model(config, symbols, dict.fromkeys(range(V), 0))
    for _, parameter in model.weights():
        parameter.data.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) / 10)
    assert sum(weight.numel() for _, weight in model.weights()) == parameter_count(config, symbols)
    assert not [name for name, weight in model.weights() if name.endswith("bias")]
    ids = torch.randint(V, (T + 1,), generator=torch.Generator().manual_seed(0))
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in model.weights()}
    expected = llama(weights, ids[:T])
    logits, _ = model(ids[:T].unsqueeze(0))
    torch.testing.assert_close(logits[0], expected, rtol=1e-4, atol=1e-5)
    nats = F.cross_entropy(expected, ids[1:], reduction="sum")
    sums = Objective(model, TrainConfig())(None, ids[None, :T], ids[None, 1:], T)
    torch.testing.assert_close(sums.loss, nats.detach(), rtol=1e-5, atol=1e-5)
    nats.backward()
    sums.objective.backward()
    for name, weight in model.weights():
        torch.testing.assert_close(weight.grad, weights[name].grad, rtol=1e-3, atol=1e-4)


def test_heads_that_share_keys_are_those_that_have_the_same():
    few, many = (zoo_model("transformer plain", heads=4, kv_heads=heads, biases=True) for heads in (2, 0))
    assert parameter_count(few.config, few.symbols) == sum(weight.numel() for weight in few.parameters())
    written_out = {
        name: few.core.layers[int(name.split(".")[2])].attention.of_each_head(weight) if "queries" in name else weight
        for name, weight in few.state_dict().items()
    }
    few_rows, many_rows = (model.core.layers[0].attention.queries_keys_values.weight.shape[0] for model in (few, many))
    assert (few_rows, many_rows) == (16 + 8 + 8, 48)
    many.load_state_dict(written_out)
    ids = torch.randint(0, V, (2, 9), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(few(ids)[0], many(ids)[0], atol=1e-6, rtol=0)
    with pytest.raises(UsageError, match="--kv-heads 3 does not divide --heads 4: choose a divisor"):
        zoo_model("transformer plain", heads=4, kv_heads=3)


def test_a_transformer_refuses_more_than_its_context():
    model = zoo_model("transformer rope swiglu rms")
    _, state = model(torch.zeros(1, 20, dtype=torch.long))
    with pytest.raises(ValueError, match="context of 24"):
        model(torch.zeros(1, 5, dtype=torch.long), state)
