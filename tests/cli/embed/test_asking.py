"""How nearest, analogy and similarity read questions, by the real command: from arguments, a pipe or a person."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command, Start


def test_lines_of_a_pipe_are_answered_in_order(seqtool: Command, vectors: Path):
    text = "\ufeffking\r\n\r\n  \nnaïve\r\nman  queen".encode()
    result = seqtool("embed", "nearest", vectors, "-", "-n", 1, stdin=text)
    assert result.returncode == 0
    assert [row.split("\t")[0] for row in result.stdout.decode().splitlines()] == ["king", "naïve", "man  queen"]
    result = seqtool("embed", "similarity", vectors, "-", stdin=b"king queen\nman queen\twoman\r\n")
    assert [row.split("\t")[:2] for row in result.stdout.decode().splitlines()] == [
        ["king", "queen"],
        ["man queen", "woman"],
    ]
    many = seqtool("embed", "nearest", vectors, "-", "-n", 1, stdin=b"king\nqueen\n" * 1000)
    assert [row.split("\t")[0] for row in many.stdout.decode().splitlines()] == ["king", "queen"] * 1000


def test_what_a_pipe_cannot_answer_is_told_and_counted(seqtool: Command, vectors: Path):
    result = seqtool(
        "embed", "analogy", vectors, "-", "-n", 1, stdin=b"man king woman\n\nman king\nman kong woman\n\x00 man king\n"
    )
    assert result.stdout.decode().startswith("man\tking\twoman\tqueen\t")
    notes = result.stderr.decode().splitlines()
    assert [note.split(":")[0] for note in notes] == ["line 3", "line 4", "line 5", "seqtool"]
    assert "'kong'" in notes[1]
    assert "'\\x00'" in notes[2]
    assert notes[3].startswith("seqtool: error: 3 of 4 lines could not be answered")
    assert "check the spelling" in notes[3]
    assert "--subword" in notes[3]
    assert result.returncode == 3


def test_of_several_words_those_known_are_answered(seqtool: Command, vectors: Path):
    result = seqtool("embed", "nearest", vectors, "king", "quen", "zzzzz", "woman", "-n", 1)
    assert [row.split("\t")[0] for row in result.stdout.decode().splitlines()] == ["king", "woman"]
    notes = result.stderr.decode().splitlines()
    assert "'quen': near in spelling is queen" in notes[0]
    assert "'zzzzz': check the spelling" in notes[1]
    assert notes[2].startswith("seqtool: error: 2 of 4 words could not be answered: they are named above; check the")
    assert (len(notes), result.returncode) == (3, 3)


def test_a_person_is_prompted_and_told(seqtool: Command, vectors: Path):
    result = seqtool("embed", "nearest", vectors, "-i", "-n", 1, stdin=b"king\nquen\nking\x1fqueen\n\x1b[2Jman")
    assert result.returncode == 0
    assert [row.split("\t")[0] for row in result.stdout.decode().splitlines()] == ["king", "king\\x1fqueen"]
    talk = result.stderr.decode()
    assert talk.startswith("Each line asks: WORD. Ctrl-D leaves.\n> ")
    assert talk.count("Ctrl-D") == 1
    assert "\x1b" not in talk
    assert "has no vector for 'quen': near in spelling is queen" in talk
    assert seqtool("embed", "similarity", vectors, "--interactive").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_lines_typed_at_a_terminal_can_be_edited(vectors: Path):
    pytest.importorskip("readline")
    person, terminal = os.openpty()
    command = [sys.executable, "-m", "seqtool", "embed", "nearest", str(vectors), "-i", "-n", "1"]
    environment = {**os.environ, "TERM": "xterm", "INPUTRC": os.devnull}
    process = subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, cwd=ROOT, env=environment
    )
    os.close(terminal)
    talk = b""
    for keys, prompts in [(b"", 1), (b"\x02ing\x01k\n", 2), (b"\x1b[A\n", 3), ("naïve\n".encode(), 4), (b"\x04", 4)]:
        os.write(person, keys)
        while talk.count(b"> ") < prompts:
            ready, _, _ = select.select([person], [], [], 20)
            talk += os.read(person, 1 << 10) if ready else pytest.fail(f"no prompt after {talk!r}")
    answers, _ = process.communicate(timeout=60)
    os.close(person)
    assert [row.split("\t")[0] for row in answers.decode().splitlines()] == ["king", "king", "naïve"]
    assert answers.startswith(b"king\t")
    assert b"Ctrl-D" in talk
    assert process.returncode == 0


def test_answers_come_before_the_pipe_ends(start: Start, vectors: Path):
    process = start("embed", "nearest", vectors, "-", "-n", 1)
    for word in (b"king", b"queen"):
        process.stdin.write(word + b"\n")
        assert process.stdout.readline().startswith(word + b"\t")
    process.stdin.close()
    assert process.wait() == 0


def test_a_reader_that_leaves_ends_it_silently(shell: Command, vectors: Path):
    result = shell(f"yes king | seqtool embed nearest '{vectors}' - | head -1")
    assert (result.returncode, result.stderr) == (141, b"")
    assert result.stdout.startswith(b"king\t")


@pytest.mark.parametrize(("arguments", "stdin", "code", "message"), [
    (["nearest", "V", "quen"], b"", 3, "has no vector for 'quen': near in spelling is queen"),
    (["nearest", "V", "zzzzz"], b"", 3, "check the spelling, or train with --subword"),
    (["nearest", "V", "\x1b[31m"], b"", 3, "'\\x1b[31m'"),
    (["similarity", "V", "king", "old kong"], b"", 3, "no vector for 'old'"),
    (["nearest", "V", " "], b"", 3, "no vector for ' '"),
    (["nearest", "V", ""], b"", 2, "an empty word"),
    (["nearest", "V"], b"", 2, "or - to read them"),
    (["similarity", "V", "king"], b"", 2, "name A B, or -"),
    (["analogy", "V", "king", "man"], b"", 2, "name A B C"),
    (["nearest", "V", "king", "-i"], b"", 2, "--interactive asks for the words"),
    (["nearest", "V", "king", "-n", "0"], b"", 2, "--count"),
    (["nearest", "V", "-", "--errors", "x"], b"", 2, "choose from strict, replace"),
    (["nearest", "V", "king", "--errors", "replace"], b"", 2, "--errors is for words read from standard input"),
    (["nearest", "V", "-"], b"", 3, "standard input is empty"),
    (["nearest", "V", "-"], b"\xff\n", 3, "at offset 0 is not valid UTF-8"),
    (["nearest", "V", "-"], b"x" * 70_000, 3, "line 1 of standard input is longer than 65,536"),
    (["nearest", "missing.vec", "king"], b"", 3, "does not exist"),
    (["nearest", "-", "king"], b"", 2, "are read by memory map and cannot come from standard input"),
])  # fmt: skip
def test_refusals(seqtool: Command, vectors: Path, arguments: list[str], stdin: bytes, code: int, message: str):
    words = [str(vectors) if word == "V" else word for word in arguments]
    assert message in error_of(seqtool("embed", *words, stdin=stdin), code)


def test_asking_loads_no_torch(vectors: Path):
    code = (
        f"import sys; sys.argv = ['seqtool', 'embed', 'nearest', {str(vectors)!r}, 'king']\n"
        "from seqtool.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "print([name for name in ('torch', 'sentencepiece', 'safetensors', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert result.stdout.decode().splitlines()[-1] == "[]", result.stderr.decode()
