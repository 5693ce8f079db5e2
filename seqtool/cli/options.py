"""Command-line options made from the settings in seqtool.settings, and the options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from seqtool.cli.completion import offering, runs
from seqtool.errors import UsageError
from seqtool.settings.checking import WORDS
from seqtool.settings.choices import choose_from
from seqtool.settings.fields import Panel, flag_of
from seqtool.settings.vocabulary import ERROR_HANDLERS, SHOWN_DOCUMENT_BREAKS, is_document_break

VALUE_NAMES: dict[type, str] = {bool: "", int: "N", float: "X", str: "TEXT"}
"""The name of a value in `--help`, by type, for a setting that has no other."""
DEVICES = ("auto", "cpu", "cuda", "mps")
OFFERED = {"DEVICE": DEVICES, "N|full": ("full",)}
"""What <TAB> offers for a setting without choices, by the name of its value in `--help`."""


def option_of(choices: Sequence[str], *flags: str, help: str, panel: Panel | None = None, default: str = "") -> Any:
    """An option that takes one of `choices`, which its help lists and <TAB> offers; `default` is shown in brackets.

    For a choice such as at:TEXT, <TAB> offers the part before the user's own text.
    """
    return typer.Option(
        *flags,
        metavar="|".join(choices),
        autocompletion=offering([choice.removesuffix("TEXT") for choice in choices]),
        help=help,
        show_default=default or True,
        rich_help_panel=panel,
    )


Texts = Annotated[list[str], typer.Argument(metavar="TEXT...", help="Files of UTF-8 text; - is standard input.")]
Errors = Annotated[
    str, option_of(ERROR_HANDLERS, "--errors", help="What to do with bytes that are not UTF-8.", panel=Panel.DATA)
]
DocumentBreak = Annotated[
    Optional[str],
    option_of(
        SHOWN_DOCUMENT_BREAKS,
        "--document",
        help="What separates documents within a file; at:TEXT is a text that is removed, with a newline after it.",
        panel=Panel.DATA,
    ),
]
JsonlField = Annotated[
    str,
    typer.Option(
        "--jsonl-field",
        metavar="NAME",
        help="Read text from this field of JSON lines, or column of a Parquet or Arrow file: a document a row.",
        show_default="plain text",
        rich_help_panel=Panel.DATA,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.", rich_help_panel=Panel.PROGRESS)]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="Show no progress and no notes.", rich_help_panel=Panel.PROGRESS)
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing result.", rich_help_panel=Panel.PROGRESS)]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", autocompletion=runs, help="A run directory that seqtool train made.")
]
NewRun = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Run directory to write.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        autocompletion=offering(DEVICES),
        help="Device to compute on: auto, cpu, cuda, cuda:1 or mps.",
        rich_help_panel=Panel.MACHINE,
    ),
]


BYTES_OF = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_in_bytes(text: str, flag: str) -> int:
    """How many bytes a size such as 500M or 2G is; UsageError, naming the flag, where it is none."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)([KMGT]?)B?", text.upper())
    if found is None:
        raise UsageError(f"{flag} {text}: write a size as 500M or 2G")
    return int(float(found[1]) * BYTES_OF[found[2]])


def format_of(output: Path, asked: str | None, formats: tuple[str, ...], suffixes: Mapping[str, str], flag: str) -> str:
    """The format asked for by a flag, or else that of the file's suffix; UsageError where there is none."""
    if asked is not None:
        return chosen(asked, formats, flag)
    if output.suffix not in suffixes:
        raise UsageError(f"-o {output}: its name does not tell a format; give {flag} {'|'.join(formats)}")
    return suffixes[output.suffix]


def with_settings(
    *kinds: type[Any], leave_out: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for each setting of these dataclasses; the command gets the given ones as the dict `settings`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        items = [item for kind in kinds for item in dataclasses.fields(kind) if item.name not in leave_out]
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
        parameters = own + [
            inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(item))
            for item in items
        ]

        @functools.wraps(command)
        def wrapper(**arguments: Any) -> None:
            settings = {item.name: arguments.pop(item.name) for item in items}
            given = {name: value for name, value in settings.items() if value is not None}
            for item in items:
                if item.name in given and item.metadata["metavar"] in WORDS:
                    given[item.name] = WORDS[item.metadata["metavar"]](given[item.name])
            command(**arguments, settings=given)

        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        del wrapper.__wrapped__
        return wrapper

    return decorate


def _option(item: dataclasses.Field[Any]) -> Any:
    about = item.metadata
    offered = about["choices"] or OFFERED.get(about["metavar"], ())
    option = typer.Option(
        flag_of(item),
        help=about["help"],
        metavar="|".join(about["choices"]) or about["metavar"] or VALUE_NAMES[type(item.default)],
        show_default=about["shown_default"] or _shown(item),
        rich_help_panel=about["panel"],
        autocompletion=offering(offered) if offered else None,
    )
    kind: Any = str if about["metavar"] in WORDS else type(item.default)
    return Annotated[Optional[kind], option]


def _shown(item: dataclasses.Field[Any]) -> str | bool:
    """The default of a setting as `--help` shows it; False if there is nothing to show."""
    if isinstance(item.default, bool):
        flags = flag_of(item).split("/")
        return flags[0 if item.default else 1].lstrip("-") if len(flags) > 1 else False
    return f"{item.default:g}" if isinstance(item.default, float) else str(item.default) or False


def chosen(value: str, choices: tuple[str, ...], flag: str) -> str:
    """`value`, or UsageError naming the choices."""
    if value not in choices:
        raise UsageError(f"{flag} {value!r}: {choose_from(value, choices)}")
    return value


def document_break(value: str) -> str:
    """The `value` of --document, or UsageError naming the choices."""
    return value if is_document_break(value) else chosen(value, SHOWN_DOCUMENT_BREAKS, "--document")


def refuse_unused(given: dict[str, bool], why: str) -> None:
    """UsageError naming the flags that were given although they have no effect here, and why."""
    if flags := [flag for flag, was_given in given.items() if was_given]:
        raise UsageError(f"{' and '.join(flags)}: {why}")


ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL)
ESCAPED = {"n": b"\n", "r": b"\r", "t": b"\t", "\\": b"\\"}


def text_of(argument: str, flag: str, *, escapes: bool) -> str:
    """The text of an argument; with `escapes`, \\n is a newline, \\xNN a byte, \\uNNNN a character.

    UsageError for a backslash that begins no escape, and for text that is not UTF-8.
    """

    def unescaped(match: re.Match[str]) -> bytes:
        byte, *digits, letter = match.groups()
        point = int(next(filter(None, digits), "D800"), 16)
        if byte:
            return bytes([int(byte, 16)])
        if letter in ESCAPED:
            return ESCAPED[letter]
        if point > 0x10FFFF or 0xD800 <= point < 0xE000:
            raise UsageError(
                f"{flag} has a backslash before {match[0][1:2]!r}, which is no escape: write \\n, \\r, \\t, "
                "\\xNN, \\uNNNN, \\UNNNNNNNN, or \\\\ for a backslash, or give --no-escapes"
            )
        return chr(point).encode()

    found = ESCAPE.finditer(argument) if escapes else iter(())
    parts, done = [], 0
    for match in found:
        parts += [argument[done : match.start()].encode("utf-8", "surrogateescape"), unescaped(match)]
        done = match.end()
    data = b"".join([*parts, argument[done:].encode("utf-8", "surrogateescape")])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{flag} is not UTF-8: byte {data[error.start]:#04x} at offset {error.start} is not valid; "
            "convert it; in a prompt, --errors replace accepts it"
        ) from error


def as_text(argument: str) -> str:
    """An argument as text: bytes of the command line that are not UTF-8 become U+FFFD."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
