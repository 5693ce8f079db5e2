"""Symbols of the user's are kept whole, for every type, wherever they stand and however they arrive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from seqtool.errors import UsageError
from seqtool.files import streams
from seqtool.settings.checking import check
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.text import blocks, documents, units
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.subword_sampling import SubwordSampler
from seqtool.text.vocabulary import Vocabulary
from tests.text.test_blocks import in_chunks

SYMBOLS = ["<sep>", "<|end|>", "<sep>>", "§", "[é🙂]"]


def talk(random: np.random.Generator) -> str:
    words = [*SYMBOLS, "<sep", ">", "<|", "naïve", "the", "12", " ", " ", "  ", "x" * 30, "\n", "漢"]
    return "".join(str(random.choice(words)) for _ in range(1500)) + "y" * 900 + "<sep>" + " <sep> <|end|>" * 30


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("symbols") / "text"
    path.write_text(talk(np.random.default_rng(1)))
    return path


@pytest.fixture(scope="module", params=VOCABULARY_TYPES)
def words(request: pytest.FixtureRequest, text: Path) -> Vocabulary:
    config = VocabularyConfig(type=request.param, symbols=",".join(SYMBOLS))
    return learn_vocabulary(TextSource([str(text)]), config)


def test_each_symbol_is_one_id_wherever_it_stands(words: Vocabulary, text: Path):
    before = "▁" if words.type == "word" else ""
    for symbol in SYMBOLS:
        for line in (symbol, f"a {symbol} b", f"a{symbol}b", f"{symbol}{symbol}\n", f"\n{symbol}"):
            pieces = [words.piece(index) for index in words.encode(line)]
            assert pieces.count(before + symbol) == line.count(symbol), (line, pieces)
    content = text.read_text()
    ids = words.encode(content)
    if words.type == "word":
        assert words.decode(words.encode("the<sep>the\n")) == "the <sep> the\n"
        return
    assert words.lossless
    assert words.decode(ids) == content
    plain = sentencepiece.SentencePieceProcessor(model_proto=words.model)
    for line in content.split("\n"):
        if len(line) < 8192:
            assert words.decode(words.encode(line)) == line
            assert words.type == "unigram" or words.encode(line).tolist() == plain.encode(line)


def test_symbols_do_not_depend_on_how_the_text_arrives(words: Vocabulary, text: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (blocks, documents, units):
        monkeypatch.setattr(module, "SEGMENT_CHARACTERS", 200)
    words = Vocabulary(words.model)
    data, random = text.read_bytes(), np.random.default_rng(0)
    found = []
    for most in (50, 3, 40, 299):
        monkeypatch.setattr(
            streams,
            "chunks_of",
            in_chunks(data, lambda most=most: most if most == 50 else int(random.integers(1, most))),
        )
        ids = np.concatenate(list(encode_blocks(words, TextSource([str(text)]).blocks()))).tolist()
        found.append(ids)
    assert found.count(found[0]) == len(found)
    assert words.type == "word" or words.decode(found[0][1:]).encode() == data
    symbol = words.symbols["<|end|>"]
    assert found[0].count(symbol) == data.count(b"<|end|>")


@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_symbols_are_not_folded(text: Path, kind: str):
    config = VocabularyConfig(type=kind, symbols="<SEP>,ﬁ", lowercase=True, normalize="nfkc")
    folding = learn_vocabulary(TextSource([str(text)]), config)
    assert folding.decode(folding.encode("A<SEP>Bﬁ ﬂ")) == "a<SEP>bﬁ fl"


def test_a_sampled_split_keeps_symbols(words: Vocabulary, text: Path):
    if words.type in ("bpe", "unigram"):
        content = text.read_text()[:2000]
        ids = SubwordSampler(words, 0.3, [0]).encode(content).tolist()
        assert words.decode(ids) == content
        assert ids.count(words.symbols["<|end|>"]) == content.count("<|end|>")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_digits_stand_for_themselves(tmp_path: Path, kind: str):
    (tmp_path / "text").write_text("in 1940 and 1941, 1942 or 1940\n" * 30)
    source = TextSource([str(tmp_path / "text")])
    split = learn_vocabulary(source, VocabularyConfig(type=kind, split_digits=True))
    assert [split.piece(index) for index in split.encode("1940")] == ["1", "9", "4", "0"]
    whole = learn_vocabulary(source, VocabularyConfig(type=kind)).encode("1940")
    assert len(whole) < 4 or kind == "unigram"  # which makes few pieces of a small text


@pytest.mark.parametrize(("config", "message"), [
    (VocabularyConfig(symbols="a b"), "--symbols 'a b': a symbol has no white space"),
    (VocabularyConfig(symbols="<s>"), "none of the vocabulary's own"),
    (VocabularyConfig(symbols="<a>,,<b>"), "--symbols ''"),
    (VocabularyConfig(symbols="<a>,<a>"), "twice"),
    (VocabularyConfig(symbols="x" * 101), "at most 100"),
    (VocabularyConfig(symbols=",".join(map(str, range(1001)))), "1,001 of them"),
    (VocabularyConfig(type="char", split_digits=True), "--split-digits is for"),
])  # fmt: skip
def test_symbols_that_cannot_be_are_refused(config: VocabularyConfig, message: str):
    assert any(message in problem for problem in check(config))


def test_a_size_counts_the_symbols(text: Path):
    for kind in VOCABULARY_TYPES:
        with pytest.raises(UsageError, match=r"that works is (\d+)") as error:
            learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type=kind, symbols="<sep>,<a>", size=2))
        size = int(str(error.value).split()[-1])
        made = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type=kind, symbols="<sep>,<a>", size=size))
        assert (made.size, list(made.symbols)) == (size, ["<sep>", "<a>"])
