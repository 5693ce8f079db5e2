"""How good the texts of a run are: nats of the right ones, and metrics of those that it writes beside a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.runs.loading import ExampleRun
from seqtool.scoring.metrics.texts import MISSING, bleu_and_chrf, error_rates, has_sacrebleu
from seqtool.settings.examples import DECOMPOSED
from seqtool.tasks.examples.asking import Asking, reader_of
from seqtool.tasks.examples.rows import blocks_of, columns_from
from seqtool.tasks.examples.table import layout_from
from seqtool.tasks.pairs.asking import (
    arrays_for,
    inputs_for,
    is_empty,
    texts_for,
    told_of_cut,
    vocabularies_of,
    writer_of,
)
from seqtool.tasks.pairs.nats import pair_nats
from seqtool.tasks.pairs.reading import PairReader
from seqtool.tasks.pairs.sets import PairSet
from seqtool.tasks.pairs.sources import Pair, PairFiles, reopened
from seqtool.tasks.pairs.writing import Telling

MOST_TOKENS = 1 << 14  # of a side of a pair that is scored


class Scored(NamedTuple):
    """A pair with the nats of its text and how many tokens that has, with the one that ends it."""

    pair: Pair
    nats: float | None
    """None where the pair cannot be read."""
    tokens: int


class Judge:
    """Scores pairs by a run, and says what stands in the place of what cannot be read."""

    def __init__(self, run: ExampleRun, paths: Sequence[str], asking: Asking) -> None:
        assert isinstance(run.model, EncoderDecoder)
        self.model, self.asking = run.model, asking
        task = run.config.task
        columns = columns_from(task["columns"], str(run.path))
        if len(paths) != 1:
            raise UsageError(f"{run.path} is judged on one file at a time: name one of {', '.join(paths)}")
        layout = layout_from(task["layout"])
        self.files: PairFiles = reopened(
            layout, task["column"], columns, (paths[0], asking.targets), asking.errors, "--target FILE"
        )
        vocabularies = vocabularies_of(run)
        self.most = min(MOST_TOKENS, run.config.model.context - 1)
        if run.config.model.architecture.carries_state:
            self.most = MOST_TOKENS
        names, apart = self.files.sources[0].columns, task.get("source_form") == DECOMPOSED
        self.reader = PairReader(columns, names, vocabularies, self.most, self.files.name, apart)
        self.asked = reader_of(run, self.files.sources[0])
        """Reads as much of a row as `predict` does, whose texts are judged; `reader` as much as can be scored."""
        self.left_out = 0

    def blocks(self) -> Iterator[list[tuple[Pair, bool]]]:
        """All pairs in blocks, each with whether it can be read; InputError for one that cannot, but for `replace`."""
        for block in blocks_of(self.files.pairs(), self.asking.batch_size):
            told = []
            for pair in block:
                problem = self.reader.problem(pair) or self._too_long(pair)
                if problem and self.asking.errors == "strict":
                    raise InputError(
                        f"line {pair.row.number} of {self.files.name} {problem}: mend it, or leave such rows out with "
                        "--errors replace"
                    )
                self.left_out += bool(problem)
                told.append((pair, not problem))
            yield told

    def pairs(self) -> Iterator[list[Pair]]:
        """Those that can be read, in blocks."""
        for block in self.blocks():
            if whole := [pair for pair, can_be_read in block if can_be_read]:
                yield whole

    def _too_long(self, pair: Pair) -> str:
        texts = [pair.target or ""]
        if self.reader.rows.columns.text:
            texts.append(self.reader.rows.text_of(pair.row))
        if max(len(text.encode("utf-8", "replace")) for text in texts) <= self.most:  # a token has a byte at least
            counts = [0]
        else:
            counts = [len(self.reader.target_ids(texts[:1])[0])]
            counts += [len(ids) - 1 for ids in (self.reader.rows.ids([pair.row]) if texts[1:] else [])]
        return f"has more than {self.most:,} tokens" if max(counts) > self.most else ""

    def scored(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The nats of the right texts of some pairs."""
        if not pairs:
            return []
        source, _ = arrays_for(self.reader.rows, [pair.row for pair in pairs])
        ids = self.reader.target_ids([pair.target or "" for pair in pairs])
        lengths = [len(one) for one in ids]
        target = self.reader.vocabularies.target
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        right = PairSet(source, starts, np.concatenate(ids), target.begin_id)
        nats_N = pair_nats(self.model, right, np.arange(len(pairs)))
        assert nats_N is not None
        return [
            Scored(pair, nats, length + 1) for pair, nats, length in zip(pairs, nats_N.tolist(), lengths, strict=True)
        ]


def judged_texts(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside a baseline: a copy of what is read, or where that is no text the commonest of training.

    The texts are those that `predict` writes, which may read less of a row than can be scored.
    Of exact match and error rates, pairs that read the same are one question with several right answers. BLEU and chrF
    are of all pairs, each with its own text, as published ones are.
    """
    judge = Judge(run, paths, asking)
    writer = writer_of(run, asking.writing, Telling(copy_unknown=asking.writing.copy_unknown))
    nats = 0.0
    tokens = 0
    told: dict[Any, str] = {}
    right: dict[Any, list[str]] = {}
    copied: dict[Any, str] = {}
    pairs = 0
    for block in judge.pairs():
        for one in judge.scored(block):
            nats, tokens, pairs = nats + (one.nats or 0.0), tokens + one.tokens, pairs + 1
        _, keys = inputs_for(judge.reader.rows, [pair.row for pair in block])
        new: dict[Any, Pair] = {}
        for key, pair in zip(keys, block, strict=True):
            right.setdefault(key, []).append(pair.target or "")
            if key not in told and key not in new:
                new[key] = pair
        texts = texts_for(writer, judge.asked, [pair.row for pair in new.values()])
        for (key, pair), (written,) in zip(new.items(), texts, strict=True):
            told[key] = written.text
            if judge.reader.rows.columns.text and not is_empty(judge.reader.rows, pair.row):
                copied[key] = judge.reader.rows.text_of(pair.row)
    if not pairs:
        raise InputError(f"{judge.files.name} has no pairs: there is nothing to compare texts with")
    reads_text = bool(judge.reader.rows.columns.text)
    plain = {key: copied.get(key, "") if reads_text else str(run.config.task["commonest"]) for key in told}
    report, beside = _compared(told, right), _compared(plain, right)
    return {
        "task": "translate",
        "pairs": pairs,
        "sources": len(told),
        "nats": nats,
        "target_tokens": tokens,
        "perplexity_per_token": math.exp(min(700.0, nats / tokens)),
        "beam": asking.writing.beam,
        **report,
        "baseline": "the source, copied" if reads_text else "the commonest text of training",
        **{f"baseline_{name}": value for name, value in beside.items() if not name.endswith("signature")},
        "left_out": judge.left_out,
        "notes": [*told_of_cut(judge.asked), *([] if has_sacrebleu() else [MISSING])],
    }


def _compared(told: Mapping[Any, str], right: Mapping[Any, Sequence[str]]) -> dict[str, Any]:
    """The metrics of the text that is told for each source, beside the right ones."""
    references = [list(dict.fromkeys(right[key])) for key in told]
    lines = [(told[key], one) for key in told for one in right[key]]
    of_lines = bleu_and_chrf([one for one, _ in lines], [[one] for _, one in lines])
    return {**error_rates(list(told.values()), references), **of_lines}


def scored_rows(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[Scored]:
    """The nats of each pair's text, in order; with --errors replace none for a pair that cannot be read."""
    judge = Judge(run, paths, asking)
    for block in judge.blocks():
        scored = iter(judge.scored([pair for pair, can_be_read in block if can_be_read]))
        yield from (next(scored) if can_be_read else Scored(pair, None, 0) for pair, can_be_read in block)
