"""Scoring whole texts: a report in which every figure comes from one total of nats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqtool.config import EvalConfig
from seqtool.errors import InputError
from seqtool.inference.rows import check_oov, counted_tokens
from seqtool.inference.scoring import TOKENS_AT_ONCE, Scorer, check_window, perplexity
from seqtool.runs import Run
from seqtool.text.documents import TextSource
from seqtool.text.store import encode_text

SUMMED = ("nats", "tokens", "words", "characters", "bytes", "documents", "unknowns", "left_out", "seconds")


def text_report(
    run: Run, source: TextSource, config: EvalConfig, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Score all the text of a source once; `progress` hears how many tokens are done, and of how many.

    InputError when there is no token to score. Under `--oov exclude` unknown words are read, but are in neither nats,
    tokens nor words; then there is no figure per character or byte, for what these words' characters cost is not known.
    """
    check_oov(run.vocabulary, config)
    context, stride = check_window(run.model, config.context, config.stride)
    encoded = encode_text(run.vocabulary, source)
    scorer = Scorer(run.model, batch_size=config.batch_size, context=config.context, stride=config.stride)
    began = time.perf_counter()
    nats, tokens, unknowns, line_ends = 0.0, 0, 0, 0
    for start in range(0, len(encoded.ids), TOKENS_AT_ONCE):
        part = encoded.ids[start : start + TOKENS_AT_ONCE]
        begins = part == run.vocabulary.begin_id
        marks = np.flatnonzero(begins)
        ids = part[~begins]
        found = scorer.score(ids, (marks - np.arange(len(marks))).tolist())
        counted = counted_tokens(run.vocabulary, config, ids)
        nats, tokens = nats + float(found[counted].sum(dtype=np.float64)), tokens + int(counted.sum())
        unknowns += int((ids == run.vocabulary.unknown_id).sum())
        line_ends += int((ids == run.vocabulary.newline_ids[-1]).sum())
        if progress is not None:
            progress(start + len(part), len(encoded.ids))
    if not tokens:
        raise InputError(f"{source.name} holds no word to score: give more text")
    left_out = unknowns if config.oov == "exclude" else 0
    counts = encoded.counts
    sums = {
        "nats": nats,
        "tokens": tokens,
        # A word of millions of characters is several unknown tokens, so what was kept is counted.
        "words": tokens - line_ends if config.oov == "exclude" else counts.words,
        "characters": counts.characters,
        "bytes": counts.bytes,
        "documents": counts.documents,
        "unknowns": unknowns,
        "left_out": left_out,
        "seconds": time.perf_counter() - began,
    }
    return {
        "run": str(run.path),
        "text": source.name,
        **_figures(sums),
        "oov": config.oov,
        "context": context or "all the text before",
        "stride": stride or "none: the state is carried",
        "reads_per_token": context / stride if stride else 1.0,
        "text_sha256": encoded.sha256,
        "vocabulary_sha256": run.vocabulary.sha256,
    }


def total_report(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of several texts as one; each is a text of its own."""
    sums = {name: sum(report[name] for report in reports) for name in SUMMED}
    return {**reports[0], "text": "total", **_figures(sums), "text_sha256": None}


def _figures(sums: dict[str, Any]) -> dict[str, Any]:
    """The sums and what follows from them, with the denominators named."""
    nats, tokens, seconds = sums["nats"], sums["tokens"], sums["seconds"]
    bits = nats / math.log(2)
    whole = not sums["left_out"]
    return {
        **sums,
        "nats_per_token": nats / tokens,
        "nats_per_character": nats / sums["characters"] if whole else None,
        "perplexity_per_token": perplexity(nats, tokens),
        "perplexity_per_word": perplexity(nats, sums["words"]),
        "perplexity_per_character": perplexity(nats, sums["characters"]) if whole else None,
        "bits_per_character": bits / sums["characters"] if whole else None,
        "bits_per_byte": bits / sums["bytes"] if whole else None,
        "tokens_per_s": tokens / max(seconds, 1e-9),
    }
