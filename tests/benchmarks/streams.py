"""Streams in parallel: the speed of mingru and gdn beside lstm, transformer and what others published, and of endless text.

    python tests/benchmarks/streams.py training
    python tests/benchmarks/streams.py peers --mingru CLONE-OF-minGRU-pytorch --fla FILE-naive.py
    python tests/benchmarks/streams.py text

`training`: tokens/s of training steps of one layer of each model, in turn, ROUNDS times, the median and its spread. `peers`:
a step of minGRU-pytorch's minLM beside ours of one width, and the delta rule in flash-linear-attention's naive forms (its
fla/ops/gated_delta_rule/naive.py, which imports only torch and einops) beside ours, forward and backward.
`text`: microseconds a token and memory of one stream as it grows to 100,000 tokens.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from machine import machine
from torch import Tensor

from seqtool.bench.setup import make_model, make_setup
from seqtool.bench.training import step_times_s
from seqtool.models.delta_rule import gated_delta_rule
from seqtool.models.device import autocast

ROUNDS, SECONDS = 3, 1.0
CPU, SYMBOLS = torch.device("cpu"), 65
WIDTHS, SHAPES = (256, 512), ((16, 64), (4, 1024))  # rows and tokens of a batch
MARKS = (1_000, 10_000, 100_000)


def in_turn(runs: dict[str, Callable[[], float]]) -> None:
    """Print the median of what each run says, and the least and most of it; one of each before the next round."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(run())
    for name, values in found.items():
        print(f"{name:52} {statistics.median(values):>10,.0f}   ({min(values):,.0f} .. {max(values):,.0f})", flush=True)


def asked(model: str, width: int, rows: int, tokens: int, precision: str) -> dict[str, Any]:
    """The settings of one layer."""
    length = {"context": tokens} if model == "transformer" else {"bptt": tokens}
    heads = {"heads": width // 64} if model in ("gdn", "transformer") else {}
    return {
        "model": model, "layers": 1, "hidden": width, "batch_size": rows, "precision": precision, "compile": "off",
        **length, **heads,
    }  # fmt: skip


def rate_of(setting: dict[str, Any]) -> Callable[[], float]:
    """Tokens/s of its training."""
    setup = make_setup(setting, SYMBOLS, accelerator=False)
    tokens = setup.training.batch_size * setup.training.bptt
    return lambda: tokens / statistics.median(step_times_s(setup, CPU, SECONDS))


def training() -> None:
    """Ours beside each other."""
    for width in WIDTHS:
        for rows, tokens in SHAPES:
            print(f"\n{width} wide, {rows} x {tokens} tokens: tokens/s of training steps")
            in_turn({
                f"{model} {precision}": rate_of(asked(model, width, rows, tokens, precision))
                for model in ("lstm", "transformer", "mingru", "gdn") for precision in ("fp32", "bf16")
            })  # fmt: skip


def step_rate(model: Any, rows: int, tokens: int, precision: str) -> Callable[[], float]:
    """Tokens/s of steps of another's language model: forward, backward, clipping and AdamW, as ours have them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(SYMBOLS, (rows, tokens + 1))

    def step() -> None:
        with autocast(precision, CPU):
            loss = model(ids, return_loss=True)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return lambda: rows * tokens / timed(step)


def timed(run: Callable[[], Any]) -> float:
    """The median of its seconds, in SECONDS of them."""
    run()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 3:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def module_of(path: Path) -> ModuleType:
    """A module from a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peers(clone: Path, naive: Path) -> None:
    """Ours beside what others published."""
    sys.path.insert(0, str(clone))
    from minGRU_pytorch.minLM import minLM  # type: ignore[import-not-found]

    for width in WIDTHS:
        for rows, tokens in SHAPES:
            print(
                f"\n{width} wide, {rows} x {tokens} tokens: tokens/s of training steps, feed-forward of 4 times the width"
            )
            runs: dict[str, Callable[[], float]] = {}
            for precision in ("fp32", "bf16"):
                theirs = minLM(num_tokens=SYMBOLS, dim=width, depth=1, expansion=1.0)
                runs[f"minGRU-pytorch {precision}"] = step_rate(theirs, rows, tokens, precision)
                ours = asked("mingru", width, rows, tokens, precision) | {"feedforward": "gelu", "stem": 1}
                runs[f"mingru {precision}"] = rate_of(ours)
            in_turn(runs)

    fla = module_of(naive)
    for rows, tokens, heads, width in ((4, 1024, 4, 64), (16, 64, 4, 64), (4, 1024, 8, 64)):
        print(f"\ndelta rule, {rows} x {tokens} tokens, {heads} heads of {width}: tokens/s, forward and backward, fp32")
        x = torch.randn(rows, tokens, 3 * heads * width, requires_grad=True)
        gates = -torch.rand(rows, tokens, heads) * 0.1
        beta = torch.rand(rows, tokens, heads) * 2
        state = torch.zeros(rows, heads, width, width)

        forms = {
            "ours": functools.partial(our_rule, x, gates, beta, state),
            **{
                f"fla, {form}": functools.partial(their_rule, getattr(fla, form), x, gates, beta)
                for form in ("naive_chunk_gated_delta_rule", "naive_recurrent_gated_delta_rule")
            },
        }
        first, *others = (form().detach() for form in forms.values())
        print(
            "largest differences of their outputs from ours:",
            *(f"{float((first - y).abs().max()):.1e}" for y in others),
        )
        in_turn({name: functools.partial(rule_rate, form, rows * tokens) for name, form in forms.items()})


def our_rule(x: Tensor, gates: Tensor, beta: Tensor, state: Tensor) -> Tensor:
    """Outputs (B, T, H, D) of queries, keys and values (B, T, 3 H D)."""
    return gated_delta_rule(x, gates, beta, state)[0]


def their_rule(rule: Callable[..., Any], x: Tensor, gates: Tensor, beta: Tensor) -> Tensor:
    """The same by a function of flash-linear-attention."""
    q, k, v = x.unflatten(-1, (3, gates.shape[-1], -1)).unbind(2)
    y: Tensor = rule(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, g=gates, beta=beta)[0]
    return y


def rule_rate(form: Callable[[], Tensor], tokens: int) -> float:
    """Tokens/s, forward and backward."""
    return tokens / timed(lambda: form().sum().backward())


@torch.no_grad()
def text() -> None:
    """One stream, step by step."""
    settings = (
        ("lstm", 1, 256),
        ("mingru", 1, 256),
        ("gdn", 1, 256),
        ("lstm", 1, 384),
        ("mingru", 2, 128),
        ("gdn", 2, 128),
    )
    print(f"{'one stream, fp32':24} " + " ".join(f"{f'until {mark:,}':>26}" for mark in MARKS))
    for name, layers, width in settings:
        setting = asked(name, width, 16, 64, "fp32") | {"layers": layers}
        stepper = make_model(make_setup(setting, SYMBOLS, accelerator=False)).eval().stepper()
        stepper.begin([[1]])
        ids, done, cells = torch.ones(1, dtype=torch.long), 0, []
        for mark in MARKS:
            begun, before = time.perf_counter(), done
            while done < mark:
                stepper.step(ids)
                done += 1
            spent_s = time.perf_counter() - begun
            memory = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
            cells.append(f"{1e6 * spent_s / (mark - before):>12.1f} us {memory:>7.0f} MB")
        print(f"{name} {layers} x {width:<14} " + " ".join(f"{cell:>26}" for cell in cells), flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("training", "peers", "text"))
    parser.add_argument("--mingru", type=Path, help="a clone of lucidrains/minGRU-pytorch")
    parser.add_argument("--fla", type=Path, help="flash-linear-attention's fla/ops/gated_delta_rule/naive.py")
    options = parser.parse_args()
    print(machine(), f"{torch.get_num_threads()} threads", flush=True)
    if options.what == "peers":
        if not options.mingru or not options.fla:
            parser.error("peers needs --mingru and --fla")
        peers(options.mingru, options.fla)
    else:
        {"training": training, "text": text}[options.what]()


if __name__ == "__main__":
    main()
