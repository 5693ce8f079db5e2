"""Scoring whole texts: reports in which every figure comes from one total of nats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seqtool.errors import InputError
from seqtool.runs import Run
from seqtool.scoring.rows import check_oov, check_store, counted_tokens, given_ids
from seqtool.scoring.scorer import TOKENS_AT_ONCE, Nats, Scorer, check_window, perplexity
from seqtool.settings.scoring import EvalConfig
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextCounts, TextSource, counted_blocks
from seqtool.text.encoding import Ids
from seqtool.text.lost import LostText, lost_of_ids
from seqtool.text.sequences import IdSequence, spooled, without_begins
from seqtool.text.store import TokenStore
from seqtool.text.vocabulary import Vocabulary

SUMMED = ("nats", "tokens", "words", "characters", "bytes", "documents", "unknowns", "left_out", "seconds")


def text_report(
    run: Run, source: TextSource, config: EvalConfig, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Score all the text of a source once; as `text_reports` does."""
    (report,) = text_reports(run, [source], config, progress=progress)
    return report


def text_reports(
    run: Run,
    sources: Sequence[TextSource | TokenStore],
    config: EvalConfig,
    *,
    given: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Score each source once and yield their reports in order; of small ones several are scored together.

    The text `given` stands before each document, unscored. `progress` hears how many tokens are done, and of how many
    (0: not known). InputError, before anything is yielded, when there is no token to score in any of them. Under
    `--oov exclude` unknown words are read, but are in neither nats, tokens nor words; then there is no figure per
    character or byte, for what these words' characters cost is not known.
    """
    check_oov(run.vocabulary, config)
    scorer = Scorer(
        run.model,
        batch_size=config.batch_size,
        context=config.context,
        stride=config.stride,
        given=given_ids(run.vocabulary, given),
    )
    about = _about(run, config, given)
    done = tokens = 0
    ready: list[dict[str, Any]] = []  # and held back while there has been no token to score
    for parts in _together(_text_parts(run.vocabulary, sources)):
        _score(run.vocabulary, config, scorer, parts)
        for text in (part.text for part in parts if part.ends):
            tokens += text.tokens
            ready.append({"run": str(run.path), **text.report(run.vocabulary, config), **about})
        if tokens:
            yield from ready
            ready = []
        done += sum(len(part.ids) for part in parts)
        if progress is not None:
            progress(done, len(parts[0].text.ids) if len(sources) == 1 else 0)
    if not tokens:
        raise InputError(f"there is no word to score in {', '.join(map(_name, sources))}: give more text")


def total_report(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of several texts as one; each is a text of its own."""
    sums = {name: sum(report[name] for report in reports) for name in SUMMED}
    lost = list(dict.fromkeys(kind for report in reports for kind in report["text_lost"]))
    return {**reports[0], "text": "total", **_figures(sums), "text_lost": lost, "text_sha256": None}


@dataclass
class _ScoredText:
    """A text that has been encoded, `<s>` before each document, and what its tokens cost as far as they are scored."""

    name: str
    ids: IdSequence
    counts: TextCounts
    sha256: str
    losses: LostText | None
    nats: float = 0.0
    tokens: int = 0
    unknowns: int = 0
    line_ends: int = 0
    seconds: float = 0.0

    def add(self, vocabulary: Vocabulary, ids: Ids, nats: Nats) -> None:
        """Add the next ids, and the nats of those of them that count."""
        self.nats += float(nats.sum(dtype=np.float64))
        self.tokens += len(nats)
        self.unknowns += int(np.count_nonzero(ids == vocabulary.unknown_id))
        self.line_ends += int(np.count_nonzero(ids == vocabulary.newline_ids[-1]))

    def report(self, vocabulary: Vocabulary, config: EvalConfig) -> dict[str, Any]:
        """What is to be said of the text alone."""
        left_out = config.oov == "exclude"
        sums = {
            "nats": self.nats,
            "tokens": self.tokens,
            # A word of millions of characters is several unknown tokens, so what was kept is counted.
            "words": self.tokens - self.line_ends if left_out else self.counts.words,
            "characters": self.counts.characters,
            "bytes": self.counts.bytes,
            "documents": self.counts.documents,
            "unknowns": self.unknowns,
            "left_out": self.unknowns if left_out else 0,
            "seconds": self.seconds,
        }
        lost = self.losses.kinds(self.unknowns) if self.losses else lost_of_ids(vocabulary, self.unknowns)
        return {"text": self.name, **_figures(sums), "text_lost": lost, "text_sha256": self.sha256}


class _TextPart(NamedTuple):
    """The next ids of a text, the last of which `ends` it."""

    text: _ScoredText
    ids: Ids
    ends: bool


def _text_parts(vocabulary: Vocabulary, sources: Sequence[TextSource | TokenStore]) -> Iterator[_TextPart]:
    """The ids of some sources, TOKENS_AT_ONCE of them at most at once."""
    for source in sources:
        text = _encode_source(vocabulary, source)
        for start in range(0, max(1, len(text.ids)), TOKENS_AT_ONCE):
            stop = start + TOKENS_AT_ONCE
            yield _TextPart(text, text.ids[start:stop], stop >= len(text.ids))


def _together(parts: Iterable[_TextPart]) -> Iterator[list[_TextPart]]:
    """Parts to be scored together: TOKENS_AT_ONCE ids and a part more at most."""
    held: list[_TextPart] = []
    ids = 0
    for part in parts:
        held.append(part)
        ids += len(part.ids)
        if ids >= TOKENS_AT_ONCE:
            yield held
            held, ids = [], 0
    if held:
        yield held


def _encode_source(vocabulary: Vocabulary, source: TextSource | TokenStore) -> _ScoredText:
    """A text's ids; a text not in a store in flat memory, and nothing is left behind."""
    if isinstance(source, TokenStore):
        check_store(vocabulary, source)
        return _ScoredText(_name(source), source.ids, source.counts, source.sha256, None)
    counts, losses = TextCounts(), LostText(vocabulary)
    ids = spooled(encode_blocks(vocabulary, losses.watch(counted_blocks(source, counts))), vocabulary.dtype)
    return _ScoredText(_name(source), ids, counts, source.sha256, losses)


def _name(source: TextSource | TokenStore) -> str:
    return str(source.path) if isinstance(source, TokenStore) else source.name


def _score(vocabulary: Vocabulary, config: EvalConfig, scorer: Scorer, parts: list[_TextPart]) -> None:
    """Score some parts together, and add what each costs to its text."""
    began = time.perf_counter()
    joined = np.concatenate([part.ids for part in parts])
    ids, begins = without_begins(joined, vocabulary.begin_id)
    nats = scorer.score(ids, begins)
    counts = counted_tokens(vocabulary, config, ids)
    seconds_per_id = (time.perf_counter() - began) / max(1, len(joined))
    start = 0
    for part in parts:
        own = slice(start, start + int(np.count_nonzero(part.ids != vocabulary.begin_id)))
        part.text.add(vocabulary, ids[own], nats[own][counts[own]])
        part.text.seconds += seconds_per_id * len(part.ids)
        start = own.stop


def _about(run: Run, config: EvalConfig, given: str) -> dict[str, Any]:
    """What is the same for every text of a run."""
    context, stride = check_window(run.model, config.context, config.stride)
    return {
        "oov": config.oov,
        "given": given or None,
        "context": context or "all the text before",
        "stride": stride or "none: the state is carried",
        "reads_per_token": context / stride if stride else 1.0,
        "vocabulary_sha256": run.vocabulary.sha256,
    }


def _figures(sums: dict[str, Any]) -> dict[str, Any]:
    """The sums and what follows from them, with the denominators named."""
    nats, tokens, seconds = sums["nats"], sums["tokens"], sums["seconds"]
    characters, size = (sums["characters"], sums["bytes"]) if not sums["left_out"] else (0, 0)
    bits = nats / math.log(2)
    return {
        **sums,
        "nats_per_token": _ratio(nats, tokens),
        "nats_per_character": _ratio(nats, characters),
        "perplexity_per_token": perplexity(nats, tokens),
        "perplexity_per_word": perplexity(nats, sums["words"]),
        "perplexity_per_character": perplexity(nats, characters),
        "bits_per_character": _ratio(bits, characters),
        "bits_per_byte": _ratio(bits, size),
        "tokens_per_s": tokens / max(seconds, 1e-9),
    }


def _ratio(sum: float, count: int) -> float | None:
    return sum / count if count else None
