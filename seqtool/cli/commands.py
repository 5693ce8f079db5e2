"""The table of commands, which `seqtool --help` lists without importing any of them, and loading one by its name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from seqtool.cli.help import CONTEXT_SETTINGS, OPTIONS, Command, explained, named, write_panels
from seqtool.errors import UsageError
from seqtool.settings.choices import choose_from

WRONG_USAGE = 2
# Typer hands a flag that is None to pydantic, whose import would double the time of --help.
NOT_GIVEN = dict.fromkeys(("help", "install_completion", "show_completion"), False)
GROUP_SETTINGS = {**CONTEXT_SETTINGS, "default_map": NOT_GIVEN}


class CommandEntry(NamedTuple):
    """A command: its name, its module in seqtool.cli, and its line and panel in the list of commands.

    A group has commands of its own instead of a module.
    """

    name: str
    module: str
    help: str
    panel: str = "Commands"
    commands: tuple[CommandEntry, ...] = ()


TEXT, MODELS, VECTORS, OTHERS = "Text and ids", "Models", "Word vectors", "Artifacts and machine"

EMBED = (
    CommandEntry("train", "embed.train", "Learn a vector for each word of a text."),
    CommandEntry("nearest", "embed.nearest", "List the tokens nearest to a word."),
    CommandEntry("analogy", "embed.analogy", "Answer: A is to B as C is to what?"),
    CommandEntry("similarity", "embed.similarity", "Print the cosine similarity of two words."),
    CommandEntry("evaluate", "embed.evaluate", "Evaluate vectors on human similarities and on analogies."),
    CommandEntry("from", "embed.from_run", "Take the vectors of a trained model's symbols."),
    CommandEntry("export", "embed.export", "Write vectors for other programs."),
    CommandEntry("import", "embed.import_file", "Import vectors of word2vec, GloVe or fastText."),
    CommandEntry("map", "embed.vectors_map", "Draw vectors on a plane."),
)
COMMANDS = (
    CommandEntry("vocab", "vocab", "Learn a vocabulary from text: a standard SentencePiece model.", TEXT),
    CommandEntry("encode", "encode", "Turn text into ids, or into a token store to train from.", TEXT),
    CommandEntry("decode", "decode", "Turn ids back into the exact text.", TEXT),
    CommandEntry("train", "train", "Train a language model on text, or on examples to answer.", MODELS),
    CommandEntry("eval", "evaluate", "Score text in nats and bits, or a task's answers beside a baseline.", MODELS),
    CommandEntry("predict", "predict", "Answer rows: classes, numbers, tags, forecasts.", MODELS),
    CommandEntry("generate", "generate", "Generate text with a trained model.", MODELS),
    CommandEntry("report", "report", "Draw runs on a page: losses, settings, gradients, surprise in a text.", MODELS),
    CommandEntry("mix", "mix", "Mix language models: counts and nets predict better together.", MODELS),
    CommandEntry("average", "average", "Average the weights of runs that began alike: one model.", MODELS),
    CommandEntry("export", "export", "Write a model for other programs: n-grams as ARPA.", MODELS),
    CommandEntry("import", "import_file", "Import a transformer, or an ARPA file of n-grams, as a run.", MODELS),
    CommandEntry("embed", "", "Word vectors: learn, query, evaluate, draw and exchange them.", VECTORS, EMBED),
    CommandEntry("info", "info", "Describe a run, a token store, a vocabulary or vectors.", OTHERS),
    CommandEntry("bench", "bench", "Measure what this machine can do and what share of it each model reaches.", OTHERS),
)


class CommandGroup(TyperGroup):
    """The commands of a table; only the module of the command that runs is imported."""

    entries: dict[str, CommandEntry] = {}

    def fill(self, entries: Sequence[CommandEntry]) -> CommandGroup:
        """Add these commands by their names and lines only, and return the group."""
        self.entries = {entry.name: entry for entry in entries}
        self.commands = {entry.name: TyperCommand(entry.name, short_help=entry.help) for entry in entries}
        return self

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the name of a command; without a name, show the help and exit."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(WRONG_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command and its arguments; UsageError, with the nearest name, if there is no such command."""
        if args[0] in self.entries:
            return args[0], load(self.entries[args[0]]), args[1:]
        if ctx.resilient_parsing:
            return None, None, args
        raise UsageError(f"no such command {args[0]!r}: {choose_from(args[0], self.entries)}")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, panel by panel, and the options."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for entry in self.entries.values():
            panels.setdefault(entry.panel, []).append((entry.name, entry.help))
        write_panels(formatter, panels)
        options = [one for one in self.get_params(ctx) if isinstance(one, TyperOption)]
        write_panels(formatter, {OPTIONS: [(named(one, formatter.width), explained(one)) for one in options]})


def load(entry: CommandEntry) -> Command | CommandGroup:
    """Import the module of a command and build the command; a group is built without its commands' modules."""
    if entry.commands:
        group = CommandGroup(name=entry.name, help=entry.help, context_settings=GROUP_SETTINGS, rich_markup_mode=None)
        return group.fill(entry.commands)
    module = importlib.import_module(f"seqtool.cli.{entry.module}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(entry.name, cls=Command, context_settings=CONTEXT_SETTINGS)(module.command)
    command = typer.main.get_command(app)
    assert isinstance(command, Command)
    command.examples, command.first = module.EXAMPLES, getattr(module, "FIRST", ())
    return command
