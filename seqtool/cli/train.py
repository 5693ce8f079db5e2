"""`seqtool train`: learn to predict text, or to answer examples."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.completion import configurations, runs
from seqtool.cli.console import TrainingProgress, in_columns, note, to_left, write, write_report
from seqtool.cli.options import (
    DocumentBreak,
    Errors,
    Force,
    Json,
    JsonlField,
    Quiet,
    option_of,
    with_settings,
)
from seqtool.cli.signals import stop_flag
from seqtool.cli.training_report import (
    announce,
    command_to_resume,
    plan_report,
    result_report,
    say_how_it_ended,
    say_next,
    stopped_message,
)
from seqtool.cli.training_request import training_request
from seqtool.errors import SeqtoolError, StoppedError, UsageError, out_of_memory
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.fields import Panel
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig

if TYPE_CHECKING:
    import torch

    from seqtool.runs.config import RunConfig
    from seqtool.tasks.planning import Plan
    from seqtool.training.session import Outcome
    from seqtool.training.tracking import Tracking
    from seqtool.training.world import World

EXAMPLES = (
    "seqtool train novel.txt --model lstm --time 2m -o novel.run",
    "seqtool train novel.txt --model transformer --layers 4 --valid 0.05 -o big.run",
    "seqtool train letters.txt --from novel.run --freeze embedding -o letters.run",
    "seqtool train spam.tsv --target label -o spam.run",
    "seqtool train train.en --target train.de --valid val.en,val.de -o mt.run",
)
TABLES = (".csv", ".tsv", ".jsonl", ".conllu")
FIRST = ("--output", "--model", "--time", "--valid", "--config")


def _list_recipes(wanted: bool) -> None:
    if wanted:
        from seqtool.settings.defaults import recipes

        forms = (to_left(recipes()), "")
        for recipe in recipes().items():
            write(in_columns(recipe, forms))
        raise typer.Exit()


@with_settings(
    ExampleConfig, ModelConfig, TrainConfig, VocabularyConfig, leave_out=("type", "size", "normalize", "lowercase")
)
def command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Text files, - for standard input, or a token store; FILE=3 is read three times in each pass.",
        ),
    ],
    output: Annotated[
        Optional[Path],
        typer.Option(
            "-o",
            "--output",
            metavar="RUN",
            help="Run directory to write.",
            show_default="runs/NAME-MODEL",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = None,
    *,
    vocab: Annotated[
        Optional[Path],
        typer.Option(
            "--vocab",
            metavar="FILE",
            help="Use this vocabulary instead of learning one.",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = None,
    vocab_type: Annotated[
        Optional[str],
        option_of(
            VOCABULARY_TYPES,
            "--vocab-type",
            help="Type of the vocabulary to learn from the text.",
            panel=Panel.VOCABULARY,
        ),
    ] = None,
    vocab_size: Annotated[
        Optional[int],
        typer.Option(
            "--vocab-size",
            metavar="N",
            help="Size of the vocabulary to learn.",
            show_default="by the text",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = None,
    valid: Annotated[
        Optional[str],
        typer.Option(
            "--valid",
            metavar="FILE|SHARE",
            help="Validation text or token store (to translate SOURCE,TARGET), or the share of each file to hold back.",
            show_default="0.1",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    embeddings: Annotated[
        Optional[Path],
        typer.Option(
            "--embeddings",
            metavar="VECTORS",
            help="Start the embedding from these vectors; --vocab-type is then theirs by default.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    jsonl_field: JsonlField = "",
    errors: Errors = "strict",
    document: DocumentBreak = None,
    config: Annotated[
        Optional[str],
        typer.Option(
            "--config",
            metavar="FILE.toml|RECIPE|RUN/config.json",
            autocompletion=configurations,
            help="Take settings from a file, a recipe, or a run (with its vocabulary); options override them.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    list_recipes: Annotated[
        bool,
        typer.Option(
            "--list-recipes",
            callback=_list_recipes,
            is_eager=True,
            help="List the recipes and exit.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the run in -o exactly where it stopped.", rich_help_panel=Panel.CHECKPOINTS
        ),
    ] = False,
    resume_or_begin: Annotated[
        bool,
        typer.Option(
            "--resume-or-begin",
            help="Continue the run in -o if it exists, else begin it: for jobs that may be restarted.",
            rich_help_panel=Panel.CHECKPOINTS,
        ),
    ] = False,
    from_run: Annotated[
        Optional[Path],
        typer.Option(
            "--from",
            metavar="RUN",
            autocompletion=runs,
            help="Begin a new run with the weights of this one, and keep its vocabulary and sizes: fine-tuning.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    grow_vocab: Annotated[
        bool,
        typer.Option(
            "--grow-vocab",
            help="Add to the vocabulary of --from the characters, or words, of DATA that it lacks.",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = False,
    watch: Annotated[
        Optional[str],
        typer.Option(
            "--watch",
            metavar="TEXT",
            help="Record the loss on this text, or token store, too: before training and at each validation.",
            show_default="with --from, its validation text",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = None,
    memory: Annotated[
        Optional[str],
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Count n-grams in this much memory, such as 500M; the rest waits in temporary files.",
            show_default="half of what is free",
            rich_help_panel=Panel.MACHINE,
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Log to TensorBoard files in RUN/tensorboard.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = False,
    trackio: Annotated[
        Optional[str],
        typer.Option(
            "--trackio",
            metavar="PROJECT",
            help="Log to a trackio project.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the settings, parameters and memory, and exit.", rich_help_panel=Panel.PROGRESS
        ),
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Train a language model on text, or a model that answers examples: with --target, or labels in the data.

    Given only a text, it learns a vocabulary, holds back text for validation, chooses sizes, trains, keeps the weights
    with the best validation loss, and prints what to run next. --model ngram counts instead, in one go: interpolated
    modified Kneser-Ney, of an order that suits the validation text. Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 stop it
    after the current step with a checkpoint for --resume; a second one stops it at once.

    RUN/metrics.jsonl has a JSON object a line. Steps: step, tokens, loss (nats per token), lr, grad_norm (before
    clipping), skipped, tokens_per_s, elapsed_s, share (of the training). Validations: valid_loss, valid_tokens,
    best_step, averaged (steps whose weights are averaged). Probes: gradient_by_lag, watched_loss. Of n-grams: a
    validation for each order as its step, and ngrams, how many there are.
    """
    if resume and force:
        raise UsageError("--resume goes on with the run in -o, and --force would replace it: leave one out")
    if resume_or_begin and output is None:
        raise UsageError("--resume-or-begin needs -o RUN: the name by which the run is found again")
    request = training_request(
        data,
        settings,
        config,
        output=output,
        vocab=vocab,
        vocab_type=vocab_type,
        vocab_size=vocab_size,
        valid=valid,
        document=document,
        embeddings=embeddings,
        from_run=from_run,
        grow_vocab=grow_vocab,
        watch=watch,
        memory=memory,
        jsonl_field=jsonl_field,
        errors=errors,
        force=force,
    )
    _check_packages(tensorboard, trackio)

    from seqtool.records.layout import suffix_of
    from seqtool.runs.config import can_resume, read_config
    from seqtool.tasks.planning import plan_run
    from seqtool.tasks.request import reserved_run
    from seqtool.training.tracking import Tracking
    from seqtool.training.world import joined_world, own_device

    if resume_or_begin and output is not None:
        resume = can_resume(output)
    device = _device(request.settings, output if resume else None)
    with joined_world(own_device(device)) as world, reserved_run(request, resume, dry_run, world) as path:
        quiet = quiet or not world.main
        before = read_config(path).training if resume else None
        plan = plan_run(path, request, str(device), resume, dry_run, world)
        for told in plan.planner.notes(plan.data):
            note(told, quiet)
        if dry_run:
            if world.main:
                write_report(plan_report(plan), json)
            return
        if plan.config.shape is None and not (resume or request.jsonl_field) and suffix_of(data[0]) in TABLES:
            note(f"{data[0]} is read as plain text: to tell one of its columns, name it with --target", quiet)
        announce(plan, before, world, quiet)
        tracking = Tracking(_trackers(tensorboard, trackio, plan.config))
        outcome, number = _trained(path, plan, force, tracking, quiet, world)
    again = command_to_resume(data, path, errors)
    if number:
        raise StoppedError(number, stopped_message(outcome, path, again) if world.main else "")
    if world.main:
        beside = plan.planner.beside(plan.config, plan.data, outcome.progress.elapsed_s)
        write_report({**result_report(path, outcome.progress, plan), **beside}, json)
    say_how_it_ended(outcome, plan.config, again, quiet)
    say_next(path, valid, plan.config.task["name"], quiet)


def _device(settings: dict[str, Any], resumed: Path | None) -> torch.device:
    """The device to train on: the one asked for, or else the one on which a resumed run began."""
    from seqtool.models.device import choose_device
    from seqtool.runs.config import read_config

    begun_on = read_config(resumed).training.device if resumed is not None else TrainConfig.device
    return choose_device(settings.get("device", begun_on))


def _trained(path: Path, plan: Plan, force: bool, tracking: Tracking, quiet: bool, world: World) -> tuple[Outcome, int]:
    """Train, showing the progress; the outcome, and the number of the signal that stopped it, or 0."""
    config = plan.config
    with stop_flag() as stopped, TrainingProgress(quiet, *plan.planner.units(config)).shown() as show:

        def report(record: dict[str, Any]) -> None:
            show(record)
            tracking(record)

        try:
            outcome = plan.planner.train(
                path,
                config,
                plan.data,
                world,
                report=report,
                stopped=lambda: stopped() != 0,
                resume=plan.resume,
                replace=force,
                on_publish=tracking.start,
            )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if config.ngrams:
                raise SeqtoolError("not enough memory for so many n-grams: lower --memory or --order") from error
            length = "--bptt" if config.model.architecture.carries_state else "--context"
            raise SeqtoolError(
                f"not enough memory for this training: give --accumulate {2 * config.training.accumulate}, which "
                f"computes a batch in parts, or lower --batch-size, {length} or --hidden"
            ) from error
        finally:
            with contextlib.redirect_stdout(sys.stderr):
                tracking.finish()
        ended = outcome.complete or stopped()
    return outcome, stopped() or (0 if ended else int(signal.SIGTERM))  # another process may have received the signal


def _trackers(tensorboard: bool, trackio: str | None, config: RunConfig) -> list[Any]:
    from seqtool.training import tracking

    makers: list[Any] = [tracking.tensorboard] if tensorboard else []
    if trackio:
        settings = {**dataclasses.asdict(config.model), **dataclasses.asdict(config.training)}

        def make(run: Path, first_step: int) -> Any:
            with contextlib.redirect_stdout(sys.stderr):  # trackio prints a greeting, and stdout is for data
                return tracking.trackio(trackio, run.name, settings)

        makers.append(make)
    return makers


def _check_packages(tensorboard: bool, trackio: str | None) -> None:
    """UsageError naming the package that a tracker needs, where it is not installed."""
    from seqtool.training.tracking import check_extra

    for flag, package in (("--tensorboard", tensorboard), ("--trackio", trackio)):
        if package:
            check_extra(flag, flag.removeprefix("--"))
