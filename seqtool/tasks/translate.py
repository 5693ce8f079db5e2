"""The task of writing a text for what is read: translations of lines, spellings of words, captions of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from seqtool.tasks.examples.rows import columns_from
from seqtool.tasks.examples.sets import split_rows
from seqtool.tasks.examples.table import layout_record, symbols_of
from seqtool.tasks.language.data import held_share
from seqtool.tasks.pairs.batches import rows_of_tokens
from seqtool.tasks.pairs.reading import PairArrays, PairReader, Vocabularies, pair_arrays, vocabularies_for
from seqtool.tasks.pairs.sources import OpenedPairs, open_pairs, reopened, target_files, two_paths
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
    apart = examples.source_form == DECOMPOSED
    reader = PairReader(columns, files.sources[0].columns, vocabularies, max_length, files.name, apart)
    whole = pair_arrays(files, reader, request.errors)
    if not len(whole.pairs):
        raise InputError(f"{files.name} has no pairs to learn from{_left_out(whole, max_length)}")
    record = data_record(request, examples, whole.sha256, whole.left_out)
    if not files.target:
        names = target_files(request, examples)
        record["examples"]["target"] = ",".join(str(Path(name).absolute()) for name in names)
    if share is None:
        assert request.valid is not None
        paths = two_paths(request.valid)
        held_files = reopened(files.layout, files.target, columns, paths, request.errors)
        held_names = held_files.sources[0].columns
        held_reader = PairReader(columns, held_names, vocabularies, max_length, held_files.name, apart)
        held = pair_arrays(held_files, held_reader, request.errors)
        if not len(held.pairs):
            raise InputError(f"{held_files.name} has no pairs to validate on{_left_out(held, max_length)}")
        train, valid = whole.pairs, held.pairs
        absolute = ",".join(str(Path(path).absolute()) for path in paths if path is not None)
        record |= {"valid_sha256": held.sha256, "valid_path": absolute}
    else:
        rows, held_rows = split_rows(len(whole.pairs), share, seed)
        train, valid = whole.pairs.some(rows), whole.pairs.some(held_rows)
        record["valid_share"] = share
    record |= counts_record(train.source, valid.source)
    told = [] if kept is not None else [_about(opened, vocabularies, train.target_lengths_N)]
    if whole.left_out:
        told.append(f"{whole.left_out:,} pairs are left out{_left_out(whole, max_length)}")
    longest = int(train.target_lengths_N.max())
    task = kept.task if kept is not None else {
        "name": examples.task,
        "target": [files.target or "text"],
        "column": files.target,
        "columns": columns.as_record(),
        "layout": layout_record(files.layout),
        "source_form": examples.source_form,
        "max_length": max_length,
        "longest": round(SPARE_SHARE * longest) + SPARE_TOKENS,
        "commonest": whole.commonest,
        "target_vocabulary_sha256": "" if vocabularies.shared else vocabularies.target.sha256,
    }  # fmt: skip
    source, target = vocabularies
    shape = ExampleShape(
        tables=(source.size,) if source is not None else (),
        begin_id=0 if source is None else source.begin_id,
        numbers=columns.numbers,
        categories=columns.categories,
        target_symbols=target.size,
        target_begin_id=target.begin_id,
        one_table=vocabularies.shared,
    )
    suited: dict[str, Any] = {}
    if "batch_size" in request.settings and "batch_tokens" not in request.settings:
        suited["batch_tokens"] = 0
    elif tokens := int(settings.get("batch_tokens", 0)):
        total = int(train.lengths_N.sum())
        if "batch_tokens" not in request.settings:
            suited["batch_tokens"] = tokens = min(tokens, max(LEAST_BATCH_TOKENS, total // LEAST_BATCHES))
        suited["batch_size"] = rows_of_tokens(train, tokens)
        passes = float(settings.get("epochs", 0) or 0)
        suited["epochs"] = max(passes, min(MOST_PASSES, ENOUGH_STEPS * suited["batch_size"] / len(train)))
    return Prepared(
        train, valid, shape, symbols_of(source, int(train.source.lengths_N.sum())), source, task, record, told,
        suited=suited, target_vocabulary=None if vocabularies.shared else target,
    )  # fmt: skip


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
