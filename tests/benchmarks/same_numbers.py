"""Show that a redesign changed no number: record what two programs compute, and compare the records bit by bit.

    python tests/benchmarks/same_numbers.py record DIR --seqtool COMMAND [--jobs 2] [--warm] [--only REGEX]
    python tests/benchmarks/same_numbers.py compare DIR_A DIR_B [--only REGEX]
    python tests/benchmarks/same_numbers.py load OLD_DIR --seqtool COMMAND [--jobs 2] [--warm] [--only REGEX]

COMMAND starts a seqtool, e.g. `env PYTHONPATH=/where/it/was python -m seqtool`. `record` runs some hundred real commands
(same_numbers_cases.py), each in a process of its own with one thread, in DIR/kept, where all they made stays, and writes
DIR/record.json: case -> what -> value. With --warm, processes are forked from one that has imported torch and computed
nothing, which is several times as fast; COMMAND then ends in `-m seqtool`. With --only,
only the cases whose name matches are recorded, compared or loaded. Recorded are losses, rates, gradient norms and validation losses, the bytes of
each tensor whatever its name, scores, texts, ids, answers and refusals, but no times, no names of files and no versions.

`compare` prints each value of A that B has otherwise, then how many are the same; it exits with 1 where one differs.
`load` lets another seqtool score, generate, resume and query with a copy of what an old one made, and compares likewise.
Numbers are comparable on one machine with one version of torch.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from same_numbers_cases import EQUAL, QUESTIONS, RUNS, Step, steps, texts

RECORD, KEPT = "record.json", "kept"
LONGEST_VALUE = 20_000  # characters of JSON; of what is longer the hash is kept, and the beginning
LONGEST_SHOWN = 110
TIMES = {"seconds", "elapsed_s", "tokens_per_s", "made_by", "version", "program"}
"""The names in JSON of what differs from one run of a command to the next."""
HASHES_OF_FILES = {"sha256"}
"""The names in store.json and in `info` of hashes that hold times, commands or formats too."""
RULES_FILE = rb"/[ -~]*/lowercase\.tsv"
"""A temporary file that SentencePiece names in a model that folds to lower case."""
MOST_S = 300.0
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}

Record = dict[str, dict[str, Any]]


class Result(NamedTuple):
    """What a command gave."""

    exit_code: int
    out: bytes
    err: bytes


Call = Callable[[list[str], Path, bytes], Result]
"""Runs one command of seqtool: its arguments, its directory, its standard input."""


def main() -> int:
    """Read the command line, do it, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, folder in (("record", "DIR"), ("load", "OLD_DIR")):
        one = commands.add_parser(name)
        one.add_argument("folder", metavar=folder, type=Path)
        one.add_argument("--seqtool", metavar="COMMAND", required=True)
        one.add_argument("--jobs", type=int, default=2)
        one.add_argument("--warm", action="store_true")
    both = commands.add_parser("compare")
    both.add_argument("folder", metavar="DIR_A", type=Path)
    both.add_argument("other", metavar="DIR_B", type=Path)
    for one in commands.choices.values():
        one.add_argument("--only", metavar="REGEX", default="")
    commands.add_parser("serve", help="(what --warm starts)")
    given = parser.parse_args()
    if given.command == "serve":
        return serve()
    if given.command == "compare":
        return compare(read(given.folder, given.only), read(given.other))
    with contextlib.ExitStack() as stack:
        seqtool = shlex.split(given.seqtool)
        call = warm(seqtool, given.jobs, stack) if given.warm else functools.partial(cold, seqtool)
        return (load if given.command == "load" else record)(given.folder, call, given.jobs, given.only)


def cold(seqtool: list[str], words: list[str], cwd: Path, stdin: bytes) -> Result:
    """Run a command as a shell would."""
    environment = {**os.environ, **ENVIRONMENT}
    ran = subprocess.run([*seqtool, *words], cwd=cwd, input=stdin, capture_output=True, env=environment, timeout=MOST_S)
    return Result(ran.returncode, ran.stdout, ran.stderr)


def warm(seqtool: list[str], jobs: int, stack: contextlib.ExitStack) -> Call:
    """What runs a command in a process that is forked from one of so many servers."""
    if seqtool[-2:] != ["-m", "seqtool"]:
        sys.exit("--warm: --seqtool ends in -m seqtool")
    command = [*seqtool[:-2], str(Path(__file__).resolve()), "serve"]
    free: queue.Queue[subprocess.Popen[str]] = queue.Queue()
    for _ in range(jobs):
        free.put(stack.enter_context(subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT}
        )))  # fmt: skip

    def call(words: list[str], cwd: Path, stdin: bytes) -> Result:
        server = free.get()
        assert server.stdin is not None
        assert server.stdout is not None
        with tempfile.TemporaryDirectory() as scratch:
            streams = [Path(scratch) / name for name in ("in", "out", "err")]
            for stream, content in zip(streams, (stdin, b"", b""), strict=True):
                stream.write_bytes(content)
            print(json.dumps([words, str(cwd.resolve()), list(map(str, streams))]), file=server.stdin, flush=True)
            exit_code = int(server.stdout.readline())
            free.put(server)
            return Result(exit_code, streams[1].read_bytes(), streams[2].read_bytes())

    return call


def serve() -> int:
    """Import what commands import, then fork for each line of standard input, and answer with the exit code."""
    sys.path.pop(0)  # this folder
    import numpy  # noqa: F401
    import sentencepiece  # noqa: F401
    import torch  # noqa: F401

    from seqtool.cli.main import main as seqtool

    for line in sys.stdin:
        words, cwd, streams = json.loads(line)
        child = os.fork()
        if not child:
            for number, name in enumerate(streams):
                os.dup2(os.open(name, os.O_RDWR), number)
            os.chdir(cwd)
            sys.argv = ["seqtool", *words]
            sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
            exit_code = 1
            try:
                seqtool()
                exit_code = 0
            except SystemExit as error:
                exit_code = error.code if isinstance(error.code, int) else int(error.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return 0


def record(folder: Path, call: Call, jobs: int, only: str) -> int:
    """Run every step in DIR/kept and write DIR/record.json; 1 where two ways to the same weights differ."""
    kept = folder / KEPT
    kept.mkdir(parents=True)
    for name, text in texts().items():
        (kept / name).write_bytes(text.encode())
    began = time.perf_counter()
    asked = [step for step in steps() if step.stage < RUNS or re.search(only, step.case)]
    made = run_all(asked, kept, call, jobs)
    (folder / RECORD).write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n")
    for case, values in made.items():
        for what, value in values.items():
            if what.endswith(": error"):
                print(f"{case}, {what}: {value}")
    values = sum(map(len, made.values()))
    print(f"{values} values of {len(asked)} commands in {time.perf_counter() - began:.0f} s")
    return unequal(made)


def unequal(made: Record) -> int:
    """1, and what differs, where runs that should be the same are not."""
    failed = 0
    for case, what, other_case, other in EQUAL:
        name = "model.safetensors"
        if made.get(case, {}).get(f"{what}: {name}") != made.get(other_case, {}).get(f"{other}: {name}"):
            print(f"DIFFERENT WEIGHTS: {case}, {what}, and {other_case}, {other}")
            failed = 1
    return failed


def load(folder: Path, call: Call, jobs: int, only: str) -> int:
    """Ask a copy of what an old record kept, and compare with what the old seqtool answered."""
    asked = [step for step in steps() if step.stage == QUESTIONS and re.search(only, step.case)]
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) / KEPT
        shutil.copytree(folder / KEPT, kept)
        made = run_all(asked, kept, call, jobs)
    labels = {(step.case, step.what) for step in asked}
    old = {
        case: {what: value for what, value in values.items() if (case, step_of(what)) in labels}
        for case, values in read(folder, only).items()
    }
    return compare({case: values for case, values in old.items() if values}, made)


def read(folder: Path, only: str = "") -> Record:
    """The record of a folder, or the cases of it whose name matches."""
    made: Record = json.loads((folder / RECORD).read_text())
    return {case: values for case, values in made.items() if re.search(only, case)}


def run_all(asked: list[Step], kept: Path, call: Call, jobs: int) -> Record:
    """Run the steps stage by stage, so many at once, and give what they made, in the order of the steps."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for stage in sorted({step.stage for step in asked}):
            now = [step for step in asked if step.stage == stage]
            for step, values in zip(now, pool.map(lambda step: run(step, kept, call), now), strict=True):
                assert (step.case, step.what) not in found, f"two steps named {step.case}, {step.what}"
                found[step.case, step.what] = values
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    made: Record = {}
    for step in asked:
        values = found[step.case, step.what]
        made.setdefault(step.case, {}).update({f"{step.what}: {name}": short(value) for name, value in values.items()})
    return made


def run(step: Step, kept: Path, call: Call) -> dict[str, Any]:
    """Run one command and give all that is recorded of it: name -> value."""
    words = shlex.split(step.command)
    output = kept / words[words.index("-o") + 1] if "-o" in words else None
    if step.copied and output:
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(kept / step.copied, output)
    result = call(words, kept, (kept / step.stdin).read_bytes() if step.stdin else b"")
    if step.stdout:
        (kept / step.stdout).write_bytes(result.out)
    values: dict[str, Any] = {"exit code": result.exit_code}
    if result.exit_code:
        errors = result.err.decode(errors="replace").splitlines()
        return {**values, "error": errors[-1] if errors else ""}
    said = result.out.decode(errors="backslashreplace")
    values.update(answers(said) if "--json" in words else {"said": said} if said else {})
    return {**values, **(content(output) if output else {})}


def answers(said: str) -> dict[str, Any]:
    """What a command says as JSON: one object name by name, and more than one as a list."""
    rows = [without_times(json.loads(line)) for line in said.splitlines()]
    return flat(rows[0]) if len(rows) == 1 else {"rows": rows}


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """An object whose values are no objects: `training.lr` is what was `lr` in `training`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{before}{name}."))
        else:
            found[before + name] = value
    return found


def without_times(value: Any) -> Any:
    """A value from JSON without what differs from one run of a command to the next, and without hashes of that."""
    if isinstance(value, dict):
        left_out = TIMES | HASHES_OF_FILES
        return {name: without_times(part) for name, part in value.items() if name not in left_out}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def content(path: Path) -> dict[str, Any]:
    """The content of a file or directory that a command made: file -> what is compared of it."""
    if not path.is_dir():
        return {"file": CONTENT.get(path.suffix, hash_of)(path)} if path.exists() else {}
    files = [path / name for name in ("model.safetensors", "metrics.jsonl", "vocab.model")]
    shards = sorted(path.glob("ids-*"))
    return {file.name: CONTENT.get(file.suffix, hash_of)(file) for file in [*files, *shards] if file.exists()}


def tensors(path: Path) -> list[list[Any]]:
    """Shape, kind and the hash of the bytes of each tensor in a safetensors file, sorted: names do not count."""
    data = path.read_bytes()
    begins = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begins])
    found: list[list[Any]] = []
    for name, told in header.items():
        if name != "__metadata__":
            first, last = told["data_offsets"]
            part = data[begins + first : begins + last]
            is_vocabulary = b'"made_by": ' in part
            found.append(vocabulary(part) if is_vocabulary else [told["shape"], told["dtype"], sha256_of(part)])
    return sorted(found, key=str)


def metrics(path: Path) -> list[Any]:
    """The lines of metrics.jsonl without times."""
    return [without_times(json.loads(line)) for line in path.read_text().splitlines()]


def vocabulary(data: bytes) -> list[Any]:
    """What a SentencePiece model says of itself, without the command that made it, and the hash of all else in it."""
    said: list[Any] = []
    rest = hashlib.sha256()
    for part in protobuf_fields(data):
        found = re.search(rb'\{"type": .*"made_by": \{.*?\}\}', part, re.DOTALL)
        if found:
            said.append(without_times(json.loads(found[0])))
        else:
            rest.update(re.sub(RULES_FILE, b"", part))
    return [*said, rest.hexdigest()]


def protobuf_fields(data: bytes) -> Iterator[bytes]:
    """The fields of a message that has only strings and messages."""
    place = 0
    while place < len(data):
        tag, place = varint(data, place)
        length, place = varint(data, place)
        assert tag & 7 == 2, "a string or a message"
        yield data[place : place + length]
        place += length


def varint(data: bytes, place: int) -> tuple[int, int]:
    """The number that begins at a place, seven bits in a byte, and where it ends."""
    number = shift = 0
    while data[place] > 127:
        number |= (data[place] & 127) << shift
        place, shift = place + 1, shift + 7
    return number | data[place] << shift, place + 1


def hash_of(path: Path) -> str:
    """The hash of a whole file."""
    return sha256_of(path.read_bytes())


def sha256_of(data: bytes) -> str:
    """A hash, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


CONTENT: dict[str, Callable[[Path], Any]] = {
    ".safetensors": tensors,
    ".vectors": tensors,
    ".jsonl": metrics,
    ".model": lambda path: vocabulary(path.read_bytes()),
}


def short(value: Any) -> Any:
    """The value itself, or of a very long one its hash and its beginning."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) <= LONGEST_VALUE:
        return value
    return {"sha256": sha256_of(text.encode("utf-8", "replace")), "begins": text[:LONGEST_SHOWN]}


def compare(old: Record, new: Record) -> int:
    """Print each value of the old record that the new one has otherwise or not at all; 1 where there is one."""
    same = total = further = 0
    for case, values in old.items():
        others = new.get(case, {})
        further += len(others.keys() - values.keys())
        total += len(values)
        differing = [what for what in values if what not in others or others[what] != values[what]]
        same += len(values) - len(differing)
        ended = {step_of(what) for what in differing if what.endswith(": exit code")}
        for what in differing:
            if what.endswith(": exit code"):
                error = others.get(f"{step_of(what)}: error", "")
                print(f"{case}, {what}:\n  {values[what]} -> {others.get(what, 'not there')} {error}")
            elif step_of(what) not in ended:
                print(f"{case}, {what}:\n  {difference(values[what], others.get(what, 'not there'))}")
    further += sum(len(values) for case, values in new.items() if case not in old)
    print(f"{same} of {total} the same" + (f"; {further} values are only in the second" if further else ""))
    return int(same < total)


def step_of(what: str) -> str:
    """The step that a value is of."""
    return what.split(": ")[0]


def difference(old: Any, new: Any) -> str:
    """The two values, or of two lists the first place where they differ."""
    if isinstance(old, list) and isinstance(new, list):
        place = next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        if place is None:
            return f"{len(old)} rows -> {len(new)} rows"
        return f"row {place + 1} of {len(old)}: {difference(old[place], new[place])}"
    if isinstance(old, dict) and isinstance(new, dict):
        names = different(old, new)
        return ", ".join(f"{name} {clipped(old.get(name))} -> {clipped(new.get(name))}" for name in names)
    return f"{clipped(old)} -> {clipped(new)}"


def different(old: dict[str, Any], new: dict[str, Any]) -> Iterable[str]:
    """The names under which two dictionaries differ."""
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def clipped(value: Any) -> str:
    """A value as a message shows it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


if __name__ == "__main__":
    sys.exit(main())
