"""Files of judgements in the usual formats, wherever their columns are; and what is none, told by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.vectors.judging import Analogies, Pair, Question, Similarities
from seqtool.vectors.reading_judgements import read_judgements

SIMLEX = (
    "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD(SimLex)\n"
    "old\tnew\tA\t1.58\t2.72\t2.81\t2\t7.25\t1\t0.41\n"
    "smart\tdumb\tA\t0.5\t1.75\t2.46\t1\t7.11\t1\t1.05\n"
)


def read(tmp_path: Path, content: str | bytes) -> Similarities | Analogies:
    path = tmp_path / "judgements"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_judgements(str(path))


@pytest.mark.parametrize("content", [
    "Word 1,Word 2,Human (mean)\nlove,sex,6.77\ntiger,cat,7.35\n",
    "love\tsex\t6.77\ntiger\tcat\t7.35",
    "# people\n\nlove;sex;6.77\r\ntiger;cat;7.35\r\n",
    "\ufefflove sex 6.77\ntiger   cat 7.35\n",
    "word1 word2 id score\nlove sex 1 6.77\ntiger cat 2 7.35\n",
    'one,two,score\n"love",sex,6.77\ntiger,cat,7.35,0,9\n',
])  # fmt: skip
def test_word_similarity_is_recognised(tmp_path: Path, content: str):
    assert read(tmp_path, content) == Similarities([Pair("love", "sex", 6.77), Pair("tiger", "cat", 7.35)])


def test_simlex_is_read_by_its_header(tmp_path: Path):
    assert read(tmp_path, SIMLEX) == Similarities([Pair("old", "new", 1.58), Pair("smart", "dumb", 0.5)])


@pytest.mark.parametrize("content", [
    "# S: siblings\n#\n#Type\tWord 1\tWord 2\tHuman (mean)\nS\tlove\thate\t3.1\nt\tlaw\tlawyer\t8.4\n",
    "# Type\tWord 1\tWord 2\tHuman (mean)\n# word\nsyn\tlove\thate\t3.1\nrel\tlaw\tlawyer\t8.4\n",
    "Type,Word 1,Word 2,Human (mean)\nsyn,love,hate,3.1\nrel,law,lawyer,8.4\n",
    "POS,word1,POS,word2,id,score\nnoun,love,noun,hate,1,3.1\nnoun,law,noun,lawyer,2,8.4\n",
    "a,b,id,rating\nlove,hate,1,3.1\nlaw,lawyer,2,8.4\n",
    "# take no word for a word or a score\nlove hate V 3.1 ANTONYMS\nlaw lawyer V 8.4 NONE\n",
    "S,love,hate,3.1\nt,law,lawyer,8.4\n",
    "1,love,n,hate,v,3.1\n2,law,n,lawyer,n,8.4\n",
])  # fmt: skip
def test_columns_are_found_wherever_they_are(tmp_path: Path, content: str):
    assert read(tmp_path, content) == Similarities([Pair("love", "hate", 3.1), Pair("law", "lawyer", 8.4)])


def test_a_number_is_a_word_where_its_place_says_so(tmp_path: Path):
    assert read(tmp_path, "1984\t2001\t3.5\na\tb\t4\n") == Similarities([Pair("1984", "2001", 3.5), Pair("a", "b", 4)])


def test_bytes_that_are_not_utf8_can_be_replaced(tmp_path: Path):
    (tmp_path / "pairs").write_bytes(b"na\xefve,simple,7\n")
    with pytest.raises(InputError, match="--errors replace"):
        read_judgements(str(tmp_path / "pairs"))
    assert read_judgements(str(tmp_path / "pairs"), "replace") == Similarities([Pair("na\ufffdve", "simple", 7)])


def test_googles_questions_are_recognised(tmp_path: Path):
    google = ": capital-common\nAthens Greece Oslo Norway\n: gram1\ncalm calmly  1 2\na b c d\n"
    assert read(tmp_path, google) == Analogies({
        "capital-common": [Question("Athens", ("Greece",), "Oslo", ("Norway",))],
        "gram1": [Question("calm", ("calmly",), "1", ("2",)), Question("a", ("b",), "c", ("d",))],
    })  # fmt: skip


def test_pairs_of_a_relation_are_combined(tmp_path: Path):
    found = read(tmp_path, "dog\tdogs\nman\tmen/menfolk\nox\toxen\n")
    assert isinstance(found, Analogies)
    ((questions,),) = [found.sections.values()]
    assert len(questions) == 6
    assert questions[0] == Question("dog", ("dogs",), "man", ("men", "menfolk"))
    assert questions[2] == Question("man", ("men", "menfolk"), "dog", ("dogs",))


@pytest.mark.parametrize(("content", "message"), [
    ("", "is empty"),
    ("# nothing\n", "holds no judgements"),
    ("a\n", "line 1 is not a judgement: expected two words and a number"),
    ("a b c\nd e f\n", "line 2 is not a judgement"),
    ("a,b,1\n\nc,d,high\n", "line 3 is not a judgement of two words: expected words as fields 1 and 2, and a finite number as field 3"),
    ("the,and,1e400\nthe,to,3\n", "line 1 is not a judgement of two words"),
    ("the,and,NaN\nthe,to,3\n", "line 1 is not a judgement"),
    ("the,and,-inf\nthe,to,3\n", "line 1 is not a judgement"),
    ("the;and;1,5\nthe;to;3\n", "line 1 is not a judgement"),
    ("the,and,\nthe,to,3\n", "line 1 is not a judgement"),
    ("the;and;3\nthe,to,4\n", "line 1 is not a judgement .* separated by commas"),
    ("the\n\nthe\tto\t4\n", "line 1 is not a judgement .* separated by tabs"),
    ("the,and,1e400\n", "line 1 is not a judgement"),
    ("syn\tlove\thate\t3.1\nrel\tlaw\tlawyer\t8\n", "line 1: it is not clear which fields are the two words .* name them in a line"),
    ("# a,b,c,d\nword,word1,word2,score\nsyn,love,hate,3.1\n", "line 3: it is not clear which fields are the two words"),
    ("word1,id,word2\nlove,3,4\n", "line 2: it is not clear which fields"),
    ("a,b,1\nc,d,nan\n", "line 2"),
    (": x\na b c d\na b c\n", "line 3 is not a question: expected four words"),
    (": x\n", "holds no questions"),
    ("a\tb\nc\td\ne\n", "line 3 is not a pair"),
    ("a\tb\nc\t/\n", "line 2 is not a pair"),
    ("".join(f"a{i}\tb\n" for i in range(1001)), "1,001 pairs"),
    (b"\xff\xff", "is not valid UTF-8"),
    ("a,b,1\nc,d," + "9" * 200_000 + "\n", "line 2"),
])  # fmt: skip
def test_what_is_no_judgement_is_told_by_line(tmp_path: Path, content: str | bytes, message: str):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)
