"""`seqtool import`, by the real command."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_export import counts as counts
from tests.conftest import Command
from tests.exchange.test_arpa import SMALL

WORDS = SMALL.replace("\u00a0", "-")


@pytest.fixture
def arpa(seqtool: Command, counts: Path, tmp_path: Path) -> Path:
    file = tmp_path / "counts.arpa"
    assert seqtool("export", counts, "-o", file).returncode == 0
    return file


def test_what_was_exported_comes_back(seqtool: Command, counts: Path, arpa: Path, short_text: Path, tmp_path: Path):
    run = tmp_path / "run"
    result = seqtool("import", arpa, "-o", run, "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert json.loads(result.stdout)["vocabulary"] == "char"
    assert f"next: seqtool eval {run}" in result.stderr.decode()
    nats = [json.loads(seqtool("eval", path, short_text, "--json").stdout)["nats"] for path in (counts, run)]
    assert nats[1] == pytest.approx(nats[0], rel=1e-6)
    for flags in (["eval", run, "-", "--per", "line"], ["generate", run, "--max-tokens", 5], ["info", run]):
        assert seqtool(*flags, stdin=b"the end\n").returncode == 0
    assert json.loads(seqtool("info", run, "--json").stdout)["data"]["imported"] == str(arpa)
    assert "exists already" in error_of(seqtool("import", arpa, "-o", run), 2)
    assert seqtool("import", "-", "-o", run, "--force", stdin=arpa.read_bytes()).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"run", "counts.arpa"}
    resumed = seqtool("train", short_text, "-o", run, "--model", "ngram", "--resume")
    assert "was trained on other text" in error_of(resumed, 3)


def test_a_file_of_words_is_scored_by_the_line(seqtool: Command, tmp_path: Path):
    (tmp_path / "x.arpa").write_text(WORDS)
    assert seqtool("import", "x.arpa", "-o", "run", cwd=tmp_path).returncode == 0
    rows = seqtool("eval", "run", "-", "--per", "line", cwd=tmp_path, stdin=b"a-b\nx a-b\n").stdout.decode()
    assert [float(row.split("\t")[0]) / 2.302585 for row in rows.splitlines()] == pytest.approx(
        [0.5 + 0.75, 0.5 + 2 + 0.25 + 0.75], abs=1e-5
    )
    assert [row.split("\t")[1] for row in rows.splitlines()] == ["2", "3"]


def test_what_is_no_arpa_file_is_refused(seqtool: Command, counts: Path, arpa: Path, tmp_path: Path):
    other = tmp_path / "other"
    assert "does not exist" in error_of(seqtool("import", tmp_path / "none", "-o", other), 3)
    for run in (counts, counts / "model.safetensors"):
        assert "is a run of seqtool already" in error_of(seqtool("import", run, "-o", other), 3)
    assert "or is no ARPA file" in error_of(seqtool("import", counts / "vocab.model", "-o", other), 3)
    assert "lacks: give --vocab" in error_of(
        seqtool("import", "-", "-o", other, "--vocab", counts / "vocab.model", stdin=WORDS.encode()), 3
    )
    assert "is not a result of seqtool" in error_of(seqtool("import", arpa, "-o", arpa), 2)
    assert {path.name for path in tmp_path.iterdir()} == {"counts.arpa"}


def test_damaged_files_are_refused_or_read(seqtool: Command, tmp_path: Path):
    """Whatever bytes change, are lost or doubled: one sentence and nothing left behind, or a run that can be asked."""
    draw = random.Random(0)
    for _ in range(40):
        content = bytearray(WORDS.encode())
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 3)] = bytes(draw.choices(b"\\-019 \t\nax\xff\0=", k=draw.randint(0, 3)))
        result = seqtool("import", "-", "-o", tmp_path / "run", "--force", stdin=bytes(content))
        if result.returncode:
            error_of(result, 3)
            assert not [path for path in tmp_path.iterdir() if path.name != "run"]
        else:
            assert seqtool("eval", tmp_path / "run", "-", stdin=b"a-b\n").returncode == 0


@pytest.mark.parametrize(("line", "instead", "told"), [
    ("-0.25\ta-b\t-0.125", "-0.25\ta-b\t99", "the probabilities after 'a-b' sum to"),
    ("-0.25\ta-b\t-0.125", "-0.0\ta-b\t-0.125", "the probabilities of single words sum to 1.11, not 1"),
])  # fmt: skip
def test_what_is_no_model_of_probabilities_is_refused(
    seqtool: Command, tmp_path: Path, line: str, instead: str, told: str
):
    assert line in WORDS
    (tmp_path / "x.arpa").write_text(WORDS.replace(line, instead))
    assert told in error_of(seqtool("import", tmp_path / "x.arpa", "-o", tmp_path / "run"), 3)
    assert not (tmp_path / "run").exists()
