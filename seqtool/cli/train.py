"""`seqtool train`: learn a language model."""

from __future__ import annotations

import dataclasses
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import TrainingProgress, duration, note, write_report
from seqtool.cli.options import DocumentBreak, Errors, Force, Json, Quiet, chosen, with_settings
from seqtool.config import (
    DOCUMENT_BREAKS,
    ERROR_HANDLERS,
    VOCABULARY_TYPES,
    Facts,
    ModelConfig,
    Symbols,
    TrainConfig,
    VocabularyConfig,
    check_each,
    checked,
    resolve,
    settings_from_file,
)
from seqtool.errors import InputError, StoppedError, UsageError

if TYPE_CHECKING:
    import torch

    from seqtool.runs import RunConfig
    from seqtool.training.data import TrainingData

NAME = "train"
EXAMPLE = "seqtool train novel.txt --model lstm --time 2m -o novel.run"
DEFAULT_VOCABULARY = "bpe"
LENGTHS = ("steps", "epochs", "time")
VALID_TOKENS = 32_768
VALID_TOKENS_FAST = 262_144


@with_settings(ModelConfig, TrainConfig)
def command(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="Text files, - for standard input, or a store.")],
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
    valid: Annotated[
        Optional[str],
        typer.Option("--valid", metavar="FILE|SHARE", help="Validation text, or how much to hold back. \\[0.1]"),
    ] = None,
    errors: Errors = "strict",
    document: DocumentBreak = None,
    config: Annotated[
        Optional[Path], typer.Option("--config", metavar="FILE.toml", help="Settings; a flag beats them.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where the run in -o was.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and stop.")] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Train a language model on text. With nothing but a file it makes a vocabulary, holds back validation text, picks
    sizes, trains, keeps the best weights, and says what to run next.
    """
    from seqtool.files import read_toml

    chosen(errors, ERROR_HANDLERS, "--errors")
    chosen(document or "file", DOCUMENT_BREAKS, "--document")
    if config is not None:
        settings = settings_from_file(read_toml(config), str(config)) | settings
    if resume:
        _refuse_with_resume(settings, output, vocab, vocab_type, vocab_size, valid, document, config)
    _check_early(settings)

    from seqtool.files import refuse_directory
    from seqtool.models.device import choose_device
    from seqtool.runs import new_config, read_config, read_vocabulary
    from seqtool.training.data import load_vocabulary_or_none, prepare_data
    from seqtool.training.session import train_run, with_device

    if resume:
        assert output is not None
        run_config = read_config(output)
        record = run_config.data
        prepared = prepare_data(
            data,
            vocabulary=read_vocabulary(output, run_config),
            vocabulary_config=VocabularyConfig(),
            valid=record.get("valid"),
            errors=errors,
            document=str(record.get("document", "file")),
            seed=run_config.training.seed,
        )
        _check_same_data(output, run_config, prepared)
        path = output
        device = choose_device(run_config.training.device)
    else:
        model_name = settings.get("model", ModelConfig.model)
        path = output or _free_name(data[0], model_name)
        if not dry_run:
            refuse_directory(path, force, data)
        device = choose_device(settings.get("device", TrainConfig.device))
        prepared = prepare_data(
            data,
            vocabulary=load_vocabulary_or_none(vocab),
            vocabulary_config=checked(VocabularyConfig(type=vocab_type or DEFAULT_VOCABULARY, size=vocab_size or 0)),
            valid=valid,
            errors=errors,
            document=document or "file",
            seed=settings.get("seed", TrainConfig.seed),
        )
        facts = Facts(len(prepared.train_ids), prepared.vocabulary.size, device.type != "cpu")
        model_config, train_config = resolve(settings, facts)
        symbols = Symbols(
            prepared.vocabulary.size, prepared.vocabulary.begin_id, len(prepared.seen_counts), len(prepared.train_ids)
        )
        run_config = with_device(
            new_config(model_config, train_config, symbols, prepared.vocabulary, prepared.record), device
        )
    if dry_run:
        write_report(_plan(run_config), json)
        return
    note(_announcement(run_config, device), quiet)
    with _stop_flag() as stopped, TrainingProgress(quiet).shown() as progress_shown:
        outcome = train_run(
            path,
            run_config,
            prepared.vocabulary,
            prepared.train_ids,
            prepared.valid_ids,
            prepared.seen_counts,
            device=device,
            precision=run_config.training.precision,
            valid_tokens=VALID_TOKENS if device.type == "cpu" else VALID_TOKENS_FAST,
            report=progress_shown,
            stopped=lambda: stopped() != 0,
            resume=resume,
            replace=force,
        )
    progress = outcome.progress
    if number := stopped():
        again = shlex.join(["seqtool", "train", *data, "-o", str(path), "--resume"])
        kept = f"go on with: {again}" if outcome.kept else f"nothing was kept, and {path} is as it was"
        raise StoppedError(number, f"stopped at step {progress.step}; {kept}")
    write_report(
        {
            "run": str(path),
            "steps": progress.step,
            "tokens": progress.tokens,
            "seconds": progress.elapsed_s,
            "best_step": progress.best_step,
            "valid_nats_per_token": progress.best_loss,
        },
        json,
    )
    _say_next(path, valid, quiet)


def _check_early(settings: dict[str, Any]) -> None:
    """Refuse settings that no text could make right, before anything is read."""
    problems = [
        problem
        for kind in (ModelConfig, TrainConfig)
        for problem in check_each(
            kind(**{item.name: settings[item.name] for item in dataclasses.fields(kind) if item.name in settings})
        )
    ]
    problems += [f"--{name} 0: leave it out, or give more" for name in LENGTHS if settings.get(name) == 0]
    if problems:
        raise UsageError("; ".join(problems))


def _refuse_with_resume(settings: dict[str, Any], output: Path | None, *others: Any) -> None:
    if output is None:
        raise UsageError("--resume needs -o RUN: the run to go on with")
    if settings or any(other is not None for other in others):
        raise UsageError("--resume goes on with the run's own settings: give only DATA and -o RUN beside it")


def _check_same_data(path: Path, config: RunConfig, prepared: TrainingData) -> None:
    for name in ("sha256", "valid_sha256", "train_tokens", "valid_tokens"):
        if prepared.record.get(name) != config.data.get(name):
            raise InputError(f"{path} was trained on other text ({name} differs): give the same DATA to --resume")


def _free_name(data: str, model: str) -> Path:
    """`runs/NAME-MODEL`, with a number when that is taken."""
    stem = "stdin" if data == "-" else re.sub(r"[^\w.-]+", "_", Path(data).stem) or "text"
    path = Path("runs") / f"{stem}-{model}"
    number = 2
    while path.exists():
        path = Path("runs") / f"{stem}-{model}-{number}"
        number += 1
    return path


def _plan(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration, the parameters and the memory they take in training."""
    parameters = config.parameters
    slots = {"sgd": 1 if config.training.momentum else 0, "adagrad": 1, "rmsprop": 1}.get(config.training.optimizer, 2)
    logits = 2 * 4 * config.training.batch_size * config.training.bptt * config.symbols.size
    return {
        **dataclasses.asdict(config.model),
        **dataclasses.asdict(config.training),
        "vocab_size": config.symbols.size,
        **{name: config.data[name] for name in ("train_tokens", "valid_tokens")},
        "parameters": parameters,
        "weights_gradients_optimizer_bytes": 4 * parameters * (2 + slots),
        "logits_bytes": logits,
    }


def _announcement(config: RunConfig, device: torch.device) -> str:
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
        f"{config.data['valid_tokens']:,} to validate; {length} on {device} in {training.precision}"
    )


def _say_next(path: Path, valid: str | None, quiet: bool) -> None:
    scored = valid if valid and Path(valid).exists() else "TEXT"
    note(f"next: seqtool eval {path} {scored}", quiet)
    note(f"      seqtool generate {path} --prompt 'Once'", quiet)
    note(f"      seqtool info {path}", quiet)


@contextmanager
def _stop_flag() -> Iterator[Callable[[], int]]:
    """Let SIGINT and SIGTERM end training after the step under way; a second one ends it at once."""
    received = 0

    def remember(number: int, frame: object) -> None:
        nonlocal received
        if received:
            raise StoppedError(number, "stopped at once")
        received = number

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
