"""What the tests share: a text that is everywhere, the real command, and a small trained run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.training.trainer import Trainer
from tests.client import ROOT, STREAMS, Started, Warm

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models here are so small that a second thread only waits

Command = Callable[..., subprocess.CompletedProcess[bytes]]
Start = Callable[..., Started]

SHARED_MEMORY = Path("/dev/shm")  # Linux's file system in memory


def takes_tests(folder: Path) -> bool:
    """Whether a directory has room for what the tests write, and programs in it may be run."""
    if not os.access(folder, os.W_OK):
        return False
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize > 4 << 30 and not system.f_flag & os.ST_NOEXEC


if takes_tests(SHARED_MEMORY):  # the tests flush some ten thousand files, which there takes no time
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))

# Strings that tokenizers lose something of: white space, control characters, U+2581 itself, every plane of Unicode.
ODD_STRINGS = [
    "",
    "\n",
    "\n\n\n",
    " ",
    "   leading and trailing   ",
    "a  b   c",
    "\t\tif x:\r\n\t\t\treturn\r\n",
    "\u2581",
    "a\u2581\u2581b \u2581\n\u2581",
    "\u2585 reserved by SentencePiece",
    "naïve 🙂 family 👨‍👩‍👧 e\u0301",
    "\x00nul\x01\x7f\x85",
    "\ufeffinside, a mark is a character",
    "\ufffd\u2047\ufffe",
    "line\u2028separator\u2029",
    "<s></s><unk><0x41><eos>",
    "漢字かな",
    "x" * 20_000,
    "".join(map(chr, range(1, 0x800))),
    "\U0010ffff\U00010000",
]


@pytest.fixture(scope="session")
def prose() -> str:
    """About 100 kB of English prose that every CPython carries."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics))[:100_000]


@pytest.fixture(scope="session")
def whole_prose_file(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That prose in a file."""
    path = tmp_path_factory.mktemp("prose") / "prose.txt"
    path.write_bytes(prose.encode())
    return path


@pytest.fixture(scope="session")
def short_text(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its first 8,000 characters in a file: enough for a small vocabulary."""
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text(prose[:8000])
    return path


@pytest.fixture(scope="session")
def prose_file(whole_prose_file: Path) -> Path:
    """The same; a module may have another of its own, on which `small_run` does not depend."""
    return whole_prose_file


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """What commands are forked from."""
    process = Warm(tmp_path_factory.mktemp("streams"))
    yield process
    process.close()


def command_of(warm: Warm) -> Command:
    """Run the real command in a process of its own: `seqtool("eval", run, "-", stdin=b"text")`.

    `kill=(9, [(f"{run}/config.json", 0.1), ...])` sends signal 9 a tenth of a second after a file of that name is there;
    with `memory`, where Linux can say so, no more bytes than that are given to it.
    """
    streams = [warm.folder / name for name in STREAMS]

    def run(
        *arguments: object,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        kill: tuple[int, list[tuple[str, float]]] | None = None,
        memory: int = 0,
    ) -> subprocess.CompletedProcess[bytes]:
        assert kill is None or all(os.path.isabs(path) for path, _ in kill[1]), (
            "the one who waits is in another directory"
        )
        for stream, content in zip(streams, (stdin, b"", b""), strict=True):
            stream.write_bytes(content)
        code = int(warm.ask(wait=warm.start(arguments, streams, cwd, env, memory), kill=kill))
        out, err = (stream.read_bytes() for stream in streams[1:])
        return subprocess.CompletedProcess(list(map(str, arguments)), code, out, err)

    return run


@pytest.fixture(scope="session")
def seqtool(warm: Warm) -> Command:
    """Run the real command, as `command_of` says."""
    return command_of(warm)


@pytest.fixture(scope="session")
def shell(warm: Warm) -> Command:
    """Run a shell pipeline in which `seqtool` is the real command; exit code that of the first part that fails."""
    seqtool = shlex.join([sys.executable, "-SE", str(ROOT / "tests" / "forked.py"), str(warm.listen())])

    def run(line: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        program = f'seqtool() {{ {seqtool} "$@"; }}; set -o pipefail; {line}'
        return subprocess.run(
            ["bash", "-c", program],
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=240,
        )

    return run


@pytest.fixture(scope="session")
def small_run(seqtool: Command, whole_prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LSTM by characters, trained for a moment by the real command."""
    path = tmp_path_factory.mktemp("runs") / "small"
    result = seqtool(
        "train", whole_prose_file, "-o", path, "--vocab-type", "char", "--hidden", 48, "--steps", 60, "--seed", 3, "-q"
    )
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.fixture(scope="session")
def translator(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.a, train.b, test.a, test.b and a run, `run`, that has learned most of it."""
    from tests.tasks.pairs.pairs import SMALL, parallel

    folder = tmp_path_factory.mktemp("translator")
    source, target = parallel(folder, "train", 800)
    parallel(folder, "test", 40, seed=1)
    valid = ",".join(map(str, parallel(folder, "valid", 40, seed=2)))
    steps = ("--steps", 350, "--vocab-type", "word", "--model", "gru")
    train = ("train", source, "--target", target, "--valid", valid, "-o", folder / "run", *steps, *SMALL)
    result = seqtool(*train)
    assert result.returncode == 0, result.stderr.decode()
    return folder


@pytest.fixture
def start(warm: Warm) -> Iterator[Start]:
    """Start the real command with pipes, or terminals, of its own; what still runs in the end is killed.

    `start("eval", run, "-", env={"TERM": "xterm"}, stderr="/dev/pts/3")`
    """
    running: list[Started] = []

    def begin(
        *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None, **terminals: str
    ) -> Started:
        running.append(Started(warm, arguments, cwd, env, terminals))
        return running[-1]

    yield begin
    for command in running:
        command.close()


@pytest.fixture
def trainer(tmp_path: Path, prose: str) -> Trainer:
    """Trains on some of the prose by characters, without the command."""
    from tests.training.trainer import Trainer

    return Trainer(prose[:5000], tmp_path)
