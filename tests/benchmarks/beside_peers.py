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
import json
import math
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import Ran, machine, run, spread
from quality import SEQTOOL, Quality, decoded, nanogpt_command, write_characters
from sides import ENVIRONMENT, PYTHON, TEXT_TOKENS, Case, Row, note, work, work_run

PARTS = ("quality", "speed", "memory", "startup")
MEMORY_STEPS = 5


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
