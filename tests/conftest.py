"""What the tests share: a text that is everywhere, the real command, and a small trained run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.training.trainer import Trainer

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models here are so small that a second thread only waits

ROOT = Path(__file__).parent.parent
Command = Callable[..., subprocess.CompletedProcess[bytes]]
Start = Callable[..., subprocess.Popen[bytes]]

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
def prose_file(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That prose in a file."""
    path = tmp_path_factory.mktemp("prose") / "prose.txt"
    path.write_bytes(prose.encode())
    return path


@pytest.fixture(scope="session")
def seqtool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Run the real command in a process of its own: `seqtool("eval", run, "-", stdin=b"text")`.

    `kill=(9, [("run/config.json", 0.1), ...])` sends signal 9 a tenth of a second after a file of that name is there;
    with `memory`, where Linux can say so, no more bytes than that are given to it.
    """
    folder = tmp_path_factory.mktemp("streams")
    streams = [str(folder / name) for name in ("in", "out", "err")]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "GOMP_SPINCOUNT": "1000"}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm"], stdin=-1, stdout=-1, cwd=ROOT, env=environment, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def run(
        *arguments: object,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        kill: tuple[int, list[tuple[str, float]]] | None = None,
        memory: int = 0,
    ) -> subprocess.CompletedProcess[bytes]:
        for name, content in zip(streams, (stdin, b"", b""), strict=True):
            Path(name).write_bytes(content)
        words = [str(argument) for argument in arguments]
        request = {
            "arguments": words,
            "cwd": str(cwd or ROOT),
            "env": env or {},
            "streams": streams,
            "kill": kill,
            "memory": memory if sys.platform == "linux" else 0,
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(Path(name).read_bytes() for name in streams[1:]))

    yield run
    server.stdin.close()
    server.wait()


@pytest.fixture(scope="session")
def shell() -> Command:
    """Run a shell pipeline in which `seqtool` is the real command; exit code that of the first part that fails."""

    def run(line: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        program = f'seqtool() {{ "{sys.executable}" -m seqtool "$@"; }}; set -o pipefail; {line}'
        return subprocess.run(
            ["bash", "-c", program],
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=240,
        )

    return run


@pytest.fixture(scope="session")
def small_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LSTM by characters, trained for a moment by the real command."""
    path = tmp_path_factory.mktemp("runs") / "small"
    result = seqtool(
        "train", prose_file, "-o", path, "--vocab-type", "char", "--hidden", 48, "--steps", 60, "--seed", 3, "-q"
    )
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the real command with pipes of its own; what still runs in the end is killed."""
    running = []

    def begin(*arguments: object) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "seqtool", *map(str, arguments)]
        running.append(
            subprocess.Popen(
                words, stdin=-1, stdout=-1, stderr=-1, env={**os.environ, "PYTHONPATH": str(ROOT)}, bufsize=0
            )
        )
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@pytest.fixture
def trainer(tmp_path: Path, prose: str) -> Trainer:
    """Trains on some of the prose by characters, without the command."""
    from tests.training.trainer import Trainer

    return Trainer(prose[:5000], tmp_path)
