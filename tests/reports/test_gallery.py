"""The page of pictures: drawn in a real browser, of text whatever is in it, and with every number as it was given."""

from __future__ import annotations

import math
import re
from pathlib import Path

from seqtool.reports.gallery import Claim, Picture, gallery_page
from seqtool.reports.pictures import Chart, Heat, Line
from tests.browser import HOSTILE, OWNED, Page, needs_browser
from tests.reports.test_run_page import data_of

PICTURE = Picture(
    f"<img src=x onerror={OWNED}>",
    "It is taught.",
    [Claim("It is 1.", True), Claim("It is 2.", False)],
    ["seqtool train $G/t.txt", HOSTILE[0]],
    [
        Chart(
            "Loss",
            "steps",
            [Line("a", [1, 2, 3], [1 / 3, math.nan, math.inf]), Line("b", [1, 2], [4, 5], "dots", 1)],
            rings=[(0, 1, 1 / 3, "here")],
        )
    ],
    [Heat("Looks", HOSTILE, ["x", "y"], [[0.123456, -1]] * len(HOSTILE))],
    heads=["", "loss"],
    rows=[["a", "0.333"], [HOSTILE[1], "–"]],
)


def test_numbers_are_those_given_and_what_is_not_finite_is_left_out():
    page = gallery_page([PICTURE], "Pictures", "About.")
    (told,) = data_of(page)["pictures"]
    (chart,) = told["charts"]
    assert chart["lines"][0]["y"] == [0.333333, None, None]
    assert chart["rings"] == [[0, 1, 1 / 3, "here"]]
    assert told["claims"] == [{"text": "It is 1.", "holds": True}, {"text": "It is 2.", "holds": False}]
    assert told["heats"][0]["shares"][0] == [0.123, -1]
    assert page.count(b"<script") == 2
    assert b"default-src 'none'" in page
    assert not re.search(rb"https?:(?!//www\.w3\.org/2000/svg)", page)


@needs_browser
def test_a_picture_is_drawn_with_its_numbers_and_fits_a_phone(tmp_path: Path):
    (tmp_path / "g.html").write_bytes(gallery_page([PICTURE, PICTURE], "Pictures", "About."))
    with Page.started(tmp_path / "profile") as page:
        page.open(tmp_path / "g.html")
        assert page.run("return document.documentElement.dataset.ready") == "yes"
        assert page.run("return document.querySelectorAll('h2').length") == 2
        assert (
            page.run("return document.querySelectorAll('.chart circle.dots').length") == 2 * 3
        )  # a's one point and b's
        said = page.run("return [...document.querySelectorAll('#picture-1 .claims li')].map((one) => one.textContent)")
        assert said == ["✓It is 1.", "✗Not in these runs: It is 2."]
        assert page.run("return document.querySelector('#picture-1 pre').textContent") == "\n".join(PICTURE.commands)
        assert page.run("return document.querySelectorAll('.heat')[0].querySelectorAll('tbody td').length") == 20
        page.type("#picture-2 .chart", "\ue010")
        assert page.run("return document.querySelector('#picture-2 .readout').textContent") == "steps 1a 0.3333"
        wide = page.run(
            "document.body.style.width = '360px'; dispatchEvent(new Event('resize'));"
            "return [...document.querySelectorAll('section')].map((one) => one.getBoundingClientRect().right)"
        )
        assert max(wide) <= 360
        assert page.run("return document.title") == "Pictures"
        assert page.run("return document.querySelectorAll('img, script').length") == 2
        assert page.complaints() == []
