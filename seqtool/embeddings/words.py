"""From the text or token store that the user names to a vocabulary and a corpus of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seqtool.embeddings.corpus import Corpus, make_corpus
from seqtool.errors import InputError, UsageError
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.store import encode_text, is_store, open_store
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
    if any(is_store(Path(path)) for path in data):
        if len(data) > 1:
            raise UsageError("give one token store, or text: encode several texts into one store")
        if document is not None:
            raise UsageError(f"--document: the documents of {data[0]} are those it was encoded with; leave it out")
        store = open_store(Path(data[0]))
        if vocab is not None and load_vocabulary(vocab).sha256 != store.vocabulary.sha256:
            raise InputError(f"{data[0]} was encoded with another vocabulary than {vocab}: leave --vocab out")
        corpus = make_corpus(store.ids, store.vocabulary, name, min_count or 1)
        return store.vocabulary, corpus, store.description["input_sha256"]
    source = TextSource(data, errors=errors, document=document or DOCUMENT, rereadable=True, progress=progress)
    if vocab is not None:
        vocabulary = load_vocabulary(vocab)
    else:
        least = min_count or default_min_count(source.size())
        learned = replace(config, min_count=least) if config.type == "word" else config
        vocabulary = learn_vocabulary(source, learned, seed, MOST_WORDS)
    encoded = encode_text(vocabulary, source)
    return vocabulary, make_corpus(encoded.ids, vocabulary, name, min_count or 1), encoded.sha256


def default_min_count(text_bytes: int) -> int:
    """How often a word must occur to get a vector: a long text can do without the rare ones, a short one cannot."""
    return next((least for below, least in MIN_COUNTS if text_bytes < below), MIN_COUNT_OF_LONG_TEXT)
