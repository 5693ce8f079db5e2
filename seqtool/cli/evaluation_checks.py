"""What `seqtool eval` refuses before it scores: flags that contradict each other, or have no effect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtool.cli.console import note
from seqtool.cli.evaluation_colour import check_terminal
from seqtool.cli.evaluation_rows import UNITS
from seqtool.cli.options import as_text, chosen, document_break, refuse_unused
from seqtool.errors import InputError, UsageError
from seqtool.settings.scoring import EvalConfig
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.runs.loading import Run


def refuse_of_text(run: Path, of_text: dict[str, Any], settings: dict[str, Any]) -> None:
    """UsageError for flags and settings of scoring text, given for a run that learned from examples."""
    unused = {flag: bool(value) for flag, value in of_text.items()}
    unused |= {f"--{name.replace('_', '-')}": True for name in settings}
    refuse_unused(unused, f"{run} is no language model; leave that out")


def check_colour(others: dict[str, bool]) -> None:
    """UsageError for --colour beside what writes something else, and where there is no terminal."""
    refuse_unused(others, "--colour writes the text itself; leave one of them out")
    check_terminal()


def check_flags(per: str | None, carry: bool, bits: bool, given: str | None, errors: str, document: str | None) -> None:
    """UsageError for flags that are wrong or have no effect, whatever the text is."""
    if per is not None:
        chosen(per, UNITS, "--per")
    if carry and per != "line":
        raise UsageError("--carry goes with --per line")
    if bits and per is None:
        raise UsageError("--bits goes with --per: a report gives bits as well as nats")
    if given is not None and as_text(given) != given:
        raise UsageError("--given is not UTF-8: convert it")
    if given == "":
        raise UsageError("--given needs some text")
    chosen(errors, ERROR_HANDLERS, "--errors")
    if document is not None:
        document_break(document)
        if per == "line" and not carry:
            raise UsageError("--document: with --per line each line is scored by itself; leave it out or add --carry")


def check_adapting(config: EvalConfig, settings: dict[str, Any], per: str | None, given: str | None) -> None:
    """UsageError for --adapt beside what it is not for, and for its settings without it."""
    for flag, is_on, without in (
        ("adapt", config.adapt, "nothing adapts without --adapt"),
        ("cache", config.cache > 0, "there is nothing to look back at without --cache"),
    ):
        own = {f"--{name.replace('_', '-')}": True for name in settings if name.startswith(f"{flag}_")}
        refuse_unused({} if is_on else own, f"{without}; give that too")
    if config.adapts:
        flag = "--adapt" if config.adapt else "--cache"
        others = {"--per": per is not None, "--given": given is not None}
        refuse_unused(others, f"{flag} gives totals of texts that are read once, from the beginning; leave that out")


def check_kinds(runs: Sequence[Path], names: Sequence[str], errors: str, document: str | None) -> None:
    """Refuse what is not a run or not text where one is expected, and flags that have no effect on token stores."""
    from seqtool.cli.info import kind_of
    from seqtool.runs.config import is_run
    from seqtool.text.encoded import documents_are_settled
    from seqtool.text.store import is_store

    for path in runs:
        if not is_run(path) and (kind := kind_of(path)):
            raise InputError(f"{path} is {kind}, not a run: name the run first, then what to score")
    for name in names:
        if is_run(Path(name)):
            raise UsageError(f"{name} is a run, not text: to compare runs, name the text with --text")
        if not is_store(Path(name)) and (kind := kind_of(Path(name))):
            raise InputError(f"{name} is {kind}, not text: name text or a token store")
    if all(is_store(Path(name)) for name in names):
        if document is not None:
            raise documents_are_settled(names[0])
        if errors != "strict":
            raise UsageError(f"--errors {errors}: {names[0]} is a token store, which holds no text; leave it out")


def check_runs(runs: Sequence[Run], config: EvalConfig, settings: dict[str, Any], quiet: bool) -> None:
    """UsageError for settings, of which these were given, that do not fit a run; tell how windows overlap."""
    from seqtool.runs.mixtures import MixtureConfig
    from seqtool.scoring.scorer import check_window

    for run in runs:
        if "adapt_every" in settings and run.model.context is not None:
            raise UsageError(f"--adapt-every: {run.path} sees windows, and a segment is what one scores; give --stride")
        own = [name for name in settings if name.startswith("adapt_")]
        if own and isinstance(run.config, MixtureConfig) and run.config.gated:
            raise UsageError(
                f"--{own[0].replace('_', '-')}: the gates of {run.path} learn at a rate of their own; leave it out"
            )
        if "oov" in settings and run.vocabulary.type != "word":
            raise UsageError(
                f"--oov is for a vocabulary of type word: that of {run.path} is of type {run.vocabulary.type}"
            )
    for run in runs:
        context, stride = check_window(run.model, config.context, config.stride)
        if config.context or config.stride:
            note(f"{run.path}: context {context}, stride {stride}: a token is read {context / stride:.4g} times", quiet)
