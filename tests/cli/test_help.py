"""What --help shows and what it costs, through the real command."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from seqtool.cli.commands import COMMANDS, EMBED
from seqtool.cli.help import MOST_IN_ONE_PANEL, OPTIONS
from seqtool.settings.embedding import EmbedConfig
from seqtool.settings.fields import Panel, flag_of
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.model import ModelConfig
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from tests.conftest import ROOT, Command

NAMES = [[entry.name] for entry in COMMANDS if not entry.commands] + [["embed", entry.name] for entry in EMBED]
GROUPS: list[list[str]] = [[], ["embed"]]
ALL = [*GROUPS, *NAMES]
HEAVY = ("torch", "numpy", "sentencepiece", "safetensors", "pydantic", "rich")
SETTINGS = [
    (["train"], ModelConfig), (["train"], TrainConfig), (["generate"], GenerateConfig), (["eval"], EvalConfig),
    (["embed", "train"], EmbedConfig), (["vocab"], VocabularyConfig),
]  # fmt: skip


def help_of(seqtool: Command, words: list[str], **environment: str) -> str:
    """What a command's --help prints."""
    result = seqtool(*words, "--help", env={"COLUMNS": "100", **environment})
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode()


def panels(text: str) -> dict[str, list[str]]:
    """The flags in each panel of a help text, those of one option as it names them: `-o, --output`."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\S.*):", line):
            found[heading[1]] = []
        elif found and (flags := re.match(r"  (-[\w-]+(?:(?:, |/)-[\w-]+)*)", line)):
            found[list(found)[-1]].append(flags[1])
    return found


def plain(text: str) -> str:
    """Text without line breaks and the indentation behind them; a word that was broken at its hyphen is whole."""
    return re.sub(r"\s+", " ", re.sub(r"-\s+", "-", text))


ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys
from seqtool.cli.main import main
told = []
for words in json.load(sys.stdin):
    sys.argv = ["seqtool", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try: main()
        except SystemExit as end: told.append([end.code, out.getvalue(), [*sys.modules]])
print(json.dumps(told))
"""


class Told(NamedTuple):
    """Of a command: its exit code, what it printed, and the modules loaded when it ended."""

    code: int
    text: str
    modules: list[str]


def told_by(commands: list[list[str]], **environment: str) -> list[Told]:
    """What commands tell that run one after another in a new process."""
    result = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER], input=json.dumps(commands).encode(), capture_output=True, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")
    return [Told(*each) for each in json.loads(result.stdout)]


def test_help_loads_nothing_heavy():
    for words, told in zip(ALL, told_by([[*words, "--help"] for words in ALL]), strict=True):
        assert told.code == 0
        assert not set(HEAVY) & set(told.modules), words


def test_a_command_loads_no_other_command():
    (whole,) = told_by([["--help"]])
    ours = [name for name in whole.modules if name.startswith("seqtool.cli.")]
    assert sorted(ours) == [f"seqtool.cli.{name}" for name in ("commands", "console", "help", "main")]
    (decoding,) = told_by([["decode", "--help"]])
    assert "seqtool.cli.decode" in decoding.modules
    assert "seqtool.cli.train" not in decoding.modules
    assert "seqtool.settings.training" not in decoding.modules


@pytest.mark.parametrize("words", NAMES, ids=" ".join)
def test_help_has_an_example_of_that_command(seqtool: Command, words: list[str]):
    examples = re.search(r"\nExamples?:\n((?:  .*\n)+)$", help_of(seqtool, words))
    assert examples is not None
    lines = examples[1].splitlines()
    assert all(line.startswith("  seqtool ") for line in lines)
    assert any(f"seqtool {' '.join(words)} " in f"{line} " for line in lines)
    assert len(lines) >= (2 if words == ["train"] else 1)


def test_a_group_lists_its_commands_and_is_wrong_usage_alone(seqtool: Command):
    for words, entries in (([], COMMANDS), (["embed"], EMBED)):
        text = help_of(seqtool, words)
        for entry in entries:
            assert re.search(rf"^  {entry.name} +{re.escape(entry.help[:20])}", text, re.MULTILINE)
        alone = seqtool(*words, env={"COLUMNS": "100"})
        assert (alone.returncode, alone.stderr, alone.stdout.decode()) == (2, b"", text)


def test_the_first_panel_of_train_has_what_most_people_need(seqtool: Command):
    shown = panels(help_of(seqtool, ["train"]))
    titles = [title for title in shown if shown[title]]
    assert shown[titles[0]] == ["-o, --output", "--model", "--time", "--valid", "--config"]
    assert titles == [
        "Most used", "Data", "Tasks on examples", "Forecasts", "Sequence to sequence", "Vocabulary", "Model", "Back-propagation through time", "Optimizer", "Learning rate",
        "Regularisation", "Length", "Checkpoints", "Machine", "Results and progress",
    ]  # fmt: skip


@pytest.mark.parametrize("words", NAMES, ids=" ".join)
def test_every_flag_is_in_one_panel(seqtool: Command, words: list[str]):
    text = help_of(seqtool, words)
    shown = panels(text)
    flags = [flag for options in shown.values() for flag in options]
    assert len(set(flags)) == len(flags)
    assert "-h, --help" in flags
    assert len(shown.get(OPTIONS, [])) <= MOST_IN_ONE_PANEL
    if len(flags) > MOST_IN_ONE_PANEL:
        assert set(shown) - {"Arguments", "Example", "Examples"} <= {str(panel) for panel in Panel}


@pytest.mark.parametrize(("words", "kind"), SETTINGS)
def test_help_says_all_of_every_setting(seqtool: Command, words: list[str], kind: type):
    text = plain(help_of(seqtool, words))
    for item in dataclasses.fields(kind):
        about = item.metadata
        assert f" {flag_of(item)} " in text
        assert plain(f"{about['help']} [{about['shown_default']}]" if about["shown_default"] else about["help"]) in text
        assert plain("| ".join(about["choices"])).replace("| ", "|") in text.replace("| ", "|")


def test_help_is_the_same_text_without_rich_and_without_colour(seqtool: Command):
    plain_ones = told_by(
        [[*words, "--help"] for words in ALL], COLUMNS="100", TYPER_USE_RICH="0", NO_COLOR="1", PATH=""
    )
    for words, without in zip(ALL, plain_ones, strict=True):
        text = help_of(seqtool, words)
        assert "<bool>" not in text
        assert "\\[" not in text
        assert "\x1b" not in text
        assert without.text == text


@pytest.mark.parametrize(("asked", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_shows_flags_in_colour_unless_it_should_not(asked: dict[str, str], coloured: bool):
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as screen:
        words = [sys.executable, "-m", "seqtool", "decode", "--help"]
        subprocess.run(words, stdout=theirs, cwd=ROOT, env={**kept, "TERM": "xterm", **asked}, check=True)
        text = screen.read(1 << 16).decode()
        os.close(theirs)
    assert ("\x1b[36m--vocab\x1b[0m FILE" in text) == coloured
    assert ("\x1b" in text) == coloured


@pytest.mark.parametrize(("columns", "widest"), [(40, 50), (80, 80), (100, 100), (250, 100)])
def test_help_is_as_wide_as_the_terminal_and_never_too_wide_to_read(seqtool: Command, columns: int, widest: int):
    text, _, examples = help_of(seqtool, ["train"], COLUMNS=str(columns)).partition("Examples:")
    assert widest - 10 < max(map(len, text.splitlines())) <= widest
    assert max(map(len, examples.splitlines())) <= 80  # they are not broken, so that they can be copied


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["train"]], ids=["seqtool", "train"])
def test_start_up_is_quick(words: list[str]):
    """`--help` takes at most 2.5 times `import typer`, by the medians of eleven runs each in turn."""
    commands = [[sys.executable, "-c", "import typer"], [sys.executable, "-m", "seqtool", *words, "--help"]]
    times: list[list[float]] = [[], []]
    for _ in range(11):
        for command, taken in zip(commands, times, strict=True):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
            taken.append(time.perf_counter() - start)
    import_s, help_s = map(statistics.median, times)
    assert help_s < 2.5 * import_s
