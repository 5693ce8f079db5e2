"""`seqtool export`, by the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.exchange.untrained import LLAMA, untrained_run, vocabulary_of


@pytest.fixture(scope="session")
def counts(seqtool: Command, short_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counts") / "run"
    trained = seqtool("train", short_text, "--model", "ngram", "--vocab-type", "char", "--order", 3, "-o", path, "-q")
    assert trained.returncode == 0, trained.stderr.decode()
    return path


def test_a_run_is_written_to_a_file_or_to_stdout(seqtool: Command, counts: Path, tmp_path: Path):
    file = tmp_path / "counts.arpa"
    result = seqtool("export", counts, "-o", file, "--json")
    assert result.returncode == 0, result.stderr.decode()
    told = json.loads(result.stdout)
    assert (told["file"], told["format"], told["order"]) == (str(file), "arpa", 3)
    content = file.read_bytes()
    assert f"ngram 3={told['ngrams'][2]}\n".encode() in content
    assert seqtool("export", counts, "-o", "-", "--to", "arpa").stdout == content
    assert "exists already" in error_of(seqtool("export", counts, "-o", file), 2)
    assert seqtool("export", counts, "-o", file, "--force").returncode == 0
    assert list(tmp_path.iterdir()) == [file]
    assert f"make a run of it with seqtool import {file} -o RUN" in error_of(seqtool("info", file), 3)


@pytest.mark.parametrize(("flags", "told", "code"), [
    (["-o", "x.bin"], "its name does not tell a format; give --to arpa|huggingface|gguf|onnx", 2),
    (["-o", "-"], "its name does not tell a format", 2),
    (["-o", "x.arpa", "--to", "arap"], "did you mean arpa", 2),
    (["-o", "-", "--to", "arpa", "--json"], "--json: standard output has the model", 2),
    (["-o", "nowhere/x.arpa"], "there is no directory", 2),
])  # fmt: skip
def test_what_cannot_be_is_refused(
    seqtool: Command, counts: Path, tmp_path: Path, flags: list[str], told: str, code: int
):
    assert told in error_of(seqtool("export", counts, *flags, cwd=tmp_path), code)
    assert list(tmp_path.iterdir()) == []


def test_a_net_is_no_arpa(seqtool: Command, small_run: Path, tmp_path: Path):
    assert "counts no n-grams" in error_of(seqtool("export", small_run, "-o", tmp_path / "x.arpa"), 3)
    (tmp_path / "none").mkdir()
    assert "is not a run directory" in error_of(seqtool("export", tmp_path / "none", "-o", tmp_path / "x.arpa"), 3)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "new.arpa"])
def test_the_run_that_is_exported_is_never_written_in(seqtool: Command, counts: Path, name: str):
    before = {path: path.read_bytes() for path in counts.iterdir() if path.is_file()}
    told = error_of(seqtool("export", counts, "-o", counts / name, "--to", "arpa", "--force"), 2)
    assert "which is an input: name another result with -o" in told
    assert {path: path.read_bytes() for path in counts.iterdir() if path.is_file()} == before


@pytest.fixture(scope="session")
def llama_run(short_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained run of Llama's layout."""
    path = tmp_path_factory.mktemp("llama") / "run"
    untrained_run(path, vocabulary_of(short_text, "char"), **LLAMA)
    return path


def test_a_run_is_written_as_a_directory(seqtool: Command, llama_run: Path, tmp_path: Path):
    pytest.importorskip("tokenizers")
    folder = tmp_path / "out"
    result = seqtool("export", llama_run, "--to", "huggingface", "-o", folder, "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert json.loads(result.stdout)["architecture"] == "LlamaForCausalLM"
    assert b"README.md" in result.stderr
    assert "exists already" in error_of(seqtool("export", llama_run, "--to", "huggingface", "-o", folder), 2)
    assert seqtool("export", llama_run, "--to", "huggingface", "-o", folder, "--force", "-q").returncode == 0
    assert list(tmp_path.iterdir()) == [folder]


def test_a_run_is_written_as_a_file_that_a_library_writes(seqtool: Command, llama_run: Path, tmp_path: Path):
    pytest.importorskip("gguf")
    file = tmp_path / "x.gguf"
    result = seqtool("export", llama_run, "-o", file, "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert json.loads(result.stdout)["architecture"] == "llama"
    assert b"U+2581" in result.stderr
    assert file.read_bytes()[:4] == b"GGUF"
    assert "exists already" in error_of(seqtool("export", llama_run, "-o", file), 2)
    assert "goes to a file" in error_of(seqtool("export", llama_run, "-o", "-", "--to", "gguf"), 2)
    assert list(tmp_path.iterdir()) == [file]


def test_any_net_is_written_as_a_graph(seqtool: Command, small_run: Path, counts: Path, tmp_path: Path):
    pytest.importorskip("onnx")
    result = seqtool("export", small_run, "-o", tmp_path / "x.onnx", "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert json.loads(result.stdout)["states"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x.onnx"]
    assert "not one net" in error_of(seqtool("export", counts, "-o", tmp_path / "y.onnx"), 2)


@pytest.mark.parametrize(("run", "told"), [
    ("counts", "is not one net (model ngram): export it --to arpa"),
    ("small_run", "no other program has --model lstm: train with --layout llama"),
])  # fmt: skip
def test_a_run_of_another_kind_is_refused_before_anything_is_written(
    seqtool: Command, run: str, told: str, tmp_path: Path, request: pytest.FixtureRequest
):
    pytest.importorskip("tokenizers")
    named = request.getfixturevalue(run)
    assert told in error_of(seqtool("export", named, "--to", "huggingface", "-o", tmp_path / "out"), 2)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_no_half_directory(
    llama_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("tokenizers")
    from seqtool.cli import export
    from seqtool.exchange import huggingface

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface, "model_card", stop)  # the last that is written
    with pytest.raises(KeyboardInterrupt):
        export._write_directory(llama_run, tmp_path / "out", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    from seqtool.cli.export import check_package
    from seqtool.errors import UsageError

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"--to huggingface needs the package tokenizers: pip install 'seqtool\[huggingface\]'"
    ):
        check_package("huggingface")
