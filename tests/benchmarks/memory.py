"""What each architecture can remember: trained for a minute of a processor on each task of corpora/memory.py, judged on longer sequences.

    OMP_NUM_THREADS=1 python tests/benchmarks/memory.py --seconds 60 --seeds 0,1,2 --rates 1e-3,3e-3
    python tests/benchmarks/memory.py --tasks parity,recall --models "lstm;gdn"

The net is that of `seqtool train FILE.conll --target tag --unscored _ --one-way`, with fresh sequences for each step and the rate
that falls to zero. A cell is the accuracy of the answers, %, as long as in training and longer, of the seed and rate that do
best as long as in training; in brackets that of the worst seed at that rate, where there are several. A line below each task says what theory
says of it. Blocks
read each token together with the one before it (--stem 2; by default 4), without which none has found in a minute that a value belongs
to the key before it. Those named by mirrors read no more than these two (--convolution 1; by default 4, of which
2 mirrors have not learned S3 in a minute). A transformer that is given more tokens than its context reads them in pieces, as the command
does.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from machine import machine
from torch import Tensor

from corpora.memory import DIGITS, KEYS, MARK, NOISE, PERMUTATIONS, SYMBOLS, TASKS, VALUES, Token
from seqtool.models.device import autocast, multiplies_bf16
from seqtool.models.example_model import ExampleInput, ExampleModel, build_example_model
from seqtool.settings.checking import checked
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import ModelConfig
from seqtool.tasks.examples.treebank import piece_lengths

ROWS, JUDGED = 32, 256
CPU = torch.device("cpu")


class Setting(NamedTuple):
    """How a task is learned and judged."""

    trained: int
    """Tokens of the longest sequences in training, about; that of the shortest is 1."""
    judged: int
    """Tokens of the longer ones."""
    beyond: bool
    """Whether every token has an answer, of which only those beyond the trained length are judged."""
    theory: str


SETTINGS = {
    "parity": Setting(24, 128, True, "a state that changes its sign: rnn, gru, lstm, mingru signed, gdn; no net of one fixed depth without such a state for all lengths"),
    "group": Setting(24, 128, True, "a product that depends on the order: rnn, gru, lstm; gdn signed of two mirrors a token; no diagonal state"),
    "recall": Setting(96, 192, False, "32 and 64 pairs: a transformer that sees them; gdn, whose tables have room for as many pairs as keys are wide; not a vector"),
    "selective": Setting(96, 192, False, "12 and 24 symbols in order: what a state has room for; a transformer that sees them"),
    "copy": Setting(32, 64, False, "16 and 32 symbols: what a state has room for; a transformer that sees them"),
    "lag": Setting(256, 1024, False, "one symbol beyond a context: whatever keeps a state; no window"),
    "sum": Setting(64, 256, False, "two digits kept and added: whatever keeps a state, or sees all"),
    "induction": Setting(64, 256, False, "two layers of attention; a table of neighbours"),
}  # fmt: skip
SIZES: dict[str, Any] = {"hidden": 128, "layers": 2, "heads": 2, "stem": 2}
MODELS: dict[str, dict[str, Any]] = {
    "rnn": {"model": "rnn", "layers": 1},
    "gru": {"model": "gru", "layers": 1},
    "lstm": {"model": "lstm", "layers": 1},
    "ffn": {"model": "ffn", "context": 16, "activation": "relu"},
    "transformer 32": {"model": "transformer", "context": 32},
    "transformer 1024": {"model": "transformer", "context": 1024},
    "mingru": {"model": "mingru"},
    "mingru signed": {"model": "mingru", "signed": True},
    "gdn unsigned": {"model": "gdn", "layers": 1},
    "gdn": {"model": "gdn", "signed": True, "layers": 1},
    "gdn, 1 mirror": {"model": "gdn", "signed": True, "layers": 1, "hidden": 64, "convolution": 1},
    "gdn, 2 mirrors": {"model": "gdn", "signed": True, "layers": 1, "hidden": 64, "convolution": 1, "mirrors": 2},
    "gdn, attention 32": {"model": "gdn", "signed": True, "mixers": "gdn,attention", "context": 32},
}


class Symbols:
    """The tokens and answers of a task, as numbers; 0 is what stands before a sequence."""

    def __init__(self, task: str) -> None:
        answers: dict[str, tuple[str, ...]] = {
            "parity": ("even", "odd"), "group": tuple(PERMUTATIONS), "recall": VALUES, "sum": DIGITS,
        }  # fmt: skip
        tokens: dict[str, tuple[str, ...]] = {
            "parity": ("0", "1"), "group": tuple(PERMUTATIONS), "recall": (*KEYS, *VALUES, MARK),
            "sum": (*DIGITS, *(f"{digit}!" for digit in DIGITS), MARK),
        }  # fmt: skip
        self.tokens = {
            token: number for number, token in enumerate(tokens.get(task, (*SYMBOLS, *NOISE, MARK)), start=1)
        }
        self.answers = {answer: number for number, answer in enumerate(answers.get(task, SYMBOLS))}

    def batch(self, sequences: list[list[Token]]) -> tuple[ExampleInput, Tensor]:
        """Their ids, and the targets (B, T), -1 where nothing is asked or there is no token."""
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        ids, targets = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.long), None
        targets = torch.full_like(ids, -1)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor([self.tokens[token] for token, _ in sequence])
            targets[row, : len(sequence)] = torch.tensor([self.answers.get(answer, -1) for _, answer in sequence])
        return ExampleInput(lengths, ids.unsqueeze(-1)), targets


def outputs_of(model: ExampleModel, x: ExampleInput, context: int | None) -> Tensor:
    """The outputs (B, T, O), in pieces where the model sees so many tokens at most."""
    assert x.ids_BTK is not None
    pieces, start = [], 0
    for length in piece_lengths(x.ids_BTK.shape[1], context or 1 << 30):
        part = ExampleInput((x.lengths_B - start).clamp(1, length), x.ids_BTK[:, start : start + length])
        pieces.append(model(part))
        start += length
    return torch.cat(pieces, 1)


def judge(model: ExampleModel, symbols: Symbols, task: str, length: int, skipped: int, context: int | None) -> float:
    """The share of right answers in sequences of this length, those to the first `skipped` tokens left out, %."""
    draw, right, asked = random.Random(f"judged {task} {length}"), 0, 0
    model.eval()
    with torch.no_grad():
        for _ in range(JUDGED // ROWS):
            x, targets = symbols.batch([TASKS[task](draw, length) for _ in range(ROWS)])
            known = targets >= 0
            known[:, :skipped] = False
            right += int((outputs_of(model, x, context).argmax(-1) == targets)[known].sum())
            asked += int(known.sum())
    return 100 * right / asked


def cell(name: str, task: str, rate: float, seed: int, seconds: float) -> dict[str, Any]:
    """Train a model on a task, and judge it."""
    symbols, how, config = Symbols(task), SETTINGS[task], checked(ModelConfig(**{**SIZES, **MODELS[name]}))
    traits = config.architecture
    context = None if traits.carries_state else config.context
    wide = config.hidden >= (traits.bf16_by_torch_from_width or traits.bf16_from_width)
    precision = "bf16" if wide and multiplies_bf16(CPU) else "fp32"
    shape = ExampleShape(tables=(len(symbols.tokens) + 1,), outputs=len(symbols.answers), each=True)
    model, draw = build_example_model(config, shape, seed), random.Random(f"{task} {seed}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.95), fused=True)
    begun, steps, done = time.process_time(), 0, 0.0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, steps / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        length = draw.randint(1, how.trained)
        x, targets = symbols.batch([TASKS[task](draw, length) for _ in range(ROWS)])
        model.train()
        known = targets >= 0
        with autocast(precision, CPU):
            outputs = outputs_of(model, x, context)
        loss = F.cross_entropy(outputs[known].float(), targets[known])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        done = (time.process_time() - begun) / seconds  # of a processor, so that other programs take nothing
    longer = judge(model, symbols, task, how.judged, how.trained if how.beyond else 0, context)
    return {
        "task": task, "model": name, "rate": rate, "seed": seed, "steps": steps, "seconds": seconds, "precision": precision,
        "as trained": judge(model, symbols, task, how.trained, 0, context), "longer": longer,
    }  # fmt: skip


def best(found: list[dict[str, Any]]) -> str:
    """As trained and longer, of the rate whose seeds do best on average, and the worst seed in brackets."""
    rates = {record["rate"] for record in found}
    of_rate = {rate: [record for record in found if record["rate"] == rate] for rate in sorted(rates)}
    chosen = max(of_rate.values(), key=lambda own: sum(record["as trained"] for record in own) / len(own))
    ordered = sorted(chosen, key=lambda record: (record["as trained"], record["longer"]))
    shown = f"{ordered[-1]['as trained']:.0f} {ordered[-1]['longer']:.0f}"
    return shown + (f" ({ordered[0]['longer']:.0f})" if len(ordered) > 1 else "")


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each model, a column for each task; then what theory says."""
    tasks, models = ([name for name in known if any(record[kind] == name for record in found)] for kind, known in (("task", TASKS), ("model", MODELS)))  # fmt: skip
    yield f"{'accuracy, %: as trained, longer':32}" + "".join(f"{task:>14}" for task in tasks)
    yield f"{'tokens':32}" + "".join(f"{f'{SETTINGS[task].trained}, {SETTINGS[task].judged}':>14}" for task in tasks)
    for model in models:
        cells = ([record for record in found if (record["task"], record["model"]) == (task, model)] for task in tasks)
        yield f"{model:32}" + "".join(f"{best(own) if own else '':>14}" for own in cells)
    yield ""
    for task in tasks:
        yield f"{task:10} {SETTINGS[task].theory}"


def main() -> None:
    """Train and judge every cell that was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--models", default=";".join(MODELS), help="with ; between them")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a processor, for a training")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rates", default="1e-3,3e-3")
    parser.add_argument("--log", help="a file to which each cell is added, and whose cells are not made again")
    options = parser.parse_args()
    print(machine(), f"{torch.get_num_threads()} threads", flush=True)
    found: list[dict[str, Any]] = []
    if options.log:
        with open(options.log, "a+", encoding="utf-8") as log:
            log.seek(0)
            found = [json.loads(line) for line in log]
    asked = [(float(rate), int(seed)) for rate in options.rates.split(",") for seed in options.seeds.split(",")]
    for rate, seed in asked:
        for task in options.tasks.split(","):
            for name in options.models.split(";"):
                if any(
                    (old["task"], old["model"], old["rate"], old["seed"]) == (task, name, rate, seed) for old in found
                ):
                    continue
                found.append(cell(name, task, rate, seed, options.seconds))
                if options.log:
                    with open(options.log, "a", encoding="utf-8") as log:
                        log.write(json.dumps(found[-1]) + "\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
