"""Text to ids, by each type of vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.normalizing import SPACE
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS

LOSSLESS = [kind for kind in VOCABULARY_TYPES if kind != "word"]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_ids_are_those_of_sentencepiece(vocabularies: dict[str, Vocabulary], kind: str, prose: str):
    """An independent oracle: the plain library on the same model, on text without U+2581.

    Of two splits that are equally likely, `unigram` may take the other one.
    """
    plain = sentencepiece.SentencePieceProcessor(model_proto=vocabularies[kind].model)
    others = 0
    for text in [*ODD_STRINGS, *prose.splitlines(keepends=True)]:
        if SPACE not in text and len(text) < 8192 and text.count("\n") <= 1:
            ids, expected = vocabularies[kind].encode(text).tolist(), plain.encode(text)
            if ids != expected:
                others += 1
                assert kind == "unigram"
                assert plain.decode(ids) == plain.decode(expected)
                assert sum(map(plain.get_score, ids)) == pytest.approx(sum(map(plain.get_score, expected)), abs=1e-5)
    assert others < 5


def test_every_unknown_word_is_an_unknown_of_its_own(tmp_path: Path):
    (tmp_path / "text").write_text("the cat sat\n" * 3)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), VocabularyConfig(type="word"))
    ids = vocabulary.encode("a dog\tsat  by <unk> x\u2581y\n").tolist()
    assert [vocabulary.piece(index) for index in ids] == ["<unk>"] * 2 + ["▁sat"] + ["<unk>"] * 3 + ["<eos>"]


@pytest.mark.parametrize("normalize", ["none", "nfkc"])
def test_bytes_are_folded_where_the_user_asks_for_it(prose_file: Path, normalize: str):
    config = VocabularyConfig(type="byte", lowercase=True, normalize=normalize)
    vocabulary = learn_vocabulary(TextSource([str(prose_file)]), config)
    text = "The ÉTÉ ﬁ\n"
    ids = vocabulary.encode(text).tolist()
    assert vocabulary.decode(ids) == ("the été ﬁ\n" if normalize == "none" else "the été fi\n")
    plain = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.model)
    assert ids == [*plain.encode(text.strip("\n")), *vocabulary.newline_ids]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_newline_has_one_id_and_lines_encode_alone(vocabularies: dict[str, Vocabulary], kind: str):
    vocabulary = vocabularies[kind]
    (newline,) = vocabulary.newline_ids
    lines = ["def f():\n", "\treturn 1\n", "\n", "end"]
    whole = vocabulary.encode("".join(lines)).tolist()
    assert whole == [index for line in lines for index in vocabulary.encode(line).tolist()]
    assert whole.count(newline) == 3
