"""Sentences of CoNLL-U and CoNLL columns."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.files import streams
from seqtool.records import sentences
from seqtool.records.reading import open_records
from seqtool.records.sentences import Sentence, read_sentences, sentences_of

UNIVERSAL = """# sent_id = 1
# text = au chat
1-2\tau\t_\t_\t_\t_\t_\t_\t_\t_
1\tà\tà\tADP\t_\t_\t_\t_\t_\t_
2\tle\tle\tDET\t_\t_\t_\t_\t_\t_
2.1\tvide\t_\tX\t_\t_\t_\t_\t_\t_
3\tchat\tchat\tNOUN\t_\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\t_\t_\t_\t_\t_\t_
"""
PLAIN = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n# NN I-NP O\n\nPeter NNP B-NP B-PER\n"


def read(folder: Path, text: str, *columns: str, errors: str = "strict", name: str = "x.conll") -> list[Sentence]:
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return list(read_sentences([str(folder / name)], columns=columns, errors=errors))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_universal_dependencies(tmp_path: Path, newline: str):
    first, second = read(tmp_path, UNIVERSAL.replace("\n", newline), "form", "upos")
    assert first.columns == (("à", "le", "chat"), ("ADP", "DET", "NOUN"))
    assert first.number == 4
    assert first.comments == ("# sent_id = 1", "# text = au chat")
    assert [(before, line.split("\t")[1]) for before, line in first.aside] == [(0, "au"), (2, "vide")]
    assert second == Sentence(10, (("#",), ("SYM",)), ("# sent_id = 2",))


def test_plain_columns(tmp_path: Path):
    assert [sentence.columns for sentence in read(tmp_path, PLAIN, "1", "4")] == [
        (("EU", "#"), ("B-ORG", "O")), (("Peter",), ("B-PER",)),
    ]  # fmt: skip
    two = read(tmp_path, "EU\tB-ORG\nrejects\tO\n \n\nPeter\tB-PER", "form", "tag")
    assert [(sentence.number, sentence.columns) for sentence in two] == [
        (1, (("EU", "rejects"), ("B-ORG", "O"))), (5, (("Peter",), ("B-PER",))),
    ]  # fmt: skip
    assert read(tmp_path, "EU\nrejects\n\nPeter\n", "FORM")[0].columns == (("EU", "rejects"),)


def test_a_column_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match="'upso': there is no such column; did you mean upos"):
        read(tmp_path, UNIVERSAL, "upso")
    with pytest.raises(UsageError, match="the columns are 1, 2, 3, 4"):
        read(tmp_path, PLAIN, "5")


def test_a_token_with_other_fields(tmp_path: Path):
    text = "a\tX\nb\n\xc3\n".replace("\xc3\n", "c\tY\n\nd\tZ\n")
    with pytest.raises(InputError, match=r"line 2 of .*x.conll has 1 field, not 2: mend it, or read on with"):
        read(tmp_path, text, "form", "tag")
    broken, whole = read(tmp_path, text, "form", "tag", errors="replace")
    assert broken.columns == (("a", "b", "c"), ("X", "_", "Y"))
    assert "line 2 of" in broken.problem
    assert (whole.columns, whole.problem) == ((("d",), ("Z",)), "")


def test_bytes_that_are_not_utf8(tmp_path: Path):
    text = "a\tX\n\udcff\tX\n\nb\tY\n"
    with pytest.raises(InputError, match="byte 0xff at offset 4"):
        read(tmp_path, text, "form")
    broken, whole = read(tmp_path, text, "form", errors="replace")
    assert "not valid UTF-8" in broken.problem
    assert broken.columns == (("a", "\ufffd"),)
    assert not whole.problem


def test_what_is_no_conll(tmp_path: Path):
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path, "", "form")
    with pytest.raises(InputError, match="no tokens"):
        read(tmp_path, "# text\n\n", "form")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not in CoNLL columns"):
        next(sentences_of(open_records([str(tmp_path / "x.csv")]), ("a",)))
    (tmp_path / "x.conllu.gz").write_bytes(b"\x1f\x8b\x08\0" + b"x" * 600)
    with pytest.raises(InputError, match="is damaged"):
        next(read_sentences([str(tmp_path / "x.conllu.gz")], columns=("form",)))


def test_a_sentence_is_there_as_soon_as_it_has_ended(monkeypatch: pytest.MonkeyPatch):
    read_end, write_end = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(os.fdopen(read_end, "rb")))
    os.write(write_end, b"a\tX\n\n")
    found = read_sentences(["-"], columns=("form",), rereadable=False)
    assert next(found).columns == (("a",),)
    os.write(write_end, b"b\tX\nc\tX\n\n")
    assert next(found).columns == (("b", "c"),)
    os.close(write_end)
    assert not list(found)


@pytest.mark.slow
def test_memory_is_flat_and_a_sentence_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "READ_BYTES", 1 << 13)
    peaks = []
    for times in (10_000, 30_000):
        (tmp_path / "x.conll").write_text("a\tX\nb\tY\n\n" * times)
        tracemalloc.start()
        for _ in read_sentences([str(tmp_path / "x.conll")], columns=("form",)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 16)
    monkeypatch.setattr(sentences, "RECORD_CHARACTERS", 1000)
    with pytest.raises(InputError, match="in a sentence of more than 1,000 characters: put an empty line"):
        read(tmp_path, "a\tX\n" * 1000, "form")
