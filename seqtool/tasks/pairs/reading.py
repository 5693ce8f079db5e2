"""From pairs to arrays: the vocabularies of both sides, what is left out, what a run's configuration says."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, UsageError
from seqtool.files.spools import Spool, temporary_folder
from seqtool.runs.config import TARGET_VOCABULARY
from seqtool.settings.checking import checked
from seqtool.settings.examples import DECOMPOSED, ExampleConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.examples.rows import ArrayBuilder, Columns, RowReader, blocks_of, encode_texts
from seqtool.tasks.examples.sets import ArrayExamples, Rows
from seqtool.tasks.pairs.sets import PairSet
from seqtool.tasks.pairs.sources import Pair, PairFiles
from seqtool.tasks.request import Request
from seqtool.text.documents import TextSource
from seqtool.text.learning import default_merges, learn_vocabulary
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

PIECES = ("bpe", "unigram")
PIECES_FACTOR = 3  # times as many pieces as a language model has by default
LEAST_SIZED = 1 << 18  # bytes of text, below which the default of a language model does
COUNTED_TARGETS = 1 << 16  # different texts that are counted, to find the commonest


class Vocabularies(NamedTuple):
    """The vocabulary of what is read, if it is text, and that of what is written: they may be the same."""

    source: Vocabulary | None
    target: Vocabulary

    @property
    def shared(self) -> bool:
        """Whether they are the same."""
        return self.source is self.target


def vocabularies_for(
    request: Request, files: PairFiles, columns: Columns, examples: ExampleConfig, suited: dict[str, Any], seed: int
) -> Vocabularies:
    """The vocabularies that are named, that the run to begin with has, or that are learned from the pairs."""
    beside = [path for path in (request.run, request.from_run) if path is not None]
    own = next(
        (load_vocabulary(path / TARGET_VOCABULARY) for path in beside if (path / TARGET_VOCABULARY).is_file()), None
    )
    _refuse_types(request, examples)
    if request.vocab is not None:
        source = load_vocabulary(request.vocab)
        return _as_asked(request, examples, Vocabularies(source if columns.text else None, own or source))
    if own is not None:
        return _as_asked(request, examples, Vocabularies(None, own))
    asked = {**suited, **request.vocabulary}
    usual = asked.get("type", "bpe")
    types = [usual if kind == "auto" else kind for kind in (examples.source_type, examples.target_type)]
    shared = examples.vocabularies == "shared" or (
        examples.vocabularies == "auto" and types[0] == types[1] and types[0] in PIECES
    )
    if not columns.text:
        shared = False
    if shared and types[0] != types[1]:
        raise UsageError(f"--vocabularies shared: one of {types[0]} and {types[1]} there cannot be; give one type")
    reader = RowReader(Columns(columns.text, (), ()), files.sources[0].columns, None, 1, files.name)
    reader.decompose = examples.source_form == DECOMPOSED
    with temporary_folder("texts") as folder:
        names = [Path(folder) / "both"] * 2 if shared else [Path(folder) / "source", Path(folder) / "target"]
        streams = {name: open(name, "w", encoding="utf-8") for name in names}
        try:
            for pair in files.pairs():
                if not pair.row.problem:
                    if columns.text:
                        streams[names[0]].write(reader.text_of(pair.row) + "\n")
                    streams[names[1]].write((pair.target or "") + "\n")
        finally:
            for stream in streams.values():
                stream.close()
        learned: list[Vocabulary | None] = [
            _learned(name, {**asked, "type": kind}, seed) if columns.text or place else None
            for place, (name, kind) in enumerate(zip(names, types, strict=True))
            if not (shared and place)
        ]
    target = learned[-1]
    assert target is not None
    return Vocabularies(learned[0], target)


def _refuse_types(request: Request, examples: ExampleConfig) -> None:
    """UsageError for settings of vocabularies to learn beside --vocab FILE; a run has those of its own."""
    if request.vocab is None or request.run is not None or request.from_run is not None:
        return
    given = {"--source-type": examples.source_type, "--target-type": examples.target_type}
    given["--vocabularies"] = "auto" if examples.vocabularies == "shared" else examples.vocabularies
    if flags := [flag for flag, value in given.items() if value != "auto"]:
        raise UsageError(
            f"{' and '.join(flags)}: --vocab {request.vocab} is the vocabulary of both sides; leave that out"
        )


def _as_asked(request: Request, examples: ExampleConfig, found: Vocabularies) -> Vocabularies:
    """The vocabularies of a run to begin with; UsageError where others than these are asked for."""
    if request.from_run is None or request.run is not None:
        return found
    mend = f"--from {request.from_run} brings {{}}, which its weights need; leave that out"
    for flag, asked, own in (
        ("--source-type", examples.source_type, found.source),
        ("--target-type", examples.target_type, found.target),
    ):
        if own is not None and asked not in ("auto", own.type):
            raise UsageError(f"{flag} {asked}: {mend.format(f'a vocabulary of type {own.type}')}")
    how = "shared" if found.shared else "separate"
    if found.source is not None and examples.vocabularies not in ("auto", how):
        raise UsageError(
            f"--vocabularies {examples.vocabularies}: {mend.format('one of both sides' if found.shared else 'two')}"
        )
    return found


def _learned(path: Path, asked: dict[str, Any], seed: int) -> Vocabulary:
    """The vocabulary of a file; of pieces as many as a translation needs, or as there can be."""
    text = TextSource([str(path)])
    size = path.stat().st_size
    config = checked(VocabularyConfig(**asked))
    if config.type in PIECES and not config.size and size >= LEAST_SIZED:
        try:
            return learn_vocabulary(text, checked(VocabularyConfig(**{**asked, "size": _pieces(size)})), seed)
        except UsageError:  # the text has not as many: the default, which fits, has fewer
            pass
    return learn_vocabulary(text, config, seed)


def _pieces(text_bytes: int) -> int:
    """How many pieces a vocabulary for translation has."""
    return 512 + PIECES_FACTOR * default_merges(text_bytes)


class PairReader:
    """Turns pairs into arrays, and says which cannot be."""

    def __init__(
        self,
        columns: Columns,
        names: Sequence[str],
        vocabularies: Vocabularies,
        max_length: int,
        source: str,
        decompose: bool = False,
    ) -> None:
        self.rows = RowReader(columns, names, vocabularies.source, max_length + 1, source)
        self.rows.decompose = decompose
        self.vocabularies, self.max_length, self.source = vocabularies, max_length, source

    def target_ids(self, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
        """The ids of each text that is written, without the symbol that ends it."""
        return list(encode_texts(self.vocabularies.target, texts))

    def problem(self, pair: Pair) -> str:
        """Why a pair cannot be read, or nothing."""
        return self.rows.problem(pair.row)

    def is_empty(self, pair: Pair) -> bool:
        """Whether a side has no text."""
        empty_source = bool(self.rows.columns.text) and not self.rows.text_of(pair.row).strip()
        return empty_source or not (pair.target or "").strip()


class PairArrays(NamedTuple):
    """Pairs as arrays, and what was left out of them."""

    pairs: PairSet
    sha256: str
    broken: int
    empty: int
    """Pairs of which a side has no text."""
    long: int
    """Pairs of which a side has more tokens than --max-length."""
    commonest: str
    """The text that is written most often."""

    @property
    def left_out(self) -> int:
        """All that were."""
        return self.broken + self.empty + self.long


def pair_arrays(files: PairFiles, reader: PairReader, errors: str) -> PairArrays:
    """Read pairs into arrays, many in temporary files; InputError for one that cannot be read, but for `replace`."""
    builder, targets, digest = ArrayBuilder(reader.rows), Spool("texts"), hashlib.sha256()
    lengths: list[int] = []
    counts: Counter[str] = Counter()
    broken = empty = long = 0
    for block in blocks_of(files.pairs()):
        whole = []
        for pair in block:
            if problem := reader.problem(pair):
                if errors == "strict":
                    raise InputError(
                        f"line {pair.row.number} of {reader.source} {problem}: mend it, or leave such rows out with "
                        "--errors replace"
                    )
                broken += 1
            elif reader.is_empty(pair):
                empty += 1
            else:
                whole.append(pair)
        texts = [pair.target or "" for pair in whole]
        ids = reader.target_ids(texts)
        fits = [len(one) <= reader.max_length for one in ids]
        sources: list[npt.NDArray[Any]] | None = None
        if reader.rows.columns.text:
            sources = reader.rows.ids([pair.row for pair in whole])  # with <s>
            fits = [fit and len(one) - 1 <= reader.max_length for fit, one in zip(fits, sources, strict=True)]
        long += len(fits) - sum(fits)
        kept = [place for place, fit in enumerate(fits) if fit]
        builder.add([whole[place].row for place in kept], sources and [sources[place] for place in kept])
        for place in kept:
            row = whole[place].row.values
            digest.update(("\x1f".join("\x00" if v is None else v for v in row) + "\x1d").encode("utf-8", "replace"))
            digest.update((texts[place] + "\x1e").encode("utf-8", "replace"))
            lengths.append(len(ids[place]))
            if len(counts) < COUNTED_TARGETS or texts[place] in counts:
                counts[texts[place]] += 1
        if kept:
            targets.append(np.concatenate([ids[place] for place in kept]))
    target = reader.vocabularies.target
    starts: Rows = np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
    source = ArrayExamples(np.zeros(len(lengths), np.int64), **builder.arrays())
    pairs = PairSet(source, starts, targets.mapped(target.dtype), target.begin_id)
    commonest = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))[0]
    return PairArrays(pairs, digest.hexdigest(), broken, empty, long, commonest)
