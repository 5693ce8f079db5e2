"""ARPA files: what is written is read back, other programs' spelling is read, and what is no such file is refused."""

from __future__ import annotations

import io
import math
import re
from random import Random

import numpy as np
import pytest

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel
from seqtool.counts.stored import arrays_of, model_of
from seqtool.errors import InputError
from seqtool.exchange import arpa
from seqtool.exchange.arpa import LN_10, LONGEST_LINE, NEVER, is_arpa, read_arpa, spelled, write_arpa
from tests.counts.oracle import hostile_documents, joined

UNKNOWN, BEGIN, NEWLINE = 0, 1, 2
TOKENS = ["<unk>", "<s>", "\n", "a", "b c", "\t", "\\", "\u00a0", "\u2028", "x\\x20", "</s>", "é"]
V = len(TOKENS)

ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


def token_of(field: str) -> str:
    """The token that a field spells."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "\\", field)


def model(order: int) -> NgramModel:
    counts = NgramCounts(joined(hostile_documents(0, V, BEGIN), BEGIN), V, BEGIN)
    for _ in range(order - 1):
        counts.grow()
    return estimate(counts, order)


def written(ngrams: NgramModel, end_id: int) -> bytes:
    stream = io.BytesIO()
    write_arpa(stream, ngrams, TOKENS, end_id, UNKNOWN)
    return stream.getvalue()


def log_p(ngrams: NgramModel, begin: int, ids: list[int], token: int) -> float:
    contexts = ngrams.no_contexts(1)
    for before in [begin, *ids]:
        contexts = ngrams.advance(contexts, np.array([before]))
    return float(ngrams.next_log_p(contexts)[0, token])


@pytest.mark.parametrize("end_id", [BEGIN, NEWLINE])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_what_is_written_is_read_back(order: int, end_id: int):
    ngrams = model(order)
    again = read_arpa(io.BytesIO(written(ngrams, end_id)), "model.arpa")
    ids = {word: place for place, word in enumerate(again.words)}
    names = {**{token: spelled(name) for token, name in enumerate(TOKENS)}, end_id: "</s>", UNKNOWN: "<unk>"}
    for text in ([], [3, 4], [3, 4, 5, 3, 4], [9, 9, 8, 11]):
        for token in range(V):
            if token == BEGIN != end_id:
                continue
            own = max(log_p(ngrams, BEGIN, text, token), NEVER * LN_10)
            theirs = log_p(again.model, ids["<s>"], [ids[names[one]] for one in text], ids[names[token]])
            assert theirs == pytest.approx(own, abs=2e-6)


def test_the_vocabulary_comes_back_from_comments():
    stream, vocabulary = io.BytesIO(), bytes(range(256)) * 3
    write_arpa(stream, model(2), TOKENS, BEGIN, UNKNOWN, vocabulary)
    content = stream.getvalue()
    head = content.partition(b"\\data\\")[0].splitlines()
    assert all(line.startswith(b"# ") and len(line) < 120 for line in head)
    assert read_arpa(io.BytesIO(content), "model.arpa").vocabulary == vocabulary
    with pytest.raises(InputError, match="vocabulary in its comments that is damaged"):
        read_arpa(io.BytesIO(content.replace(b"AAEC", b"A!EC")), "model.arpa")


def test_memory_is_taken_only_for_what_is_there():
    many = SMALL.replace("ngram 2=2", "ngram 2=2147483647")
    with pytest.raises(InputError, match="line 17 has 1 fields"):
        read_arpa(io.BytesIO(many.encode()), "small.arpa")
    with pytest.raises(InputError, match="a line of more than"):
        read_arpa(io.BytesIO(b"x" * (LONGEST_LINE + 1)), "small.arpa")


@pytest.mark.parametrize(
    "token",
    [
        "a b",
        "\n",
        "\\",
        "\\x20",
        "\\\\x20",
        "",
        "\x00\x7f\x0b",
        "é\u2028\u00a0",
        "\\x",
        "<s>",
        "</s>",
        "<unk>",
        "\\ ",
        "\\\x00",
    ],
)
def test_a_token_is_one_field_and_comes_back(token: str):
    assert token_of(spelled(token)) == token
    assert len(spelled(token).encode().split()) == bool(token)
    assert spelled(token) not in ("<s>", "</s>", "<unk>")


def test_any_token_comes_back_and_plain_ones_are_as_they_are():
    random, signs = Random(1), "\\\\\\xx20af \n<s>"
    for _ in range(3000):
        token = "".join(random.choices(signs, k=random.randrange(7)))
        assert token_of(spelled(token)) == token
    for plain in ("\\n", "C:\\dir", "\\x2", "a\\"):
        assert spelled(plain) == plain


SMALL = """a comment

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99 <s> -0.5
-1\t</s>
-0.25\ta\u00a0b\t-0.125
-2 <unk>

\\2-grams:
-0.5 <s>\ta\u00a0b
-0.75  a\u00a0b </s>

\\end\\
"""


def test_other_spellings_are_read():
    """Spaces or tabs, back-offs left out, a comment before, white space that is no separator inside a word."""
    words, ngrams, vocabulary, _ = read_arpa(io.BytesIO(SMALL.replace("\n", "\r\n").encode()), "small.arpa")
    assert not vocabulary
    assert words == ["<s>", "</s>", "a\u00a0b", "<unk>"]
    assert log_p(ngrams, 0, [], 2) == pytest.approx(-0.5 * math.log(10))
    assert log_p(ngrams, 0, [], 1) == pytest.approx(-1.5 * math.log(10))
    assert log_p(ngrams, 0, [2], 1) == pytest.approx(-0.75 * math.log(10))
    assert log_p(ngrams, 0, [2, 2], 3) == pytest.approx(-2.125 * math.log(10))
    assert log_p(ngrams, 0, [1], 3) == pytest.approx(-2 * math.log(10))


@pytest.mark.parametrize(("old", "new", "told"), [
    ("\\end\\\n", "", "ends before"),
    ("\\data\\", "", "ends before"),
    ("ngram 2=2", "ngram 2=3", "line 17 has 1 fields"),
    ("ngram 2=2", "ngram 2=1", "is not .end"),
    ("ngram 2=2", "ngram 3=2", "number of 2-grams"),
    ("ngram 1=4", "ngram 1=99999999999", "more than there can be"),
    ("ngram 1=4\nngram 2=2\n", "", "where the numbers of n-grams should be"),
    ("-1\t</s>", "x\t</s>", "line 9 has 'x' for a logarithm"),
    ("-1\t</s>", "nan\t</s>", "for a logarithm"),
    ("-1\t</s>", "0.5\t</s>", "for a logarithm"),
    ("-2 <unk>", "-2 </s>", "line 11 names a word again"),
    ("-0.5 <s>\t", "-0.5 z\t", "line 14 has a word that is no 1-gram"),
    ("-0.75  a\u00a0b </s>", "-0.5 <s> a\u00a0b", "there twice"),
    ("-99 <s>", "-99 <begin>", "has no <s>"),
    ("-2 <unk>", "-2 <unk> 0 0", "has 4 fields"),
    ("\\end\\\n", "\\end\\\n-1 a", "line 18 comes behind"),
])  # fmt: skip
def test_what_is_no_whole_file_is_refused(old: str, new: str, told: str):
    assert SMALL.count(old) == 1
    with pytest.raises(InputError, match=told):
        read_arpa(io.BytesIO(SMALL.replace(old, new).encode()), "small.arpa")


def test_lines_are_what_ends_with_a_newline():
    joined = SMALL.replace("-0.75  a\u00a0b </s>", "-0.75 a\u00a0b </s> \x01 -1 <s> </s>")
    with pytest.raises(InputError, match="line 15 has 7 fields"):
        read_arpa(io.BytesIO(joined.encode()), "small.arpa")


def test_an_n_gram_without_its_beginning_is_refused():
    text = SMALL.replace("ngram 2=2", "ngram 2=2\nngram 3=1").replace(
        "\\end\\", "\\3-grams:\n-1 </s> <unk> </s>\n\\end\\"
    )
    with pytest.raises(InputError, match="the 3-gram 1 goes on from one that the file lacks"):
        read_arpa(io.BytesIO(text.encode()), "small.arpa")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="line 11 is not UTF-8"):
        read_arpa(io.BytesIO(SMALL.encode().replace(b"<unk>", b"\xff")), "small.arpa")


@pytest.mark.parametrize(("head", "told"), [
    (b"\\data\\\nngram 1=3\n", True), (b"\n\\data\\\r\nngram 1=3\n", True), (b"a comment\n\\data\\\n", True),
    (b"# seqtool: AAAA\n", True), (b"\n\x0e\n\x05<unk>\x15", False), (b"of \\data\\ files\n", False), (b"", False),
])  # fmt: skip
def test_a_file_is_told_by_its_beginning(head: bytes, told: bool):
    assert is_arpa(head) is told


def test_what_is_read_can_be_a_run():
    """A probability that is hardly above 1 is refused here, not when the run that was made of it is loaded."""
    for log10, is_good in (("0", True), ("4e-07", True), ("9e-07", False)):
        text = SMALL.replace("-0.75  a", f"{log10}  a")
        if not is_good:
            with pytest.raises(InputError, match="'9e-07' for a logarithm"):
                read_arpa(io.BytesIO(text.encode()), "x")
            continue
        model = read_arpa(io.BytesIO(text.encode()), "x").model
        assert model_of(arrays_of(model), model.order, model.begin_id).order == 2


@pytest.mark.parametrize(("line", "told"), [
    (b"\n", "bytes of empty lines"),
    (b"# nothing\n", "bytes without"),
    (b"words\n", "bytes without"),
])  # fmt: skip
def test_a_stream_without_end_is_refused(line: bytes, told: str, monkeypatch: pytest.MonkeyPatch):
    class Endless(io.RawIOBase):
        def readline(self, size: int | None = -1) -> bytes:
            return line

    monkeypatch.setattr(arpa, "MOST_EMPTY_BYTES", 1 << 12)
    monkeypatch.setattr(arpa, "MOST_BESIDE_BYTES", 1 << 12)
    with pytest.raises(InputError, match=told):
        read_arpa(Endless(), "it")
