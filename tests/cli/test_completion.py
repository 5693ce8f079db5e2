"""What <TAB> offers, asked as the shells ask."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqtool.settings.architectures import nets
from seqtool.settings.defaults import recipes
from seqtool.settings.embedding import EmbedConfig
from seqtool.settings.fields import flag_of
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.model import ModelConfig
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.training import OPTIMIZER_NAMES, TrainConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from tests.conftest import ROOT, Command

WITH_CHOICES = [
    (command, flag_of(item), item.metadata["choices"])
    for command, *kinds in (
        ("train x", ModelConfig, TrainConfig), ("generate x", GenerateConfig), ("eval x", EvalConfig),
        ("embed train x", EmbedConfig), ("vocab x", VocabularyConfig),
    )
    for kind in kinds
    for item in dataclasses.fields(kind)
    if item.metadata["choices"]
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with runs, some of them inside another directory, a text and settings."""
    for run in ("novel.run", "runs/a.run", "runs/b.run", "runs/odd name", ".hidden.run"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.json").write_text("{}")
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "novel.txt").write_text("text")
    (tmp_path / "nice.toml").write_text("")
    return tmp_path


def offered(seqtool: Command, line: str, folder: Path | None = None) -> list[str]:
    """What bash is offered behind a line that ends with the word to be completed, or with a space."""
    words = line.split(" ")
    asked = {"_SEQTOOL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = seqtool(env=asked, cwd=folder)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode().split()


@pytest.mark.parametrize(("command", "flag", "choices"), WITH_CHOICES)
def test_every_setting_offers_its_choices(seqtool: Command, command: str, flag: str, choices: tuple[str, ...]):
    assert offered(seqtool, f"seqtool {command} {flag} ") == list(choices)


@pytest.mark.parametrize(("line", "expected"), [
    ("train x --position l", ["learned"]),
    ("train x --optimizer ada", [name for name in OPTIMIZER_NAMES if name.startswith("ada")]),
    ("train x --vocab-type ", list(VOCABULARY_TYPES)),
    ("train x --document ", ["file", "blank-line", "line", "at:"]),
    ("train x --errors r", ["replace"]),
    ("train x --bptt ", ["full"]),
    ("train x --device c", ["cpu", "cuda"]),
    ("eval x --per ", ["word", "line", "token", "document"]),
    ("eval x --device m", ["mps"]),
    ("bench --model ", list(nets("language"))),
    ("embed train x --vocab-type b", ["bpe", "byte"]),
    ("embed train x --normalize ", ["none", "nfkc"]),
    ("embed from x --layer o", ["output"]),
    ("embed map x --method ", ["pca", "tsne"]),
    ("embed map x --format s", ["svg"]),
    ("embed export x --format g", ["glove"]),
    ("embed import x --format word2vec-", ["word2vec-binary"]),
    ("", ["vocab", "encode", "decode", "train", "eval", "predict", "generate", "report", "mix", "average", "export", "import", "embed", "info", "bench"]),
    ("e", ["encode", "eval", "export", "embed"]),
    ("export x --to ", ["arpa", "huggingface", "gguf", "onnx"]),
    ("embed ne", ["nearest"]),
    ("train x --bptt-", ["--bptt-advance", "--bptt-jitter"]),
    ("trian ", ["vocab", "encode", "decode", "train", "eval", "predict", "generate", "report", "mix", "average", "export", "import", "embed", "info", "bench"]),
])  # fmt: skip
def test_what_is_offered(seqtool: Command, line: str, expected: list[str]):
    assert offered(seqtool, f"seqtool {line}") == expected


@pytest.mark.parametrize(("line", "expected"), [
    ("eval ", ["novel.run", "runs/a.run", "runs/b.run"]),
    ("eval r", ["runs/a.run", "runs/b.run"]),
    ("generate runs/b", ["runs/b.run"]),
    ("generate .", [".hidden.run"]),
    ("embed from nowhere/", []),
    ("eval novel.run ", []),
    ("train n", []),
    ("train x --config n", [*(name for name in recipes() if name[0] == "n"), "nice.toml", "novel.run/config.json"]),
    ("train x --config runs/a", ["runs/a.run/config.json"]),
])  # fmt: skip
def test_runs_and_configurations_are_offered_and_other_files_left_to_the_shell(
    seqtool: Command, folder: Path, line: str, expected: list[str]
):
    assert offered(seqtool, f"seqtool {line}", folder) == expected


def test_bash_asks_and_is_answered(folder: Path):
    """The script that bash is given, run by bash itself."""
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash")
    program = folder / "seqtool"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m seqtool "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(_SEQTOOL_COMPLETE=source_bash seqtool)"; COMP_WORDS=(seqtool train x --position s); COMP_CWORD=4\n'
    )
    result = subprocess.run(
        [bash, "-c", script + '_seqtool_completion seqtool; echo "${COMPREPLY[@]}"'],
        capture_output=True,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, b"", b"sinusoidal\n")


@pytest.mark.parametrize(("shell", "answer"), [("zsh", '"sinusoidal"'), ("fish", "sinusoidal")])
def test_other_shells_are_answered(seqtool: Command, shell: str, answer: str):
    asked = {
        "_SEQTOOL_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "seqtool train x --position s",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert answer in seqtool(env=asked).stdout.decode()


@pytest.mark.parametrize("line", ["seqtool train x --position ", "seqtool eval ", "seqtool train x --config "])
def test_completion_loads_nothing_heavy(line: str):
    code = (
        "import sys; sys.argv = ['seqtool']\n"
        "from seqtool.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    asked = {"_SEQTOOL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, env={**os.environ, **asked})
    loaded = set(result.stderr.decode().split())
    assert "seqtool.cli.main" in loaded
    assert not loaded & {"torch", "numpy", "sentencepiece", "safetensors", "rich"}
