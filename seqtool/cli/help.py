"""What `--help` shows: usage, options in panels by job, and examples, as plain text, coloured on a terminal.

Typer's own help imports rich and lays out tables, which takes twice as long as the rest of `--help`, and without rich
it has no panels.
"""

from __future__ import annotations

import os
import re
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

from seqtool.settings.fields import Panel

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
MOST_IN_ONE_PANEL = 12  # options of a command without panels
WIDEST_NAME = 30  # characters of the first column; a longer name has a line of its own
NAMES = re.compile(r"^[a-z]+(?= *$)|(?<![^ ,/])--?\w[\w-]*")  # of commands and flags
OPTIONS = "Options"


class Command(TyperCommand):
    """A command whose options are shown in panels, those named in `first` in a panel before the others."""

    first: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The arguments and the required options, as the usage line shows them."""
        params = self.get_params(ctx)
        needed = [f"{one.opts[0]} {one.metavar}" for one in params if isinstance(one, TyperOption) and one.required]
        arguments = [str(one.metavar) for one in params if isinstance(one, TyperArgument)]
        return ["[OPTIONS]", *needed, *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options panel by panel."""
        arguments = [one for one in self.get_params(ctx) if isinstance(one, TyperArgument)]
        panels = {"Arguments": [(str(one.metavar), explained(one)) for one in arguments]}
        for title, options in self.panels(ctx).items():
            panels[title] = [(named(one, formatter.width), explained(one)) for one in options]
        write_panels(formatter, panels)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, each on one line so that it can be copied."""
        with formatter.section(styled("Examples" if len(self.examples) > 1 else "Example", bold=True)):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def panels(self, ctx: Any) -> dict[str, list[TyperOption]]:
        """The options of each panel, in order; a single panel if there are few options."""
        options = [one for one in self.get_params(ctx) if isinstance(one, TyperOption) and not one.hidden]
        if len(options) <= MOST_IN_ONE_PANEL:
            return {OPTIONS: options}
        by_flag = {flag: one for one in options for flag in one.opts}
        panels = {str(Panel.FIRST): [by_flag[flag] for flag in self.first]}
        others = [one for one in options if one not in panels[Panel.FIRST]]
        for title in (*Panel, OPTIONS):
            panels.setdefault(str(title), []).extend(one for one in others if panel_of(one) == title)
        return {title: options for title, options in panels.items() if options}


def panel_of(option: TyperOption) -> str:
    """The title of the panel that an option belongs to."""
    return Panel.PROGRESS if option.name == "help" else option.rich_help_panel or OPTIONS


def write_panels(formatter: Any, panels: dict[str, list[tuple[str, str]]]) -> None:
    """Write headings, and under each its rows of a name and a text, in columns of the same width for all panels."""
    width = min(WIDEST_NAME, max(len(name) for rows in panels.values() for name, _ in rows))
    for title, rows in panels.items():
        if rows:
            with formatter.section(styled(title, bold=True)):
                formatter.write_dl([(_coloured(f"{name:<{width}}"), text) for name, text in rows], WIDEST_NAME)


def _coloured(name: str) -> str:
    return NAMES.sub(lambda match: styled(match[0], fg="cyan"), name)


def named(option: TyperOption, width: int) -> str:
    """The flags of an option and the name of its value; choices that do not fit in `width` continue below."""
    flags = "/".join([", ".join(sorted(option.opts, key=len)), *option.secondary_opts])
    if option.is_flag or not option.metavar:
        return flags
    lines = [flags + " "]
    for choice in option.metavar.replace("|", "| ").split():
        if len(lines[-1]) + len(choice) > width - 2:
            lines.append(" " * 6)
        lines[-1] += choice
    return "\n".join(lines)


def explained(param: TyperOption | TyperArgument) -> str:
    """The help text of a parameter with its default and its limits in brackets."""
    brackets = "; ".join(filter(None, (_default(param), _limits(param))))
    return f"{param.help} [{brackets}]" if brackets else str(param.help)


def _limits(param: TyperOption | TyperArgument) -> str:
    if param.min is None:
        return ""
    return f"at least {param.min}" if param.max is None else f"{param.min} to {param.max:,}"


def _default(param: TyperOption | TyperArgument) -> str:
    """The default of a parameter as a person would type it; empty if there is none."""
    if param.required:
        return "required" if isinstance(param, TyperOption) else ""
    if isinstance(param.show_default, str):
        return param.show_default
    if isinstance(param, TyperOption) and param.is_flag:
        shown = param.opts if param.default else param.secondary_opts
        return shown[0].lstrip("-") if param.secondary_opts else ""
    if isinstance(param.default, float):
        return f"{param.default:g}"
    return "" if param.default is None else str(param.default)


def styled(text: str, **style: Any) -> str:
    """Text with colours, unless NO_COLOR or a dumb terminal forbids them; without a terminal echo drops them."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, **style)
