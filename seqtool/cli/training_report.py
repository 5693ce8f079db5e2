"""What `seqtool train` reports: the plan, what is about to be trained, how a training ended, and what to run next."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtool.cli.console import duration, note
from seqtool.settings.examples import LANGUAGE, TRANSLATE
from seqtool.settings.training import RATE_SETTINGS, TrainConfig

if TYPE_CHECKING:
    from seqtool.runs.config import RunConfig
    from seqtool.tasks.planning import Plan
    from seqtool.training.progress import Progress
    from seqtool.training.session import Outcome
    from seqtool.training.world import World


def plan_report(plan: Plan) -> dict[str, Any]:
    """The resolved configuration, the number of parameters, and the memory that training takes for them."""
    from seqtool.tasks.starting import frozen_parameters

    config = plan.config
    parameters = config.parameters
    if config.ngrams:
        return {**config.model.told(), "seed": config.training.seed, **plan.planner.planned(config)}
    training = config.training
    frozen = frozen_parameters(config)
    slots = {"sgd": int(training.momentum > 0), "adagrad": 1, "rmsprop": 1, "adafactor": 0, "asgd": 1, "nt-asgd": 1}
    copies = 2 + slots.get(training.optimizer, 2) + (training.ema > 0)
    return {
        **dataclasses.asdict(config.model),
        **dataclasses.asdict(config.training),
        "parameters": parameters,
        "frozen_parameters": frozen,
        "weights_gradients_optimizer_bytes": 4 * (frozen + (parameters - frozen) * copies),
        **plan.planner.planned(config),
    }


def _changed_rate(before: TrainConfig, now: TrainConfig) -> str:
    """Which settings of the learning rate differ from those that a run was trained with so far."""
    return ", ".join(
        f"--{name.replace('_', '-')} {getattr(now, name)} (was {getattr(before, name)})"
        for name in RATE_SETTINGS
        if getattr(now, name) != getattr(before, name)
    )


def announce(plan: Plan, before: TrainConfig | None, world: World, quiet: bool) -> None:
    """Tell what is about to be trained, and which rates of a resumed run differ from those `before`."""
    note(_announcement(plan, world), quiet)
    if before is not None and (changed := _changed_rate(before, plan.config.training)):
        note(f"from here on, other than before: {changed}", quiet)


def _announcement(plan: Plan, world: World) -> str:
    config = plan.config
    if config.ngrams:
        name, order = config.model.model, config.model.order
        return f"{name} of order {order}, {config.parameters:,} n-grams, {plan.planner.about(config)}"
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
        f"{plan.planner.about(config)}; "
        f"{length} on {world.device.type} in {training.precision}"
        + (f" by {world.size} processes" if world.size > 1 else "")
    )


def command_to_resume(data: list[str], path: Path, errors: str) -> str:
    """The command that continues a run."""
    replacing = ["--errors", errors] if errors != "strict" else []
    return shlex.join(["seqtool", "train", *data, "-o", str(path), *replacing, "--resume"])


def stopped_message(outcome: Outcome, path: Path, again: str) -> str:
    """What a training that a signal stopped has left, and how to continue it."""
    kept = f"go on with: {again}" if outcome.kept else f"nothing was kept, and {path} is as it was"
    return f"stopped at step {outcome.progress.step:,}; {kept}"


def _stopped_early(progress: Progress, training: TrainConfig) -> bool:
    return progress.stagnant(training) and progress.share(training) < 1.0


def result_report(path: Path, progress: Progress, plan: Plan) -> dict[str, Any]:
    """The report of a training that was not stopped by a signal."""
    if ngrams := plan.config.ngrams:
        of_counts = {"order": len(ngrams), "ngrams": sum(ngrams), "tokens": progress.tokens}
        return {"run": str(path), **of_counts, "seconds": progress.elapsed_s, **_best(progress, plan)}
    return {
        "run": str(path),
        "steps": progress.step,
        f"{plan.planner.units(plan.config)[0]}s": progress.tokens,
        "seconds": progress.elapsed_s,
        "best_step": progress.best_step,
        **_best(progress, plan),
        **_watched(path, progress, plan.config),
        "skipped_steps": progress.skipped,
        "stopped_early": _stopped_early(progress, plan.config.training),
    }


def _watched(path: Path, progress: Progress, config: RunConfig) -> dict[str, float]:
    """The loss on the text that is watched, before the first step and by the weights that were kept."""
    if "watch" not in config.data and "old_text" not in config.data:
        return {}
    from seqtool.runs.config import METRICS
    from seqtool.runs.metrics import read_metrics

    losses = dict(read_metrics(path / METRICS).watched)
    name = "old_text" if "old_text" in config.data else "watched"
    found = {"before": losses.get(0), "after": losses.get(progress.best_step)}
    return {f"{name}_nats_per_token_{when}": loss for when, loss in found.items() if loss is not None}


def _best(progress: Progress, plan: Plan) -> dict[str, float]:
    """What the best weights were chosen by, under its name."""
    by = plan.config.training.best_by
    if by != "loss":
        return {f"valid_{by}": 1.0 - progress.best_loss}
    target, loss = plan.planner.units(plan.config)
    return {f"valid_{loss}_per_{target}".replace(" ", "_"): progress.best_loss}


def say_how_it_ended(outcome: Outcome, config: RunConfig, again: str, quiet: bool) -> None:
    """Tell that there was nothing left to do or that training stopped early, and how to continue all the same."""
    progress, training = outcome.progress, config.training
    nothing_left = outcome.first_step == progress.step
    if config.ngrams:
        if nothing_left:
            note("nothing was left to do: all n-grams were counted before", quiet)
        return
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


def say_next(path: Path, valid: str | None, task: str, quiet: bool) -> None:
    """Tell which commands use the run."""
    language = task == LANGUAGE
    scored = shlex.quote(valid) if valid and Path(valid).exists() else "TEXT" if language else "FILE"
    if task == TRANSLATE and scored == "FILE" and valid and "," in valid:
        scored = "SOURCE --target TARGET"
    run = shlex.quote(str(path))
    note(f"next: seqtool eval {run} {scored}", quiet)
    note(f"      seqtool generate {run} --prompt 'Once'" if language else f"      seqtool predict {run} FILE", quiet)
    note(f"      seqtool info {run}", quiet)
