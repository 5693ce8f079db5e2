"""`seqtool bench`: what this machine can do, and what share of it each model reaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, in_columns, note, table, write, write_report
from seqtool.cli.options import Json, Quiet, chosen, option_of, with_settings
from seqtool.errors import UsageError
from seqtool.settings.architectures import nets
from seqtool.settings.checking import check_given
from seqtool.settings.examples import LANGUAGE
from seqtool.settings.fields import Panel
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import MAX_VOCABULARY

if TYPE_CHECKING:
    import torch

    from seqtool.bench.generation import GenerationSpeed
    from seqtool.bench.measuring import Measured
    from seqtool.bench.setup import Setup
    from seqtool.bench.training import TrainingSpeed

LANGUAGE_MODELS = nets(LANGUAGE)
EXAMPLES = ("seqtool bench --model lstm --hidden 512 --batch-size 32 --bptt 128",)
FIRST = ("--model", "--hidden", "--layers", "--batch-size", "--precision")
MOST_SECONDS = 3600.0
BUSY = 0.03  # share of the processors used by other programs from which a warning is given
# The settings of training that change what a step costs.
OF_A_STEP = ("batch_size", "bptt", "optimizer", "clip_norm", "clip_value", "clip_agc", "label_smoothing", "z_loss",
             "ar", "tar", "device", "precision")  # fmt: skip
LEAVE_OUT = ("model", *(item.name for item in dataclasses.fields(TrainConfig) if item.name not in OF_A_STEP))


@with_settings(ModelConfig, TrainConfig, leave_out=LEAVE_OUT)
def command(
    *,
    model: Annotated[
        Optional[list[str]],
        option_of(
            LANGUAGE_MODELS,
            "--model",
            help="Architecture to measure; may be repeated.",
            panel=Panel.MODEL,
            default="all",
        ),
    ] = None,
    vocab_size: Annotated[
        int,
        typer.Option(
            "--vocab-size",
            metavar="N",
            min=2,
            max=MAX_VOCABULARY,
            help="Size of the vocabulary: about 256 for characters or bytes, thousands for bpe.",
            rich_help_panel=Panel.MODEL,
        ),
    ] = 256,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            metavar="X",
            help="Approximate time of each measurement.",
            rich_help_panel=Panel.MACHINE,
        ),
    ] = 1.0,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Measure what this machine can do (matrix products in each precision, memory) and what share of it each model
    reaches in training and generation, and say which precision and which batch size are fastest.

    Models have train's default sizes, unless options say otherwise. Batch sizes are --batch-size, twice and four times
    that. The text is random, and no file is written. This takes about a minute by default: end other programs first.
    """
    names = list(dict.fromkeys(chosen(name, LANGUAGE_MODELS, "--model") for name in model or LANGUAGE_MODELS))
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"--seconds {seconds:g}: more than 0, at most {MOST_SECONDS:g}")
    _check_early(settings)

    from seqtool.bench.measuring import measure, measurement_count
    from seqtool.bench.training import fastest
    from seqtool.models.device import choose_device

    device = choose_device(settings.get("device", TrainConfig.device))
    setups = [_setup({**settings, "model": name}, names, vocab_size, device.type != "cpu") for name in names]
    precisions = _precisions(settings.get("precision", "auto"), device)
    count = measurement_count(setups, precisions)
    note(f"{count} measurements of about {seconds:g} s each on {device}", quiet)
    meter = Meter("measurements", count, quiet)
    measured = measure(setups, precisions, device, seconds, lambda done, what: meter(done, f"  {what}"))
    meter.close()
    best = fastest(measured.training)
    if json:
        write_report(_report(measured, best, setups, vocab_size, seconds), as_json=True)
        return
    write(_of_machine(measured) + "\n")
    write(_of_training(measured, best, vocab_size) + "\n")
    write(_of_generation(measured.generation))


def _check_early(settings: dict[str, Any]) -> None:
    """UsageError for settings that no model can have, before torch is loaded."""
    problems = check_given(settings, ModelConfig, TrainConfig)
    if problems:
        raise UsageError("; ".join(problems))


def _setup(asked: dict[str, Any], names: list[str], vocab_size: int, accelerator: bool) -> Setup:
    from seqtool.bench.setup import make_setup

    try:
        return make_setup(asked, vocab_size, accelerator)
    except UsageError as error:
        if len(names) == 1:
            raise
        raise UsageError(f"{error} (of {asked['model']}: name the models that you mean with --model)") from error


def _precisions(asked: str, device: torch.device) -> list[str]:
    """The precisions to measure; UsageError for one that the device has no instructions for."""
    from seqtool.bench.machine import native_precisions

    precisions = native_precisions(device)
    if asked == "auto":
        return precisions
    if asked not in precisions:
        raise UsageError(
            f"--precision {asked}: {device} has no instructions for it; choose from {', '.join(precisions)}"
        )
    return [asked]


def _report(
    measured: Measured, best: dict[str, TrainingSpeed], setups: Sequence[Setup], vocab_size: int, seconds: float
) -> dict[str, Any]:
    """All measurements, the fastest of each model, and the settings."""
    from seqtool.files.writing import provenance

    return {
        **dataclasses.asdict(measured),
        "fastest": {name: dataclasses.asdict(speed) for name, speed in best.items()},
        "vocab_size": vocab_size,
        "seconds": seconds,
        "settings": {setup.model.model: _settings(setup) for setup in setups},
        "made_by": provenance(),
    }


def _settings(setup: Setup) -> dict[str, Any]:
    """The settings of the model, and those of the training that affect the cost of a step."""
    training = {name: value for name, value in dataclasses.asdict(setup.training).items() if name in OF_A_STEP}
    return {**dataclasses.asdict(setup.model), **training}


def _of_machine(measured: Measured) -> str:
    machine, busy = measured.machine, measured.others_cpu_share or 0.0
    rates = ", ".join(f"{rate:,.0f} in {precision}" for precision, rate in machine.matrix_gflops_per_s.items())
    parts = "          ".join(in_columns([name, str(report)], ("<10", "")) for name, report in machine.parts.items())
    others = f"others    had {busy:.0%} of the processors meanwhile: all numbers are too low\n" if busy > BUSY else ""
    return (
        f"machine   {machine.name}, {machine.device}, {machine.threads} threads, torch {machine.torch}\n"
        f"products  GFLOP/s: {rates} (matrices {machine.matrix_size} x {machine.matrix_size})\n"
        f"memory    GB/s: {machine.read_gb_per_s:,.1f} read, {machine.copy_gb_per_s:,.1f} copied\n"
        f"in C      {parts}{others}"
    )


def _of_training(measured: Measured, best: dict[str, TrainingSpeed], vocab_size: int) -> str:
    rows = [["training", "precision", "batch", "time", "tokens/s", "GFLOP/s", "of products", ""]]
    first: dict[str, TrainingSpeed] = {}
    for speed in measured.training:
        first.setdefault(speed.model, speed)
        rows.append(
            [
                _named(speed),
                speed.precision,
                str(speed.batch_size),
                str(speed.time),
                f"{speed.tokens_per_s:,.0f}",
                f"{speed.gflops_per_s:,.1f}",
                f"{speed.share:.1%}",
                "fastest" if speed is best[speed.model] else "",
            ]
        )
    advice = "".join(
        f"{name}: fastest with --precision {speed.precision} --batch-size {speed.batch_size}, "
        f"{speed.tokens_per_s / first[name].tokens_per_s:.2f} times {first[name].precision} with "
        f"--batch-size {first[name].batch_size}\n"
        for name, speed in best.items()
    )
    return (
        f"{table(rows)}\n{advice}\n"
        f"{vocab_size:,} symbols. Operations are those of matrix products, forward and backward; of attention the\n"
        "causal half. Speed is not quality: a larger batch takes fewer steps over the same text, and may need\n"
        "more of it to learn as much.\n"
    )


def _of_generation(speeds: Sequence[GenerationSpeed]) -> str:
    rows = [["generating", "streams", "tokens/s", "weights, MB", "read, GB/s", "of memory"]]
    for speed in speeds:
        one = speed.streams == 1
        rows.append(
            [
                _named(speed),
                str(speed.streams),
                f"{speed.tokens_per_s:,.0f}",
                f"{speed.weight_bytes / 1e6:,.2f}",
                f"{speed.weight_gb_per_s:,.1f}",
                f"{speed.share:.1%}" if one else "",
            ]
        )
    return (
        f"{table(rows)}\n"
        "In fp32. One stream reads all weights for each token: from the cache, where they fit into it, which is\n"
        "faster than memory.\n"
    )


def _named(speed: TrainingSpeed | GenerationSpeed) -> str:
    return f"{speed.model} {speed.layers} x {speed.hidden}"
