"""Asking vectors through the real command: nearest, analogy, similarity, evaluate."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command, Start

TOKENS = ["man", "king", "woman", "queen", "a\tb\x1b", "naïve"]
MATRIX = [[1, 0, 0], [1, 0, 2], [0, 1, 0], [0, 1, 1.3], [-1, -1, -1], [0, 0, 1]]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "some.vec"
    write_vectors(path, Vectors(TokenTable.of(TOKENS), np.array(MATRIX, np.float32), {"vocabulary_type": "word"}))
    return path


def cos(a: str, b: str) -> float:
    x, y = (np.array(MATRIX[TOKENS.index(word)]) for word in (a, b))
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def test_nearest_prints_rows_and_json(seqtool: Command, vectors: Path):
    others = sorted(set(TOKENS) - {"king"}, key=lambda word: -cos("king", word))
    rows = "".join(f"king\t{word}\t{cos('king', word):.6f}\n".replace("a\tb", "a\\tb") for word in others)
    result = seqtool("embed", "nearest", vectors, "king")
    assert (result.stdout.decode(), result.stderr, result.returncode) == (rows, b"", 0)
    lines = seqtool("embed", "nearest", vectors, "king", "man queen", "-n", 2, "--json").stdout.decode().splitlines()
    one, two = map(json.loads, lines)
    assert one["query"] == "king"
    assert [near["token"] for near in one["neighbours"]] == others[:2]
    assert one["neighbours"][0]["cosine"] == pytest.approx(cos("king", others[0]), abs=1e-7)
    assert two["query"] == "man queen"
    assert {near["token"] for near in two["neighbours"]} <= {"king", "woman", "naïve"}


def test_analogy_and_similarity(seqtool: Command, vectors: Path):
    first = seqtool("embed", "analogy", vectors, "man", "king", "woman", "-n", 1)
    assert first.stdout.decode().split("\t")[:4] == ["man", "king", "woman", "queen"]
    record = json.loads(seqtool("embed", "analogy", vectors, "man", "king", "woman", "--json").stdout)
    assert (record["a"], record["b"], record["c"], record["answers"][0]["answer"]) == ("man", "king", "woman", "queen")
    assert f"{record['answers'][0]['score']:.6f}\n" == first.stdout.decode().split("\t")[4]
    result = seqtool("embed", "similarity", vectors, "king", "queen")
    assert result.stdout.decode() == f"king\tqueen\t{cos('king', 'queen'):.6f}\n"
    record = json.loads(seqtool("embed", "similarity", vectors, "king", "queen", "--json").stdout)
    assert record == {"a": "king", "b": "queen", "cosine": pytest.approx(cos("king", "queen"), abs=1e-7)}


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
    (["evaluate", "V", "-", "--top", "2"], b"king,queen,9\n", 2, "--top is for analogies"),
    (["export", "V", "-o", "-", "--format", "glove", "--json"], b"", 2, "--json: standard output has the vectors"),
    (["nearest", "V", "-"], b"", 3, "standard input is empty"),
    (["nearest", "V", "-"], b"\xff\n", 3, "at offset 0 is not valid UTF-8"),
    (["nearest", "V", "-"], b"x" * 70_000, 3, "line 1 of standard input is longer than 65,536"),
    (["nearest", "missing.vec", "king"], b"", 3, "does not exist"),
    (["nearest", "-", "king"], b"", 2, "are read by memory map and cannot come from standard input"),
    (["evaluate", "-", "missing.txt"], b"", 2, "are read by memory map and cannot come from standard input"),
    (["evaluate", "V", "-", "--errors", "x"], b"", 2, "choose from strict, replace"),
    (["evaluate", "V", "-"], b"king,\xff,3\n", 3, "--errors replace"),
    (["evaluate", "V", "missing.txt"], b"", 3, "does not exist"),
    (["evaluate", "V", "-"], b"a b c d\na b c\n", 3, "standard input line 2"),
])  # fmt: skip
def test_refusals(seqtool: Command, vectors: Path, arguments: list[str], stdin: bytes, code: int, message: str):
    words = [str(vectors) if word == "V" else word for word in arguments]
    assert message in error_of(seqtool("embed", *words, stdin=stdin), code)


def test_evaluate_reports_each_file(seqtool: Command, vectors: Path, tmp_path: Path):
    (tmp_path / "pairs.csv").write_text(
        "Word 1,Word 2,Human (mean)\nKing,queen,9\nking,man,5\nking,woman,1\nking,duke,7\n"
    )
    (tmp_path / "questions").write_text(
        ": royals\nman king woman queen\n: others\nman king woman naïve\nman x woman y\n"
    )
    result = seqtool("embed", "evaluate", vectors, "pairs.csv", "questions", "--json", cwd=tmp_path)
    pairs, questions = map(json.loads, result.stdout.splitlines())
    assert pairs == {
        "file": "pairs.csv", "kind": "similarity", "pairs": 4, "covered": 3, "coverage": 0.75, "spearman": pytest.approx(1.0)
    }  # fmt: skip
    assert (questions["questions"], questions["covered"], questions["correct"]) == (3, 2, 1)
    assert [section["correct"] for section in questions["sections"]] == [1, 0]
    shown = seqtool("embed", "evaluate", vectors, "pairs.csv", "questions", cwd=tmp_path).stdout.decode()
    assert "spearman  1.0000\n" in shown
    assert "\nroyals           1          1          1     1.0000\n" in shown
    few = seqtool("embed", "evaluate", vectors, "questions", "--top", 3, "--json", cwd=tmp_path)
    assert json.loads(few.stdout)["covered"] == 0


@pytest.mark.parametrize(("content", "options", "message"), [
    ("love-n,hate-n,3\nlove-n,\xe9,4\n", [], "none of standard input's words has a vector, such as love-n, hate-n, \ufffd: "
     "are they lower-cased, or of another form?\n"),
    ("king,duke,3\nlord,queen,4\n", [], "nothing of standard input is covered: too many words have no vector, such as duke, lord: are "),
    ("man king woman queen\n", ["--top", 2], "no question of standard input is among the 2 most frequent tokens: raise --top\n"),
])  # fmt: skip
def test_what_is_not_covered_at_all_is_told(
    seqtool: Command, vectors: Path, content: str, options: list[object], message: str
):
    stdin = content.encode("latin-1")
    result = seqtool("embed", "evaluate", vectors, "-", "--errors", "replace", "--json", *options, stdin=stdin)
    assert json.loads(result.stdout)["covered"] == 0
    assert result.stderr.decode().startswith(message)
    assert result.returncode == 0


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
