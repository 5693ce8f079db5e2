"""Reports of whole texts: every figure in one is computed from the same total of nats."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from seqtool.errors import InputError
from seqtool.models.gated import Gated
from seqtool.runs.loading import Run
from seqtool.scoring.adaptation import adaptive_scorer
from seqtool.scoring.adapting import AdaptiveScorer
from seqtool.scoring.learning import LearningScorer
from seqtool.scoring.lines import check_store
from seqtool.scoring.rows import check_oov, counted_tokens, given_ids
from seqtool.scoring.scorer import TOKENS_AT_ONCE, Nats, Scorer, check_window, perplexity
from seqtool.settings.scoring import EvalConfig
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextCounts, TextSource, counted_blocks
from seqtool.text.encoding import Ids
from seqtool.text.lost import LostText, lost_of_ids
from seqtool.text.sequences import IdSequence, spooled, without_begins
from seqtool.text.store import TokenStore
from seqtool.text.vocabulary import Vocabulary

NATS, ADAPTED_NATS = "nats", "adapted_nats"
SUMMED = (NATS, ADAPTED_NATS, "tokens", "words", "characters", "bytes", "documents", "unknowns", "left_out", "seconds")


def text_report(
    run: Run, source: TextSource, config: EvalConfig, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Score one source and report it, as `text_reports` does."""
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
    """Score each source once and yield their reports in order; several small ones are scored together.

    The text `given` is read, unscored, before each document. `progress` is called with the number of tokens done and
    the number of all (0: not known). Under `--oov exclude` unknown words are read, but count in neither nats, tokens
    nor words; there is then no figure per character or byte, since the nats of these words' characters are not known.
    With `adapt` each report has the figures of dynamic evaluation too; its weights go on from text to text.
    InputError, before any report is yielded, when no source has a token to score.
    """
    check_oov(run.vocabulary, config)
    scorers: dict[str, Scorer | AdaptiveScorer | LearningScorer] = {
        NATS: Scorer(
            run.model,
            batch_size=config.batch_size,
            context=config.context,
            stride=config.stride,
            given=given_ids(run.vocabulary, given),
        )
    }
    if config.adapts:
        scorers[ADAPTED_NATS] = adaptive_scorer(run.model, config)
    conditions = _conditions(run, config, given)
    done = tokens = 0
    ready: list[dict[str, Any]] = []  # held back until there has been a token to score
    for parts in _together(_text_parts(run.vocabulary, sources)):
        _score(run.vocabulary, config, scorers, parts)
        for text in (part.text for part in parts if part.ends):
            tokens += text.tokens
            ready.append(
                {"run": str(run.path), "model": run.config.name, **text.report(run.vocabulary, config), **conditions}
            )
        if tokens:
            yield from ready
            ready = []
        done += sum(len(part.ids) for part in parts)
        if progress is not None:
            progress(done, len(parts[0].text.ids) if len(sources) == 1 else 0)
    if not tokens:
        raise InputError(f"there is no word to score in {', '.join(map(_name, sources))}: give more text")


def total_report(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One report of several texts, of which each counts for its own."""
    sums = {name: sum(report[name] for report in reports) for name in SUMMED if name in reports[0]}
    lost = list(dict.fromkeys(kind for report in reports for kind in report["text_lost"]))
    return {**reports[0], "text": "total", **_figures(sums), "text_lost": lost, "text_sha256": None}


@dataclass
class _ScoredText:
    """An encoded text, `<s>` before each document, with the sums over the tokens scored so far."""

    name: str
    ids: IdSequence
    counts: TextCounts
    sha256: str
    losses: LostText | None
    nats: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By the name of their sum, one for each scorer."""
    tokens: int = 0
    unknowns: int = 0
    line_ends: int = 0
    seconds: float = 0.0

    def add(self, vocabulary: Vocabulary, ids: Ids, nats: dict[str, Nats]) -> None:
        """Add the next ids, and the nats of those of them that count, by each scorer."""
        for name, counted in nats.items():
            self.nats[name] += float(counted.sum(dtype=np.float64))
        self.tokens += len(nats[NATS])
        self.unknowns += int(np.count_nonzero(ids == vocabulary.unknown_id))
        self.line_ends += int(np.count_nonzero(ids == vocabulary.newline_ids[-1]))

    def report(self, vocabulary: Vocabulary, config: EvalConfig) -> dict[str, Any]:
        """The report of this text, without the conditions that all texts share."""
        left_out = config.oov == "exclude"
        sums = {
            **self.nats,
            "tokens": self.tokens,
            # An unknown word of millions of characters is several tokens, so the tokens kept are counted.
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
    """Consecutive ids of a text; `ends` if they are its last."""

    text: _ScoredText
    ids: Ids
    ends: bool


def _text_parts(vocabulary: Vocabulary, sources: Sequence[TextSource | TokenStore]) -> Iterator[_TextPart]:
    """The ids of all sources in order, in parts of at most TOKENS_AT_ONCE."""
    for source in sources:
        text = _encode_source(vocabulary, source)
        for start in range(0, max(1, len(text.ids)), TOKENS_AT_ONCE):
            stop = start + TOKENS_AT_ONCE
            yield _TextPart(text, text.ids[start:stop], stop >= len(text.ids))


def _together(parts: Iterable[_TextPart]) -> Iterator[list[_TextPart]]:
    """Group parts to be scored together: a group is full when it has TOKENS_AT_ONCE ids or more."""
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
    """Encode a source; the ids of text wait in a temporary file, so that memory does not grow with it."""
    if isinstance(source, TokenStore):
        check_store(vocabulary, source)
        return _ScoredText(_name(source), source.ids, source.counts, source.sha256, None)
    counts, losses = TextCounts(), LostText(vocabulary)
    ids = spooled(encode_blocks(vocabulary, losses.watch(counted_blocks(source, counts))), vocabulary.dtype)
    return _ScoredText(_name(source), ids, counts, source.sha256, losses)


def _name(source: TextSource | TokenStore) -> str:
    return str(source.path) if isinstance(source, TokenStore) else source.name


def _score(
    vocabulary: Vocabulary,
    config: EvalConfig,
    scorers: dict[str, Scorer | AdaptiveScorer | LearningScorer],
    parts: list[_TextPart],
) -> None:
    """Score parts together and add each result to its text."""
    began = time.perf_counter()
    joined = np.concatenate([part.ids for part in parts])
    ids, begins = without_begins(joined, vocabulary.begin_id)
    nats = {name: scorer.score(ids, begins) for name, scorer in scorers.items()}
    counts = counted_tokens(vocabulary, config, ids)
    seconds_per_id = (time.perf_counter() - began) / max(1, len(joined))
    start = 0
    for part in parts:
        own = slice(start, start + int(np.count_nonzero(part.ids != vocabulary.begin_id)))
        part.text.add(vocabulary, ids[own], {name: scored[own][counts[own]] for name, scored in nats.items()})
        part.text.seconds += seconds_per_id * len(part.ids)
        start = own.stop


def _conditions(run: Run, config: EvalConfig, given: str) -> dict[str, Any]:
    """How the texts of a run are scored: what their reports have in common."""
    context, stride = check_window(run.model, config.context, config.stride)
    return {
        "oov": config.oov,
        "given": given or None,
        "context": context or "all the text before",
        "stride": stride or "none: the state is carried",
        "reads_per_token": context / stride if stride else 1.0,
        **(_adaptation(config, stride) if config.adapt and not isinstance(run.model, Gated) else {}),
        **({name: value for name, value in asdict(config).items() if name.startswith("cache")} if config.cache else {}),
        "vocabulary_sha256": run.vocabulary.sha256,
    }


def _adaptation(config: EvalConfig, stride: int) -> dict[str, Any]:
    """By which settings a model goes on learning."""
    return {
        "adapt_rate": config.adapt_rate,
        "adapt_every": stride or config.adapt_every,
        "adapt_decay": config.adapt_decay,
    }


def _figures(sums: dict[str, Any]) -> dict[str, Any]:
    """The sums and the ratios that follow from them, each named by its denominator."""
    nats, tokens, seconds = sums["nats"], sums["tokens"], sums["seconds"]
    characters, size = (sums["characters"], sums["bytes"]) if not sums["left_out"] else (0, 0)
    bits = nats / math.log(2)
    figures = {
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
    if ADAPTED_NATS in sums:
        adapted = sums[ADAPTED_NATS]
        figures |= {
            "adapted_nats_per_token": _ratio(adapted, tokens),
            "adapted_perplexity_per_token": perplexity(adapted, tokens),
            "adapted_bits_per_byte": _ratio(adapted / math.log(2), size),
        }
    return figures


def _ratio(sum: float, count: int) -> float | None:
    return sum / count if count else None
