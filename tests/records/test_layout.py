"""The layout of a file is told by its name and its beginning."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.records.layout import MAX_COLUMNS, Layout, describe_layout, detect_layout, suffix_of

TOKENS = "# text = a b\n1\ta\ta\tDET\n2\tb\tb\tX\n\n1\tc\tc\tX\n\n"


@pytest.mark.parametrize(
    ("head", "name", "format", "columns", "told"),
    [
        ("a,b\n1,2\n", "x.csv", "csv", ("a", "b"), "comma-separated, with a header"),
        ("1\t2\n", "x.tsv", "csv", ("1", "2"), "tab-separated, without a header"),
        ("text\nsome, words\n", "x.tsv", "csv", ("text",), "one column, with a header"),
        ("a;b\n1;2\n", "-", "csv", ("a", "b"), "semicolon-separated, with a header"),
        ('{"a": 1}\n{"b": 2}\n', "-", "jsonl", ("a", "b"), "JSON lines"),
        ("__label__a x\n__label__b y\n", "-", "labelled", ("label", "text"), "lines with labels"),
        (TOKENS, "x.conllu", "conll", ("id", "form", "lemma", "upos"), "CoNLL columns"),
        (TOKENS, "-", "conll", ("id", "form", "lemma", "upos"), "CoNLL columns"),
        ("EU B-ORG\nrejects O\n\nPeter B-PER\n", "-", "conll", ("form", "tag"), "CoNLL columns"),
        ("EU NNP B\nrejects VB O\n\nPeter NNP B\n", "-", "conll", ("1", "2", "3"), "CoNLL columns"),
        ("# global.columns = FORM NE\nEU\tB\n", "x.conllup", "conll", ("form", "ne"), "CoNLL columns"),
        ("Some prose, or so.\nAnd more.\n", "x.txt", "lines", ("text",), "a text a line"),
        ("Well, yes", "-", "lines", ("text",), "a text a line"),
        ("a,b\n", "-", "csv", ("a", "b"), "comma-separated, with a header"),
        ("a,,c\n1,2,3\n", "x.csv", "csv", ("a", "2", "c"), "comma-separated, with a header"),
        ("a,b,\n1,2\n", "x.csv", "csv", ("a", "b"), "comma-separated, with a header"),
        ("a,b,\n1,2,\n", "x.csv", "csv", ("a", "b", "3"), "comma-separated, with a header"),
        ("1,2,\n3,4,\n", "x.csv", "csv", ("1", "2", "3"), "comma-separated, without a header"),
    ],
)
def test_what_is_found(head: str, name: str, format: str, columns: tuple[str, ...], told: str):
    layout = detect_layout(head, name)
    assert (layout.format, layout.columns) == (format, columns)
    assert describe_layout(layout)[0].startswith(told)


@pytest.mark.parametrize("name", ["a.tsv", "A.TSV.gz", "a.b/c.tsv.zst", "a.tsv.bz2", "a.tsv.xz"])
def test_a_name_tells_the_format_also_of_what_was_compressed(name: str):
    assert suffix_of(name) == ".tsv"
    assert detect_layout("one two\tthree\n1\t2\n", name).delimiter == "\t"


def test_what_is_asked_overrules_what_is_found():
    assert detect_layout("a,b\nc,d\n", "x.csv", header=True).columns == ("a", "b")
    assert not detect_layout("a,b\n1,2\n", "x.csv", header=False).header
    assert detect_layout("a,b;c\n", "x.csv", delimiter=";", header=True).columns == ("a,b", "c")
    assert detect_layout("a,b\tc\n", "-", delimiter="tab", header=True).columns == ("a,b", "c")
    assert detect_layout("a,b\n1,2\n", "x.csv", format="lines").format == "lines"


def test_a_layout_survives_json():
    layout = detect_layout("a;b\n1,5;2\n", "x.csv")
    assert layout.decimal == ","
    assert "numbers with decimal commas" in describe_layout(layout)
    assert Layout(**json.loads(json.dumps(asdict(layout)))) == layout


@pytest.mark.parametrize(
    ("head", "name", "message"),
    [
        ("", "x.csv", "x.csv is empty"),
        (" \n\n", "x.csv", "x.csv is empty"),
        ("a,b,a\n1,2,3\n", "x.csv", "columns 1 and 3 of x.csv are both named 'a': rename one"),
        ('[{"a": 1}]', "x.json", "jq -c"),
        ("{\n", "x.jsonl", "line 1 of x.jsonl is not JSON"),
        ("{}\n", "x.jsonl", "no objects with members"),
        ("# only\n", "x.conll", "no tokens"),
        (",".join(map(str, range(MAX_COLUMNS + 1))) + "\n", "x.csv", "16,385 columns, more than 16,384"),
        (json.dumps({str(n): n for n in range(MAX_COLUMNS + 1)}), "x.jsonl", "more than 16,384 members"),
    ],
)
def test_what_cannot_be_read(head: str, name: str, message: str):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        detect_layout(head, name, header=True)


def test_a_series_may_have_more_columns():
    layout = detect_layout("H1" + ",1" * MAX_COLUMNS + "\n", "x.csv")
    assert layout.wide
    assert len(layout.columns) == MAX_COLUMNS + 1


def test_wrong_choices():
    with pytest.raises(UsageError, match="did you mean csv"):
        detect_layout("a", "x", format="cvs")
    with pytest.raises(UsageError, match="choose auto, tab"):
        detect_layout("a", "x", delimiter="<tab>")
    with pytest.raises(InputError, match="none of ours"):
        Layout("lines", ("a", "b"))
    with pytest.raises(InputError, match="none of ours"):
        Layout("xml", ("a",))
