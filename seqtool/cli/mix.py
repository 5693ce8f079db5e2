"""`seqtool mix`: several language models as one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Device, Errors, Force, Json, NewRun, Quiet, chosen
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS

EXAMPLES = ("seqtool mix counts.run lstm.run -o both.run --valid valid.txt",)
FIRST = ("--output", "--valid")


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Language models of one vocabulary.")],
    *,
    output: NewRun,
    valid: Annotated[
        list[str],
        typer.Option(
            "--valid",
            metavar="TEXT",
            help="Text, or a token store, that none of them learned from: the weights are learned on it; may be "
            "repeated.",
            rich_help_panel=Panel.DATA,
        ),
    ],
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
    """
    chosen(errors, ERROR_HANDLERS, "--errors")

    from seqtool.files.directories import built_aside, publish
    from seqtool.files.writing import refuse_directory, reserved
    from seqtool.models.device import choose_device
    from seqtool.scoring.mixing import check_parts, copied_parts, mix
    from seqtool.text.documents import TextSource
    from seqtool.text.encoded import read_encoded

    check_parts(runs)
    refuse_directory(output, force, [str(run) for run in runs])
    with reserved(output), built_aside(output) as folder:
        parts = copied_parts(runs, folder, choose_device(device))
        vocabulary = parts[0].vocabulary
        document = str(parts[0].config.data.get("document", "file"))
        text = read_encoded(
            valid,
            vocabulary,
            lambda: TextSource(valid, errors=errors, document=document),
            lambda source: vocabulary,
        )
        meter = Meter("tokens", len(text.ids) * len(parts), quiet)
        mixed = mix(folder, runs, parts, text, meter)
        meter.close()
        publish(folder, output, force)
    rows = [
        {"run": str(run), "model": model, "weight": weight, "nats_per_token": nats}
        for run, model, weight, nats in zip(runs, mixed.config.models, mixed.config.weights, mixed.nats_M, strict=True)
    ]
    report = {
        "run": str(output),
        "parameters": mixed.config.parameters,
        "valid_tokens": mixed.tokens,
        "valid_nats_per_token": mixed.nats,
    }
    told = {f"{row['run']}": f"weight {row['weight']:.4f}, {row['nats_per_token']:.4f} nats/token" for row in rows}
    write_report({**report, "parts": rows} if json else {**report, **told}, json)
    note(f"next: seqtool eval {shlex.quote(str(output))} TEXT", quiet)
