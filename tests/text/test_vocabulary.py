"""Vocabularies of each type: what comes back, what words are, and what made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS

LOSSLESS = [kind for kind in VOCABULARY_TYPES if kind != "word"]


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("text", ODD_STRINGS)
def test_round_trip(vocabularies: dict[str, Vocabulary], kind: str, text: str):
    vocabulary = vocabularies[kind]
    assert vocabulary.decode(vocabulary.encode(text).tolist()) == text


@pytest.mark.parametrize("kind", LOSSLESS)
def test_round_trip_of_prose(vocabularies: dict[str, Vocabulary], kind: str, prose: str):
    vocabulary = vocabularies[kind]
    assert vocabulary.decode(vocabulary.encode(prose).tolist()) == prose


@pytest.mark.parametrize("kind", LOSSLESS)
def test_round_trip_of_random_text(vocabularies: dict[str, Vocabulary], kind: str):
    vocabulary = vocabularies[kind]
    random = np.random.default_rng(0)
    common = [*"etaoin  \n\r\t", "\u2581", "\u2585", "\ufeff", "\x00", "\x85", "é", "漢", "🙂", "<s>", "the ", "  "]
    for size in (3, 50, 9_000):
        for _ in range(4):
            planes = random.integers(1, 17, size) << 16 | random.integers(1 << 16, size=size)
            rare = [chr(point) for point in np.concatenate([planes, random.integers(0xD800, size=size)])]
            text = "".join(random.choice([*common, *random.choice(rare, 15)], size))
            ids = vocabulary.encode(text)
            assert vocabulary.decode(ids) == text
            assert vocabulary.decode(ids.tolist()) == text


def test_words_follow_the_convention_of_the_published_tables(tmp_path: Path):
    path = tmp_path / "text"
    path.write_text("the cat sat\nthe  dog\tsat\n\nthe <unk> sat\n" * 3 + "once\n")
    vocabulary = learn_vocabulary(TextSource([str(path)]), VocabularyConfig(type="word", min_count=2))
    pieces = {vocabulary.piece(index) for index in range(vocabulary.size)}
    assert pieces == {"<unk>", "<s>", "<eos>", "▁the", "▁cat", "▁sat", "▁dog"}
    ids = vocabulary.encode("the once\n\ncat <unk>\n").tolist()
    assert [vocabulary.piece(index) for index in ids] == ["▁the", "<unk>", "<eos>", "<eos>", "▁cat", "<unk>", "<eos>"]
    assert vocabulary.decode(ids) == "the <unk>\n\ncat <unk>\n"


def test_lower_case_and_nfkc_are_the_users_choice(prose_file: Path):
    source = TextSource([str(prose_file)])
    for kind in ("bpe", "char"):
        lower = learn_vocabulary(source, VocabularyConfig(type=kind, lowercase=True))
        assert lower.decode(lower.encode("The ÉTÉ\n  x").tolist()) == "the été\n  x"
        both = learn_vocabulary(source, VocabularyConfig(type=kind, lowercase=True, normalize="nfkc"))
        assert both.decode(both.encode("The ﬁ").tolist()) == "the fi"


def test_the_model_says_what_made_it(vocabularies: dict[str, Vocabulary], prose_file: Path):
    metadata = vocabularies["bpe"].metadata
    assert metadata["type"] == "bpe"
    assert metadata["made_by"]["program"] == "seqtool"
    assert len(metadata["input_sha256"]) == 64
