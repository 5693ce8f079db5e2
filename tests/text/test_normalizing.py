"""Text is folded as SentencePiece folds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.settings.vocabulary import NORMALIZATIONS, VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.normalizing import folded
from tests.conftest import ODD_STRINGS

TEXTS = [*ODD_STRINGS[:3], "The \u00c9T\u00c9 \ufb01x \u2460", "\u039f\u0394\u039f\u03a3 \u0130 \u1e9e \u01c5", "ABC"]


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("lowercase", [False, True])
def test_sentencepiece_gives_back_the_folded_text(tmp_path: Path, normalize: str, lowercase: bool):
    """An independent oracle: what it decodes of bytes."""
    (tmp_path / "text").write_text("a text\n")
    config = VocabularyConfig(type="byte", normalize=normalize, lowercase=lowercase)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), config)
    for text in TEXTS:
        assert vocabulary.decode(vocabulary.encode(text)) == folded(text, normalize, lowercase), text


def test_every_letter_that_has_a_lower_case_gets_it(tmp_path: Path):
    (tmp_path / "text").write_text("a text\n")
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), VocabularyConfig(type="byte", lowercase=True))
    letters = [chr(point) for point in range(0x110000) if chr(point).lower() != chr(point)]
    assert len(letters) > 1000
    assert vocabulary.decode(vocabulary.encode("".join(letters))) == "".join(letter.lower() for letter in letters)
