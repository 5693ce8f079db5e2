"""seqtool and its peers side by side in one run: quality against time, speed, memory and start-up.

    P='--nanogpt PATH --word-language-model PATH'; D=PATH-OF-TINY-SHAKESPEARE
    python tests/benchmarks/beside_peers.py quality --nanogpt PATH --text $D/train.txt --valid $D/valid.txt --rounds 3
    python tests/benchmarks/beside_peers.py quality ... --marks a,b --flags '--hidden 512'    # some marks, more flags
    python tests/benchmarks/beside_peers.py quality ... --vocab-type bpe --vocab-size 1000    # in bits per byte
    python tests/benchmarks/beside_peers.py speed $P --rounds 5 --models 4x128,words
    python tests/benchmarks/beside_peers.py memory $P --rounds 3
    python tests/benchmarks/beside_peers.py startup --nanogpt PATH --rounds 5
    python tests/benchmarks/beside_peers.py quality,speed,memory,startup $P --text $D/train.txt --valid $D/valid.txt --json rows.json

The paths are checkouts of nanoGPT and of pytorch/examples/word_language_model; what lacks its peer is measured alone.
Every number is a median of --rounds with its least and most, and the sides take turns within a round.

quality   nanoGPT's README run for CPUs as a process in its checkout, and its last checkpoint rescored over all of the
          validation text; then the real `seqtool train` and `seqtool eval`, a training of its own for each mark:
            a  the time to the peer's final loss (on Tiny Shakespeare 1.886), by the first of --times that gets there
            b  the loss of the default lstm after the peer's time      c  and after 1.5 times that
            d  the loss of --model transformer after the peer's time
          Times are of whole processes, start-up included; that of eval is not counted. A training that overran its
          time by 3% is `late`. Our seed is the round's number.
speed     Training tokens a second, each measured in a process of its own: forward, backward, clip, update on fresh
          random ids. Ours through seqtool's own training loop. And the share of this machine's matrix products.
memory    Peak memory of such a process after a few steps.
startup   Seconds to --help, of `import torch`, and to the first step of training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shlex
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import ROOT, Ran, machine, run, spread

PYTHON = sys.executable
SEQTOOL = [PYTHON, "-m", "seqtool"]
ENVIRONMENT = {"GOMP_SPINCOUNT": "30000"}  # as seqtool sets it: so that a busy machine slows the peers no more than it
PARTS = ("quality", "speed", "memory", "startup")
Row = dict[str, Any]


def note(text: str) -> None:
    """Say how far this is."""
    print(text, file=sys.stderr, flush=True)


# Quality against time.

NANOGPT = [PYTHON, "-u", "train.py", "config/train_shakespeare_char.py", "--device=cpu", "--compile=False"]
NANOGPT += ["--eval_iters=20", "--log_interval=1", "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4"]
NANOGPT += ["--n_embd=128", "--dropout=0.0"]
VALIDATES_EVERY = 250  # as its configuration says
TINY_SHAKESPEARE = "a9e24e23a1ec77744dad26844bfd5a09b6e041954e1eef0000e7f24cba6db735"  # sha256 of its training text
GOALS = {"a": 1.886, "b": 1.50, "c": 1.4697, "d": 1.60}  # nats per character on that; elsewhere the peer's own loss
TIMES = {"a": 1 / 15, "b": 1.0, "c": 1.5, "d": 1.0}  # of the peer's
LATE = 1.03  # a training that took this much longer than it was to has not reached its mark
STRIDES = (64, 8)


class Text(NamedTuple):
    """The files, and what the peer's losses are divided by."""

    train: Path
    valid: Path
    characters: int
    bytes: int
    unit: str

    def loss(self, nats: float, characters: int, bytes: int) -> float:
        """Nats of all the validation text in this unit."""
        return nats / characters if self.unit == "nats/character" else nats / bytes / math.log(2)


class Trained(NamedTuple):
    """One training of ours: seconds of the process, of these outside of training, and its loss over the whole text."""

    wall_s: float
    start_s: float
    loss: float


class Attempt(NamedTuple):
    """What one round gave of one mark: seconds and loss, what was wanted of them, and the peer's of the same round."""

    wall_s: float
    loss: float
    peer_s: float
    peer_loss: float
    wanted_s: float
    goal: float


def decoded(file: Path) -> str:
    """A file's text as seqtool reads it."""
    return file.read_bytes().decode("utf-8-sig")


def write_characters(train: str, valid: str, folder: Path) -> None:
    """The files that nanoGPT trains on: ids of characters; those that only the validation text has share a spare id."""
    import pickle  # the peer reads its vocabulary's size from a pickle

    ids = {character: number for number, character in enumerate(sorted(set(train)))}
    spare = len(ids)
    size = spare + (not ids.keys() >= set(valid))
    if size > 1 << 16:
        sys.exit(f"the text has {size:,} different characters, and nanoGPT's files have room for {1 << 16:,}")
    for name, text in (("train.bin", train), ("val.bin", valid)):
        (folder / name).write_bytes(array("H", (ids.get(character, spare) for character in text)).tobytes())
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": size}))


def nanogpt_command(data: Path, out: Path, iterations: int) -> list[str]:
    """Its README's run for CPUs on our files."""
    lengths = [f"--max_iters={iterations}", f"--lr_decay_iters={iterations}"]
    if iterations < VALIDATES_EVERY:
        lengths += [f"--eval_interval={iterations}"]  # else it keeps no checkpoint
    return [*NANOGPT, *lengths, f"--dataset={data}", f"--out_dir={out}"]


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


def train_ours(text: Text, options: argparse.Namespace, folder: Path, flags: list[str], seed: int) -> Trained:
    """Train by the real command, and score all of the validation text by the real command."""
    kept = folder / "run"
    vocabulary = ["--vocab-type", options.vocab_type]
    if options.vocab_size:
        vocabulary += ["--vocab-size", str(options.vocab_size)]
    given = [*flags, "--seed", str(seed), *shlex.split(options.flags)]
    command = [*SEQTOOL, "train", text.train, "--valid", text.valid, *vocabulary, "-o", kept, "--force", *given]
    ran = run([*command, "-q", "--json"])
    score = json.loads(run([*SEQTOOL, "eval", kept, text.valid, "--json"]).last)
    loss = text.loss(score["nats"], score["characters"], score["bytes"])
    return Trained(ran.wall_s, ran.wall_s - json.loads(ran.last)["seconds"], loss)


class Quality:
    """The marks of all rounds, and the peer's."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder, self.data = options, folder, folder / "characters"
        self.marks = [mark.strip() for mark in options.marks.split(",")]
        train, valid = decoded(options.text), decoded(options.valid)
        unit = "nats/character" if options.vocab_type == "char" else "bits/byte"
        size = len(valid.encode())
        self.text = Text(options.text.resolve(), options.valid.resolve(), len(valid), size, unit)
        digest = hashlib.sha256(options.text.read_bytes()).hexdigest()
        self.goals = GOALS if digest == TINY_SHAKESPEARE else {}
        self.data.mkdir()
        write_characters(train, valid, self.data)
        self.peers: list[tuple[Ran, list[float]]] = []
        self.attempts: dict[str, list[Attempt]] = {mark: [] for mark in self.marks}

    def peer(self) -> tuple[float, float]:
        """Run nanoGPT and rescore it: seconds of the process, and the loss with the better stride."""
        options, out = self.options, self.folder / "nanogpt"
        command = nanogpt_command(self.data, out, options.peer_iterations)
        ran = run(command, options.nanogpt, ENVIRONMENT)
        checkpoint = out / "ckpt.pt"
        nats = work("rescore", path=str(options.nanogpt), checkpoint=str(checkpoint), data=str(self.data))
        losses = [self.text.loss(total, self.text.characters, self.text.bytes) for total in nats]
        self.peers.append((ran, losses))
        note(f"  nanoGPT: {ran.wall_s:.1f} s, {min(losses):.4f} {self.text.unit}")
        return ran.wall_s, min(losses)

    def goal(self, mark: str, peer_loss: float) -> float:
        """The loss that a mark asks for."""
        nats = self.goals.get(mark)
        return (
            peer_loss
            if nats is None
            else self.text.loss(nats * self.text.characters, self.text.characters, self.text.bytes)
        )

    def round(self, number: int) -> None:
        """The peer's run, and each mark."""
        note(f"quality, round {number} of {self.options.rounds}")
        peer_s, peer_loss = self.peer()
        starts_s: dict[str, float] = {}
        for mark in self.marks:
            goal, wanted_s = self.goal(mark, peer_loss), peer_s * TIMES[mark]
            if mark == "a":
                trained = self.soonest(goal, number)
            else:
                model = "transformer" if mark == "d" else "lstm"
                if model not in starts_s:
                    starts_s[model] = self.train(["--model", model, "--steps", "1"], number).start_s
                seconds = max(wanted_s - starts_s[model], 1.0)
                trained = self.train(["--model", model, "--time", f"{seconds:.2f}s"], number)
            self.attempts[mark].append(Attempt(trained.wall_s, trained.loss, peer_s, peer_loss, wanted_s, goal))

    def soonest(self, goal: float, seed: int) -> Trained:
        """The shortest training that reaches a loss; its time is infinite when none of --times does."""
        for duration in self.options.times.split(","):
            trained = self.train(["--time", duration.strip()], seed)
            if trained.loss <= goal:
                return trained
        return trained._replace(wall_s=math.inf)

    def train(self, flags: list[str], seed: int) -> Trained:
        """One training of ours, and a note of it."""
        trained = train_ours(self.text, self.options, self.folder, flags, seed)
        note(f"  seqtool {' '.join(flags)}: {trained.wall_s:.1f} s, {trained.loss:.4f} {self.text.unit}")
        return trained

    def show(self) -> list[Row]:
        """Print the tables."""
        unit, walls = self.text.unit, [ran.wall_s for ran, _ in self.peers]
        print(f"\nquality on {self.text.valid}, {unit}, {len(walls)} rounds")
        print(f"{'nanoGPT, its own estimate':<44}{'seconds':>26}{'nats/character':>30}")
        found: dict[int, list[tuple[float, float]]] = {}
        for ran, _ in self.peers:
            for second, line in ran.lines:
                if told := re.match(r"step (\d+): train loss [\d.]+, val loss ([\d.]+)", line):
                    found.setdefault(int(told[1]), []).append((second, float(told[2])))
        for step, all_told in found.items():
            seconds, losses = zip(*all_told, strict=True)
            print(f"{f'  step {step:,}':<44}{spread(seconds, '.1f'):>26}{spread(losses, '.4f'):>30}")
        rows: list[Row] = [{"part": "quality", "mark": "peer", "unit": "s", "peer": walls, "estimates": found}]
        for stride, losses in zip(STRIDES, zip(*(losses for _, losses in self.peers), strict=True), strict=True):
            name = f"  all of it, windows of 64, stride {stride}, {unit}"
            print(f"{name:<44}{spread(walls, '.1f'):>26}{spread(losses, '.4f'):>30}")
            rows.append({"part": "quality", "mark": f"peer, stride {stride}", "unit": unit, "peer": list(losses)})
        print(f"{'mark':<32}{'wanted':>10}{'measured':>26}{'peer':>26}{'ratio':>22}{'reached':>9}{'our seconds':>26}")
        names = {"a": f"seconds to {self.attempts['a'][0].goal:.4f}" if "a" in self.attempts else ""}
        names |= {"b": "lstm, the peer's time", "c": "lstm, 1.5 times that", "d": "transformer, the peer's time"}
        for mark, attempts in self.attempts.items():
            walls = [one.wall_s for one in attempts]
            if mark == "a":
                measured, peer, form = walls, [one.peer_s for one in attempts], ".1f"
                wanted = statistics.median(one.wanted_s for one in attempts)
                ratios = [one.peer_s / one.wall_s for one in attempts]
            else:
                measured, peer, form = [one.loss for one in attempts], [one.peer_loss for one in attempts], ".4f"
                wanted = statistics.median(one.goal for one in attempts)
                ratios = [one.loss / one.peer_loss for one in attempts]
            late = mark != "a" and statistics.median(one.wall_s / one.wanted_s for one in attempts) > LATE
            reached = "late" if late else "yes" if statistics.median(measured) <= wanted else "no"
            print(
                f"{f'{mark}  {names[mark]}':<32}{wanted:>10{form}}{spread(measured, form):>26}{spread(peer, form):>26}"
                f"{spread(ratios, '.2f'):>22}{reached:>9}{spread(walls, '.1f'):>26}"
            )
            row = {"mark": mark, "what": names[mark], "unit": "s" if mark == "a" else unit, "wanted": wanted}
            row |= {"measured": measured, "peer": peer, "ratios": ratios, "reached": reached == "yes", "seconds": walls}
            rows.append(
                {
                    "part": "quality",
                    **row,
                    "losses": [one.loss for one in attempts],
                    "wanted_s": [one.wanted_s for one in attempts],
                }
            )
        return rows


# Speed and memory: the same architecture in both.


class Case(NamedTuple):
    """An architecture with its batch: what seqtool is asked for, and who is measured beside it."""

    title: str
    asked: dict[str, Any]
    batch: int
    time: int
    symbols: int
    peers: tuple[str, ...]
    words: bool = False


def lstm(layers: int, hidden: int, embed: int, **more: Any) -> dict[str, Any]:
    """Settings of an LSTM."""
    return {"model": "lstm", "layers": layers, "hidden": hidden, "embed": embed, "dropout": 0.0, **more}


def recipe(kind: str, layers: int, heads: int, hidden: int) -> dict[str, Any]:
    """Settings of nanoGPT's transformer, as the recipe that comes with seqtool has them, but for the dropout."""
    sizes = {"layers": layers, "heads": heads, "hidden": hidden}
    return {"config": f"nanogpt-shakespeare-char{kind}", "dropout": 0.0, **sizes}


WORD_SGD = {"optimizer": "sgd", "momentum": 0.0, "lr": 20.0, "clip_norm": 0.25, "dropout": 0.2}
CASES = {
    "4x128": Case("transformer 4 x 128, 12 x 64", recipe("-cpu", 4, 4, 128), 12, 64, 65, ("nanoGPT fp32",)),
    "6x384": Case("transformer 6 x 384, 8 x 256", recipe("", 6, 6, 384), 8, 256, 65, ("nanoGPT fp32",)),
    "512": Case("lstm 1 x 512 tied, 32 x 128", lstm(1, 512, 512, tied=True), 32, 128, 66, ("torch fp32", "torch bf16")),
    "256": Case("lstm 1 x 256 embed 32, 16 x 32", lstm(1, 256, 32), 16, 32, 66, ("torch fp32", "torch bf16")),
    "words": Case(
        "lstm 2 x 200 words, 20 x 35",
        lstm(2, 200, 200, **WORD_SGD),
        20,
        35,
        9600,
        ("word_language_model fp32",),
        words=True,
    ),
}
TEXT_TOKENS = 1_000_000
BYTES = 256  # a vocabulary by characters has these as well, and <s>; a text does not
WARM_UP_STEPS, MEMORY_STEPS, LEAST_STEPS = 5, 5, 3


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

    from seqtool.checking import DATA_SETTINGS, settings_from_file
    from seqtool.config import Symbols
    from seqtool.defaults import Facts, recipe_file, resolve
    from seqtool.files import read_toml
    from seqtool.models.language_model import build_model
    from seqtool.models.size import flops_per_token
    from seqtool.runs import RunConfig
    from seqtool.training.batches import Batch
    from seqtool.training.loop import Progress, train
    from seqtool.training.machine import with_machine
    from seqtool.training.objective import Objective
    from seqtool.training.optimizers import make_optimizers
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
    training = with_machine(RunConfig(config, training, symbols, "", {}, {}), None, "cpu", world).training
    draws = np.random.default_rng(0)

    class RandomBatches:
        steps_per_pass = 1e9

        def batch(self, step: int, rows: slice) -> Batch:
            watch.lap()
            ids = draws.integers(case.symbols, size=(case.batch, case.time + 1))
            restarts = np.full(case.batch, step == 0 or not training.stateful)
            return Batch(ids[:, :-1], ids[:, 1:], restarts, case.batch * case.time, case.time)

    class NoKeeper:
        def log(self, record: Row) -> None: ...
        def keep_best(self) -> None: ...
        def keep_checkpoint(self, *_: Any) -> None: ...

    model = build_model(config, symbols, dict.fromkeys(range(case.symbols), 1))
    progress = train(
        model,
        Objective(model, training),
        make_optimizers(model.named_parameters(), training),
        None,
        RandomBatches(),
        np.zeros(2, np.int64),
        training,
        NoKeeper(),
        valid_tokens=2,
        progress=Progress(steps=10**9),
        world=world,
        stopped=watch.over,
    )
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


WORK: dict[str, Callable[..., Any]] = {"rescore": rescore, "steps": take_steps, "products": products}


def work_run(name: str, **arguments: Any) -> Ran:
    """A function of WORK in a process of its own, which prints what it gives as its last line."""
    request = json.dumps([name, arguments])
    return run([PYTHON, Path(__file__).resolve(), "--work", request], environment=ENVIRONMENT)


def work(name: str, **arguments: Any) -> Any:
    """What a function gives in a process of its own."""
    return json.loads(work_run(name, **arguments).last)


def multiplies_bf16() -> bool:
    """Whether the processor has instructions for bf16 products."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "amx_bf16" in flags or "avx512_bf16" in flags


def cases(options: argparse.Namespace) -> list[tuple[Case, list[tuple[str, str]]]]:
    """The architectures that were asked for, and for each who takes turns: ours first; and the peers' paths."""
    paths = {"nanoGPT": options.nanogpt, "word_language_model": options.word_language_model, "torch": Path()}
    chosen = []
    for name in options.models.split(","):
        case = CASES[name.strip()]
        if name.strip() == "6x384":
            case = case._replace(batch=options.batch, title=f"transformer 6 x 384, {options.batch} x 256")
        sides = [(f"seqtool {precision.strip()}", "") for precision in options.precisions.split(",")]
        for who in case.peers:
            path = paths[who.split()[0]]
            if path is None or (who == "torch bf16" and not multiplies_bf16()):
                continue
            sides.append((who, str(path.resolve())))
        chosen.append((case, sides))
    return chosen


def speed(options: argparse.Namespace) -> list[Row]:
    """The table of tokens a second."""
    limits: dict[str, list[float]] = {"fp32": [], "bf16": []}
    chosen = cases(options)
    found: list[tuple[Case, dict[str, list[Row]]]] = [(case, {who: [] for who, _ in sides}) for case, sides in chosen]
    for number in range(1, options.rounds + 1):
        note(f"speed, round {number} of {options.rounds}")
        for kind, rate in work("products", seconds=options.seconds / 2).items():
            limits[kind].append(rate)
        for (case, sides), (_, told) in zip(chosen, found, strict=True):
            for who, path in sides:
                told[who].append(work("steps", case=case, who=who, path=path, seconds=options.seconds, steps=0))
                note(f"  {case.title}, {who}: {told[who][-1]['tokens_per_s']:,.0f} tokens/s")
    print(f"\nspeed of training, {options.rounds} rounds")
    rows: list[Row] = []
    for kind, rates in limits.items():
        print(f"a matrix product of 2048 in {kind}: {spread(rates, ',.0f')} GFLOP/s")
        rows.append({"part": "speed", "what": "product 2048", "who": kind, "unit": "GFLOP/s", "measured": rates})
    print(f"{'training':<34}{'who':<26}{'tokens/s':>30}{'seqtool is faster':>26}{'of the limit':>24}")
    for case, told in found:
        first = next(iter(told))
        for who, all_told in told.items():
            rates = [one["tokens_per_s"] for one in all_told]
            precision = all_told[0].get("precision") or who.split()[1]
            flops = told[first][0]["flops_per_token"]
            shares = [rate * flops / 1e9 / limit for rate, limit in zip(rates, limits[precision], strict=True)]
            ratios = [one["tokens_per_s"] / rate for one, rate in zip(told[first], rates, strict=True)]
            ratio = "" if who == first else spread(ratios, ".2f")
            name = f"{who} ({precision})" if "auto" in who else who
            print(f"{case.title:<34}{name:<26}{spread(rates, ',.0f'):>30}{ratio:>26}{spread(shares, '.0%'):>24}")
            row = {"what": case.title, "who": name, "unit": "tokens/s", "measured": rates, "flops_per_token": flops}
            rows.append({"part": "speed", **row, "ratios": ratios, "shares_of_limit": shares})
    return rows


def memory(options: argparse.Namespace) -> list[Row]:
    """The table of peak memory."""
    print(f"\nmemory: the peak of a process that trains {MEMORY_STEPS} steps, {options.rounds} rounds")
    print(f"{'training':<34}{'who':<26}{'MB':>26}{'of the peer':>24}")
    rows: list[Row] = []
    for case, sides in cases(options):
        peaks: dict[str, list[float]] = {who: [] for who, _ in sides}
        for _ in range(options.rounds):
            for who, path in sides:
                ran = work_run("steps", case=case, who=who, path=path, seconds=0.0, steps=MEMORY_STEPS)
                peaks[who].append(ran.peak_mb)
        own = peaks[sides[0][0]]
        for who, found in peaks.items():
            ratios = [ours / theirs for ours, theirs in zip(own, found, strict=True)]
            ratio = "" if found is own else spread(ratios, ".2f")
            print(f"{case.title:<34}{who:<26}{spread(found, ',.0f'):>26}{ratio:>24}", flush=True)
            row = {"what": case.title, "who": who, "unit": "MB", "measured": found, "ratios": ratios}
            rows.append({"part": "memory", **row})
    return rows


def startup(options: argparse.Namespace, folder: Path) -> list[Row]:
    """The table of seconds until something can be seen."""
    text = options.text
    if text is None:
        text = folder / "text.txt"
        text.write_text("".join(chr(97 + number * number % 23) for number in range(TEXT_TOKENS)), encoding="utf-8")
    training = [*SEQTOOL, "train", text.resolve(), "--vocab-type", "char", "--steps", "1", "--force"]
    commands: dict[str, Callable[[], Ran]] = {
        "seqtool --help": lambda: run([*SEQTOOL, "--help"]),
        "python -c 'import torch'": lambda: run([PYTHON, "-c", "import torch"]),
        "seqtool train, its first step": lambda: run([*training, "-o", folder / "first"], until="step 1 "),
        "seqtool train --steps 1, all of it": lambda: run([*training, "-o", folder / "whole"]),
    }
    if options.nanogpt:
        data = folder / "startup"
        data.mkdir()
        content = decoded(text)
        write_characters(content, content[-len(content) // 10 :], data)
        nanogpt = nanogpt_command(data, folder / "nanogpt", 2000)
        commands["nanoGPT, its first step"] = lambda: run(nanogpt, options.nanogpt, ENVIRONMENT, until="iter 0:")
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            found[name].append(command().wall_s)
    print(f"\nstart-up, {options.rounds} rounds")
    print(f"{'what':<38}{'seconds':>24}{'of import torch':>24}")
    rows: list[Row] = []
    for name, seconds in found.items():
        ratios = [own / torch for own, torch in zip(seconds, found["python -c 'import torch'"], strict=True)]
        print(f"{name:<38}{spread(seconds, '.3f'):>24}{spread(ratios, '.2f'):>24}")
        rows.append({"part": "startup", "what": name, "unit": "s", "measured": seconds, "ratios": ratios})
    return rows


def finite(value: Any) -> Any:
    """The same for JSON, which has no infinity: null."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def with_medians(row: Row) -> Row:
    """The row with the median, least and most of what it measures."""
    found = row.get("measured") or row["peer"]
    return finite({**row, "median": statistics.median(found), "min": min(found), "max": max(found)})


def parse() -> argparse.Namespace:
    """The command line; ends with a usage error where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", help="of " + ",".join(PARTS))
    parser.add_argument("--nanogpt", type=Path, metavar="PATH", help="a checkout of nanoGPT")
    parser.add_argument(
        "--word-language-model", type=Path, metavar="PATH", help="a checkout of that example of torch's"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows there")
    quality = parser.add_argument_group("quality")
    quality.add_argument("--text", type=Path)
    quality.add_argument("--valid", type=Path)
    quality.add_argument("--marks", default="a,b,c,d")
    quality.add_argument("--times", default="2s,3s,4s,5s,6s", help="of mark a, ascending")
    quality.add_argument("--flags", default="", help="more flags for seqtool train")
    quality.add_argument("--vocab-type", choices=("char", "bpe", "unigram", "byte"), default="char")
    quality.add_argument("--vocab-size", type=int)
    quality.add_argument("--peer-iterations", type=int, default=2000, help="nanoGPT's, to try this out")
    speed = parser.add_argument_group("speed and memory")
    speed.add_argument("--models", default=",".join(CASES), help="of " + ",".join(CASES))
    speed.add_argument("--batch", type=int, default=8, help="of the transformer 6 x 384")
    speed.add_argument("--precisions", default="auto", help="of ours, as auto,fp32")
    speed.add_argument("--seconds", type=float, default=5.0, help="that each side trains in a round, after a warm-up")
    options = parser.parse_args()
    for what, given, known in (
        ("part", options.parts, PARTS),
        ("--models", options.models, CASES),
        ("--marks", options.marks, "abcd"),
    ):
        if wrong := [name for name in given.split(",") if name.strip() not in known]:
            parser.error(f"{what} {', '.join(wrong)}: choose from {', '.join(known)}")
    options.parts = [part.strip() for part in options.parts.split(",")]
    if "quality" in options.parts and not (options.nanogpt and options.text and options.valid):
        parser.error("quality needs --nanogpt, --text and --valid")
    for path in (options.nanogpt, options.word_language_model):
        if path and not (path / "model.py").is_file():
            parser.error(f"{path}: no model.py is there; give the path of a checkout")
    options.nanogpt = options.nanogpt and options.nanogpt.resolve()
    return options


def main() -> None:
    """Measure what was asked for."""
    if sys.argv[1:2] == ["--work"]:
        name, arguments = json.loads(sys.argv[2])
        print(json.dumps(WORK[name](**arguments)))
        return
    options = parse()
    print(machine(), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts:
            if part == "quality":
                quality = Quality(options, folder)
                for number in range(1, options.rounds + 1):
                    quality.round(number)
                rows += quality.show()
            else:
                rows += (
                    startup(options, folder) if part == "startup" else {"speed": speed, "memory": memory}[part](options)
                )
            sys.stdout.flush()
            if options.json:
                told = {"machine": machine(), "command": shlex.join(sys.argv), "rows": list(map(with_medians, rows))}
                options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
