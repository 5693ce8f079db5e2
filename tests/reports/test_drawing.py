"""Drawings of a map of words, which show any token as text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import struct
import unicodedata
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from seqtool.errors import UsageError
from seqtool.reports import drawing
from seqtool.reports.drawing import About
from seqtool.vectors import mapping
from seqtool.vectors.mapping import ChosenWords, WordMap
from tests.conftest import ODD_STRINGS

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>",
    "&lt;b&gt; &amp; &#x27;",
    "\"'`${document.title}",
    "{{DATA}}",
    "line\u2028separator\u2029",
    "\u202eright to left\u202c",
    "עברית",
    "نص عربي",
    "👨‍👩‍👧 e\u0301",
    "\x00\x07\x1b[31mred\x7f\x85",
    "\ufffe\uffff\ud800",
    "a\nb\tc",
    " ",
    "$x^2_{$ \\frac{",
    "__proto__",
    *ODD_STRINGS,
]


ABOUT = About('<b>"vectors" & co.vec', "3 words: <caption> & \u201cquotes\u201d", {"command": "</script> & <x>"})


SVG = "{http://www.w3.org/2000/svg}"


def random_map(words: list[str], named: int = 0) -> WordMap:
    rng = np.random.default_rng(5)
    unit = rng.standard_normal((len(words), 8))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    points, _ = mapping.principal_components(unit)
    return mapping.place(ChosenWords(words, unit, np.arange(len(words)) < named, []), points)


@pytest.mark.parametrize("draw", ["html", "svg"])
def test_the_same_map_gives_the_same_bytes(draw: str):
    words = [f"word{number}" for number in range(50)]
    assert drawing.DRAWERS[draw](random_map(words), ABOUT) == drawing.DRAWERS[draw](random_map(words), ABOUT)


class Elements(html.parser.HTMLParser):
    """The elements of a page, in order, and the attributes and text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.names and self.names[-1] == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)


def test_any_token_is_text_in_the_page():
    plain = Elements(drawing.html(random_map(["a", "b"]), ABOUT).decode())
    page = drawing.html(random_map(HOSTILE), ABOUT).decode()
    hostile = Elements(page)
    assert hostile.names == plain.names
    (kind, data), (_, script) = hostile.scripts
    assert kind["type"] == "application/json"
    assert script == plain.scripts[1][1]
    assert not re.search(r"[<>&]|[^\x20-\x7e\n]", data)
    assert json.loads(data)["words"] == [drawing.visible(word) for word in HOSTILE]


def test_only_the_script_and_style_of_the_page_are_allowed():
    page = drawing.html(random_map(["a"]), ABOUT).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    for element in ("script", "style"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://|\bsrc=|\bhref=|@import|url\(", page)


def test_tokens_are_spelled_so_that_they_are_seen():
    assert drawing.visible("naïve 漢字 👨‍👩‍👧") == "naïve 漢字 👨‍👩‍👧"
    assert drawing.visible("\x00\n\x1b") == "\\x00\\n\\x1b"
    assert drawing.visible("\u202eab\u2028") == "\\u202eab\\u2028"
    assert drawing.visible(" a b") == "␣a␣b"
    assert drawing.visible("x" * 20_000) == "x" * 59 + "…"
    for token in HOSTILE:
        assert not {unicodedata.category(letter) for letter in drawing.visible(token)} & {"Cc", "Cs", "Cn", "Zl", "Zp"}


def test_svg_is_xml_with_a_dot_for_each_word_and_labels_that_do_not_overlap():
    words = HOSTILE + [f"word{number}" for number in range(800)]
    root = ElementTree.fromstring(drawing.svg(random_map(words, named=3), ABOUT))
    assert len(root.findall(f"{SVG}circle")) == len(words)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:3] == [drawing.visible(word) for word in HOSTILE[:3]]
    assert texts[-2:] == [ABOUT.title, ABOUT.caption]
    assert json.loads(root.find(f"{SVG}desc").text) == ABOUT.made
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg", "title", "desc", "rect", "circle", "g", "text"
    }  # fmt: skip
    boxes = []
    for label in drawing.arrange(random_map(words, named=3)).labels:
        width = 0.5 * label.size * len([letter for letter in label.text if not unicodedata.combining(letter)])
        boxes.append((label.x, label.y - 0.7 * label.size, label.x + width, label.y))
    assert 50 < len(boxes) < len(words)
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            assert not (one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def test_the_frequent_keep_their_labels_where_words_crowd():
    crowd = WordMap(
        ["first", "second", "named"],
        np.zeros((3, 2)),
        np.array([False, False, True]),
        np.zeros((3, 0), int),
        np.zeros((3, 0)),
    )
    labels = [label.text for label in drawing.arrange(crowd).labels]
    assert labels[:2] == ["named", "first"]


def test_png_is_an_image_of_the_size_promised(capfd: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    one, other = (drawing.png(random_map(HOSTILE, named=2), ABOUT) for _ in range(2))
    assert one == other
    assert one.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", one[16:24]) == (1600, 1200)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("output", "named", "kind"), [
    ("a.html", None, "html"), ("a.SVG", None, "svg"), ("-", None, "html"), ("-", "png", "png"), ("a.txt", "svg", "svg"),
    ("a.png", "png", "png"),
])  # fmt: skip
def test_format_is_what_the_name_or_the_flag_says(output: str, named: str | None, kind: str):
    assert drawing.format_of(output, named) == kind


@pytest.mark.parametrize(("output", "named", "message"), [
    ("a.pdf", None, "ends in .html, .svg, .png"), ("a", None, "or --format"), ("a.svg", "png", "different formats"),
])  # fmt: skip
def test_format_that_nothing_or_two_things_say_is_refused(output: str, named: str | None, message: str):
    with pytest.raises(UsageError, match=message):
        drawing.format_of(output, named)
