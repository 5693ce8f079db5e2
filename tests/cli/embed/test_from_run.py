"""`seqtool embed from`, by the real command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np

from seqtool.runs.loading import load_run
from seqtool.vectors.vectors import read_vectors
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.training.trainer import CPU


def test_a_run_is_not_written_into(seqtool: Command, frozen_run: Path, tmp_path: Path):
    before = {path: path.read_bytes() for path in frozen_run.iterdir() if path.is_file()}
    (tmp_path / "link").symlink_to(frozen_run)
    for output in (frozen_run / "model.safetensors", frozen_run / "new", tmp_path / "link" / "config.json"):
        assert "inside the run" in error_of(seqtool("embed", "from", frozen_run, "-o", output, "--force"), 2)
    assert "not a plain file" in error_of(seqtool("embed", "from", frozen_run, "-o", frozen_run, "--force"), 2)
    assert {path: path.read_bytes() for path in frozen_run.iterdir() if path.is_file()} == before


def test_what_to_do_next_can_be_pasted(seqtool: Command, word_vectors: Path, frozen_run: Path, tmp_path: Path):
    seqtool("embed", "export", word_vectors, "-o", tmp_path / "v.txt")
    for made in (
        seqtool("embed", "import", tmp_path / "v.txt", "-o", "a b.vectors", cwd=tmp_path),
        seqtool("embed", "from", frozen_run, "-o", "from a b.vectors", cwd=tmp_path),
    ):
        (line,) = [line for line in made.stderr.decode().splitlines() if line.startswith("next: ")]
        _, *words = shlex.split(line.removeprefix("next: "))
        assert seqtool(*("the" if word == "WORD" else word for word in words), cwd=tmp_path).returncode == 0


def test_vectors_go_into_a_run_and_come_out_again(
    seqtool: Command, word_vectors: Path, frozen_run: Path, tmp_path: Path
):
    taken = tmp_path / "taken"
    assert seqtool("embed", "from", frozen_run, "-o", taken).returncode == 0
    before, after = read_vectors(word_vectors), read_vectors(taken)
    for token in ("the", "a", "of", "is", "and"):
        assert np.array_equal(after.of(token), before.of(token))  # type: ignore[arg-type]
    assert after.of("Zanzibar") is None
    assert "embed import" not in after.metadata["made_by"]["command"]
    assert seqtool("embed", "from", frozen_run, "-o", tmp_path / "out", "--layer", "output").returncode == 0
    out = read_vectors(tmp_path / "out")
    assert np.array_equal(out.matrix_VD, load_run(frozen_run, CPU).model.head.weight.detach().numpy())
    assert "choose from input, output" in error_of(
        seqtool("embed", "from", frozen_run, "-o", "x", "--layer", "last"), 2
    )
    assert json.loads(seqtool("info", taken, "--json").stdout)["settings"]["layer"] == "input"
