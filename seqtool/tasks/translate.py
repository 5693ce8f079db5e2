"""The task of writing a text for what is read: translations of lines, spellings of words, captions of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtool.errors import InputError
from seqtool.runs.config import RunConfig
from seqtool.runs.loading import ExampleRun
from seqtool.scoring.metrics.texts import require_sacrebleu
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.examples import DECOMPOSED, ExampleConfig, ExampleShape
from seqtool.settings.model import ModelConfig
from seqtool.tasks.examples.asking import Answer, Asking, no_heading
from seqtool.tasks.examples.prepared import Prepared, counts_record, data_record
from seqtool.tasks.examples.rows import Columns, columns_from
from seqtool.tasks.examples.sets import split_rows
from seqtool.tasks.examples.table import layout_record, symbols_of
from seqtool.tasks.language.data import held_share
from seqtool.tasks.pairs.batches import rows_of_tokens
from seqtool.tasks.pairs.reading import PairArrays, PairReader, Vocabularies, pair_arrays, vocabularies_for
from seqtool.tasks.pairs.sets import PairSet
from seqtool.tasks.pairs.sources import OpenedPairs, PairFiles, open_pairs, reopened, target_files, two_paths
from seqtool.tasks.request import Request

MEANT = (
    "target", "text", "numeric", "categorical", "ignore", "format", "header", "delimiter", "max_length", "source_type",
    "target_type", "vocabularies", "source_form", "best_by", "attention",
    "encoder", "batch_tokens",
)  # fmt: skip
UNITS = ("token", "nats")
SEPARATOR = "\t"
BACKTESTED = False
open_data, heading = open_pairs, no_heading
LEAST_BATCHES, LEAST_BATCH_TOKENS = 64, 512  # of a pass, where a batch has not fewer tokens than these
ENOUGH_STEPS, MOST_PASSES = 2000, 60.0  # that few pairs are learned from by default
SPARE_TOKENS, SPARE_SHARE = 10, 1.5  # a text that is written may be so much longer than any of training


@dataclass(frozen=True)
class Texts:
    """What a model writes: texts, token by token."""

    outputs: int = 1
    fitted: int = 0


def answers(task: Mapping[str, Any]) -> Any:
    """Texts."""
    if not (
        type(task.get("max_length")) is int
        and isinstance(task.get("column"), str)
        and type(task.get("longest")) is int
        and task["longest"] >= 1
        and isinstance(task.get("commonest"), str)
        and isinstance(task.get("target_vocabulary_sha256"), str)
    ):
        raise InputError("a run's configuration does not say what is written: it was edited")
    return Texts()


def same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the texts of two runs are of one vocabulary."""
    name = "target_vocabulary_sha256"
    return bool(one.get(name) == other.get(name))


def prepare(
    request: Request, opened: OpenedPairs, examples: ExampleConfig, settings: dict[str, Any], kept: RunConfig | None
) -> Prepared:
    """The pairs as arrays, and what is held back; with `kept` as that run's configuration says."""
    seed, share = int(settings.get("seed", 0)), held_share(request.valid)
    if settings.get("best_by") == "bleu":
        require_sacrebleu("--best-by bleu")
    files = opened.files
    columns = opened.columns if kept is None else columns_from(kept.task["columns"], "config.json")
    of_vocabulary = {"type": settings["vocab_type"]} if "vocab_type" in settings else {}
    vocabularies = vocabularies_for(request, files, columns, examples, of_vocabulary, seed)
    max_length = _longest(examples.max_length, settings)

    def read(some: PairFiles, purpose: str) -> PairArrays:
        apart = examples.source_form == DECOMPOSED
        reader = PairReader(columns, some.sources[0].columns, vocabularies, max_length, some.name, apart)
        found = pair_arrays(some, reader, request.errors)
        if not len(found.pairs):
            raise InputError(f"{some.name} has no pairs to {purpose}{_left_out(found, max_length)}")
        return found

    whole = read(files, "learn from")
    record = data_record(request, examples, whole.sha256, whole.left_out)
    if not files.target:
        record["examples"]["target"] = _absolute(target_files(request, examples))
    if share is None:
        assert request.valid is not None
        paths = two_paths(request.valid)
        held = read(reopened(files.layout, files.target, columns, paths, request.errors), "validate on")
        train, valid = whole.pairs, held.pairs
        record |= {"valid_sha256": held.sha256, "valid_path": _absolute(path for path in paths if path is not None)}
    else:
        rows, held_rows = split_rows(len(whole.pairs), share, seed)
        train, valid = whole.pairs.some(rows), whole.pairs.some(held_rows)
        record["valid_share"] = share
    record |= counts_record(train.source, valid.source)
    told = [] if kept is not None else [_about(opened, vocabularies, train.target_lengths_N)]
    if whole.left_out:
        told.append(f"{whole.left_out:,} pairs are left out{_left_out(whole, max_length)}")
    task = kept.task if kept is not None else _described(opened, examples, vocabularies, max_length, whole, train)
    source, target = vocabularies
    return Prepared(
        train,
        valid,
        _shape(columns, vocabularies),
        symbols_of(source, int(train.source.lengths_N.sum())),
        source,
        task,
        record,
        told,
        suited=_suited_batches(request, settings, train),
        target_vocabulary=None if vocabularies.shared else target,
    )


def _absolute(names: Iterable[str]) -> str:
    """The names of files from the root, with commas between them."""
    return ",".join(str(Path(name).absolute()) for name in names)


def _described(
    opened: OpenedPairs,
    examples: ExampleConfig,
    vocabularies: Vocabularies,
    max_length: int,
    whole: PairArrays,
    train: PairSet,
) -> dict[str, Any]:
    """What the run's configuration says of the task."""
    files = opened.files
    return {
        "name": examples.task,
        "target": [files.target or "text"],
        "column": files.target,
        "columns": opened.columns.as_record(),
        "layout": layout_record(files.layout),
        "source_form": examples.source_form,
        "max_length": max_length,
        "longest": round(SPARE_SHARE * int(train.target_lengths_N.max())) + SPARE_TOKENS,
        "commonest": whole.commonest,
        "target_vocabulary_sha256": "" if vocabularies.shared else vocabularies.target.sha256,
    }


def _shape(columns: Columns, vocabularies: Vocabularies) -> ExampleShape:
    """The sizes of what is read and written."""
    source, target = vocabularies
    return ExampleShape(
        tables=(source.size,) if source is not None else (),
        begin_id=0 if source is None else source.begin_id,
        numbers=columns.numbers,
        categories=columns.categories,
        target_symbols=target.size,
        target_begin_id=target.begin_id,
        one_table=vocabularies.shared,
    )


def _suited_batches(request: Request, settings: Mapping[str, Any], train: PairSet) -> dict[str, Any]:
    """Batches and passes that suit so many pairs: few of them are learned from in smaller batches, more often."""
    if "batch_size" in request.settings and "batch_tokens" not in request.settings:
        return {"batch_tokens": 0}
    tokens = int(settings.get("batch_tokens", 0))
    if not tokens:
        return {}
    if "batch_tokens" not in request.settings:
        tokens = min(tokens, max(LEAST_BATCH_TOKENS, int(train.lengths_N.sum()) // LEAST_BATCHES))
    rows = rows_of_tokens(train, tokens)
    passes = max(float(settings.get("epochs", 0.0)), min(MOST_PASSES, ENOUGH_STEPS * rows / len(train)))
    return {"batch_tokens": tokens, "batch_size": rows, "epochs": passes}


def _longest(most: int, settings: Mapping[str, Any]) -> int:
    """Tokens of a side that can be learned from: no more than the model can look at, with the symbol at an end."""
    if ARCHITECTURES[settings["model"]].carries_state:
        return most
    return min(most, int(settings.get("context", ModelConfig.context)) - 1)


def _left_out(found: PairArrays, max_length: int) -> str:
    """Why pairs were left out, in words."""
    reasons = {
        "cannot be read": found.broken,
        "have a side without text": found.empty,
        f"have more than {max_length:,} tokens (--max-length)": found.long,
    }
    parts = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    return f": {', '.join(parts)}" if parts else ""


def _about(opened: OpenedPairs, vocabularies: Vocabularies, lengths: Any) -> str:
    """What was found, in words."""
    source, target = vocabularies
    read = ", ".join(opened.columns.names[:8]) if opened.files.target else opened.files.name
    written = opened.files.target or opened.files.targets[0].name
    if source is None:
        of = f"{target.size:,} symbols ({target.type})"
    elif vocabularies.shared:
        of = f"one vocabulary of {target.size:,} symbols ({target.type}) for both"
    else:
        of = f"{source.size:,} symbols ({source.type}) are read, {target.size:,} ({target.type}) written"
    return f"{written} is written for {read}: {of}, {np.mean(lengths):.1f} tokens a text"


def predictions(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """For each row its text, as they come."""
    from seqtool.tasks.pairs.asking import answered_texts

    return answered_texts(run, paths, asking)


def evaluation(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside the baseline's."""
    from seqtool.tasks.pairs.judging import judged_texts

    return judged_texts(run, paths, asking)
