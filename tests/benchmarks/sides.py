"""What the benchmarks beside peers run in a process of its own: steps of training on each side, a peer's checkpoint rescored, products.

    python tests/benchmarks/sides.py '["products", {"seconds": 1.0}]'

`work` starts such a process and gives what it printed as its last line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import ROOT, Ran, run

PYTHON = sys.executable
ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}  # as seqtool sets it: so that a busy machine slows the peers no more than it
STRIDES = (64, 8)
TEXT_TOKENS = 1_000_000
BYTES = 256  # a vocabulary by characters has these as well, and <s>; a text does not
WARM_UP_STEPS, LEAST_STEPS = 5, 3


Row = dict[str, Any]


def note(text: str) -> None:
    """Say how far this is."""
    print(text, file=sys.stderr, flush=True)


class Case(NamedTuple):
    """An architecture with its batch: what seqtool is asked for, and who is measured beside it."""

    title: str
    asked: dict[str, Any]
    batch: int
    time: int
    symbols: int
    peers: tuple[str, ...]
    words: bool = False


class Watch:
    """When each step began, and whether enough were taken: so many, or so many seconds after a warm-up."""

    def __init__(self, seconds: float, steps: int) -> None:
        self.seconds, self.steps = seconds, steps
        self.laps: list[float] = []

    def lap(self) -> None:
        """A step begins."""
        self.laps.append(time.perf_counter())

    def over(self) -> bool:
        """Whether the step that has just begun, or is to begin, is the last."""
        if self.steps:
            return len(self.laps) >= self.steps
        counted = self.laps[WARM_UP_STEPS:]
        return len(counted) > LEAST_STEPS and counted[-1] - counted[0] >= self.seconds

    def steps_per_s(self) -> float:
        """Steps a second after the warm-up; 0 where there were not enough."""
        counted = self.laps[WARM_UP_STEPS:]
        return (len(counted) - 1) / (counted[-1] - counted[0]) if len(counted) > 1 else 0.0


def repeat(step: Callable[[], None], watch: Watch) -> None:
    """Take steps until the watch says that they were enough."""
    while not watch.over():
        watch.lap()
        step()


def step_ours(case: Case, watch: Watch, precision: str) -> Row:
    """Training through seqtool's own loop, on a text that is random: all that `seqtool train` does in a step."""
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch

    from seqtool.files.writing import read_toml
    from seqtool.models.language_model import build_model
    from seqtool.models.size import flops_per_token
    from seqtool.runs.config import RunConfig
    from seqtool.settings.checking import DATA_SETTINGS, settings_from_file
    from seqtool.settings.defaults import Facts, recipe_file, resolve
    from seqtool.settings.model import Symbols
    from seqtool.tasks.language.batches import TextBatch
    from seqtool.tasks.language.objective import Objective
    from seqtool.training.learner import Learner
    from seqtool.training.loop import train
    from seqtool.training.machine import with_machine
    from seqtool.training.optimizers import make_optimizers
    from seqtool.training.progress import Progress
    from seqtool.training.world import alone

    asked = dict(case.asked)
    if name := asked.pop("config", ""):
        settings = settings_from_file(read_toml(recipe_file(name)), name)
        asked = {key: value for key, value in settings.items() if key not in DATA_SETTINGS} | asked
    length = {"context": case.time} if asked["model"] == "transformer" else {"bptt": case.time}
    asked |= {"batch_size": case.batch, **length, "schedule": "constant", "warmup": 0.0, "precision": precision}
    size = case.symbols + (0 if case.words else BYTES + 1)
    config, training = resolve({**asked, "compile": "off"}, Facts(TEXT_TOKENS, size, False))
    symbols, world = Symbols(size, 1, case.symbols, TEXT_TOKENS), alone(torch.device("cpu"))
    training = with_machine(RunConfig(config, training, symbols, "", {}, {}), "cpu", world).training
    draws = np.random.default_rng(0)

    class RandomBatches:
        steps_per_pass = 1e9

        def batch(self, step: int, rows: slice) -> TextBatch:
            watch.lap()
            ids = draws.integers(case.symbols, size=(case.batch, case.time + 1))
            restarts = np.full(case.batch, step == 0 or not training.stateful)
            return TextBatch(ids[:, :-1], ids[:, 1:], restarts, case.batch * case.time, case.time)

    class Unvalidated:
        def validate(self, *_: Any) -> None: ...
        def probes(self, _: Any) -> Row:
            return {}

    class NoKeeper:
        def log(self, record: Row) -> None: ...
        def keep_best(self) -> None: ...
        def keep_checkpoint(self, *_: Any) -> None: ...

    model = build_model(config, symbols, dict.fromkeys(range(case.symbols), 1))
    optimizers = make_optimizers(model.weights(), training)
    learner = Learner(model, Objective(model, training), optimizers, None, training, world)
    endless = Progress(steps=10**9)
    progress = train(learner, RandomBatches(), Unvalidated(), NoKeeper(), endless, stopped=watch.over)
    assert not progress.skipped
    return {"precision": training.precision, "flops_per_token": flops_per_token(config, symbols, case.time)}


def step_nanogpt(case: Case, watch: Watch, path: str) -> None:
    """Its model and its optimizer, fp32, not compiled."""
    import torch

    sys.path.insert(0, path)
    from model import GPT, GPTConfig

    sizes = {"n_layer": case.asked["layers"], "n_head": case.asked["heads"], "n_embd": case.asked["hidden"]}
    model = GPT(GPTConfig(block_size=case.time, vocab_size=case.symbols, dropout=0.0, bias=False, **sizes))
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")

    def step() -> None:
        ids = torch.randint(case.symbols, (case.batch, case.time + 1))
        _, loss = model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    repeat(step, watch)


def step_torch(case: Case, watch: Watch, precision: str) -> None:
    """What a user would write with nn.LSTM."""
    import torch
    from torch import nn

    sizes = case.asked
    embedding, output = nn.Embedding(case.symbols, sizes["embed"]), nn.Linear(sizes["hidden"], case.symbols)
    recurrent = nn.LSTM(sizes["embed"], sizes["hidden"], sizes["layers"], batch_first=True)
    if sizes.get("tied"):
        output.weight = embedding.weight
    model = nn.ModuleList([embedding, recurrent, output])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    state = None

    def step() -> None:
        nonlocal state
        ids = torch.randint(case.symbols, (case.batch, case.time + 1))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            features, (h, c) = recurrent(embedding(ids[:, :-1]), state)
            loss = nn.functional.cross_entropy(output(features).flatten(0, 1), ids[:, 1:].flatten())
        state = h.detach(), c.detach()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    repeat(step, watch)


def step_words(case: Case, watch: Watch, path: str) -> None:
    """torch's word_language_model: its model, and as it does, plain SGD on clipped gradients."""
    import torch

    sys.path.insert(0, path)
    from model import RNNModel

    sizes = case.asked
    shape = (case.symbols, sizes["embed"], sizes["hidden"], sizes["layers"], sizes["dropout"])
    model, criterion = RNNModel("LSTM", *shape, False), torch.nn.NLLLoss()
    state = model.init_hidden(case.batch)

    def step() -> None:
        nonlocal state
        ids = torch.randint(case.symbols, (case.time + 1, case.batch))
        model.zero_grad()
        log_p, state = model(ids[:-1], tuple(part.detach() for part in state))
        loss = criterion(log_p, ids[1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), sizes["clip_norm"])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(parameter.grad, alpha=-sizes["lr"])
        loss.item()

    repeat(step, watch)


def take_steps(case: list[Any], who: str, path: str, seconds: float, steps: int) -> Row:
    """Training steps of one side in this process: tokens a second."""
    given, watch, told = Case(*case), Watch(seconds, steps), {}
    maker, precision = who.split()
    if maker == "seqtool":
        told = step_ours(given, watch, precision)
    elif maker == "torch":
        step_torch(given, watch, precision)
    else:
        (step_nanogpt if maker == "nanoGPT" else step_words)(given, watch, path)
    return {**told, "tokens_per_s": watch.steps_per_s() * given.batch * given.time}


def products(seconds: float) -> dict[str, float]:
    """Matrix products of 2048: GFLOP/s in fp32 and in bf16."""
    import torch

    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
        watch = Watch(seconds, 0)
        while not watch.over():
            watch.lap()
            torch.mm(a, b)
        rates[name] = watch.steps_per_s() * 2 * 2048**3 / 1e9
    return rates


def rescore(path: str, checkpoint: str, data: str) -> list[float]:
    """Nats of all the validation text by nanoGPT's checkpoint, for each stride; its first character follows the last
    one of the training text, and each is scored once, with as many before it as the windows give."""
    import numpy as np
    import torch

    sys.path.insert(0, path)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = GPT(GPTConfig(**kept["model_args"])).eval()
    model.load_state_dict(kept["model"])
    train, valid = (np.fromfile(Path(data) / name, np.uint16).astype(np.int64) for name in ("train.bin", "val.bin"))
    ids = torch.from_numpy(np.concatenate([train[-1:], valid]))
    width = min(kept["model_args"]["block_size"], len(valid))
    windows = ids.unfold(0, width + 1, 1)
    totals = []
    for stride in STRIDES:
        starts = [*range(0, len(valid) - width, stride), len(valid) - width]
        nats, done = 0.0, 0
        for first in range(0, len(starts), 256):
            some = starts[first : first + 256]
            rows = windows[some]
            with torch.no_grad():
                logits, _ = model(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
            costs = torch.nn.functional.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")
            for start, row in zip(some, costs.double(), strict=True):
                nats += float(row[done - start :].sum())
                done = start + width
        assert done == len(valid)
        totals.append(nats)
    return totals


WORK: dict[str, Callable[..., Any]] = {"rescore": rescore, "steps": take_steps, "products": products}


def work_run(name: str, **arguments: Any) -> Ran:
    """A function of WORK in a process of its own, which prints what it gives as its last line."""
    request = json.dumps([name, arguments])
    return run([PYTHON, Path(__file__).resolve(), request], environment=ENVIRONMENT)


def work(name: str, **arguments: Any) -> Any:
    """What a function gives in a process of its own."""
    return json.loads(work_run(name, **arguments).last)


if __name__ == "__main__":
    name, arguments = json.loads(sys.argv[1])
    print(json.dumps(WORK[name](**arguments)))
