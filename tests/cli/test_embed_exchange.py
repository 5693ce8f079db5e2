"""Vectors that go to other programs and come back, out of runs and into new ones, by the real command."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqtool.embeddings.learning import CHECKPOINT_FORMAT
from seqtool.files.tensors import AS_GIVEN, write_tensors
from seqtool.runs import load_run
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, read_vectors, write_vectors
from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command
from tests.training.trainer import CPU

SHORT = ["--hidden", 24, "--batch-size", 8, "--steps", 4, "--vocab-type", "word", "-q"]


@pytest.fixture(scope="module")
def text(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text(prose[:8000])
    return path


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of a few words of the prose, of 20 numbers."""
    path = tmp_path_factory.mktemp("vectors") / "words.vectors"
    tokens = ["the", "a", "of", "is", "and", "Zanzibar"]
    rows = np.random.default_rng(1).standard_normal((6, 20)).astype(np.float32)
    write_vectors(path, Vectors(TokenTable.of(tokens), rows, {"method": "test", "vocabulary_type": "word"}))
    return path


@pytest.fixture(scope="module")
def frozen(seqtool: Command, text: Path, vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that started from the vectors and kept them."""
    path = tmp_path_factory.mktemp("runs") / "frozen"
    result = seqtool("train", text, "-o", path, "--embeddings", vectors, "--freeze", *SHORT)
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.mark.parametrize(("name", "format"), [("v.txt", "word2vec"), ("v.bin", "word2vec-binary"), ("v", "glove")])
def test_out_and_in_again(seqtool: Command, vectors: Path, tmp_path: Path, name: str, format: str):
    asked = ["--format", format] if name == "v" else []
    out = seqtool("embed", "export", vectors, "-o", tmp_path / name, *asked, "--json")
    assert json.loads(out.stdout) == {"files": [str(tmp_path / name)], "format": format, "tokens": 6, "dim": 20}
    back = seqtool("embed", "import", tmp_path / name, "-o", tmp_path / "back", "--json")
    assert json.loads(back.stdout)["format"] == format
    assert read_vectors(tmp_path / "back").matrix_VD.tobytes() == read_vectors(vectors).matrix_VD.tobytes()
    assert list(read_vectors(tmp_path / "back").tokens) == list(read_vectors(vectors).tokens)
    told = json.loads(seqtool("info", tmp_path / "back", "--json").stdout)
    assert (told["kind"], told["tokens"], told["dim"], told["method"]) == ("vectors", 6, 20, "imported")
    assert told["input_sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert "embed import" in told["made_by"]["command"]


def test_text_goes_through_pipes(seqtool: Command, vectors: Path, tmp_path: Path):
    piped = seqtool("embed", "export", vectors, "-o", "-", "--format", "glove", "--most", 2)
    assert [line.split()[0] for line in piped.stdout.splitlines()] == [b"the", b"a"]
    result = seqtool("embed", "import", "-", "-o", tmp_path / "v", stdin=piped.stdout + piped.stdout)
    assert result.returncode == 0
    assert b"2 rows of tokens that came before were left out" in result.stderr
    assert list(read_vectors(tmp_path / "v").tokens) == ["the", "a"]


def test_results_are_replaced_only_when_asked(seqtool: Command, vectors: Path, tmp_path: Path):
    export = ["embed", "export", vectors, "-o"]
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
    assert "input as well" in error_of(seqtool(*export, vectors, "--format", "glove", "--force"), 2)
    assert "exists" in error_of(seqtool("embed", "import", tmp_path / "v.npy.txt", "-o", vectors), 2)
    assert "v.npy" in error_of(seqtool("embed", "import", tmp_path / "v.npy", "-o", tmp_path / "w"), 3)
    assert not list(tmp_path.glob(".*"))


def test_an_export_replaces_only_what_it_names(seqtool: Command, vectors: Path, tmp_path: Path):
    (tmp_path / "v.txt").write_text("mine")
    result = seqtool("embed", "export", vectors, "-o", tmp_path / "v.npy", "--force", "--json")
    assert json.loads(result.stdout)["files"] == [str(tmp_path / "v.npy"), str(tmp_path / "v.npy.txt")]
    assert (tmp_path / "v.txt").read_text() == "mine"
    for path in (".", "", "/"):
        assert "names no file" in error_of(seqtool("embed", "export", vectors, "-o", path, "--format", "npy"), 2)


def test_a_run_is_not_written_into(seqtool: Command, frozen: Path, tmp_path: Path):
    before = {path: path.read_bytes() for path in frozen.iterdir() if path.is_file()}
    (tmp_path / "link").symlink_to(frozen)
    for output in (frozen / "model.safetensors", frozen / "new", tmp_path / "link" / "config.json"):
        assert "inside the run" in error_of(seqtool("embed", "from", frozen, "-o", output, "--force"), 2)
    assert "not a plain file" in error_of(seqtool("embed", "from", frozen, "-o", frozen, "--force"), 2)
    assert {path: path.read_bytes() for path in frozen.iterdir() if path.is_file()} == before


def test_vectors_do_not_come_from_standard_input(seqtool: Command, vectors: Path, tmp_path: Path):
    for command, output in (("export", "v.txt"), ("map", "v.html")):
        result = seqtool("embed", command, "-", "-o", tmp_path / output, stdin=vectors.read_bytes())
        assert "cannot come from standard input" in error_of(result, 2)


def test_what_to_do_next_can_be_pasted(seqtool: Command, vectors: Path, frozen: Path, tmp_path: Path):
    seqtool("embed", "export", vectors, "-o", tmp_path / "v.txt")
    for made in (
        seqtool("embed", "import", tmp_path / "v.txt", "-o", "a b.vectors", cwd=tmp_path),
        seqtool("embed", "from", frozen, "-o", "from a b.vectors", cwd=tmp_path),
    ):
        (line,) = [line for line in made.stderr.decode().splitlines() if line.startswith("next: ")]
        _, *words = shlex.split(line.removeprefix("next: "))
        assert seqtool(*("the" if word == "WORD" else word for word in words), cwd=tmp_path).returncode == 0


def test_where_no_place_is_for_a_result_nothing_is_read(seqtool: Command, frozen: Path):
    for command, what in (("import", "/nowhere"), ("map", "/nowhere"), ("export", "/nowhere"), ("from", frozen)):
        name = "v.html" if command == "map" else "v.txt"
        assert "no directory" in error_of(seqtool("embed", command, what, "-o", f"/no folder/{name}"), 2)


def test_info_tells_what_is_not_ours(seqtool: Command, vectors: Path, text: Path, tmp_path: Path):
    for format in ("word2vec", "word2vec-binary", "glove"):
        seqtool("embed", "export", vectors, "-o", tmp_path / format, "--format", format)
    (tmp_path / "empty").write_bytes(b"")
    assert "is empty" in error_of(seqtool("info", tmp_path / "empty"), 3)
    for path in (*(tmp_path / name for name in ("word2vec", "word2vec-binary", "glove")), text):
        message = error_of(seqtool("info", path), 3)
        assert "neither a vocabulary, vectors, a store nor a run" in message
        assert f"seqtool embed import {path}" in message
    (tmp_path / "cut.model").write_bytes(b"\n\x0e\n\x05<unk>")
    assert "cut short" in error_of(seqtool("info", tmp_path / "cut.model"), 3)


def test_info_of_a_checkpoint(seqtool: Command, tmp_path: Path):
    path = tmp_path / "v.checkpoint"
    write_tensors(path, {"input": np.zeros((2, 3), np.float32)}, {"format": CHECKPOINT_FORMAT}, AS_GIVEN)
    told = json.loads(seqtool("info", path, "--json").stdout)
    assert told == {"kind": "embedding checkpoint", "path": str(path), "bytes": path.stat().st_size}


def test_vectors_go_into_a_run_and_come_out_again(seqtool: Command, vectors: Path, frozen: Path, tmp_path: Path):
    taken = tmp_path / "taken"
    assert seqtool("embed", "from", frozen, "-o", taken).returncode == 0
    before, after = read_vectors(vectors), read_vectors(taken)
    for token in ("the", "a", "of", "is", "and"):
        assert np.array_equal(after.of(token), before.of(token))  # type: ignore[arg-type]
    assert after.of("Zanzibar") is None
    assert "embed import" not in after.metadata["made_by"]["command"]
    assert seqtool("embed", "from", frozen, "-o", tmp_path / "out", "--layer", "output").returncode == 0
    out = read_vectors(tmp_path / "out")
    assert np.array_equal(out.matrix_VD, load_run(frozen, CPU).model.head.weight.detach().numpy())
    assert "choose from input, output" in error_of(seqtool("embed", "from", frozen, "-o", "x", "--layer", "last"), 2)
    assert json.loads(seqtool("info", taken, "--json").stdout)["settings"]["layer"] == "input"


def test_a_run_says_what_it_started_from_and_goes_on_without_it(
    seqtool: Command, text: Path, vectors: Path, frozen: Path, tmp_path: Path
):
    record = json.loads(seqtool("info", frozen, "--json").stdout)["data"]["embeddings"]
    assert (record["name"], record["matched_symbols"]) == (str(vectors), 5)
    assert record["sha256"] == hashlib.sha256(vectors.read_bytes()).hexdigest()
    other = tmp_path / "other"
    write_vectors(other, Vectors(TokenTable.of(["the"]), np.ones((1, 20), np.float32), {}))
    go_on = ["train", text, "-o", frozen, "--resume", "--steps", 6, "-q"]
    assert "--embeddings names another" in error_of(seqtool(*go_on, "--embeddings", other), 2)
    assert "--freeze False" in error_of(seqtool(*go_on, "--no-freeze"), 2)
    assert seqtool(*go_on).returncode == 0
    assert seqtool(*go_on, "--embeddings", vectors, "--freeze").returncode == 0


def test_how_much_starts_from_vectors_is_said(seqtool: Command, text: Path, vectors: Path):
    plan = ["train", text, "--embeddings", vectors, "--vocab-type", "word", "--dry-run", "--json"]
    result = seqtool(*plan, "--freeze")
    assert b"5 of " in result.stderr
    assert b"symbols start from" in result.stderr
    told = json.loads(result.stdout)
    assert (told["embed"], told["freeze"], told["frozen_parameters"]) == (20, True, 20 * told["vocab_size"])
    learned = json.loads(seqtool(*plan).stdout)
    assert learned["parameters"] == told["parameters"]
    assert learned["weights_gradients_optimizer_bytes"] > told["weights_gradients_optimizer_bytes"]
    assert seqtool(*plan, "--model", "transformer", "--hidden", 20, "--heads", 2).returncode == 0


def test_vectors_say_the_type_of_vocabulary_where_nobody_does(seqtool: Command, text: Path, tmp_path: Path):
    def vocabulary_type(told: str, *flags: object) -> str:
        metadata = {"method": "imported", "vocabulary_type": told}
        write_vectors(tmp_path / "v", Vectors(TokenTable.of(["the", "t"]), np.ones((2, 20), np.float32), metadata))
        run = tmp_path / "run"
        steps = ["--hidden", 8, "--batch-size", 8, "--steps", 1, "-q", "--force"]
        result = seqtool("train", text, "-o", run, "--embeddings", tmp_path / "v", *steps, *flags)
        assert result.returncode == 0, result.stderr
        return str(json.loads(seqtool("info", run / "vocab.model", "--json").stdout)["type"])

    assert [vocabulary_type(told) for told in ("", "char", "foreign")] == ["word", "char", "bpe"]
    assert vocabulary_type("word", "--vocab-type", "char") == "char"
    (tmp_path / "settings.toml").write_text('vocab_type = "char"\n')
    assert vocabulary_type("word", "--config", tmp_path / "settings.toml") == "char"


def test_vectors_that_are_not_finite_are_refused(seqtool: Command, text: Path, tmp_path: Path):
    for bad in (np.nan, np.inf, 1e30):
        rows = np.array([[1, 2], [3, bad]], np.float32)
        write_vectors(tmp_path / "v", Vectors(TokenTable.of(["the", "a"]), rows, {}))
        result = seqtool("train", text, "-o", tmp_path / "run", "--embeddings", tmp_path / "v", *SHORT)
        assert f"--embeddings {tmp_path / 'v'}: " in error_of(result, 3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("flags", "code", "message"), [
    (["--embed", 32], 2, "has vectors of 20 numbers, where --embed is 32: give --embed 20"),
    (["--model", "transformer"], 2, "give --hidden 20"),
    (["--input", "one-hot"], 2, "--input one-hot"),
    (["--embeddings", "/nowhere"], 3, "/nowhere does not exist"),
    (["--vocab-type", "byte"], 3, "none of its tokens"),
])  # fmt: skip
def test_vectors_that_do_not_fit_are_refused(
    seqtool: Command, text: Path, vectors: Path, tmp_path: Path, flags: list[object], code: int, message: str
):
    if message == "none of its tokens":
        vectors = tmp_path / "v"
        write_vectors(vectors, Vectors(TokenTable.of(["xyz"]), np.ones((1, 20), np.float32), {}))
    run = tmp_path / "run"
    result = seqtool("train", text, "-o", run, "--vocab-type", "word", "--embeddings", vectors, *flags)
    assert message in error_of(result, code)
    assert not run.exists()


def test_freeze_needs_vectors(seqtool: Command, text: Path):
    assert "--embeddings" in error_of(seqtool("train", text, "--freeze"), 2)


def test_exchange_does_not_load_torch(vectors: Path, tmp_path: Path):
    code = (
        "import sys; from seqtool.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "assert not {'torch', 'sentencepiece'} & set(sys.modules)"
    )
    for arguments in (
        ["export", vectors, "-o", tmp_path / "v.txt"],
        ["import", tmp_path / "v.txt", "-o", tmp_path / "v"],
    ):
        command = [sys.executable, "-c", code, "embed", *map(str, arguments)]
        assert subprocess.run(command, cwd=ROOT, stdout=-3).returncode == 0
