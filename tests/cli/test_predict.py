"""`seqtool predict`: a row out for each row in, in order, as they come."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command
from tests.tasks.tables import done, texts


@pytest.fixture(scope="module")
def run(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    done(seqtool, "train", texts(folder / "train.tsv"), "--target", "label", "-o", folder / "run", "--steps", 60, "-q")
    return folder / "run"


def test_lines_of_text_and_tables_are_answered_alike(seqtool: Command, run: Path, tmp_path: Path):
    lines = ["fine song", "grim film", "so dull", "", "kind and warm"]
    (table := tmp_path / "t.tsv").write_text("id\ttext\n" + "".join(f"{n}\t{line}\n" for n, line in enumerate(lines)))
    plain = done(seqtool, "predict", run, "-", stdin="\n".join(lines).encode())
    assert plain == done(seqtool, "predict", run, table)
    assert plain.count(b"\n") == len(lines)
    crlf = done(seqtool, "predict", run, "-", stdin="\r\n".join(lines).encode() + b"\r\n")
    assert crlf == plain


def test_the_likeliest_are_told_with_their_probabilities(seqtool: Command, run: Path):
    (row,) = done(seqtool, "predict", run, "-", "-k", 5, stdin=b"fine").decode().splitlines()
    label, p, other, q = row.split("\t")
    assert {label, other} == {"pos", "neg"}
    assert float(p) + float(q) == pytest.approx(1, abs=2e-6)
    (told,) = done(seqtool, "predict", run, "-", "-k", 5, "--json", stdin=b"fine").splitlines()
    assert json.loads(told)["labels"] == [label, other]


def test_an_answer_does_not_wait_for_the_next_question(run: Path):
    words = [sys.executable, "-m", "seqtool", "predict", run, "-"]
    with subprocess.Popen(words, stdin=-1, stdout=-1, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"fine song\n", b"grim\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().split(b"\t")[0] in (b"pos", b"neg")
        process.stdin.close()
        assert process.stdout.read() == b""


def test_a_reader_that_goes_away_ends_it_silently(shell: Command, run: Path):
    result = shell(f"yes 'fine song' | seqtool predict {run} - | head -1; echo ${{PIPESTATUS[1]}}")
    assert result.stdout.splitlines()[-1] == b"141"
    assert result.stderr == b""


@pytest.mark.parametrize("rows", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_rows_are_answered_in_order_and_flat_memory(run: Path, rows: int):
    """The peak is that of few rows: in kB, as Linux counts it."""
    peaks = []
    for count in (1_000, rows):
        program = f"print('\\n'.join(('fine' if n % 3 else 'grim') + ' song ' + str(n) for n in range({count})))"
        code = (
            "import resource, sys\n"
            f"sys.argv = ['seqtool', 'predict', {str(run)!r}, '-', '-q']\n"
            "from seqtool.cli.main import main\n"
            "try: main()\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=-1) as lines:
            told = subprocess.run([sys.executable, "-c", code], stdin=lines.stdout, capture_output=True, cwd=ROOT)
        assert [row.split(b"\t")[0] for row in told.stdout.splitlines()] == [
            b"pos" if n % 3 else b"neg" for n in range(count)
        ]
        peaks.append(int(told.stderr.split()[-1]))
    assert peaks[1] < peaks[0] + 60_000, peaks


def test_a_language_model_is_no_run_to_ask(seqtool: Command, small_run: Path):
    result = seqtool("predict", small_run, "-", stdin=b"a")
    assert result.returncode == 3
    assert b"is a language model: score text with seqtool eval" in result.stderr
    assert seqtool("predict", small_run, "-", "-k", -1).returncode == 2
