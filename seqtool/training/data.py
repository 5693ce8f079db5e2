"""From what the user names as DATA to ids for training and for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtool.config import VocabularyConfig
from seqtool.embeddings.into_model import Beginning
from seqtool.errors import InputError, UsageError
from seqtool.text.documents import TextCounts, TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.sampling import SubwordSampler
from seqtool.text.store import (
    EncodedText,
    IdSequence,
    Slice,
    document_ids,
    document_spans,
    encode_text,
    is_store,
    open_store,
    spooled,
)
from seqtool.text.vocabulary import Ids, Vocabulary, load_vocabulary
from seqtool.training.world import World, alone

VALID_SHARE = 0.1
MAX_VALID_TOKENS = 1_000_000  # of a very long text no more is held back, unless a share is asked for
COUNTED_TOKENS = 1 << 20
NEARLY_ALL = 0.95
MIN_TRAIN_TOKENS = 20
SEARCH_TOKENS = 1 << 16  # how far from the share a document's beginning is looked for


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
    beginning: Beginning | None = None
    """The vectors that a new model's embedding begins with; None where it is random."""


def prepare_data(
    data: Sequence[str],
    *,
    vocabulary: Vocabulary | None,
    vocabulary_config: VocabularyConfig,
    valid: str | None,
    errors: str,
    document: str,
    seed: int,
    subword_sampling: float = 0.0,
    world: World | None = None,
) -> TrainingData:
    """Read DATA (text files, `-`, or one token store), learn a vocabulary unless one is given, and split.

    `valid` is a file of text, or a share such as 0.1; None is VALID_SHARE of the end. InputError for data that cannot
    be read, are empty, or do not go with the vocabulary. Of several processes the first one checks a token store
    whole; the others read what they train on.
    """
    world = world or alone(torch.device("cpu"))
    if world.size > 1 and "-" in data:
        raise UsageError("several processes cannot read one standard input: give a file, or a token store")
    if any(is_store(Path(path)) for path in data):
        if len(data) > 1:
            raise UsageError("give one token store, or text: encode several texts into one store")
        store = open_store(Path(data[0]), verify=world.main)
        if vocabulary is not None and vocabulary.sha256 != store.vocabulary.sha256:
            raise InputError(f"{data[0]} was encoded with another vocabulary than {vocabulary.name}: leave --vocab out")
        vocabulary = store.vocabulary
        counts = TextCounts(**{name: store.description[name] for name in ("documents", "words", "characters", "bytes")})
        encoded = EncodedText(store.ids, counts, store.description["input_sha256"])
    else:
        source = TextSource(data, errors=errors, document=document, rereadable=True)
        if vocabulary is None:
            vocabulary = learn_vocabulary(source, vocabulary_config, seed)
        encoded = encode_text(vocabulary, source)
    record = {
        "name": ", ".join(data),
        "sha256": encoded.sha256,
        "tokens": len(encoded.ids),
        "characters": encoded.counts.characters,
        "bytes": encoded.counts.bytes,
        "documents": encoded.counts.documents,
        "document": document,
        "valid": valid,
    }
    share = _share(valid)
    if share is None:
        assert valid is not None
        held_out = encode_text(vocabulary, TextSource([valid], errors=errors, document=document, rereadable=True))
        train_ids: IdSequence = encoded.ids
        valid_ids: IdSequence = held_out.ids
        record["valid_sha256"] = held_out.sha256
    else:
        cut = split_point(encoded.ids, share, vocabulary.begin_id, exact=valid is not None)
        train_ids, valid_ids = Slice(encoded.ids, 0, cut), Slice(encoded.ids, cut, len(encoded.ids))
    if len(train_ids) < MIN_TRAIN_TOKENS:
        raise InputError(f"{record['name']} is too short to learn from: {len(train_ids)} tokens; give more text")
    record |= {"train_tokens": len(train_ids), "valid_tokens": len(valid_ids)}
    scanned = world.from_main(_scan(train_ids, vocabulary) if world.main else None)
    record["train_documents"], longest, seen_counts = scanned
    sample = None
    if subword_sampling:
        if vocabulary.type not in ("bpe", "unigram"):
            raise UsageError(f"--subword-sampling: a {vocabulary.type} vocabulary has one split of a text; use bpe")
        sample = _sampler(vocabulary, train_ids, subword_sampling, seed)
        counted = dict(seen_counts)
        seen_counts = [[index, counted.get(index, 0)] for index in range(vocabulary.size)]
    return TrainingData(vocabulary, train_ids, valid_ids, dict(seen_counts), record, longest, sample)


def _scan(ids: IdSequence, vocabulary: Vocabulary) -> tuple[int, int, list[tuple[int, int]]]:
    """How many documents there are, the tokens of the longest, and how often each id occurs that does."""
    starts, ends = document_spans(ids, vocabulary.begin_id)
    lengths = ends - starts
    return int((lengths > 0).sum()), int(lengths.max(initial=0)), list(_seen_counts(ids, vocabulary).items())


def _sampler(vocabulary: Vocabulary, ids: IdSequence, share: float, seed: int) -> Callable[[int], IdSequence]:
    """Gives the ids of the same documents, split into subwords anew for each pass."""
    begin = np.array([vocabulary.begin_id], vocabulary.dtype)

    def split_anew(sampler: SubwordSampler) -> Iterator[Ids]:
        for document in document_ids(ids, vocabulary.begin_id):
            yield begin
            decoder = vocabulary.decoder()
            for start in range(0, len(document), COUNTED_TOKENS):
                yield sampler.encode(decoder.feed(document[start : start + COUNTED_TOKENS].tolist()))

    return lambda text_pass: spooled(split_anew(SubwordSampler(vocabulary, share, [seed, text_pass])), vocabulary)


def _seen_counts(ids: IdSequence, vocabulary: Vocabulary) -> dict[int, int]:
    """How often each id occurs that does; all ids when nearly all do."""
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    for start in range(0, len(ids), COUNTED_TOKENS):
        counts += np.bincount(ids[start : start + COUNTED_TOKENS], minlength=vocabulary.size)
    seen = np.flatnonzero(counts)
    if len(seen) > NEARLY_ALL * vocabulary.size:
        seen = np.arange(vocabulary.size)
    return dict(zip(seen.tolist(), counts[seen].tolist(), strict=True))


def split_point(ids: IdSequence, share: float, begin_id: int, exact: bool = False) -> int:
    """Where the validation part begins: its share from the end, moved on to a document's beginning when one is near."""
    size = len(ids)
    held = max(1, round(size * share)) if exact else max(1, min(round(size * share), MAX_VALID_TOKENS))
    cut = size - held
    near = ids[cut : min(size, cut + min(held // 2, SEARCH_TOKENS))]
    beginnings = np.flatnonzero(near == begin_id)
    return cut + int(beginnings[0]) if len(beginnings) else cut


def load_vocabulary_or_none(path: Path | None) -> Vocabulary | None:
    """The vocabulary of a file, where one is named."""
    return None if path is None else load_vocabulary(path)


def _share(valid: str | None) -> float | None:
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
