"""Text in a field of JSON lines: a document a line, and errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.text.documents import TextSource
from seqtool.text.json_fields import field_texts
from tests.cli.test_contract import error_of
from tests.conftest import ODD_STRINGS, Command
from tests.tasks.tables import done


def test_every_text_comes_back_whatever_the_chunks():
    lines = "".join(json.dumps({"n": 1, "text": text}) + "\n\n" for text in ODD_STRINGS) + '{"text": null}'
    for size in (7, 1 << 20):
        chunks = [lines[start : start + size] for start in range(0, len(lines), size)]
        assert list(field_texts(chunks, "text", "it")) == [*ODD_STRINGS, ""]


@pytest.mark.parametrize(("line", "told"), [
    ("{", "is not JSON (expecting property name"),
    ("[1]", "is JSON but no object: --jsonl-field reads an object a line"),
    ('{"txt": "a"}', "has no field 'text' (it has txt): name another with --jsonl-field"),
    ('{"text": 3}', "has no text in 'text' but 3: name another field"),
    ('{"text": "\\ud800"}', "has half of a character in 'text'"),
    ("[" * 100_000, "nested too deeply"),
])  # fmt: skip
def test_an_error_names_the_line(line: str, told: str):
    with pytest.raises(InputError) as caught:
        list(field_texts(['{"text": "a"}\n\n', line, "\n"], "text", "it"))
    assert str(caught.value).startswith("line 3 of it ")
    assert told in str(caught.value)


def test_each_row_is_a_document_and_may_hold_more(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\n\\nb\\n"}\n{"text": ""}\n{"text": "c"}\n')
    blocks = list(TextSource([str(path)], field="text").blocks())
    assert [(block.text, block.starts_document) for block in blocks] == [("a\n\nb\n", True), ("c", True)]
    lines = list(TextSource([str(path)], field="text", document="line").blocks())
    assert [block.text for block in lines if block.starts_document] == ["a\n", "\n", "b\n", "c"]


def test_commands_read_a_field(seqtool: Command, small_run: Path, prose: str, tmp_path: Path):
    parts = [f"{part}\n" for part in prose[:20_000].split("\n\n")]
    (path := tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": 1, "body": part}) + "\n" for part in parts))
    (plain := tmp_path / "a.txt").write_text("".join(parts))
    vocab, field = ["--vocab", small_run / "vocab.model"], ["--jsonl-field", "body"]
    assert done(seqtool, "encode", path, *vocab, *field) == done(seqtool, "encode", plain, *vocab)
    told = json.loads(done(seqtool, "eval", small_run, path, *field, "--json", "-q"))
    assert told["characters"] == len("".join(parts))
    run = tmp_path / "run"
    done(seqtool, "train", path, *field, *vocab, "-o", run, "-q", "--steps", 2, "--hidden", 8)
    assert json.loads((run / "config.json").read_text())["data"]["jsonl_field"] == "body"
    done(seqtool, "train", path, "-o", run, "--resume", "-q", "--steps", 3)
    other = seqtool("train", path, "-o", run, "--resume", "--jsonl-field", "id")
    assert "--jsonl-field names another" in error_of(other, 2)


@pytest.mark.slow
def test_a_column_of_parquet_is_text_and_its_rows_are_examples(seqtool: Command, small_run: Path, tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"text": f"{word} {n}\n", "label": word} for n in range(60) for word in ("up", "down")]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path := tmp_path / "a.parquet")
    (plain := tmp_path / "a.txt").write_text("".join(row["text"] for row in rows))
    vocab = ["--vocab", small_run / "vocab.model"]
    assert done(seqtool, "encode", path, *vocab, "--jsonl-field", "text") == done(seqtool, "encode", plain, *vocab)
    assert "name the file, not a pipe" in error_of(seqtool("encode", path, *vocab), 3)
    done(seqtool, "train", path, "--target", "label", "-o", tmp_path / "run", "-q", "--steps", 3)
    assert len(done(seqtool, "predict", tmp_path / "run", path).splitlines()) == len(rows)


def test_half_of_a_character_is_replaced_where_errors_are():
    assert list(field_texts(['{"text": "a\\ud800b"}'], "text", "it", "replace")) == ["a\ufffdb"]


def test_a_text_that_is_empty_has_its_row_and_its_line(seqtool: Command, small_run: Path, tmp_path: Path):
    (path := tmp_path / "a.jsonl").write_text('{"text": "One. "}\n{"text": ""}\n{"text": null}\n{"text": "Four. "}\n')
    field = ["--jsonl-field", "text"]
    rows = done(seqtool, "eval", small_run, path, *field, "--per", "document").decode().splitlines()
    assert [row.split("\t")[-1] for row in rows[-4:]] == ["One. ", "", "", "Four. "]
    lines = done(seqtool, "encode", path, "--vocab", small_run / "vocab.model", *field, "--pieces").splitlines()
    assert len(lines) == 2
