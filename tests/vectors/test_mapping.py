"""Maps of words: where they lie, which they are, and drawings that show any token as text."""

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

from seqtool.errors import InputError, UsageError
from seqtool.reports import drawing
from seqtool.reports.drawing import About
from seqtool.vectors import mapping
from seqtool.vectors.mapping import ChosenWords, WordMap
from seqtool.vectors.neighbours import Space
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors
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


def space(tokens: list[str], matrix: np.ndarray, **metadata: object) -> Space:
    return Space(Vectors(TokenTable.of(tokens), np.asarray(matrix, np.float32), metadata), "some.vectors")


def random_map(words: list[str], named: int = 0) -> WordMap:
    rng = np.random.default_rng(5)
    unit = rng.standard_normal((len(words), 8))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    points, _ = mapping.principal_components(unit)
    return mapping.place(ChosenWords(words, unit, np.arange(len(words)) < named, []), points)


@pytest.mark.parametrize(("rows", "dim"), [(50, 7), (7, 50), (20, 20), (3, 2), (2, 9)])
def test_principal_components_are_those_of_the_singular_values(rows: int, dim: int):
    matrix = np.random.default_rng(rows).standard_normal((rows, dim)) * np.linspace(3, 1, dim)
    points, share = mapping.principal_components(matrix)
    left, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs((left * values)[:, :2]), atol=1e-7)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    assert (points[np.abs(points).argmax(axis=0), [0, 1]] >= 0).all()


def test_principal_components_of_points_made_by_hand():
    """A cross in three dimensions: 4 long one way, 2 long another, flat in the third."""
    cross = np.array([[0, 4, 1], [0, -3, 1], [2, 0, 1], [-1, 0, 1], [-1, -1, 1]], float)
    points, share = mapping.principal_components(cross)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(cross[:, :2], axis=1), atol=1e-9)
    assert points[0, 0] > 3.9
    assert share == pytest.approx(1)


@pytest.mark.parametrize("matrix", [[[1.0, 2, 3]], [[0.0, 0]], [[1.0], [2], [-1]], [[1.0, 1], [1, 1], [1, 1]]])
def test_words_that_span_no_plane_have_places(matrix: list[list[float]]):
    points, share = mapping.principal_components(np.array(matrix))
    assert points.shape == (len(matrix), 2)
    assert np.isfinite(points).all()
    assert 0 <= share <= 1 + 1e-9


def test_nearest_are_those_of_all_cosines():
    rows = np.random.default_rng(1).standard_normal((40, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found, cosines = mapping.nearest_rows(rows, 5)
    for row in range(40):
        expected = sorted((other for other in range(40) if other != row), key=lambda other: -(rows[row] @ rows[other]))
        assert found[row].tolist() == expected[:5]
        np.testing.assert_allclose(cosines[row], rows[expected[:5]] @ rows[row], atol=1e-6)


def test_length_does_not_matter_and_symbols_are_left_out():
    tokens = ["<unk>", "the", "</s>", "of", "<0x0A>", "<", "a<b>", "king"]
    matrix = np.random.default_rng(2).standard_normal((8, 4))
    one = mapping.choose_words(space(tokens, matrix), 4, [])
    other = mapping.choose_words(space(tokens, matrix * np.arange(1, 9)[:, None]), 4, [])
    assert one.words == ["the", "of", "<", "a<b>"]
    np.testing.assert_allclose(one.unit_ND, other.unit_ND, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(one.unit_ND, axis=1), 1)


def test_named_words_are_marked_among_the_frequent_and_unknown_ones_counted():
    tokens = ["the", "of", "<unk>", "king", "queen"]
    here = space(tokens, np.eye(5), lowercase=True)
    chosen = mapping.choose_words(here, 2, ["King", "of", "of", "ghost", "<unk>", "the queen"])
    assert chosen.words == ["the", "of", "<unk>", "king", "the queen"]
    assert chosen.named_N.tolist() == [False, True, True, True, True]
    assert chosen.unknown == ["ghost"]
    np.testing.assert_allclose(chosen.unit_ND[4], np.array([1, 0, 0, 0, 1]) / 2**0.5)
    with pytest.raises(InputError, match=r"none of the words named has a vector \('ghost'\)"):
        mapping.choose_words(here, 2, ["ghost"])
    with pytest.raises(InputError, match="symbols such as <unk> alone"):
        mapping.choose_words(space(["<unk>"], np.ones((1, 3))), 5, [])


def test_too_many_words_are_refused_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch):
    here = space(list("abcdef"), np.eye(6))
    monkeypatch.setattr(mapping, "MAX_NUMBERS", 20)
    with pytest.raises(UsageError, match=r"6 words are too many .* at most 3"):
        mapping.choose_words(here, 6, [])
    assert len(mapping.choose_words(here, 3, []).words) == 3


def test_places_keep_their_shape_inside_the_square():
    chosen = ChosenWords(["a", "b", "c"], np.eye(3), np.zeros(3, bool), [])
    placed = mapping.place(chosen, np.array([[10.0, 1], [14, 1], [12, 2]]))
    np.testing.assert_allclose(placed.points_N2, [[-1, -0.25], [1, -0.25], [0, 0.25]])


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


def test_tsne_keeps_groups_apart_and_its_seed_fixes_it():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(3)
    centres = np.repeat(np.eye(3, 10), 20, axis=0)
    rows = centres + rng.standard_normal(centres.shape) * 0.05
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    points = mapping.tsne(rows, seed=7)
    np.testing.assert_array_equal(points, mapping.tsne(rows, seed=7))
    middles = points.reshape(3, 20, 2).mean(axis=1)
    nearest_middle = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest_middle, np.repeat(np.arange(3), 20))
    with pytest.raises(UsageError, match="at least 4 words"):
        mapping.tsne(rows[:3], seed=7)


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


def test_a_missing_package_is_named_with_its_mend():
    with pytest.raises(UsageError, match=r"pip install 'seqtool\[map\]'"):
        mapping.check_package("--method tsne", "a_package_that_is_nowhere")
