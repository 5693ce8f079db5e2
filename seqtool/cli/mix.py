"""`seqtool mix`: several language models as one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import (
    Device,
    Errors,
    Force,
    Json,
    JsonlField,
    NewRun,
    Quiet,
    chosen,
    refuse_unused,
    size_in_bytes,
)
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.runs.loading import Run
    from seqtool.text.encoded import EncodedText

EXAMPLES = (
    "seqtool mix counts.run lstm.run -o both.run --valid valid.txt",
    "seqtool mix lstm.run -o gated.run --gated --read train.txt --valid valid.txt",
)
FIRST = ("--output", "--valid")
MEMORY = "512M"


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN...]", help="Language models of one vocabulary.")],
    *,
    output: NewRun,
    valid: Annotated[
        Optional[list[str]],
        typer.Option(
            "--valid",
            metavar="TEXT",
            help="Text, or a token store, that none of them learned from: the weights are learned on it; may be "
            "repeated.",
            show_default="equal weights",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    gated: Annotated[
        bool,
        typer.Option(
            "--gated", help="Mix by gates that count, and learn whom to trust where.", rich_help_panel=Panel.DATA
        ),
    ] = False,
    read: Annotated[
        Optional[list[str]],
        typer.Option(
            "--read",
            metavar="TEXT",
            help="With --gated: text, or a token store, that is counted first, such as what the runs learned from; may "
            "be repeated.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    memory: Annotated[
        Optional[str],
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="With --gated: most that the counters may take, in memory and on disk.",
            show_default=MEMORY,
            rich_help_panel=Panel.MACHINE,
        ),
    ] = None,
    jsonl_field: JsonlField = "",
    force: Force = False,
    errors: Errors = "strict",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Mix language models: the probability of a token is the weighed sum of what each of them says.

    Counts of n-grams know what a text said word for word, and nets what is like it: together they predict better than
    either. The weights are those that give the text of --valid the highest probability (expectation-maximisation, on up
    to 4,194,304 tokens). The result is a run with copies of the others in it, which eval and generate take as any
    other. Where one of them sees so many tokens at most, all are read in windows of that many.

    --gated mixes better: logarithms of probabilities are added, each decision that spells a token by weights of its
    own, which the context chooses: the longest passage met before, the net's entropy, the word, and more. It counts by
    itself what follows 31 kinds of context, so one net is enough; and with eval --adapt it goes on counting what it
    has scored. It reads --read while the runs say nothing, since they know that by heart, and then --valid, whose
    second half also tells how far to trust the gates beside the runs where they do not go on counting.
    """
    chosen(errors, ERROR_HANDLERS, "--errors")
    refuse_unused({"--jsonl-field": bool(jsonl_field and not (valid or read))}, "no text is read; leave that out")
    refuse_unused(
        {} if gated else {"--read": bool(read), "--memory": memory is not None}, "only --gated counts; give that"
    )
    most = size_in_bytes(memory or MEMORY, "--memory")

    from seqtool.errors import UsageError
    from seqtool.files.directories import built_aside, publish
    from seqtool.files.writing import refuse_directory, reserved
    from seqtool.models.device import choose_device
    from seqtool.scoring.mixing import check_parts, copied_parts

    if gated and not (read or valid):
        raise UsageError("--gated learns from text: give --read, --valid or both")
    check_parts(runs, gated)
    refuse_directory(output, force, [str(run) for run in runs])
    with reserved(output), built_aside(output) as folder:
        parts = copied_parts(runs, folder, choose_device(device))
        given = _encoded(valid, parts[0], errors, jsonl_field)
        if gated:
            report = _gate(folder, runs, parts, _encoded(read, parts[0], errors, jsonl_field), given, most, quiet)
        else:
            report = _mix(folder, runs, parts, given, quiet)
        publish(folder, output, force)
    report = {"run": str(output), **report}
    if not json:
        rows = report.pop("parts", [])
        report |= {f"{row['run']}": ", ".join(_told(row)) for row in rows}
    write_report(report, json)
    note(f"next: seqtool eval {shlex.quote(str(output))} TEXT{' --adapt' if gated else ''}", quiet)


def _told(part: dict[str, Any]) -> list[str]:
    """What is said of a part of a linear mixture."""
    nats = part.get("nats_per_token")
    return [f"weight {part['weight']:.4f}", *([] if nats is None else [f"{nats:.4f} nats/token"])]


def _encoded(names: list[str] | None, run: Run, errors: str, field: str) -> EncodedText | None:
    from seqtool.text.documents import TextSource
    from seqtool.text.encoded import read_encoded

    if not names:
        return None
    document = str(run.config.data.get("document", "file"))
    vocabulary = run.vocabulary
    return read_encoded(
        names,
        vocabulary,
        lambda: TextSource(names, errors=errors, document=document, field=field),
        lambda source: vocabulary,
    )


def _mix(folder: Path, paths: list[Path], runs: list[Run], text: EncodedText | None, quiet: bool) -> dict[str, Any]:
    """Make a linear mixture; the report of it."""
    from seqtool.scoring.mixing import mix

    meter = Meter("tokens", 0 if text is None else len(text.ids) * len(runs), quiet)
    mixed = mix(folder, paths, runs, text, meter)
    meter.close()
    rows = [
        {"run": str(path), "model": model, "weight": weight, "nats_per_token": nats}
        for path, model, weight, nats in zip(
            paths, mixed.config.models, mixed.config.weights, mixed.nats_M, strict=True
        )
    ]
    return {
        "parameters": mixed.config.parameters,
        "valid_tokens": mixed.tokens,
        "valid_nats_per_token": mixed.nats,
        "parts": rows,
    }


def _gate(
    folder: Path,
    paths: list[Path],
    runs: list[Run],
    read: EncodedText | None,
    valid: EncodedText | None,
    memory: int,
    quiet: bool,
) -> dict[str, Any]:
    """Make a gated mixture; the report of it."""
    from seqtool.scoring.gating import gate, work_of

    meter = Meter("tokens", work_of(read, valid, len(runs)), quiet)
    made = gate(folder, paths, runs, read, valid, memory, meter)
    meter.close()
    return {
        "parameters": made.config.parameters,
        "read_tokens": made.read_tokens,
        "valid_tokens": made.valid_tokens,
        "valid_adapted_nats_per_token": made.adapted_nats,
        "parts": [
            {"run": name, "weight": weight}
            for name, weight in zip(["gates", *map(str, paths)], made.config.weights, strict=False)
        ],
    }
