"""Which task a training is for follows from target and data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from seqtool.errors import UsageError
from seqtool.tasks.deciding import decide_task
from seqtool.tasks.request import Request

TABLE = "x,many,few,mark,word\n" + "".join(f"{i % 7},{i * 1.5},{i % 3},{i % 50},{'ab'[i % 2]}\n" for i in range(90))


def request(path: Path, **examples: Any) -> Request:
    return Request([str(path)], [1.0], None, {}, None, {}, None, None, None, "strict", False, examples=examples)


@pytest.mark.parametrize(
    ("target", "task"),
    [("many", "regress"), ("few", "classify"), ("mark", "regress"), ("word", "classify"), ("many,mark", "regress")],
)
def test_the_target_suggests_the_task(tmp_path: Path, target: str, task: str):
    (path := tmp_path / "table.csv").write_text(TABLE)
    assert decide_task(request(path, target=target)) == task


def test_a_plain_text_is_for_a_language_model_and_labelled_lines_for_classes(tmp_path: Path):
    (text := tmp_path / "text.txt").write_text("Once upon a time\n")
    (labelled := tmp_path / "labelled.txt").write_text("\ufeff__label__a one\n__label__b two\n")
    (table := tmp_path / "table.csv").write_text(TABLE)
    assert [decide_task(request(path)) for path in (text, labelled, table)] == ["language", "classify", "language"]


def test_what_was_compressed_is_what_it_was(tmp_path: Path):
    (labelled := tmp_path / "labelled.txt.gz").write_bytes(gzip.compress(b"__label__a one\n__label__b two\n"))
    (tagged := tmp_path / "a.conllu.gz").write_bytes(gzip.compress(b"1\tA\n\n"))
    assert decide_task(request(labelled)) == "classify"
    assert decide_task(request(tagged, target="upos")) == "tag"


def test_what_is_named_decides(tmp_path: Path):
    (path := tmp_path / "table.csv").write_text(TABLE)
    assert decide_task(request(path, target="few", task="regress")) == "regress"
    assert decide_task(request(path, target="many", horizon=3)) == "forecast"
    (tagged := tmp_path / "a.conllu").write_text("1\tA\n\n")
    assert decide_task(request(tagged, target="upos")) == "tag"
    with pytest.raises(UsageError, match="--ignore: a language model reads plain text"):
        decide_task(request(path, ignore="x"))
    with pytest.raises(UsageError, match="--target few2: there is no such column; did you mean few"):
        decide_task(request(path, target="few2"))


def test_texts_are_written_where_a_file_or_sentences_or_types_of_sides_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.en", "a.de", "word"):
        (tmp_path / name).write_text("one line\n")
    assert decide_task(request(Path("a.en"), target="a.de")) == "translate"
    (path := tmp_path / "table.csv").write_text(TABLE)
    assert decide_task(request(path, target="a.de")) == "translate"
    assert decide_task(request(path, target="word")) == "classify"  # a column goes before a file of its name
    assert decide_task(request(path, target="word", source_type="char")) == "translate"
    assert decide_task(request(path, target="word", task="translate")) == "translate"
    rows = [f"{n},there are {n} dots in a row of it,{['quite sure of that', 'not at all'][n % 2]}\n" for n in range(60)]
    (table := tmp_path / "captions.csv").write_text("dots,caption,said\n" + "".join(rows))
    assert decide_task(request(table, target="caption")) == "translate"
    assert decide_task(request(table, target="said")) == "classify"
    said = [f"{n},a {['little', 'large'][n % 2]} ring {n % 30} steps to the left\n" for n in range(900)]
    (repeated := tmp_path / "repeated.csv").write_text("dots,caption\n" + "".join(said))
    assert decide_task(request(repeated, target="caption")) == "translate"
