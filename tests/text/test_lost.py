"""What is said to be lost is what decoding does not give back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sentencepiece

from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.lost import LostText, lost_of_ids
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS
from tests.text.small_byte_level import small_vocabulary

SETTINGS = [("bpe", "none", False), ("char", "none", True), ("bpe", "nfkc", False), ("char", "nfkc", True),
            ("word", "none", False), ("word", "none", True), ("word", "nfkc", False), ("byte", "none", False)]  # fmt: skip
TEXTS = [
    *ODD_STRINGS,
    "the value of",
    "the value\nof the\n",
    "The value",
    "the ﬁrst ½",
    "the <unk>\n<unk>",
    "the ",
    " the",
    "the\r\n",
    "the value " * 2000 + "of",
    "the value " * 2000,
    "the <unk> " * 2000 + "the",
]


def lost_of(vocabulary: Vocabulary, folder: Path, text: str) -> tuple[list[str], str]:
    """What is lost, and what decoding gives back."""
    (folder / "text").write_bytes(text.encode())
    losses = LostText(vocabulary)
    source = TextSource([str(folder / "text")], empty_files=True)
    ids = [index for part in encode_blocks(vocabulary, losses.watch(source.blocks())) for index in part.tolist()]
    return losses.kinds(ids.count(vocabulary.unknown_id)), vocabulary.decode(ids)


@pytest.mark.parametrize(("kind", "normalize", "lowercase"), SETTINGS)
def test_nothing_is_lost_where_decoding_gives_the_text_back(tmp_path: Path, kind: str, normalize: str, lowercase: bool):
    (tmp_path / "sample").write_text("the value of the first thing is 1/2 abc\n" * 40)
    config = VocabularyConfig(type=kind, normalize=normalize, lowercase=lowercase)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "sample")]), config)
    for text in TEXTS:
        lost, back = lost_of(vocabulary, tmp_path, text)
        assert (not lost) == (back == text.removeprefix("\ufeff")), (text[:80], lost)
    assert (lost_of_ids(vocabulary, 0) == []) == (kind == "byte" or (kind, normalize, lowercase) == SETTINGS[0])


def test_a_vocabulary_of_another_program_is_judged_by_what_it_gives_back(tmp_path: Path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the value of the thing"] * 50), model_writer=model, model_type="char", vocab_size=30,
        hard_vocab_limit=False, minloglevel=4)  # fmt: skip
    vocabulary = Vocabulary(model.getvalue())
    assert vocabulary.type == "foreign"
    lost, _ = lost_of(vocabulary, tmp_path, "the xyz \ufb01")
    assert lost == ["characters"]
    assert lost_of_ids(vocabulary, 0) == ["perhaps characters"]


def test_documents_are_judged_each_by_itself(tmp_path: Path):
    """Space at the end of a document is lost although another follows; an end without a newline is not."""
    (tmp_path / "sample").write_text("the value of\n" * 40)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "sample")]), VocabularyConfig(type="word"))
    for first, lost in (("the", []), ("the ", ["white space"]), ("", []), ("the\n", [])):
        for name, content in (("a", first), ("b", "value")):
            (tmp_path / name).write_text(content)
        losses = LostText(vocabulary)
        source = TextSource([str(tmp_path / "a"), str(tmp_path / "b")], empty_files=True)
        list(losses.watch(source.blocks()))
        assert losses.kinds(0) == lost, first


def test_a_normal_form_loses_decomposed_characters(tmp_path: Path):
    for normalize, expected in (("none", []), ("nfc", ["decomposed characters"])):
        vocabulary = small_vocabulary(normalize=normalize)
        assert lost_of(vocabulary, tmp_path, "the e\u0301 end") == (expected, "the e\u0301 end" if not expected else "the é end")  # fmt: skip
        assert lost_of(vocabulary, tmp_path, "the é end")[0] == []
        assert lost_of_ids(vocabulary, 0) == [f"perhaps {kind}" for kind in expected]
