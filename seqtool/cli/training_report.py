"""What `seqtool train` reports: the plan, what is about to be trained, how a training ended, and what to run next."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtool.cli.console import duration, note
from seqtool.settings.training import RATE_SETTINGS, TrainConfig

if TYPE_CHECKING:
    from seqtool.runs import RunConfig
    from seqtool.tasks.language.planning import Plan
    from seqtool.training.progress import Progress
    from seqtool.training.session import Outcome
    from seqtool.training.world import World


def plan_report(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration, the number of parameters, and the memory that training takes for them."""
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
    """Which settings of the learning rate differ from those that a run was trained with so far."""
    return ", ".join(
        f"--{name.replace('_', '-')} {getattr(now, name)} (was {getattr(before, name)})"
        for name in RATE_SETTINGS
        if getattr(now, name) != getattr(before, name)
    )


def pretrained_message(record: dict[str, Any]) -> str:
    """How much of the vocabulary and of the text starts from a given vector."""
    shares = [record[f"matched_{name}"] / record[name] for name in ("symbols", "tokens")]
    return (
        f"{record['matched_symbols']:,} of {record['symbols']:,} symbols start from {record['name']} "
        f"({shares[0]:.1%}); they are {shares[1]:.1%} of the text's tokens"
    )


def announce(plan: Plan, before: TrainConfig | None, world: World, quiet: bool) -> None:
    """Tell what is about to be trained, and which rates of a resumed run differ from those `before`."""
    note(_announcement(plan.config, world), quiet)
    if plan.data.about_unknown:
        note(plan.data.about_unknown, quiet)
    if before is not None and (changed := _changed_rate(before, plan.config.training)):
        note(f"from here on, other than before: {changed}", quiet)


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
    """Which part of the data is held back for validation, in parentheses; empty with a validation file."""
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


def command_to_resume(data: list[str], path: Path, errors: str) -> str:
    """The command that continues a run."""
    replacing = ["--errors", errors] if errors != "strict" else []
    return shlex.join(["seqtool", "train", *data, "-o", str(path), *replacing, "--resume"])


def stopped_message(outcome: Outcome, path: Path, again: str) -> str:
    """What a training that a signal stopped has left, and how to continue it."""
    kept = f"go on with: {again}" if outcome.kept else f"nothing was kept, and {path} is as it was"
    return f"stopped at step {outcome.progress.step}; {kept}"


def _stopped_early(progress: Progress, training: TrainConfig) -> bool:
    return progress.stagnant(training) and progress.share(training) < 1.0


def result_report(path: Path, progress: Progress, training: TrainConfig) -> dict[str, Any]:
    """The report of a training that was not stopped by a signal."""
    return {
        "run": str(path),
        "steps": progress.step,
        "tokens": progress.tokens,
        "seconds": progress.elapsed_s,
        "best_step": progress.best_step,
        "valid_nats_per_token": progress.best_loss,
        "skipped_steps": progress.skipped,
        "stopped_early": _stopped_early(progress, training),
    }


def say_how_it_ended(outcome: Outcome, training: TrainConfig, again: str, quiet: bool) -> None:
    """Tell that there was nothing left to do or that training stopped early, and how to continue all the same."""
    progress = outcome.progress
    nothing_left = outcome.first_step == progress.step
    if nothing_left:
        note(f"nothing was left to do: all {progress.step:,} steps were done before", quiet)
    if _stopped_early(progress, training):
        note(
            f"stopped early, at step {progress.step:,}: the last {progress.since_best} validations were no better than "
            f"that of step {progress.best_step:,} (--early-stop {training.early_stop}); "
            f"go on all the same with: {again} --early-stop 0",
            quiet,
        )
    elif nothing_left:
        note(f"make it longer with: {again} --steps {2 * progress.step}", quiet)


def say_next(path: Path, valid: str | None, quiet: bool) -> None:
    scored = valid if valid and Path(valid).exists() else "TEXT"
    note(f"next: seqtool eval {path} {scored}", quiet)
    note(f"      seqtool generate {path} --prompt 'Once'", quiet)
    note(f"      seqtool info {path}", quiet)
