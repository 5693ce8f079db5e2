from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from seqtool.errors import InputError, SeqtoolError, UsageError
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text import documents, learning
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextSource
from seqtool.text.learning import about_unknown, learn_vocabulary
from seqtool.text.normalizing import SPACE
from seqtool.text.vocabulary import Vocabulary
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


def test_every_unknown_word_is_an_unknown_of_its_own(tmp_path: Path):
    (tmp_path / "text").write_text("the cat sat\n" * 3)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), VocabularyConfig(type="word"))
    ids = vocabulary.encode("a dog\tsat  by <unk> x\u2581y\n").tolist()
    assert [vocabulary.piece(index) for index in ids] == ["<unk>"] * 2 + ["▁sat"] + ["<unk>"] * 3 + ["<eos>"]


@pytest.mark.parametrize("kind", VOCABULARY_TYPES)
@pytest.mark.parametrize("document", ["line", "blank-line"])
def test_documents_encoded_together_are_those_encoded_alone(
    vocabularies: dict[str, Vocabulary], prose_file: Path, kind: str, document: str
):
    vocabulary = vocabularies[kind]
    source = TextSource([str(prose_file)], document=document)
    expected: list[int] = []
    for block in source.blocks():
        expected += [vocabulary.begin_id] * block.starts_document + vocabulary.encode(block.text).tolist()
    assert np.concatenate(list(encode_blocks(vocabulary, source.blocks()))).tolist() == expected


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
@pytest.mark.parametrize(
    "text",
    [
        "a",
        "\n",
        "   ",
        "ab" * 50_000,
        "🙂🙂🙂",
        "a\tb\x00c▁d\n",
        "\r\n",
        "\t",
        "\x01",
        "\ufffd",
        "<s>",
        "<0x41>\n<unk>\n",
        "naïve",
    ],
)
def test_any_text_gives_a_vocabulary(tmp_path: Path, kind: str, text: str):
    path = tmp_path / "text"
    path.write_text(text)
    source = TextSource([str(path)])
    if kind == "word" and (not text.strip() or len(text) > 1000 or text == "<s>"):
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
    vocabulary = learn_vocabulary(source, VocabularyConfig(type="word", min_count=1))
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
    monkeypatch.setitem(learning.SAMPLE_BYTES, "bpe", 10_000)
    source = TextSource([str(prose_file)])
    sample, whole = learning._sample(source, 10_000, seed=0)
    assert not whole
    assert 5_000 < len(sample) < 20_000
    assert set(sample.splitlines()) <= set(prose_file.read_bytes().splitlines())
    assert learning._sample(source, 10_000, seed=0)[0] == sample != learning._sample(source, 10_000, seed=1)[0]
    metadata = learn_vocabulary(source, VocabularyConfig(type="bpe", size=400)).metadata
    assert (metadata["text_bytes"], metadata["sample_bytes"], metadata["seed"]) == (source.size(), len(sample), 0)


def test_a_sample_of_many_short_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learning, "MAX_SAMPLE_COST", 100_000)
    monkeypatch.setattr(documents, "READ_BYTES", 1000)
    (tmp_path / "text").write_text("".join(f"{number % 10}\n" for number in range(20_000)))
    sample, whole = learning._sample(TextSource([str(tmp_path / "text")]), 10**9, seed=0)
    assert not whole
    assert 500 < sample.count(b"\n") < 100_000 / learning.LINE_COST
    assert len(set(sample.splitlines())) > 3


def test_the_model_says_what_made_it(vocabularies: dict[str, Vocabulary], prose_file: Path):
    metadata = vocabularies["bpe"].metadata
    assert metadata["type"] == "bpe"
    assert metadata["made_by"]["program"] == "seqtool"
    assert len(metadata["input_sha256"]) == 64


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80" * 100_000, json.dumps({"a": 1}).encode()])
def test_what_is_not_a_model_is_refused(content: bytes):
    with pytest.raises(InputError):
        Vocabulary(content, "file")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_text_of_nul_is_spelled_in_bytes(tmp_path: Path, kind: str):
    (tmp_path / "text").write_text("\0\0\0\n")
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), VocabularyConfig(type=kind))
    assert vocabulary.decode(vocabulary.encode("\0\0\0\n")) == "\0\0\0\n"


@pytest.mark.parametrize(("text", "message"), [
    ("ACGT" * 700 + "\n", "no word of at most 200 characters between spaces: choose the type char"),
    ("\0\0 \0\n", "no word that a vocabulary can hold, such as .*: choose the type char"),
    ("a b c\n", "no word of .* occurs 2 times: lower --min-count"),
    (" \n", "no words, only white space"),
])  # fmt: skip
def test_a_text_without_words_is_told_why(tmp_path: Path, text: str, message: str):
    (tmp_path / "text").write_text(text)
    source = TextSource([str(tmp_path / "text")])
    with pytest.raises(SeqtoolError, match=message):
        learn_vocabulary(source, VocabularyConfig(type="word", min_count=2))


@pytest.mark.parametrize("normalize", ["none", "nfkc"])
def test_bytes_are_folded_where_the_user_asks_for_it(prose_file: Path, normalize: str):
    config = VocabularyConfig(type="byte", lowercase=True, normalize=normalize)
    vocabulary = learn_vocabulary(TextSource([str(prose_file)]), config)
    text = "The ÉTÉ ﬁ\n"
    ids = vocabulary.encode(text).tolist()
    assert vocabulary.decode(ids) == ("the été ﬁ\n" if normalize == "none" else "the été fi\n")
    plain = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.model)
    assert ids == [*plain.encode(text.strip("\n")), *vocabulary.newline_ids]


@pytest.mark.parametrize(("text", "settings", "least"), [
    ("a a b b c c d\n" * 1 + "a b c\n", {}, 2),
    ("a a b b c c d\n", {"min_count": 1}, 1),
    ("a a b b c c d <unk>\n", {}, 1),  # as in PTB and WikiText, where the text has it
    ("a a b b c c d\n", {"size": 5}, 1),  # d falls out anyway
    ("a a b b c c d\n", {"size": 7}, 1),  # which only fits with d
    ("a b c d\n", {}, 1),  # nothing would be left
])  # fmt: skip
def test_a_word_vocabulary_leaves_unknown_words_to_learn_from(
    tmp_path: Path, text: str, settings: dict[str, int], least: int
):
    (tmp_path / "text").write_text(text)
    config = VocabularyConfig(type="word", **settings)
    vocabulary = learn_vocabulary(TextSource([str(tmp_path / "text")]), config)
    assert vocabulary.metadata["min_count"] == least
    assert bool(about_unknown(vocabulary, config)) == (least == 2)
    unknown = int((vocabulary.encode(text) == vocabulary.unknown_id).sum())
    assert unknown == {2: 1, 1: 3 if settings.get("size") == 5 else int("<unk>" in text)}[least]


FOREIGN = {
    "a dummy prefix": {},
    "spaces behind words": {"treat_whitespace_as_suffix": True},
    "no dummy prefix": {"add_dummy_prefix": False},
    "all white space": {"remove_extra_whitespaces": False},
    "byte fallback": {"byte_fallback": True},
}


@pytest.mark.parametrize("kind", ["word", *FOREIGN])
def test_text_goes_on_behind_its_prompt(
    vocabularies: dict[str, Vocabulary], prose_file: Path, tmp_path: Path, kind: str
):
    """Where a prompt's ids are the first of a text's, the others are written as the text goes on."""
    if kind != "word":
        sentencepiece.SentencePieceTrainer.train(
            input=str(prose_file), model_prefix=str(tmp_path / "other"), vocab_size=600, minloglevel=4, **FOREIGN[kind]
        )
    vocabulary = vocabularies["word"] if kind == "word" else Vocabulary((tmp_path / "other.model").read_bytes())
    text, tried = "The value of this is the name of the object", 0
    for cut in range(len(text)):
        prompt, ids = text[:cut], vocabulary.encode(text).tolist()
        begun = vocabulary.encode(prompt).tolist()
        decoder = vocabulary.decoder(vocabulary.seam(prompt, begun))
        if ids[: len(begun)] == begun:
            written = "".join(decoder.feed([index]) for index in ids[len(begun) :])
            assert (prompt + written).rstrip(" ") == text
            tried += 1
    assert tried >= 8


def test_a_word_behind_a_line_goes_without_its_space(vocabularies: dict[str, Vocabulary]):
    word = vocabularies["word"]
    ids = word.encode("the value\nthe name").tolist()
    for prompt, expected in [
        ("if", " the value\nthe name"),
        ("if ", "the value\nthe name"),
        ("if\n", "the value\nthe name"),
    ]:
        assert word.decoder(word.seam(prompt, word.encode(prompt).tolist())).feed(ids) == expected


def test_tokens_that_spell_no_whole_character_are_told(vocabularies: dict[str, Vocabulary]):
    ids = vocabularies["byte"].encode("a\u00e9\u65e5").tolist()
    for count, expected in ((1, 0), (2, 1), (3, 0), (4, 1), (5, 2), (6, 0)):
        decoder = vocabularies["byte"].decoder()
        decoder.feed(ids[:count])
        assert decoder.unfinished(ids[:count]) == expected
