"""llama2.c's tokenizer.bin is a SentencePiece model in fewer words."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.exchange.bin_vocabulary import read_bin_vocabulary
from seqtool.exchange.foreign_vocabulary import as_its_program_reads
from tests.exchange import foreign
from tests.exchange.untrained import vocabulary_of
from tests.files.test_plain_tensors import spoiled


def merged(text: str, pieces: dict[str, int], scores: dict[str, float]) -> list[int]:
    """How llama2.c splits a text: a space before it, then ever the two neighbours whose joined text scores best."""
    parts = list(f" {text}") if text else []
    while True:
        pairs = [
            (scores["".join(parts[at : at + 2])], -at)
            for at in range(len(parts) - 1)
            if parts[at] + parts[at + 1] in scores
        ]
        if not pairs:
            break
        at = -max(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    ids = []
    for part in parts:
        ids += [pieces[part]] if part in pieces else [3 + byte for byte in part.encode()]
    return ids


@pytest.mark.parametrize("newlines", ["", "\n"])
def test_a_text_is_split_as_there(newlines: str, short_text: Path, tmp_path: Path):
    foreign.llama2_c_vocabulary(tmp_path / "t.bin", vocabulary_of(short_text, "bpe", size=400), newlines)
    vocabulary = read_bin_vocabulary(tmp_path / "t.bin")
    assert (vocabulary.begin_id, vocabulary.unknown_id, vocabulary.piece(2)) == (1, 0, "</s>")
    texts = {vocabulary.piece(index).replace("\u2581", " "): index for index in range(259, vocabulary.size)}
    scores = {piece.replace("\u2581", " "): score for piece, score in vocabulary.scores().items()}
    scores = {piece: score for piece, score in scores.items() if piece in texts}
    for text in (
        "",
        "Once upon a time",
        "  two  spaces ",
        "\u6f22 é 🙂",
        "a\n",
        "<s>",
        *short_text.read_text().splitlines()[:20],
    ):
        assert vocabulary.encode(text).tolist() == merged(text, texts, scores), text
    vocabulary = as_its_program_reads(vocabulary)
    for text in ("a\n b\n\nOnce\n", "\n", " \nupon", short_text.read_text()[:800]):
        assert vocabulary.encode(text).tolist() == merged(text, texts, scores), text


def test_damage_is_refused_in_a_sentence(short_text: Path, tmp_path: Path):
    foreign.llama2_c_vocabulary(file := tmp_path / "t.bin", vocabulary_of(short_text, "bpe", size=400))
    data = file.read_bytes()
    for content, told in (
        (data[:-1], "ends within its piece 400: it was cut short"),
        (data + b"\0\0\0\0", "ends within its piece 401"),
        (b"", "does not begin with <unk>, <s>, </s> and the bytes"),
        (data.replace(b"<0x07>", b"<0x08>"), "does not begin with"),
        (data.replace(struct.pack("<i", 6) + b"<0x07>", struct.pack("<i", -6) + b"<0x07>"), "an impossible piece 10"),
        (data.replace(b"<unk>", b"\xffunk>"), "piece 0 that is not UTF-8"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_bin_vocabulary(file)
        assert told in str(caught.value), (told, str(caught.value))
    drawn, told_of = random.Random(1), []
    for _ in range(100):
        file.write_bytes(spoiled(data, drawn))
        try:
            read_bin_vocabulary(file)
        except InputError as error:
            told_of.append(str(error))
    assert len(told_of) > 20
    assert not any("\n" in one for one in told_of)
