"""The table of commands and the functions behind it."""

from __future__ import annotations

import ast

import pytest

from seqtool.cli.commands import COMMANDS, EMBED, load
from tests.conftest import ROOT

CLI = ROOT / "seqtool" / "cli"
MOST_STATEMENTS = 40
ENTRIES = [entry for entry in (*COMMANDS, *EMBED) if not entry.commands]


def command_of(source: str) -> ast.FunctionDef | None:
    """The function of a module that is its command."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return next((function for function in functions if function.name == "command"), None)


def test_the_table_has_every_module_with_a_command():
    modules = {
        file.relative_to(CLI).with_suffix("").as_posix().replace("/", ".")
        for file in CLI.rglob("*.py")
        if command_of(file.read_text())
    }
    assert {entry.module for entry in ENTRIES} == modules


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.module)
def test_a_command_reads_on_one_screen(entry):
    """What is longer is told as steps that have names."""
    function = command_of((CLI / (entry.module.replace(".", "/") + ".py")).read_text())
    statements = [node for one in function.body for node in ast.walk(one) if isinstance(node, ast.stmt)]
    assert len(statements) <= MOST_STATEMENTS


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.module)
def test_a_command_is_loaded_by_its_name(entry):
    command = load(entry)
    assert command.name == entry.name
    flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    assert set(command.first) <= flags
    assert command.examples


@pytest.mark.parametrize("entry", (*COMMANDS, *EMBED), ids=lambda entry: entry.module or entry.name)
def test_the_line_of_a_command_is_one_short_sentence(entry):
    assert entry.help[0].isupper()
    assert entry.help[-1] in ".?"
    assert len(entry.help) <= 80
