"""Reading data that the user names, text or a token store, as ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqtool.errors import UsageError
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextCounts, TextSource, counted_blocks
from seqtool.text.sequences import IdSequence, spooled
from seqtool.text.store import is_store, open_store
from seqtool.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class EncodedText:
    """The ids of a text, `<s>` before each document, with the counts and the hash of the text they came from."""

    vocabulary: Vocabulary
    ids: IdSequence
    counts: TextCounts
    sha256: str
    file_documents: list[int]
    """How many documents each file has."""


def read_encoded(
    data: Sequence[str],
    vocabulary: Vocabulary | None,
    source: Callable[[], TextSource],
    learn: Callable[[TextSource], Vocabulary],
    *,
    verify: bool = True,
) -> EncodedText:
    """The ids of `data`: of one token store, or of the text that `source` opens.

    Text is encoded with `vocabulary`, or if that is None with the one that `learn` learns from it. UsageError for a
    store beside other data; InputError for one that cannot be read or was encoded with another vocabulary. `verify`
    says whether the checksums of a store's shards are checked, for which they are read once.
    """
    if not any(is_store(Path(path)) for path in data):
        text = source()
        return encode_text(vocabulary or learn(text), text)
    if len(data) > 1:
        raise UsageError("give one token store, or text: encode several texts into one store")
    store = open_store(Path(data[0]), verify)
    if vocabulary is not None:
        store.check_vocabulary(vocabulary, "give the text itself, or a store of it that was encoded with that one")
    return EncodedText(store.vocabulary, store.ids, store.counts, store.sha256, store.file_documents)


def encode_text(vocabulary: Vocabulary, source: TextSource) -> EncodedText:
    """Encode a whole source in bounded memory: the ids of a long text are in an unnamed temporary file."""
    counts = TextCounts()
    ids = spooled(encode_blocks(vocabulary, counted_blocks(source, counts)), vocabulary.dtype)
    return EncodedText(vocabulary, ids, counts, source.sha256, source.file_documents)


def documents_are_settled(store: str) -> UsageError:
    """The error for --document with a token store."""
    return UsageError(f"--document: the documents of {store} are those it was encoded with; leave it out")
