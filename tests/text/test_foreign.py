"""Models of other makers: each line has the ids that SentencePiece gives it, however it arrives, and then a newline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from seqtool.cli.encode import printed
from seqtool.errors import InputError
from seqtool.files import streams
from seqtool.text import blocks
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextSource
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS
from tests.text.test_blocks import in_chunks

BYTES = {"byte_fallback": True}
KEEPS = {**BYTES, "normalization_rule_name": "identity", "remove_extra_whitespaces": False}
MAKERS = {
    "as Llama's": BYTES,
    "as T5's": {"model_type": "unigram", "bos_id": -1, "eos_id": 1, "unk_id": 2, "pad_id": 0},
    "suffix": {**BYTES, "treat_whitespace_as_suffix": True},
    "lossless prefix": KEEPS,
    "lossless suffix": {**KEEPS, "treat_whitespace_as_suffix": True},
    "no prefix": {**KEEPS, "add_dummy_prefix": False},
    "case folded": {**BYTES, "model_type": "unigram", "normalization_rule_name": "nmt_nfkc_cf", "unk_id": 3},
    "symbols": {**BYTES, "user_defined_symbols": ["<sep>", "<user>"]},
    "chars": {"model_type": "char"},
}
LINES = [
    *(line for text in ODD_STRINGS for line in text.split("\n")),
    "  two  spaces  ",
    "a\u2581b<sep>c <user>",
    "ABC ①ﬁ\u3000x\r",
    "y" * 9000,
    "ab cd " * 2000,
]


@pytest.fixture(scope="module", params=MAKERS)
def model(request: pytest.FixtureRequest, prose: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("maker")
    (folder / "text").write_text(prose[:20_000])
    options = {"model_type": "bpe", "vocab_size": 450, "hard_vocab_limit": False, **MAKERS[request.param]}
    if options["model_type"] == "char":
        options["vocab_size"] = 90
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "m"), minloglevel=4, **options
    )
    return (folder / "m.model").read_bytes()


def test_every_line_has_the_ids_of_sentencepiece(
    model: bytes, prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = sentencepiece.SentencePieceProcessor(model_proto=model)
    foreign = Vocabulary(model)
    assert foreign.type == "foreign"
    lines = [*LINES, *prose[:9000].split("\n")]
    expected = [[*plain.encode(line), *foreign.newline_ids] for line in lines]
    assert [foreign.encode(line + "\n").tolist() for line in lines] == expected
    data = "".join(f"{line}\n" for line in lines).encode()
    (tmp_path / "text").touch()
    source = TextSource([str(tmp_path / "text")])
    for size in (777, 20_000):
        monkeypatch.setattr(streams, "chunks_of", in_chunks(data, lambda size=size: size))
        stored = np.concatenate(list(encode_blocks(foreign, source.blocks()))).tolist()
        assert stored == [foreign.begin_id, *(index for line in expected for index in line)]
        told = b"".join(printed(foreign, source, pieces=False)).split(b"\n")[: len(lines)]
        assert [[int(number) for number in line.split()] for line in told] == expected


@pytest.mark.slow
def test_what_sentencepiece_keeps_comes_back(model: bytes):
    foreign = Vocabulary(model)
    text = "".join(f"{line}\n" for line in LINES if "\u2581" not in line)
    plain = sentencepiece.SentencePieceProcessor(model_proto=model)
    keeps = foreign.has_newline and plain.decode(plain.encode("  ﬁ A")).strip() == "ﬁ A"
    ids = foreign.encode(text).tolist()
    decoder = foreign.decoder()
    assert "".join(decoder.feed([index]) for index in ids) + decoder.finish() == foreign.decode(ids)
    if keeps:
        assert foreign.decode(ids) == text
    if foreign.has_newline:
        assert foreign.decode(foreign.encode("one two\nthree\n").tolist()) == "one two\nthree\n"


def test_a_line_too_long_to_be_held_is_refused_however_it_arrives(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blocks, "MAX_HELD_CHARACTERS", 10_000)
    (tmp_path / "text").touch()
    foreign, source = Vocabulary(model, "other.model"), TextSource([str(tmp_path / "text")])
    for length in (10_000, 10_001):
        for size in (700, 9000):
            data = b"one\n" + b"z" * length + b"\ntwo\n"
            monkeypatch.setattr(streams, "chunks_of", in_chunks(data, lambda size=size: size))
            if length == 10_000:
                assert sum(map(len, encode_blocks(foreign, source.blocks()))) > 0
                continue
            with pytest.raises(InputError, match=r"more than 10,000 characters, and other[.]model splits whole lines"):
                list(encode_blocks(foreign, source.blocks()))
