"""A language model that is counted: from what a user asks for to its n-grams, and from these to a run.

Counting takes seconds and tells how many n-grams there are, so it is part of the plan: --dry-run reports them, and what
is left to do is to write.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from seqtool.counts.choosing import Candidate, best_of, candidates
from seqtool.counts.columns import Storage
from seqtool.counts.counting import NgramCounts
from seqtool.counts.model import text_nats
from seqtool.counts.stored import bytes_of
from seqtool.errors import InputError, SeqtoolError, UsageError
from seqtool.files.directories import built_aside, publish
from seqtool.files.memory import held_bytes
from seqtool.files.writing import atomic_writer, locked, remove_strays
from seqtool.runs.config import METRICS, WEIGHTS, RunConfig, new_config, read_config
from seqtool.runs.weights import read_counts, write_counts
from seqtool.settings.checking import check_used, checked
from seqtool.settings.defaults import own_settings
from seqtool.settings.model import MAX_ORDER, ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.data import TrainingData, load_vocabulary_or_none, prepare_data
from seqtool.tasks.language.planning import about as about
from seqtool.tasks.language.planning import units as units
from seqtool.tasks.language.planning import vocabulary_to_learn
from seqtool.tasks.language.resuming import resumed_run
from seqtool.tasks.request import Request
from seqtool.training.progress import Progress
from seqtool.training.session import Options, Outcome
from seqtool.training.world import World

LEAST_BYTES = 32 << 20  # of memory, beside the program, that counting needs
VALID_TOKENS = 1 << 20  # of the validation text, to choose an order by


@dataclass(frozen=True)
class CountedData:
    """The text, and the last models that were counted of it, of which the best is kept; none of a run that is there."""

    prepared: TrainingData
    found: list[Candidate]
    metrics: list[dict[str, Any]]


def begun(task: str, request: Request, device: str, world: World) -> tuple[RunConfig, CountedData]:
    """A new run's configuration and n-grams."""
    asked = checked(ModelConfig(**own_settings(ModelConfig, _own(request))))
    _refuse_unused(request, asked, world)
    prepared = prepare_data(
        request.data,
        vocabulary=load_vocabulary_or_none(request.vocab),
        vocabulary_config=vocabulary_to_learn(request, None),
        valid=request.valid,
        errors=request.errors,
        document=request.document or "file",
        seed=request.settings.get("seed", TrainConfig.seed),
        weights=request.weights,
        field=request.jsonl_field,
        world=world,
    )
    if not len(prepared.valid_ids):
        raise InputError("no text is left for validation: give more text, or --valid FILE")
    try:
        found, metrics = _counted(prepared, asked, _storage(request.memory))
    except MemoryError as error:
        raise SeqtoolError("not enough memory for so many n-grams: lower --memory or --order") from error
    best = best_of(found).model
    vocabulary, ids = prepared.vocabulary, prepared.train_ids
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, len(prepared.seen_counts), len(ids))
    kept = ModelConfig(model=asked.model, order=best.order, prune=asked.prune)
    training = TrainConfig(seed=request.settings.get("seed", TrainConfig.seed), device=device, precision="fp32")
    config = new_config(kept, training, symbols, vocabulary, prepared.record)
    return dataclasses.replace(config, ngrams=best.sizes), CountedData(prepared, found, metrics)


def _own(request: Request) -> dict[str, Any]:
    """Of the settings asked for, those that count here: a --config file may be of another model."""
    model = request.settings["model"]
    own = ("model", *ModelConfig(model=model).architecture.settings)
    return {name: value for name, value in request.settings.items() if name in own}


def _refuse_unused(request: Request, model: ModelConfig, world: World) -> None:
    """UsageError naming what was asked that counting has no use for."""
    problems = check_used(request.flags, model, TrainConfig())
    for flag, given in (
        ("--embeddings", request.embeddings),
        ("--from", request.from_run),
        ("--grow-vocab", request.grow_vocab or None),
        ("--watch", request.watch),
    ):
        if given is not None:
            problems.append(f"{flag}: --model {model.model} is counted, from the text alone; leave that out")
    if world.size > 1:
        problems.append(f"--model {model.model} is counted by one process: start it without torchrun")
    if problems:
        raise UsageError("; ".join(problems))


def _storage(memory: int | None) -> Storage:
    """Room for counting in so many bytes, or in half of those that are free; UsageError where the program has more."""
    if memory is None:
        return Storage.of_half_the_free_memory()
    held = held_bytes()
    if memory < held + LEAST_BYTES:
        least = (held + LEAST_BYTES >> 20) + 1
        asked = f"{memory >> 20}M" if memory >> 20 else f"of {memory:,} bytes"
        raise UsageError(f"--memory {asked}: the program itself takes {held >> 20}M; give at least {least}M")
    return Storage(memory - held)


def _counted(
    prepared: TrainingData, asked: ModelConfig, storage: Storage
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    """The models that were counted, and a line of metrics for each."""
    began = time.perf_counter()
    ids, vocabulary = prepared.train_ids, prepared.vocabulary
    counts = NgramCounts(ids, vocabulary.size, vocabulary.begin_id, storage)
    held_out = prepared.valid_ids[0:VALID_TOKENS]
    found: list[Candidate] = []
    metrics: list[dict[str, Any]] = []
    for candidate in candidates(counts, held_out, asked.order, MAX_ORDER, asked.pruned):
        found = [*found[-1:], candidate]  # of the last two one is the best; the others' memory is free
        metrics.append(
            {
                "step": candidate.model.order,
                "tokens": len(ids),
                "elapsed_s": time.perf_counter() - began,
                "valid_loss": candidate.loss,
                "valid_tokens": candidate.tokens,
                "best_step": best_of(found).model.order,
                "ngrams": sum(candidate.model.sizes),
            }
        )
    return found, metrics


def again(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, CountedData]:
    """A run's configuration and its text, read again: a run is there only with all its n-grams."""
    _refuse_unused(request, read_config(path).model, world)
    config, prepared = resumed_run(path, request, device, world)
    model = read_counts(path / WEIGHTS, config)
    return config, CountedData(prepared, [Candidate(model, *text_nats(model, prepared.valid_ids[0:VALID_TOKENS]))], [])


def train(path: Path, config: RunConfig, data: CountedData, world: World, **options: Unpack[Options]) -> Outcome:
    """Write the run directory `path`; with `resume` it is whole already."""
    best = best_of(data.found)
    order = best.model.order
    progress = Progress(step=order, tokens=config.symbols.tokens, best_loss=best.loss, best_step=order)
    if options.get("resume"):
        with locked(path):
            remove_strays(path)
        return Outcome(progress, kept=True, complete=True, first_step=order)
    progress.elapsed_s = data.metrics[-1]["elapsed_s"]
    for record in data.metrics:
        options["report"](record)
    with built_aside(path) as folder:
        write_counts(folder, config, data.prepared.vocabulary, best.model)
        with atomic_writer(folder / METRICS) as stream:
            stream.writelines(_lines(data.metrics))
        publish(folder, path, options.get("replace", False))
    if told := options.get("on_publish"):
        told(path, 0)
    return Outcome(progress, kept=True, complete=True, first_step=0)


def _lines(records: list[dict[str, Any]]) -> Iterator[bytes]:
    for record in records:
        yield json.dumps(record).encode() + b"\n"


def beside(config: RunConfig, data: CountedData, seconds: float) -> dict[str, Any]:
    """Nothing: this is the plain model."""
    return {}


def notes(data: CountedData) -> list[str]:
    """What a vocabulary knows of unknowns."""
    return [data.prepared.about_unknown] if data.prepared.about_unknown else []


def planned(config: RunConfig) -> dict[str, Any]:
    """The vocabulary, the tokens, the n-grams of each order, and the bytes of their file."""
    return {
        "vocab_size": config.symbols.size,
        **{name: config.data[name] for name in ("train_tokens", "valid_tokens")},
        "ngrams": list(config.ngrams),
        "weights_bytes": bytes_of(config.ngrams),
    }
