"""The page of `seqtool embed map` in a real browser: drawn, searched, zoomed, and closed to code in tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.browser import ENTER, HOSTILE, OWNED, Page, needs_browser
from tests.conftest import Command

pytestmark = needs_browser
WORDS = ["king", "kingdom", "making", "The", *HOSTILE, *(f"word{number}" for number in range(600))]


class MapPage(Page):
    """A map in a browser."""

    def state(self) -> dict[str, str]:
        return self.run("return {...document.getElementById('map').dataset}")

    def wait(self, ready: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The state, once it is as wanted."""
        until = time.monotonic() + 10
        while not ready(state := self.state()):
            assert time.monotonic() < until, state
            time.sleep(0.05)
        return state

    def drawn(self) -> dict[str, list[float]]:
        """What is written on the canvas: each text with its left edge, middle, width and size, when all is redrawn."""
        return self.run(
            """
            const texts = {}, pen = CanvasRenderingContext2D.prototype, fillText = pen.fillText;
            pen.fillText = function (text, x, y) {
              texts[`${text} `] = [x, y, this.measureText(text).width, parseInt(this.font.match(/(\\d+)px/)[1])];
              fillText.call(this, text, x, y);
            };
            dispatchEvent(new Event("resize"));
            return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
              pen.fillText = fillText;
              done(texts);
            })));
            """
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MapPage]:
    with MapPage.started(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def file(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    matrix = np.random.default_rng(0).standard_normal((len(WORDS), 5)).astype(np.float32)
    write_vectors(folder / "v", Vectors(TokenTable.of(WORDS), matrix, {"vocabulary_type": "word"}))
    result = seqtool("embed", "map", folder / "v", *HOSTILE, "--most", 1000, "-o", folder / "map.html")
    assert result.returncode == 0, result.stderr.decode()
    return folder / "map.html"


@pytest.fixture
def page(browser: MapPage, file: Path) -> MapPage:
    browser.open(file)
    browser.wait(lambda state: int(state.get("labels", 0)) > 0)
    return browser


def test_labels_do_not_overlap_and_there_is_room_for_more_when_it_is_closer(page: MapPage):
    counts = []
    for _ in range(2):
        drawn = page.drawn()
        counts.append(len(drawn))
        boxes = [(x, y - size / 2, x + width, y + size / 2) for x, y, width, size in drawn.values()]
        for number, one in enumerate(boxes):
            for other in boxes[:number]:
                assert not (one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])
        page.wheel(600, 450, -200)
        page.wait(lambda state: float(state["zoom"]) > 1.2)
    assert 30 < counts[0] < len(WORDS)


def test_tokens_are_text_and_nothing_that_they_say_is_run(page: MapPage):
    drawn = page.drawn()
    assert f"</script><script>{OWNED}</script> " in drawn
    assert f"<img src=x onerror={OWNED}> " in drawn
    assert "\\u202eback " in drawn
    page.type("#search", f"<img{ENTER}")
    page.wait(lambda state: state["selected"] == HOSTILE[1])
    assert page.run("return document.getElementById('word').textContent") == HOSTILE[1]
    assert page.run("return document.querySelectorAll('img, script').length") == 2
    assert page.run("return document.title") == "v"
    assert page.complaints() == []


def test_the_policy_stops_other_scripts(page: MapPage):
    page.run(
        f"const added = document.createElement('script'); added.textContent = {json.dumps(OWNED)}; document.body.append(added);"
        f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE[1])})"
    )
    assert page.run("return document.title") == "v"
    assert any("Content Security Policy" in entry["message"] for entry in page.complaints())


def test_search_finds_as_it_is_typed_and_enter_goes_from_match_to_match(page: MapPage):
    page.type("#search", "kin")
    assert page.wait(lambda state: state["matches"] == "3")["selected"] == ""
    for word in ("king", "kingdom", "making", "king"):
        page.type("#search", ENTER)
        page.wait(lambda state, word=word: state["selected"] == word)
    assert "1 of 3" in page.run("return document.getElementById('found').textContent")
    page.wait(lambda state: float(state["zoom"]) > 1.5)
    time.sleep(0.5)
    x, y, _, _ = page.drawn()["king "]
    assert abs(x - 600) < 60
    assert 200 < y < 600
    page.type("#search", "zz")
    page.wait(lambda state: state["matches"] == "0")
    assert page.run("return document.getElementById('found').textContent") == "not on this map"
    page.run("document.getElementById('search').value = ''")
    page.type("#search", "THE")
    page.wait(lambda state: state["matches"] == "1")


def test_wheel_zooms_about_the_pointer_drag_moves_and_double_click_shows_all(page: MapPage):
    before = page.drawn()
    word = min(before, key=lambda word: abs(before[word][0] - 300) + abs(before[word][1] - 300))
    x, y, _, _ = before[word]
    page.wheel(round(x), round(y), -300)
    zoom = float(page.wait(lambda state: float(state["zoom"]) > 1)["zoom"])
    after = page.drawn()[word]
    assert zoom > 1.5
    assert abs(after[0] - x) < 60  # the point stays where it is, and its label beside it; about the middle it would
    assert abs(after[1] - y) < 60  # move by more than 100
    points = [{"type": "pointerMove", "duration": 0, "x": x, "y": y} for x, y in ((600, 300), (660, 340))]
    page.mouse(points[0], {"type": "pointerDown", "button": 0}, points[1], {"type": "pointerUp", "button": 0})
    moved = page.drawn()[word]
    assert (round(moved[0] - after[0]), round(moved[1] - after[1])) == (60, 40)
    page.run("document.getElementById('map').dispatchEvent(new MouseEvent('dblclick'))")
    page.wait(lambda state: state["zoom"] == "1.000")


def test_pointing_at_a_word_shows_its_nearest(page: MapPage, file: Path):
    drawn = page.drawn()
    word = "king"
    x, y, width, _ = drawn[f"{word} "]
    page.mouse({"type": "pointerMove", "duration": 0, "x": round(x + width / 2), "y": round(y)})
    data = page.run("return JSON.parse(document.getElementById('data').textContent)")
    index = data["words"].index(word)
    shown = page.run(
        "return [document.getElementById('card').hidden, document.getElementById('word').textContent, "
        "[...document.querySelectorAll('#nearest bdi')].map((item) => item.textContent)]"
    )
    assert shown == [False, word, [data["words"][other] for other in data["nearest"][index]]]


def test_keys_move_and_zoom(page: MapPage):
    page.type("#map", "+")
    page.wait(lambda state: state["zoom"] == "1.500")
    page.type("#map", "0")
    page.wait(lambda state: state["zoom"] == "1.000")
    page.type("#map", "/")
    assert page.run("return document.activeElement.id") == "search"
