"""`seqtool embed export`, by the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command


def test_results_are_replaced_only_when_asked(seqtool: Command, word_vectors: Path, tmp_path: Path):
    export = ["embed", "export", word_vectors, "-o"]
    for path, *more in ([tmp_path / "v.npy"], [tmp_path / "p", "--format", "projector"]):
        assert seqtool(*export, path, *more).returncode == 0
        assert "exists already" in error_of(seqtool(*export, path, *more), 2) or more
        assert seqtool(*export, path, *more).returncode == 2
        assert seqtool(*export, path, *more, "--force").returncode == 0
    (tmp_path / "p" / "mine").write_text("")
    error_of(seqtool(*export, tmp_path / "p", "--format", "projector", "--force"), 2)
    assert (tmp_path / "p" / "mine").exists()
    assert "--format" in error_of(seqtool(*export, tmp_path / "v.dat"), 2)
    assert "standard output" in error_of(seqtool(*export, "-", "--format", "npy"), 2)
    assert "--json: standard output has the vectors" in error_of(
        seqtool(*export, "-", "--format", "glove", "--json"), 2
    )
    assert "input as well" in error_of(seqtool(*export, word_vectors, "--format", "glove", "--force"), 2)
    assert "exists" in error_of(seqtool("embed", "import", tmp_path / "v.npy.txt", "-o", word_vectors), 2)
    assert "v.npy" in error_of(seqtool("embed", "import", tmp_path / "v.npy", "-o", tmp_path / "w"), 3)
    assert not list(tmp_path.glob(".*"))


def test_an_export_replaces_only_what_it_names(seqtool: Command, word_vectors: Path, tmp_path: Path):
    (tmp_path / "v.txt").write_text("mine")
    result = seqtool("embed", "export", word_vectors, "-o", tmp_path / "v.npy", "--force", "--json")
    assert json.loads(result.stdout)["files"] == [str(tmp_path / "v.npy"), str(tmp_path / "v.npy.txt")]
    assert (tmp_path / "v.txt").read_text() == "mine"
    for path in (".", "", "/"):
        assert "names no file" in error_of(seqtool("embed", "export", word_vectors, "-o", path, "--format", "npy"), 2)


def test_vectors_do_not_come_from_standard_input(seqtool: Command, word_vectors: Path, tmp_path: Path):
    for command, output in (("export", "v.txt"), ("map", "v.html")):
        result = seqtool("embed", command, "-", "-o", tmp_path / output, stdin=word_vectors.read_bytes())
        assert "cannot come from standard input" in error_of(result, 2)


def test_where_no_place_is_for_a_result_nothing_is_read(seqtool: Command, frozen_run: Path):
    for command, what in (("import", "/nowhere"), ("map", "/nowhere"), ("export", "/nowhere"), ("from", frozen_run)):
        name = "v.html" if command == "map" else "v.txt"
        assert "no directory" in error_of(seqtool("embed", command, what, "-o", f"/no folder/{name}"), 2)


def test_exchange_does_not_load_torch(word_vectors: Path, tmp_path: Path):
    code = (
        "import sys; from seqtool.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "assert not {'torch', 'sentencepiece'} & set(sys.modules)"
    )
    for arguments in (
        ["export", word_vectors, "-o", tmp_path / "v.txt"],
        ["import", tmp_path / "v.txt", "-o", tmp_path / "v"],
    ):
        command = [sys.executable, "-c", code, "embed", *map(str, arguments)]
        assert subprocess.run(command, cwd=ROOT, stdout=-3).returncode == 0
