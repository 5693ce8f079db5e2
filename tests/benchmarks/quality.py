"""Quality against time: nanoGPT's README run for CPUs, and trainings of seqtool that take as long or less; beside_peers.py shows it."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shlex
import statistics
import sys
from array import array
from pathlib import Path
from typing import NamedTuple

from machine import Ran, run, spread
from sides import ENVIRONMENT, PYTHON, STRIDES, Row, note, work

SEQTOOL = [PYTHON, "-m", "seqtool"]
NANOGPT = [PYTHON, "-u", "train.py", "config/train_shakespeare_char.py", "--device=cpu", "--compile=False"]
NANOGPT += ["--eval_iters=20", "--log_interval=1", "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4"]
NANOGPT += ["--n_embd=128", "--dropout=0.0"]
VALIDATES_EVERY = 250  # as its configuration says
TINY_SHAKESPEARE = "a9e24e23a1ec77744dad26844bfd5a09b6e041954e1eef0000e7f24cba6db735"  # sha256 of its training text
GOALS = {"a": 1.886, "b": 1.50, "c": 1.4697, "d": 1.60}  # nats per character on that; elsewhere the peer's own loss
TIMES = {"a": 1 / 15, "b": 1.0, "c": 1.5, "d": 1.0}  # of the peer's
LATE = 1.03  # a training that took this much longer than it was to has not reached its mark


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
