"""README: its length, what it names, and that all it shows runs."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Command

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [re.split(r"\s+# ", line)[0] for line in re.findall(r"^    (seqtool .*)$", README, re.MULTILINE)]
ROWS = re.findall(r"^([^|\n]+) \| (.*`.*)$", README, re.MULTILINE)
EXAMPLE = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# What makes a command of README small. What README says comes after these, so that it counts.
SMALL = {
    "seqtool train": ["--steps", "6", "--hidden", "16", "--force", "-q"],
    "seqtool generate": ["--max-tokens", "60"],
    "seqtool embed train": ["-q"],
    "seqtool bench": ["--hidden", "16", "--seconds", "0.01"],
    "python corpora/capitals.py": ["--words", "20000"],
    "python corpora/grammar.py": ["--characters", "20000"],
}
WORDS = "It was late, and the king and the old man were there.\n"


def small(command: str) -> str:
    """The command with few steps and small sizes, as a shell takes it."""
    command = re.sub(r" --time \S+", "", command)
    if "--model ngram" in command:
        return f"{command} --force -q"  # which takes no steps and has no sizes
    for name, flags in SMALL.items():
        command = re.sub(rf"^{name}\b", f"{name} {shlex.join(flags)}", command)
    if "--resume" in command:
        command = command.replace(" --force", "")  # which would replace what is gone on with
    if command.startswith("python -m corpora"):
        command = command.replace("python", sys.executable, 1).replace(" >", " --rows 300 >")
    return command.replace("python corpora", f"{sys.executable} {ROOT / 'corpora'}")


def code_of(command: str, seqtool: Command, shell: Command, folder: Path) -> tuple[int, str]:
    """The exit code of a command of README, made small, and what it said on stderr."""
    command = small(command)
    if command.startswith("seqtool") and "|" not in command:
        ran = seqtool(*shlex.split(command)[1:], cwd=folder)
    else:
        ran = shell(command, cwd=folder)
    return ran.returncode, f"{command}\n{ran.stderr.decode()}"


def commands_of(cell: str) -> Iterator[str]:
    """The commands of a cell of the table: flags are those of `seqtool train`, and a word alone replaces the last one before it."""
    command = ""
    for code in re.findall("`([^`]+)`", cell):
        if code.startswith(("seqtool ", "python ")):
            command = code
        elif code.startswith("--"):
            command = f"seqtool train t.txt -o RUN {code}"
        elif "/" in code:
            assert (ROOT / code).exists()
            continue
        else:
            command = f"{command.rpartition(' ')[0]} {code}"
        yield command


@pytest.fixture(scope="module")
def texts(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texts that README names, in a folder."""
    folder = tmp_path_factory.mktemp("readme")
    words = WORDS * 20
    contents = {
        "novel.txt": prose[:20_000] + words,
        "chapter.txt": prose[20_000:22_000] + WORDS,
        "last-month.log": words,
        "today.log": WORDS + prose[:1000],
        "t.txt": prose[:4000] + words,
        "spam.tsv": "label\ttext\n" + "spam\twin now a free prize\nham\tit was late and the king\n" * 40,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content.encode())
    return folder


def test_readme_has_at_most_1500_words():
    assert len(README.split()) <= 1500


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert named >= {"demo", "test", "install"}
    assert all(f"\n{target}:" in makefile for target in named), named


def test_the_map_names_every_room():
    rooms = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "seqtool").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    rooms = {name for name in rooms if name[0] != "_"}
    place = README.partition("## Where things are")[2]
    assert {room for room in rooms if not re.search(rf"\s{re.escape(room)}\s", place)} == set()


def test_every_flag_exists(seqtool: Command):
    helped = (
        "",
        "vocab",
        "encode",
        "train",
        "eval",
        "mix",
        "report",
        "predict",
        "generate",
        "info",
        "bench",
        "export",
        "embed train",
    )
    helps = (seqtool(*command.split(), "--help", env={"COLUMNS": "200"}) for command in helped)
    told = "".join(ran.stdout.decode() for ran in helps)
    flags = re.findall(r"(?<!\S)`?(--[a-z][a-z-]*)", re.sub(r"`(python|torchrun) [^`]*`", "", README))
    assert {flag for flag in flags if not re.search(rf"{flag}(?![a-z-])", told)} == set()


def test_the_commands_run_in_their_order(seqtool: Command, shell: Command, texts: Path):
    assert len(COMMANDS) >= 18
    for command in COMMANDS:
        code, said = code_of(command, seqtool, shell, texts)
        assert code == 0, said


@pytest.mark.parametrize("idea, cell", ROWS, ids=[idea for idea, _ in ROWS])
def test_what_shows_an_idea_of_the_lectures_runs(
    idea: str, cell: str, seqtool: Command, shell: Command, texts: Path, small_run: Path, tmp_path: Path
):
    commands = list(commands_of(cell))
    assert commands
    (tmp_path / "t.txt").symlink_to(texts / "t.txt")
    if not any(command.startswith("seqtool train") for command in commands):
        (tmp_path / "RUN").symlink_to(small_run)
    if "--embeddings v" in cell:
        commands.insert(0, "seqtool embed train t.txt -o v")
    for command in commands:
        code, said = code_of(command, seqtool, shell, tmp_path)
        assert code == (4 if "exit code 4" in idea else 0), said


def test_the_example_runs_and_says_what_the_commands_say(
    seqtool: Command,
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "novel.run").symlink_to(small_run)
    monkeypatch.chdir(tmp_path)
    (code,) = EXAMPLE
    exec(compile(code, "README.md", "exec"), {})
    score, text = capsys.readouterr().out.split("\n", 1)
    scored = json.loads(seqtool("eval", small_run, "-", "--json", stdin=b"It was late.\n").stdout)
    assert score == f"{scored['bits_per_byte']:.4f} bits per byte"
    flags = ("--prompt", "It was", "--max-tokens", 50, "--seed", 1, "--no-echo")
    assert text.rstrip("\n") == seqtool("generate", small_run, *flags).stdout.decode().rstrip("\n")
    assert text.strip()
