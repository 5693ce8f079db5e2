"""`seqtool train`: learn a language model."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import TrainingProgress, duration, note, write, write_report
from seqtool.cli.options import (
    DocumentBreak,
    Errors,
    Force,
    Json,
    Quiet,
    chosen,
    document_break,
    refuse_unused,
    with_settings,
)
from seqtool.cli.signals import stop_flag
from seqtool.errors import SeqtoolError, StoppedError, UsageError, out_of_memory
from seqtool.settings.checking import DATA_SETTINGS, check_given, settings_from_file
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import LENGTHS, RATE_SETTINGS, TrainConfig
from seqtool.settings.vocabulary import ERROR_HANDLERS, VOCABULARY_TYPES

if TYPE_CHECKING:
    from seqtool.runs import RunConfig
    from seqtool.tasks.language.data import TrainingData
    from seqtool.training.tracking import Tracking
    from seqtool.training.world import World

NAME = "train"
EXAMPLE = "seqtool train novel.txt --model lstm --time 2m -o novel.run"
VALID_TOKENS = 32_768
VALID_TOKENS_FAST = 262_144


def _list_recipes(wanted: bool) -> None:
    if wanted:
        from seqtool.settings.defaults import recipes

        width = max(map(len, recipes()))
        for name, what in recipes().items():
            write(f"{name:<{width}}  {what}\n")
        raise typer.Exit()


@with_settings(ModelConfig, TrainConfig)
def command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Text files, - for standard input, or a store. FILE=3 is read three times in each pass.",
        ),
    ],
    output: Annotated[
        Optional[Path],
        typer.Option("-o", "--output", metavar="RUN", help="The run directory to make. \\[runs/NAME-MODEL]"),
    ] = None,
    *,
    vocab: Annotated[Optional[Path], typer.Option("--vocab", metavar="FILE", help="A vocabulary made before.")] = None,
    vocab_type: Annotated[
        Optional[str], typer.Option("--vocab-type", metavar="|".join(VOCABULARY_TYPES), help="Vocabulary to learn.")
    ] = None,
    vocab_size: Annotated[Optional[int], typer.Option("--vocab-size", help="Its size. \\[by the text]")] = None,
    min_count: Annotated[
        Optional[int],
        typer.Option(
            "--min-count",
            help="--vocab-type word: what is rarer is <unk>. \\[2, so that <unk> is learned; 1 where it is anyway]",
        ),
    ] = None,
    valid: Annotated[
        Optional[str],
        typer.Option(
            "--valid", metavar="FILE|SHARE", help="Validation text, or how much of each file to hold back. \\[0.1]"
        ),
    ] = None,
    embeddings: Annotated[
        Optional[Path],
        typer.Option(
            "--embeddings",
            metavar="VECTORS",
            help="Vectors that the embedding begins with; --vocab-type is then theirs, if not given.",
        ),
    ] = None,
    errors: Errors = "strict",
    document: DocumentBreak = None,
    config: Annotated[
        Optional[str],
        typer.Option(
            "--config",
            metavar="FILE.toml|RECIPE|RUN/config.json",
            help="Settings: yours, a recipe's, or a run's with its vocabulary; a flag beats them.",
        ),
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list-recipes", callback=_list_recipes, is_eager=True, help="Show the recipes, and stop.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where the run in -o was.")] = False,
    resume_or_begin: Annotated[
        bool, typer.Option("--resume-or-begin", help="--resume where the run in -o is there, else begin it.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files into RUN/tensorboard.")
    ] = False,
    trackio: Annotated[
        Optional[str], typer.Option("--trackio", metavar="PROJECT", help="Track the run in a trackio project.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and stop.")] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Train a language model on text. With nothing but a file it makes a vocabulary, holds back validation text, picks
    sizes, trains, keeps the best weights, and says what to run next. SIGTERM, Ctrl-C, SIGUSR1 and SIGUSR2 end it after
    the step under way with a checkpoint to --resume from; a second one ends it at once.
    """
    from_file = _file_settings(config)
    if any(settings.get(name) for name in LENGTHS):
        from_file = {name: value for name, value in from_file.items() if name not in LENGTHS}
    beaten = {"vocab"} if vocab_type or vocab_size or min_count else set()
    if vocab is not None:
        beaten = {"vocab", "vocab_type", "vocab_size", "min_count"}
    elif vocab_type not in (None, "word"):
        beaten.add("min_count")
    from_file = {name: value for name, value in from_file.items() if name not in beaten}
    of_data = {name: from_file.pop(name, None) for name in ("vocab", "embeddings", "weights", *DATA_SETTINGS)}
    flags = frozenset(settings)
    settings = from_file | settings
    document = document or of_data["document"]
    chosen(errors, ERROR_HANDLERS, "--errors")
    document_break(document or "file")
    _check_early(settings, {"--vocab-size": vocab_size, "--min-count": min_count})
    if resume_or_begin and output is None:
        raise UsageError("--resume-or-begin needs -o RUN: the name by which the run is found again")

    from seqtool.models.device import choose_device
    from seqtool.runs import CHECKPOINT, is_run, read_config
    from seqtool.tasks.language.data import parse_weights
    from seqtool.tasks.language.planning import Request, plan_run, reserved_run
    from seqtool.text.store import is_store
    from seqtool.training.tracking import Tracking, check_extra
    from seqtool.training.world import joined_world, own_device

    for flag, package in (("--tensorboard", tensorboard), ("--trackio", trackio)):
        if package:
            check_extra(flag, flag.removeprefix("--"))
    paths, weights = parse_weights(data)
    if of_data["weights"] not in (None, weights):
        raise UsageError(
            f"--config {config}: that run read its files {of_data['weights']} times; give DATA as FILE=N so"
        )
    store = is_store(Path(paths[0]))
    if vocab is not None or store:
        given = {"--vocab-type": vocab_type, "--vocab-size": vocab_size, "--min-count": min_count}
        refuse_unused(
            {flag: value is not None for flag, value in given.items()},
            f"{vocab or paths[0]} has a whole vocabulary; leave that out",
        )
    if store:
        given = {"--document": document, "--errors": errors if errors != "strict" else None}
        refuse_unused(
            {flag: value is not None for flag, value in given.items()},
            f"{paths[0]} is encoded already; leave that out",
        )
    request = Request(
        paths,
        weights,
        output,
        settings,
        vocab or of_data["vocab"],
        vocab_type or of_data["vocab_type"],
        vocab_size or of_data["vocab_size"],
        min_count or of_data["min_count"],
        valid or of_data["valid"],
        document,
        embeddings or of_data["embeddings"],
        errors,
        force,
        flags,
    )
    if resume_or_begin and output is not None:
        resume = is_run(output) and (output / CHECKPOINT).is_file()
    begun_on = read_config(output).training.device if resume and output is not None else TrainConfig.device
    device = choose_device(settings.get("device", begun_on))
    with joined_world(own_device(device)) as world, reserved_run(request, resume, dry_run, world) as path:
        quiet = quiet or not world.main
        before = read_config(path).training if resume else None
        run_config, prepared, resume = plan_run(path, request, str(device), resume, dry_run, world)
        if prepared.beginning is not None:
            note(_beginning(prepared.beginning.record), quiet)
        if dry_run:
            if world.main:
                write_report(_plan(run_config), json)
            return
        note(_announcement(run_config, world), quiet)
        if prepared.about_unknown:
            note(prepared.about_unknown, quiet)
        if before is not None and (changed := _changed_rate(before, run_config.training)):
            note(f"from here on, not as it was begun: {changed}", quiet)
        tracking = Tracking(_trackers(tensorboard, trackio, run_config))
        outcome, number = _trained(path, run_config, prepared, resume, force, tracking, quiet, world)
    progress = outcome.progress
    replacing = ["--errors", errors] if errors != "strict" else []
    again = shlex.join(["seqtool", "train", *data, "-o", str(path), *replacing, "--resume"])
    if number:
        kept = f"go on with: {again}" if outcome.kept else f"nothing was kept, and {path} is as it was"
        raise StoppedError(number, f"stopped at step {progress.step}; {kept}" if world.main else "")
    training = run_config.training
    stopped_early = progress.stagnant(training) and progress.share(training) < 1.0
    if world.main:
        write_report(
            {
                "run": str(path),
                "steps": progress.step,
                "tokens": progress.tokens,
                "seconds": progress.elapsed_s,
                "best_step": progress.best_step,
                "valid_nats_per_token": progress.best_loss,
                "skipped_steps": progress.skipped,
                "stopped_early": stopped_early,
            },
            json,
        )
    if outcome.first_step == progress.step:
        note(f"nothing was left to do: all {progress.step:,} steps were done before", quiet)
    if stopped_early:
        note(
            f"stopped early, at step {progress.step:,}: the last {progress.since_best} validations were no better than "
            f"that of step {progress.best_step:,} (--early-stop {training.early_stop}); "
            f"go on all the same with: {again} --early-stop 0",
            quiet,
        )
    elif outcome.first_step == progress.step:
        note(f"make it longer with: {again} --steps {2 * progress.step}", quiet)
    _say_next(path, valid, quiet)


def _file_settings(config: str | None) -> dict[str, Any]:
    """The settings that --config names: of a TOML file, a recipe, or a run with its vocabulary."""
    from seqtool.files.writing import read_toml
    from seqtool.settings.defaults import recipe_file

    if config is None:
        return {}
    file = recipe_file(config)
    if file.suffix == ".json":
        from seqtool.runs import settings_of_run

        return settings_of_run(file)
    return settings_from_file(read_toml(file), str(file))


def _trained(
    path: Path,
    config: RunConfig,
    prepared: TrainingData,
    resume: bool,
    force: bool,
    tracking: Tracking,
    quiet: bool,
    world: World,
) -> tuple[Any, int]:
    """Train, showing how it goes; how far it came, and the signal that ended it, or 0."""
    from seqtool.tasks.language.task import LanguageTask
    from seqtool.training.session import train_run

    with stop_flag() as stopped, TrainingProgress(quiet).shown() as show:

        def report(record: dict[str, Any]) -> None:
            show(record)
            tracking(record)

        try:
            outcome = train_run(
                path,
                LanguageTask(config, prepared, VALID_TOKENS if world.device.type == "cpu" else VALID_TOKENS_FAST),
                report=report,
                stopped=lambda: stopped() != 0,
                resume=resume,
                replace=force,
                world=world,
                on_publish=tracking.start,
            )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            length = "--bptt" if config.model.architecture.carries_state else "--context"
            raise SeqtoolError(
                f"not enough memory for this training: give --accumulate {2 * config.training.accumulate}, which "
                f"computes a batch in parts, or lower --batch-size, {length} or --hidden"
            ) from error
        finally:
            with contextlib.redirect_stdout(sys.stderr):
                tracking.finish()
        ended = outcome.complete or stopped()
    return outcome, stopped() or (0 if ended else int(signal.SIGTERM))  # another process may have had the signal


def _trackers(tensorboard: bool, trackio: str | None, config: RunConfig) -> list[Any]:
    from seqtool.training import tracking

    makers: list[Any] = [tracking.tensorboard] if tensorboard else []
    if trackio:
        settings = {**dataclasses.asdict(config.model), **dataclasses.asdict(config.training)}

        def make(run: Path, first_step: int) -> Any:
            with contextlib.redirect_stdout(sys.stderr):  # it greets; stdout is for data
                return tracking.trackio(trackio, run.name, settings)

        makers.append(make)
    return makers


NEVER_ZERO = (*LENGTHS, "lr", "eval_every", "checkpoint_every")
"""Settings whose 0 stands for what suits the text: nobody who writes it asks for that."""


def _check_early(settings: dict[str, Any], numbers: dict[str, int | None]) -> None:
    """Refuse settings that no text could make right, before anything is read."""
    problems = check_given(settings, ModelConfig, TrainConfig)
    zeros = [f"--{name.replace('_', '-')}" for name in NEVER_ZERO if settings.get(name) == 0]
    zeros += [flag for flag, number in numbers.items() if number == 0]
    problems += [f"{flag} {number}: at least 1" for flag, number in numbers.items() if (number or 0) < 0]
    problems += [f"{name} 0: leave it out, or give more" for name in zeros]
    if problems:
        raise UsageError("; ".join(problems))


def _plan(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration, the parameters and the memory they take in training."""
    parameters = config.parameters
    training = config.training
    frozen = config.symbols.size * config.model.embed_width if training.freeze else 0
    slots = {"sgd": int(training.momentum > 0), "adagrad": 1, "rmsprop": 1, "adafactor": 0, "asgd": 1, "nt-asgd": 1}
    copies = 2 + slots.get(training.optimizer, 2) + (training.ema > 0)
    logits = 2 * 4 * training.batch_size // training.accumulate * training.bptt * config.symbols.size
    return {
        **dataclasses.asdict(config.model),
        **dataclasses.asdict(config.training),
        "vocab_size": config.symbols.size,
        **{name: config.data[name] for name in ("train_tokens", "valid_tokens")},
        "parameters": parameters,
        "frozen_parameters": frozen,
        "weights_gradients_optimizer_bytes": 4 * (frozen + (parameters - frozen) * copies),
        "logits_bytes": logits,
    }


def _changed_rate(before: TrainConfig, now: TrainConfig) -> str:
    """What of the learning rate and its schedule differs from that with which a run was trained so far."""
    return ", ".join(
        f"--{name.replace('_', '-')} {getattr(now, name)} (was {getattr(before, name)})"
        for name in RATE_SETTINGS
        if getattr(now, name) != getattr(before, name)
    )


def _beginning(record: dict[str, Any]) -> str:
    """How much of the vocabulary and of the text has a vector to begin with."""
    shares = [record[f"matched_{name}"] / record[name] for name in ("symbols", "tokens")]
    return (
        f"{record['matched_symbols']:,} of {record['symbols']:,} symbols start from {record['name']} "
        f"({shares[0]:.1%}); they are {shares[1]:.1%} of the text's tokens"
    )


def _announcement(config: RunConfig, world: World) -> str:
    model, training = config.model, config.training
    length = (
        f"{duration(training.time)}"
        if training.time
        else f"{training.epochs:g} epochs"
        if training.epochs
        else f"{training.steps:,} steps"
    )
    return (
        f"{model.model}, {model.layers} x {model.hidden}, {config.parameters:,} parameters, "
        f"{config.symbols.size:,} symbols; {config.data['train_tokens']:,} tokens to train on, "
        f"{config.data['valid_tokens']:,} to validate{_held_back(config)}; "
        f"{length} on {world.device.type} in {training.precision}"
        + (f" by {world.size} processes" if world.size > 1 else "")
    )


def _held_back(config: RunConfig) -> str:
    """Which text of the data is validated on, in parentheses; nothing where it is a file of its own."""
    held = config.data.get("held_back")
    if not isinstance(held, dict):
        return ""
    parts = []
    if held["ends"]:
        of = "it" if held["files"] == 1 else f"each of {held['ends']:,} files"
        parts.append(f"the last {held['share']:.2g} of {of}")
    if held["whole"]:
        parts.append(f"{held['whole']:,} of {held['files'] - held['ends']:,} small files, spread over all")
    return f" ({' and '.join(parts)})"


def _say_next(path: Path, valid: str | None, quiet: bool) -> None:
    scored = valid if valid and Path(valid).exists() else "TEXT"
    note(f"next: seqtool eval {path} {scored}", quiet)
    note(f"      seqtool generate {path} --prompt 'Once'", quiet)
    note(f"      seqtool info {path}", quiet)
