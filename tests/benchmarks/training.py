"""Speed of training, and quality after a time, for each model's defaults on this machine.

    python tests/benchmarks/training.py                                    # tokens per second, median of several
    python tests/benchmarks/training.py --text train.txt --valid valid.txt --time 60s   # and nats per character

Side by side in one run, and beside a plain torch loop with nn.LSTM of the same size in the same precision.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import ROOT, machine, spread
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from seqtool.config import Symbols
from seqtool.defaults import Facts, resolve
from seqtool.models.device import autocast, choose_device, multiplies_bf16
from seqtool.models.language_model import build_model
from seqtool.models.loss import total_nats
from seqtool.models.state import detached
from seqtool.training.gradients import clip_gradients
from seqtool.training.optimizers import make_optimizers

SYMBOLS = Symbols(size=322, begin_id=1, seen=66, tokens=1_000_000)
MODELS = ("lstm", "gru", "rnn", "ffn", "transformer")
WARM_UP_STEPS, REPEATS, REPEAT_S = 5, 5, 2.0


def our_step(model_name: str, device: torch.device, precision: str) -> tuple[Callable[[], None], int]:
    """A whole training step at the defaults, and its tokens."""
    facts = Facts(SYMBOLS.tokens, SYMBOLS.size, device.type != "cpu")
    config, training = resolve({"model": model_name}, facts)
    model = build_model(config, SYMBOLS, {index: 1 for index in range(SYMBOLS.seen)}).to(device)
    (optimizer,) = make_optimizers(model.named_parameters(), training)
    ids = torch.randint(SYMBOLS.seen, (training.batch_size, training.bptt + 1), device=device)
    parameters, state = list(model.parameters()), None

    def step() -> None:
        nonlocal state
        with autocast(precision, device):
            logits, after = model(ids[:, :-1], state)
            loss = total_nats(logits, ids[:, 1:]) / ids[:, 1:].numel()
        state = detached(after) if training.stateful else None
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(parameters, training)
        optimizer.step()

    return step, training.batch_size * training.bptt


def plain_lstm_step(device: torch.device, precision: str) -> tuple[Callable[[], None], int]:
    """What a user would write: nn.Embedding, nn.LSTM, nn.Linear over all symbols, at the sizes of our default."""
    facts = Facts(SYMBOLS.tokens, SYMBOLS.size, device.type != "cpu")
    config, training = resolve({"model": "lstm"}, facts)
    embedding = nn.Embedding(SYMBOLS.size, config.embed_width)
    lstm = nn.LSTM(config.embed_width, config.hidden, config.layers, batch_first=True)
    output = nn.Linear(config.hidden, SYMBOLS.size)
    model = nn.ModuleList([embedding, lstm, output]).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(SYMBOLS.seen, (training.batch_size, training.bptt + 1), device=device)

    def step() -> None:
        with autocast(precision, device):
            logits = output(lstm(embedding(ids[:, :-1]))[0])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step, training.batch_size * training.bptt


def rate(step: Callable[[], None], device: torch.device) -> float:
    """Steps per second over one stretch."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    steps = 0
    wait()
    start = time.perf_counter()
    while time.perf_counter() - start < REPEAT_S:
        step()
        steps += 1
        if steps % 20 == 0:
            wait()
    wait()
    return steps / (time.perf_counter() - start)


def measure_speed(device: torch.device, precision: str) -> None:
    """Print tokens per second of each model, in turn, the median of REPEATS."""
    steps = {name: our_step(name, device, precision) for name in MODELS}
    steps["plain nn.LSTM loop"] = plain_lstm_step(device, precision)
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for step, _ in steps.values():
        for _ in range(WARM_UP_STEPS):
            step()
    for _ in range(REPEATS):
        for name, (step, tokens) in steps.items():
            rates[name].append(rate(step, device) * tokens)
    for name, found in rates.items():
        print(f"{name:<20} {spread(found, ',.0f')} tokens/s")


def measure_quality(text: Path, valid: Path, duration: str) -> None:
    """Train each model by the real command for a time, score all of the validation text, print nats per character."""
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "seqtool"]
            train = [*command, "train", text, "--valid", valid, "--vocab-type", "char", "--model", name]
            subprocess.run([*train, "--time", duration, "-o", f"{folder}/run", "-q"], check=True, cwd=ROOT, stdout=-3)
            scored = subprocess.run(
                [*command, "eval", f"{folder}/run", valid, "--json"], check=True, cwd=ROOT, stdout=-1
            )
            print(f"{name:<20} {json.loads(scored.stdout)['nats_per_character']:.4f} nats per character", flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description="Speed of training, and quality after a time.")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--valid", type=Path)
    parser.add_argument("--time", default="60s")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("fp32", "bf16"))
    options = parser.parse_args()
    device = choose_device(options.device)
    precision = options.precision or ("bf16" if multiplies_bf16(device) else "fp32")
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    print(f"{machine(gpu)}, {precision}")
    measure_speed(device, precision)
    if options.text and options.valid:
        measure_quality(options.text.resolve(), options.valid.resolve(), options.time)


if __name__ == "__main__":
    main()
