"""From the text or token store that the user names to a vocabulary and a corpus of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seqtool.embeddings.corpus import Corpus, make_corpus
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.encoded import documents_are_settled, read_encoded
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import is_store
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

MOST_WORDS = 1_000_000
DOCUMENT = "line"  # the default document that windows end at, as in word2vec and fastText
MIN_COUNTS = ((50_000, 1), (1_000_000, 2))  # below this many bytes of text, this --min-count
MIN_COUNT_OF_LONG_TEXT = 5


def read_corpus(
    data: Sequence[str],
    vocab: Path | None,
    config: VocabularyConfig,
    min_count: int | None,
    errors: str,
    document: str | None,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[Vocabulary, Corpus, str]:
    """Read text, or one token store: its vocabulary (learned unless `vocab` names one), the corpus, and its SHA-256.

    InputError for what cannot be read or has too few words, UsageError for what does not go with a store.
    """
    name = ", ".join(data)
    if document is not None and len(data) == 1 and is_store(Path(data[0])):
        raise documents_are_settled(name)

    def source() -> TextSource:
        return TextSource(data, errors=errors, document=document or DOCUMENT, rereadable=True, progress=progress)

    def learned(text: TextSource) -> Vocabulary:
        rare = min_count or default_min_count(text.size())
        of_words = replace(config, min_count=rare) if config.type == "word" else config
        return learn_vocabulary(text, of_words, seed, MOST_WORDS)

    encoded = read_encoded(data, None if vocab is None else load_vocabulary(vocab), source, learned)
    return encoded.vocabulary, make_corpus(encoded.ids, encoded.vocabulary, name, min_count or 1), encoded.sha256


def default_min_count(text_bytes: int) -> int:
    """How often a word must occur to get a vector: a long text can do without the rare ones, a short one cannot."""
    return next((least for below, least in MIN_COUNTS if text_bytes < below), MIN_COUNT_OF_LONG_TEXT)
