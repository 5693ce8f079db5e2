"""A text on the page: its pieces are the text, its numbers are the reading's, and nothing in it is markup."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.reports.surprise import TOKENS, shown_tokens, surprise
from seqtool.runs.loading import Run, load_run
from seqtool.scoring.surprise import CloseReading, read_closely
from seqtool.settings.vocabulary import BYTE_LEVEL, VOCABULARY_TYPES
from seqtool.text.documents import TextSource
from tests.browser import HOSTILE

TEXT = "It was late.\n\nThe <b>king</b> 王 \x1b[31m\n" + "\n".join(HOSTILE) + "\n"


@pytest.fixture(scope="module")
def run(small_run: Path) -> Run:
    return load_run(small_run, torch.device("cpu"))


def reading_of(run: Run, path: Path, most: int = 10_000) -> CloseReading:
    path.write_text(TEXT, encoding="utf-8", newline="")
    return read_closely(run.model, run.vocabulary, TextSource([str(path)]), "file", most)


def test_the_pieces_are_the_text_and_the_numbers_those_of_the_reading(run: Run, tmp_path: Path):
    reading = reading_of(run, tmp_path / "t")
    told = surprise(3, "t", run.vocabulary, reading, 10_000)
    spelled = [piece for piece in told["pieces"] if not piece.startswith("<0x")]
    assert "".join(spelled).startswith("It was late.⏎\n⏎\nThe <b>king</b> 王 \\x1b[31m⏎\n")
    assert "\\u202e" in "".join(spelled)
    assert "\u202e" not in json.dumps(told, ensure_ascii=False)
    assert told["nats"] == pytest.approx(reading.nats.tolist(), rel=1e-4)
    assert told["total_nats"] == pytest.approx(float(reading.nats.sum(dtype=np.float64)))
    names = [run.vocabulary.token_text(index) for index in reading.likely_TK[5, :5].tolist()]
    assert [told["names"][index].replace("␣", " ") for index in told["likely"][5]] == names
    assert told["p"][5] == pytest.approx(reading.p_TK[5, :5].tolist(), rel=1e-4)
    assert told["run"] == 3
    assert "All" in told["about"]


def test_the_worst_come_first_with_what_is_around_them(run: Run, tmp_path: Path):
    reading = reading_of(run, tmp_path / "t")
    told = surprise(0, "t", run.vocabulary, reading, 10_000)
    assert [one["nats"] for one in told["worst_tokens"]] == sorted(reading.nats.tolist(), reverse=True)[:25]
    rates = [line["nats"] / line["tokens"] for line in told["worst_lines"]]
    assert rates == sorted(rates, reverse=True)
    lines = TEXT.split("\n")
    ends = [0, *(line.stop for line in reading.lines)]
    for line in told["worst_lines"]:
        span = slice(ends[line["number"] - 1], ends[line["number"]])
        assert line["nats"] == pytest.approx(float(reading.nats[span].sum()), rel=1e-4)
        if line["text"].isascii() and "\\" not in line["text"]:
            assert line["text"] == lines[line["number"] - 1]


def test_how_much_is_read_and_shown_is_said(run: Run, tmp_path: Path):
    told = surprise(0, "t", run.vocabulary, reading_of(run, tmp_path / "t", 100), 40)
    assert len(told["pieces"]) == len(told["nats"]) == len(told["likely"]) == 40
    assert "The first 100 tokens of t were read, of more; the first 40 are shown" in told["about"]
    assert shown_tokens(1) > shown_tokens(4) > shown_tokens(1000) > 0


def test_it_is_said_what_tokens_are_and_a_newline_is_drawn_the_same_everywhere(run: Run, tmp_path: Path):
    told = surprise(0, "t", run.vocabulary, reading_of(run, tmp_path / "t"), 10)
    assert told["about"].startswith("Tokens are characters here. ")
    assert f"every one of the vocabulary's {run.vocabulary.size:,} symbols" in told["about_bins"]
    assert set(TOKENS) == {*VOCABULARY_TYPES, BYTE_LEVEL, "foreign"}
    shown = [one[part] for one in told["worst_tokens"] for part in ("token", "likely", "before", "after")]
    assert any("⏎" in text for text in [*shown, *told["names"]])
    assert not any(part in text for part in ("\n", "\\n") for text in [*shown, *told["names"]])


def test_what_is_behind_the_shown_has_more_of_its_text_around_it(run: Run, tmp_path: Path):
    reading = reading_of(run, tmp_path / "t")
    told = surprise(0, "t", run.vocabulary, reading, 10)
    for one in told["worst_tokens"]:
        assert one["nats"] == float(reading.nats[one["place"]])
        assert ("around" in one) == (one["place"] >= 10)
    far = next(one for one in told["worst_tokens"] if one["place"] >= 10)
    before, after = far["around"]
    assert before.replace("\n", "").endswith(far["before"])
    assert after.replace("\n", "").startswith(far["after"])
    assert far["likeliest"][0][0] == far["likely"]
    assert [came for *_, came in far["likeliest"]] == (
        reading.likely_TK[far["place"], :5] == reading.ids[far["place"]]
    ).tolist()
    for line in told["worst_lines"]:
        assert ("around" in line) == (line["place"] >= 10)
        assert line["nats"] == pytest.approx(
            float(reading.nats[line["place"] : line["place"] + line["tokens"]].sum()), rel=1e-4
        )
