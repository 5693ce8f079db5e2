"""What the tests share: a text that is everywhere, the real command, and a small trained run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
Command = Callable[..., subprocess.CompletedProcess[bytes]]

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
def seqtool() -> Command:
    """Run the real command: `seqtool("eval", run, "-", stdin=b"text")`."""

    def run(
        *arguments: object, stdin: bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "seqtool", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            timeout=240,
        )

    return run


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
