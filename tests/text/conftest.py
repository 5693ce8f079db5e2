"""A vocabulary of each type, learned from the prose."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def vocabularies(prose_file: Path) -> dict[str, Vocabulary]:
    source = TextSource([str(prose_file)])
    return {kind: learn_vocabulary(source, VocabularyConfig(type=kind)) for kind in VOCABULARY_TYPES}
