"""From what the user names as DATA to ids for training and for validation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seqtool.embeddings.pretrained import PretrainedRows
from seqtool.errors import InputError, UsageError
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.starting import Start
from seqtool.text.documents import TextSource
from seqtool.text.encoded import EncodedText, read_encoded
from seqtool.text.encoding import Ids
from seqtool.text.growing import grown
from seqtool.text.learning import about_unknown, learn_vocabulary
from seqtool.text.sequences import IdSequence, IdSlice, JoinedIds, document_spans, documents_of, spooled
from seqtool.text.store import is_store
from seqtool.text.subword_sampling import SubwordSampler
from seqtool.text.vocabulary import Vocabulary, load_vocabulary
from seqtool.training.world import World, alone

VALID_SHARE = 0.1
MAX_VALID_TOKENS = 1_000_000  # of a very long text no more is held back, unless a share is asked for
COUNTED_TOKENS = 1 << 20
NEARLY_ALL = 0.95
MIN_TRAIN_TOKENS = 20
SEARCH_TOKENS = 1 << 16  # how far from the share a document's beginning is looked for
LEAST_HELD = 100  # tokens; a file whose share is less is held back whole or not at all
MAX_WEIGHT = 1000


@dataclass(frozen=True)
class TrainingData:
    """Ids to train on and to validate on, `<s>` before each document, and a record of where they came from."""

    vocabulary: Vocabulary
    train_ids: IdSequence
    valid_ids: IdSequence
    seen_counts: dict[int, int]
    """The symbols that occur in the training ids, ascending, and how often."""
    record: dict[str, Any]
    longest_document: int = 0
    """Tokens of the longest training document."""
    sample: Callable[[int], IdSequence] | None = None
    """The training ids of a pass, split into subwords anew; None where they are not."""
    beginning: PretrainedRows | None = None
    """The vectors that a new model's embedding begins with; None where it is random."""
    start: Start | None = None
    """The run whose weights a new model begins with; None where they are random."""
    watched_ids: IdSequence | None = None
    """The ids of another text on which the loss is recorded."""
    about_unknown: str = ""
    """What is to be said of `<unk>` in the vocabulary that was learned."""
    about_old: str = ""
    """What is to be said of the text of the run that is begun with, or of one that was watched and is gone."""


def prepare_data(
    data: Sequence[str],
    *,
    vocabulary: Vocabulary | None,
    vocabulary_config: VocabularyConfig,
    valid: str | None,
    errors: str,
    document: str,
    seed: int,
    weights: Sequence[float] = (),
    subword_sampling: float = 0.0,
    softmax: str = TrainConfig.softmax,
    watch: str | None = None,
    grow: bool = False,
    field: str = "",
    world: World | None = None,
) -> TrainingData:
    """Read DATA (text files, `-`, or one token store), learn a vocabulary unless one is given, and split.

    `valid` is a file of text, a token store, or a share such as 0.1; None is VALID_SHARE. A share is held back of each
    file (see `hold_back`). `weights` says how often each file is read in a pass; without, once. With `softmax` all,
    every symbol counts as seen. With `grow`, the vocabulary gains what it lacks of the text. InputError for data that
    cannot be read, are empty, or do not go with the vocabulary. Of several processes the first one checks a token store
    whole; the others read what they train on.
    """
    world = world or alone(torch.device("cpu"))
    if world.size > 1 and "-" in data:
        raise UsageError("several processes cannot read one standard input: give a file, or a token store")
    reading = Reading(errors, document, field)
    encoded, told = _encoded(data, vocabulary, vocabulary_config, seed, reading, world, grow)
    vocabulary = encoded.vocabulary
    record: dict[str, Any] = {
        "name": ", ".join(data),
        **({} if "-" in data else {"paths": [str(Path(path).absolute()) for path in data]}),
        "sha256": encoded.sha256,
        "tokens": len(encoded.ids),
        "characters": encoded.counts.characters,
        "bytes": encoded.counts.bytes,
        "documents": encoded.counts.documents,
        "document": document,
        **({"jsonl_field": field} if field else {}),
        "valid": valid,
    }
    if any(weight != 1 for weight in weights):
        record["weights"] = list(weights)
    kept, valid_ids, held_record = split(encoded, vocabulary, valid, reading)
    train_ids = _joined(encoded.ids, _weighted(kept, record.get("weights", ())), vocabulary)
    if len(train_ids) < MIN_TRAIN_TOKENS:
        raise InputError(f"{record['name']} is too short to learn from: {len(train_ids)} tokens; give more text")
    record |= held_record | {"train_tokens": len(train_ids), "valid_tokens": len(valid_ids)}
    scanned = world.from_main(_scan(train_ids, vocabulary) if world.main else None)
    record["train_documents"], longest, seen_counts = scanned
    sample = None
    if subword_sampling:
        if vocabulary.type not in ("bpe", "unigram"):
            raise UsageError(f"--subword-sampling: a {vocabulary.type} vocabulary has one split of a text; use bpe")
        sample = _sampler(vocabulary, train_ids, subword_sampling, seed)
    seen = dict(seen_counts)
    if subword_sampling or softmax == "all":
        seen = {index: seen.get(index, 0) for index in range(vocabulary.size)}
    watched_ids = None
    if watch is not None:
        watched = reading.encoded(watch, vocabulary)
        watched_ids = watched.ids
        record |= {"watch": str(Path(watch).absolute()), "watch_sha256": watched.sha256}
    return TrainingData(
        vocabulary,
        train_ids,
        valid_ids,
        seen,
        record,
        longest,
        sample,
        watched_ids=watched_ids,
        about_unknown=told,
    )


class Reading(NamedTuple):
    """How text files are read: what is done with bytes that are not UTF-8, and what separates documents."""

    errors: str
    document: str
    field: str = ""

    def source(self, files: Sequence[str]) -> TextSource:
        """Files of text as a source that can be read again."""
        return TextSource(files, errors=self.errors, document=self.document, rereadable=True, field=self.field)

    def encoded(self, name: str, vocabulary: Vocabulary) -> EncodedText:
        """One file of text, or a token store, in the ids of a vocabulary."""
        return read_encoded([name], vocabulary, lambda: self.source([name]), lambda source: vocabulary)


def _encoded(
    data: Sequence[str],
    vocabulary: Vocabulary | None,
    vocabulary_config: VocabularyConfig,
    seed: int,
    reading: Reading,
    world: World,
    grow: bool,
) -> tuple[EncodedText, str]:
    """The ids of DATA, and what is to be said of the unknowns of a vocabulary that was learned."""
    told, known = "", vocabulary
    if grow and any(is_store(Path(path)) for path in data):
        raise UsageError(f"--grow-vocab: {data[0]} is encoded already; give its text")

    def learned(source: TextSource) -> Vocabulary:
        nonlocal told
        if known is not None:
            return grown(known, source)
        vocabulary = learn_vocabulary(source, vocabulary_config, seed)
        told = about_unknown(vocabulary, vocabulary_config)
        return vocabulary

    given = None if grow else vocabulary
    return read_encoded(data, given, lambda: reading.source(data), learned, verify=world.main), told


def split(
    encoded: EncodedText, vocabulary: Vocabulary, valid: str | None, reading: Reading
) -> tuple[Sequence[range | None], IdSequence, dict[str, Any]]:
    """What of each file is trained on, the ids to validate on, and a record of how these were chosen."""
    files, share = file_spans(encoded, vocabulary.begin_id), held_share(valid)
    if share is None:
        assert valid is not None
        held_out = reading.encoded(valid, vocabulary)
        record = {"valid_sha256": held_out.sha256, "valid_path": str(Path(valid).absolute())}
        return files, held_out.ids, record
    kept, held = hold_back(encoded.ids, files, share, vocabulary.begin_id, exact=valid is not None)
    return kept, _joined(encoded.ids, held, vocabulary), {"held_back": _held_record(files, kept, held, share)}


def _scan(ids: IdSequence, vocabulary: Vocabulary) -> tuple[int, int, list[tuple[int, int]]]:
    """How many documents there are, the tokens of the longest, and how often each id occurs that does."""
    starts, ends = document_spans(ids, vocabulary.begin_id)
    lengths = ends - starts
    return int((lengths > 0).sum()), int(lengths.max(initial=0)), list(_seen_counts(ids, vocabulary).items())


def _sampler(vocabulary: Vocabulary, ids: IdSequence, share: float, seed: int) -> Callable[[int], IdSequence]:
    """Gives the ids of the same documents, split into subwords anew for each pass."""
    begin = np.array([vocabulary.begin_id], vocabulary.dtype)

    def split_anew(sampler: SubwordSampler) -> Iterator[Ids]:
        for document in documents_of(ids, vocabulary.begin_id):
            yield begin
            decoder = vocabulary.decoder()
            for start in range(0, len(document), COUNTED_TOKENS):
                yield sampler.encode(decoder.feed(document[start : start + COUNTED_TOKENS].tolist()))

    return lambda text_pass: spooled(split_anew(SubwordSampler(vocabulary, share, [seed, text_pass])), vocabulary.dtype)


def _seen_counts(ids: IdSequence, vocabulary: Vocabulary) -> dict[int, int]:
    """How often each id occurs that does; all ids when nearly all do."""
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    for start in range(0, len(ids), COUNTED_TOKENS):
        counts += np.bincount(ids[start : start + COUNTED_TOKENS], minlength=vocabulary.size)
    seen = np.flatnonzero(counts)
    if len(seen) > NEARLY_ALL * vocabulary.size:
        seen = np.arange(vocabulary.size)
    return dict(zip(seen.tolist(), counts[seen].tolist(), strict=True))


def with_seen(data: TrainingData, ids: Sequence[int]) -> dict[int, int]:
    """How often each symbol occurs, with those of `ids`, which a run knows that was begun with."""
    return {index: data.seen_counts.get(index, 0) for index in sorted({*data.seen_counts, *ids})}


def file_spans(encoded: EncodedText, begin_id: int) -> list[range]:
    """The tokens of each file, from the `<s>` of its first document; of files without text none."""
    starts, _ = document_spans(encoded.ids, begin_id)
    firsts = np.cumsum([0, *(count for count in encoded.file_documents if count)])
    if firsts[-1] != len(starts):
        raise InputError("the counts of a token store's documents do not fit its ids: encode the text again")
    bounds = [*(starts[firsts[:-1]] - 1).clip(0).tolist(), len(encoded.ids)]
    filled = iter(map(range, bounds, bounds[1:]))
    return [next(filled) if count else range(0) for count in encoded.file_documents]


def hold_back(
    ids: IdSequence, files: Sequence[range], share: float, begin_id: int, exact: bool = False
) -> tuple[list[range | None], list[range | None]]:
    """What of each file is trained on, and what of each is held back; None for nothing.

    A file gives its share from its end, from a document's beginning on when one is near; one whose share is under
    LEAST_HELD tokens is held back whole or not at all, so that these are spread evenly over all of their kind. Of a
    long text MAX_VALID_TOKENS are held back, unless the share is `exact`.
    """
    if not exact:
        share = min(share, MAX_VALID_TOKENS / max(1, sum(map(len, files))))
    least = LEAST_HELD if sum(len(file) > 0 for file in files) > 1 else 0
    while True:
        kept: list[range | None] = []
        held: list[range | None] = []
        owed = 0.0
        for file in files:
            if not len(file):
                whole, cut = None, None
            elif len(file) * share >= least:
                at = split_point(ids, file, share, begin_id)
                whole, cut = range(file.start, at), range(at, file.stop)
            else:
                owed += len(file) * share
                whole, cut = (None, file) if owed >= len(file) / 2 else (file, None)
                owed -= len(cut or ())
            kept.append(whole)
            held.append(cut)
        if any(held) and any(kept):
            return kept, held
        if not least:
            raise InputError("no text is left for validation: give more text, or --valid FILE")
        least = 0  # a few small files: each gives its share


def split_point(ids: IdSequence, file: range, share: float, begin_id: int) -> int:
    """Where a file's validation part begins: its share from the end, moved on to a document's beginning when one is
    near.
    """
    held = max(1, round(len(file) * share))
    cut = file.stop - held
    near = ids[cut : min(file.stop, cut + min(held // 2, SEARCH_TOKENS))]
    beginnings = np.flatnonzero(near == begin_id)
    return cut + int(beginnings[0]) if len(beginnings) else cut


def _joined(ids: IdSequence, spans: Sequence[range | None], vocabulary: Vocabulary) -> IdSequence:
    """The ids of some spans, `<s>` before each but the first that begins inside a document."""
    merged: list[range] = []
    for span in filter(None, spans):
        if merged and merged[-1].stop == span.start:
            merged[-1] = range(merged[-1].start, span.stop)
        else:
            merged.append(span)
    parts: list[IdSequence] = []
    for span in merged:
        if parts and int(ids[span.start : span.start + 1][0]) != vocabulary.begin_id:
            parts.append(np.array([vocabulary.begin_id], vocabulary.dtype))
        parts.append(IdSlice(ids, span.start, span.stop))
    return parts[0] if len(parts) == 1 else JoinedIds(parts or [np.empty(0, vocabulary.dtype)])


def _weighted(files: Sequence[range | None], weights: Sequence[float]) -> list[range | None]:
    """Each file as often as its weight says; for a fraction, that share of it from its beginning."""
    spans: list[range | None] = []
    for file, weight in zip(files, weights or [1.0] * len(files), strict=True):
        if file is not None:
            times, rest = divmod(weight, 1)
            part = range(file.start, file.start + round(rest * len(file)))
            spans += [file] * int(times) + ([part] if len(part) else [])
    return spans


def _held_record(
    files: Sequence[range], kept: Sequence[range | None], held: Sequence[range | None], share: float
) -> dict[str, Any]:
    """How the validation text was chosen: the share, and of how many files an end and how many files whole."""
    whole = sum(left is None and taken is not None for left, taken in zip(kept, held, strict=True))
    return {
        "share": share,
        "files": sum(len(file) > 0 for file in files),
        "ends": sum(taken is not None for taken in held) - whole,
        "whole": whole,
    }


def parse_weights(data: Sequence[str]) -> tuple[list[str], list[float]]:
    """DATA without what `FILE=N` says of how often a file is read in each pass, and that.

    A file whose whole name is `FILE=N` is that file. UsageError for a weight that is no weight, or of the only file.
    """
    paths, weights = [], []
    for name in data:
        match = None if Path(name).exists() else re.fullmatch(r"(.+)=(\d+(?:\.\d+)?)", name)
        paths.append(match[1] if match else name)
        weights.append(float(match[2]) if match else 1.0)
        if not 0 < weights[-1] <= MAX_WEIGHT:
            raise UsageError(f"{name}: how often a file is read is over 0 and at most {MAX_WEIGHT}")
    if len(data) == 1 and weights[0] != 1:
        raise UsageError(
            f"{data[0]}: a weight says how often a file is read beside others; leave it out of the only one"
        )
    return paths, weights


def load_vocabulary_or_none(path: Path | None) -> Vocabulary | None:
    """The vocabulary of a file, where one is named."""
    return None if path is None else load_vocabulary(path)


def held_share(valid: str | None) -> float | None:
    """The share that `--valid` asks for, or None when it names a file."""
    if valid is None:
        return VALID_SHARE
    if Path(valid).exists():
        return None
    try:
        share = float(valid)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise UsageError(f"--valid {valid}: a share lies between 0 and 1, such as 0.1; or name a file")
    return share
