from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from seqtool.config import VOCABULARY_TYPES, VocabularyConfig
from seqtool.errors import InputError, UsageError
from seqtool.text import learning
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import SPACE, Vocabulary, encode_blocks
from tests.conftest import ODD_STRINGS

LOSSLESS = [kind for kind in VOCABULARY_TYPES if kind != "word"]


@pytest.fixture(scope="module")
def vocabularies(prose_file: Path) -> dict[str, Vocabulary]:
    source = TextSource([str(prose_file)])
    return {kind: learn_vocabulary(source, VocabularyConfig(type=kind)) for kind in VOCABULARY_TYPES}


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
def test_ids_are_those_of_sentencepiece(vocabularies: dict[str, Vocabulary], kind: str, prose: str):
    """An independent oracle: the plain library on the same model, on text without U+2581."""
    plain = sentencepiece.SentencePieceProcessor(model_proto=vocabularies[kind].model)
    for text in [*ODD_STRINGS, *prose[:20_000].splitlines(keepends=True)]:
        if SPACE not in text and len(text) < 8192 and text.count("\n") <= 1:
            assert vocabularies[kind].encode(text).tolist() == plain.encode(text)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_newline_has_one_id_and_lines_encode_alone(vocabularies: dict[str, Vocabulary], kind: str):
    vocabulary = vocabularies[kind]
    (newline,) = vocabulary.newline_ids
    lines = ["def f():\n", "\treturn 1\n", "\n", "end"]
    whole = vocabulary.encode("".join(lines)).tolist()
    assert whole == [index for line in lines for index in vocabulary.encode(line).tolist()]
    assert whole.count(newline) == 3


def test_words_follow_the_convention_of_the_published_tables(tmp_path: Path):
    path = tmp_path / "text"
    path.write_text("the cat sat\nthe  dog\tsat\n\nthe <unk> sat\n" * 3 + "once\n")
    vocabulary = learn_vocabulary(TextSource([str(path)]), VocabularyConfig(type="word", min_count=2))
    pieces = {vocabulary.piece(index) for index in range(vocabulary.size)}
    assert pieces == {"<unk>", "<s>", "<eos>", "▁the", "▁cat", "▁sat", "▁dog"}
    ids = vocabulary.encode("the once\n\ncat <unk>\n").tolist()
    assert [vocabulary.piece(index) for index in ids] == ["▁the", "<unk>", "<eos>", "<eos>", "▁cat", "<unk>", "<eos>"]
    assert vocabulary.decode(ids) == "the <unk>\n\ncat <unk>\n"


@pytest.mark.parametrize("kind", VOCABULARY_TYPES)
@pytest.mark.parametrize("size", [10, 10**6])
def test_an_impossible_size_names_one_that_works(prose_file: Path, kind: str, size: int):
    if (kind, size) == ("word", 10):
        pytest.skip("ten words are possible")
    source = TextSource([str(prose_file)])
    with pytest.raises(UsageError, match=r"that works is (\d+)") as error:
        learn_vocabulary(source, VocabularyConfig(type=kind, size=size))
    works = int(str(error.value).split()[-1])
    assert learn_vocabulary(source, VocabularyConfig(type=kind, size=works)).size == works


@pytest.mark.parametrize("kind", VOCABULARY_TYPES)
@pytest.mark.parametrize("text", ["a", "\n", "   ", "ab" * 50_000, "🙂🙂🙂", "a\tb\x00c▁d\n"])
def test_any_text_gives_a_vocabulary(tmp_path: Path, kind: str, text: str):
    path = tmp_path / "text"
    path.write_text(text)
    source = TextSource([str(path)])
    if kind == "word" and (not text.strip() or len(text) > 1000):
        with pytest.raises((UsageError, InputError), match="no word"):
            learn_vocabulary(source, VocabularyConfig(type=kind))
        return
    vocabulary = learn_vocabulary(source, VocabularyConfig(type=kind))
    if kind != "word":
        assert vocabulary.decode(vocabulary.encode(text).tolist()) == text


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize(
    "text", ["ACGTTGCA\n" * 300, "".join(map(chr, range(0x4E00, 0x5300))) + " 一 二\n", "x\u2585y z\n" * 9]
)
def test_spaces_survive_where_the_text_has_hardly_any(tmp_path: Path, kind: str, text: str):
    path = tmp_path / "text"
    path.write_text(text)
    vocabulary = learn_vocabulary(TextSource([str(path)]), VocabularyConfig(type=kind))
    assert vocabulary.lossless
    for string in (text, "AC GT", " ", "  \n "):
        assert vocabulary.decode(vocabulary.encode(string).tolist()) == string


def test_words_do_not_run_over_documents_nor_break_in_long_lines(tmp_path: Path):
    (tmp_path / "a").write_text("alpha end")
    (tmp_path / "b").write_text("begin beta")
    (tmp_path / "c").write_text("one two three " * 5000)
    source = TextSource([str(tmp_path / name) for name in "abc"])
    vocabulary = learn_vocabulary(source, VocabularyConfig(type="word"))
    pieces = {vocabulary.piece(index) for index in range(3, vocabulary.size)}
    assert pieces == {"▁alpha", "▁end", "▁begin", "▁beta", "▁one", "▁two", "▁three"}
    ids = np.concatenate(list(encode_blocks(vocabulary, source.blocks())))
    assert (ids == vocabulary.unknown_id).sum() == 0
    assert len(ids) == 3 + 2 + 2 + 15000


def test_lower_case_and_nfkc_are_the_users_choice(prose_file: Path):
    source = TextSource([str(prose_file)])
    for kind in ("bpe", "char"):
        lower = learn_vocabulary(source, VocabularyConfig(type=kind, lowercase=True))
        assert lower.decode(lower.encode("The ÉTÉ\n  x").tolist()) == "the été\n  x"
        both = learn_vocabulary(source, VocabularyConfig(type=kind, lowercase=True, normalize="nfkc"))
        assert both.decode(both.encode("The ﬁ").tolist()) == "the fi"


def test_the_same_text_gives_the_same_vocabulary(prose_file: Path):
    for kind in VOCABULARY_TYPES:
        config = VocabularyConfig(type=kind)
        first, second = (learn_vocabulary(TextSource([str(prose_file)]), config) for _ in range(2))
        assert first.sha256 == second.sha256


def test_a_long_text_is_sampled(prose_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learning, "SAMPLE_BYTES", 10_000)
    sample = list(learning._sampled_lines(TextSource([str(prose_file)]), seed=0))
    assert 5_000 < sum(map(len, sample)) < 20_000


def test_the_model_says_what_made_it(vocabularies: dict[str, Vocabulary], prose_file: Path):
    metadata = vocabularies["bpe"].metadata
    assert metadata["type"] == "bpe"
    assert metadata["made_by"]["program"] == "seqtool"
    assert len(metadata["input_sha256"]) == 64


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80" * 100_000, json.dumps({"a": 1}).encode()])
def test_what_is_not_a_model_is_refused(content: bytes):
    with pytest.raises(InputError):
        Vocabulary(content, "file")


def test_a_model_of_another_maker_keeps_white_space(prose_file: Path, tmp_path: Path):
    """Settings as Llama's: a dummy prefix, <s> and </s>, byte fallback."""
    prefix = tmp_path / "other"
    sentencepiece.SentencePieceTrainer.train(
        input=str(prose_file), model_prefix=str(prefix), vocab_size=600, model_type="bpe", byte_fallback=True,
        minloglevel=4,
    )  # fmt: skip
    vocabulary = Vocabulary(prefix.with_suffix(".model").read_bytes())
    assert vocabulary.type == "foreign"
    for text in ["a  b\n\n c", " x", "naive\n"]:
        assert vocabulary.decode(vocabulary.encode(text).tolist()) == text
