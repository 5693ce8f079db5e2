"""`seqtool predict`: a row out for each row in, in order, as they come."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import Command, Start
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


def test_a_table_is_read_by_its_columns_however_it_is_delimited_or_packed(seqtool: Command, run: Path, tmp_path: Path):
    rows = [("fine song", "a"), ("grim, film", "b")]
    expected = done(seqtool, "predict", run, "-", stdin="".join(f"{text}\n" for text, _ in rows).encode())
    (table := tmp_path / "t.csv").write_text("id,text\n" + "".join(f'{id},"{text}"\n' for text, id in rows))
    assert done(seqtool, "predict", run, table) == expected
    (packed := tmp_path / "t.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    assert done(seqtool, "predict", run, packed) == expected
    (other := tmp_path / "other.csv").write_text("id,review\n1,fine song\n")
    refused = seqtool("predict", run, other)
    assert (refused.returncode, refused.stdout) == (3, b"")
    assert b"does not begin with the names of its columns" in refused.stderr


def test_the_likeliest_are_told_with_their_probabilities(seqtool: Command, run: Path):
    (row,) = done(seqtool, "predict", run, "-", "-k", 5, stdin=b"fine").decode().splitlines()
    label, p, other, q = row.split("\t")
    assert {label, other} == {"pos", "neg"}
    assert float(p) + float(q) == pytest.approx(1, abs=2e-6)
    (told,) = done(seqtool, "predict", run, "-", "-k", 5, "--json", stdin=b"fine").splitlines()
    assert json.loads(told)["labels"] == [label, other]


def test_an_answer_does_not_wait_for_the_next_question(start: Start, run: Path):
    process = start("predict", run, "-")
    for line in (b"fine song\n", b"grim\n"):
        process.stdin.write(line)
        assert process.stdout.readline().split(b"\t")[0] in (b"pos", b"neg")
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait() == 0


def test_a_reader_that_goes_away_ends_it_silently(shell: Command, run: Path):
    result = shell(f"yes 'fine song' | seqtool predict {run} - | head -1; echo ${{PIPESTATUS[1]}}")
    assert result.stdout.splitlines()[-1] == b"141"
    assert result.stderr == b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says there how much memory a process had")
@pytest.mark.parametrize("rows", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_rows_are_answered_in_order_and_flat_memory(start: Start, run: Path, rows: int):
    """The peak is that of few rows, in kB, asked while the command waits for more."""
    peaks = []
    for count in (1_000, rows):
        process = start("predict", run, "-", "-q")
        asked = "".join(f"{'fine' if n % 3 else 'grim'} song {n}\n" for n in range(count)).encode()
        (asking := Thread(target=process.stdin.write, args=[asked])).start()
        told = [process.stdout.readline().split(b"\t")[0] for _ in range(count)]
        asking.join()
        assert told == [b"pos" if n % 3 else b"neg" for n in range(count)]
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]))
        process.stdin.close()
        assert process.wait() == 0
    assert peaks[1] < peaks[0] + 60_000, peaks


def test_a_language_model_is_no_run_to_ask(seqtool: Command, small_run: Path):
    result = seqtool("predict", small_run, "-", stdin=b"a")
    assert result.returncode == 3
    assert b"is a language model: score text with seqtool eval" in result.stderr
    assert seqtool("predict", small_run, "-", "-k", -1).returncode == 2
