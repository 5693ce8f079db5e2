"""Learning a vocabulary: of any text, of every size, from a sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.errors import InputError, SeqtoolError, UsageError
from seqtool.files import streams
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text import learning
from seqtool.text.documents import TextSource
from seqtool.text.learning import about_unknown, learn_vocabulary

LOSSLESS = [kind for kind in VOCABULARY_TYPES if kind != "word"]


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
    monkeypatch.setattr(streams, "READ_BYTES", 1000)
    (tmp_path / "text").write_text("".join(f"{number % 10}\n" for number in range(20_000)))
    sample, whole = learning._sample(TextSource([str(tmp_path / "text")]), 10**9, seed=0)
    assert not whole
    assert 500 < sample.count(b"\n") < 100_000 / learning.LINE_COST
    assert len(set(sample.splitlines())) > 3


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
