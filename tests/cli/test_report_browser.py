"""The page of `seqtool report` in a real browser: drawn, chosen from, by keyboard, and closed to code and the network."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqtool.runs.config import METRICS
from tests.browser import HOSTILE, OWNED, Page, needs_browser
from tests.conftest import Command
from tests.reports.test_run_page import data_of, long_metrics

pytestmark = needs_browser
RIGHT, END = "\ue014", "\ue010"


class ReportPage(Page):
    """A report in a browser."""

    def readout(self, chart: str) -> str:
        """What is told under the chart of this title."""
        return self.run(
            f"const box = [...document.querySelectorAll('h3')].find((one) => one.textContent === {json.dumps(chart)});"
            "return box.parentElement.querySelector('.readout').textContent"
        )

    def choose(self, control: str, value: object) -> None:
        """Set a control and tell the page."""
        name = "checked" if isinstance(value, bool) else "value"
        self.run(
            f"const one = document.querySelector({json.dumps(control)}); one.{name} = {json.dumps(value)};"
            "one.dispatchEvent(new Event('change'))"
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportPage]:
    with ReportPage.started(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def probed(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose gradients were probed, under a name that is markup."""
    path = tmp_path_factory.mktemp("probed") / f"<img src=x onerror={OWNED}>"
    steps = ("--steps", 60, "--hidden", 32, "--vocab-type", "char", "--probe-gradients", 5)
    result = seqtool("train", prose_file, "-o", path, "--model", "rnn", *steps, "-q")
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.fixture(scope="module")
def file(seqtool: Command, small_run: Path, probed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, text = (tmp_path_factory.mktemp("report") / name for name in ("r.html", "<b>.txt"))
    text.write_text("\n".join(["It was late.", *HOSTILE]), encoding="utf-8", newline="")
    result = seqtool("report", small_run, probed, "-o", path, "--text", text)
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.fixture
def page(browser: ReportPage, file: Path, tmp_path: Path) -> ReportPage:
    """The report at an address of its own, for which nothing was chosen before."""
    shutil.copy(file, tmp_path / "r.html")
    browser.open(tmp_path / "r.html")
    return browser


def test_every_view_is_drawn_and_names_are_text(page: ReportPage):
    assert page.run("return document.documentElement.dataset.ready") == "yes"
    seen = page.run(
        "return [...document.querySelectorAll('section')].filter((one) => !one.hidden).map((one) => one.id)"
    )
    assert seen == ["runs", "losses", "gaps", "steps", "lags", "texts", "settings"]
    titles = page.run("return [...document.querySelectorAll('h3')].map((one) => one.textContent)")
    assert f"<img src=x onerror={OWNED}>" in titles
    assert "Nats per token" in titles
    said = page.run("return [...document.querySelectorAll('#runs li')].map((one) => one.textContent)")
    assert said[0].startswith("No run overfits: each run's last validation is its best")
    assert page.run("return document.getElementById('about').textContent").startswith("2 trainings by seqtool: ")
    lines = page.run("return document.querySelectorAll('#loss-charts path').length")
    assert lines == 6  # of each run the logged losses, their mean and the validation losses
    assert page.run("return document.querySelectorAll('img, script').length") == 2
    assert page.run("return document.title").startswith("small, <img")
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.complaints() == []


def test_the_first_screen_says_which_is_best_where_it_overfits_and_what_surprises(
    browser: ReportPage, small_run: Path, file: Path, tmp_path: Path
):
    """What fresh eyes are asked: which run is best, where does it overfit, what does it find surprising?"""
    from seqtool.reports.curves import read_record
    from seqtool.reports.run_page import run_page

    other = tmp_path / "other"
    shutil.copytree(small_run, other)
    with open(other / METRICS, "w") as stream:
        for step in range(1, 101):
            stream.write(json.dumps({"step": step, "tokens": step, "elapsed_s": step, "loss": 3 - step / 50}) + "\n")
            if step % 10 == 0:
                valid = {"valid_loss": 2 + abs(step - 40) / 100, "best_step": min(step, 40)}
                stream.write(json.dumps({"step": step, "tokens": step, "elapsed_s": step, **valid}) + "\n")
    texts = data_of(file.read_bytes())["texts"][:1]
    (tmp_path / "r.html").write_bytes(run_page([read_record(small_run), read_record(other)], texts))
    browser.open(tmp_path / "r.html")
    best = browser.run("return document.querySelector('.crown').closest('tr').querySelector('bdi').textContent")
    assert best == "other"
    said = browser.run("return [...document.querySelectorAll('#runs li')].map((one) => one.textContent)")
    assert said[1].startswith("other: Best at step 40; after it the validation loss rose by 0.600 while the training")
    assert said[1].endswith("it overfits.")
    assert said[2].startswith("The times of training differ: ")
    worst = texts[0]["worst_tokens"][0]
    assert said[3].startswith(f"small: what surprised it most is {worst['token']}")
    assert f"which cost {worst['nats']:.2f} nats" in said[3]
    seen = "return Math.max(...[...document.querySelectorAll('.crown, #runs li')].map((one) => one.getBoundingClientRect().bottom))"
    assert browser.run(seen) < browser.run("return innerHeight")


def test_the_policy_stops_other_scripts_and_requests(page: ReportPage):
    title = page.run("return document.title")
    page.run(
        f"const added = document.createElement('script'); added.textContent = {json.dumps(OWNED)}; document.body.append(added);"
        f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE[1])})"
    )
    assert page.run("return fetch('https://example.org/').then(() => 'went', () => 'stopped')") == "stopped"
    assert page.run("return document.title") == title
    assert any("Content Security Policy" in entry["message"] for entry in page.complaints())


def test_arrow_keys_tell_the_values_that_were_logged(page: ReportPage, file: Path):
    page.type("#loss-charts .chart", END)
    told = page.readout("Nats per token")
    small = data_of(file.read_bytes())["runs"][0]
    assert told.startswith("step 60")
    assert f"small, validation {small['valid']['valid_loss'][-1]:.4f}" in told
    page.type("#loss-charts .chart", RIGHT)
    assert page.readout("Nats per token") == told
    page.choose("#axis", "tokens")
    page.type("#loss-charts .chart", END)
    assert "tokens" in page.readout("Nats per token")


def test_runs_are_hidden_and_what_was_chosen_outlives_a_reload(page: ReportPage):
    page.choose("#axis", "elapsed_s")
    page.choose("#log", True)
    page.choose("#runs tr:nth-child(2) input", False)
    assert page.run("return document.querySelectorAll('#loss-charts path').length") == 3
    page.run("scrollTo(0, 500)")
    page.run("document.title = 'before'; location.reload()")
    until = time.monotonic() + 20
    while page.run("return document.documentElement.dataset.ready && document.title") in (None, "before"):
        assert time.monotonic() < until
    state = page.run(
        "return [document.getElementById('axis').value, document.getElementById('log').checked,"
        " document.querySelectorAll('#loss-charts path').length, Math.round(scrollY)]"
    )
    assert state == ["elapsed_s", True, 3, 500]


def test_it_fits_a_phone_and_can_be_read_in_the_dark(page: ReportPage, file: Path):
    with page.on_a_phone(390):
        page.open(file)
        page.choose("#paint", "0")
        page.run("document.getElementById('commands').open = document.getElementById('same-details').open = true")
        wide = page.run(
            "return [...document.querySelectorAll('section, section *')]"
            ".filter((one) => one.checkVisibility() && !one.parentElement.closest('.wide'))"
            ".map((one) => one.getBoundingClientRect().right)"
        )
        assert max(wide) <= 390
        assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        lines = page.run(
            "return [...document.querySelectorAll('.number, #differ td')]"
            ".filter((one) => /^[0-9.,]+$/.test(one.textContent)).map((one) => {"
            " const range = document.createRange(); range.selectNodeContents(one); return range.getClientRects().length; })"
        )
        assert set(lines) == {1}
    light = page.run("return getComputedStyle(document.body).backgroundColor")
    assert light == "rgb(251, 250, 248)"
    assert page.run(
        "return [...document.styleSheets[0].cssRules].some((one) => one.conditionText === '(prefers-color-scheme: dark)')"
    )


def test_ten_long_runs_are_drawn_within_a_second(
    browser: ReportPage, seqtool: Command, small_run: Path, tmp_path: Path
):
    runs = [tmp_path / f"run{number}" for number in range(10)]
    for number, run in enumerate(runs):
        shutil.copytree(small_run, run)
        long_metrics(run / METRICS, 100_000, number)
    result = seqtool("report", *runs, "-o", tmp_path / "r.html")
    assert result.returncode == 0, result.stderr.decode()
    assert (tmp_path / "r.html").stat().st_size < 1_000_000
    browser.open(tmp_path / "r.html")
    assert browser.run("return document.querySelectorAll('#loss-charts path').length") == 20
    timing = browser.run(
        "const [one] = performance.getEntriesByType('navigation'); return one.loadEventEnd - one.startTime"
    )
    assert 0 < timing < 3000, timing  # a third of that where nothing else runs


def test_a_page_that_is_followed_reads_itself_again(browser: ReportPage, small_run: Path, tmp_path: Path):
    from seqtool.reports.curves import read_record
    from seqtool.reports.run_page import run_page

    path = tmp_path / "followed.html"
    record = read_record(small_run)
    path.write_bytes(run_page([record], follow_s=1, followed=True, training=[0], written="first"))
    browser.open(path)
    assert "every 1 s; written first" in browser.run("return document.getElementById('live').textContent")
    browser.choose("#axis", "tokens")
    path.write_bytes(run_page([record], followed=True, written="second"))
    until = time.monotonic() + 20
    while "over; written second" not in browser.run("return document.getElementById('live')?.textContent ?? ''"):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert browser.run("return document.getElementById('axis').value") == "tokens"


def test_answers_are_drawn_with_their_counts(browser: ReportPage, small_run: Path, tmp_path: Path):
    from seqtool.reports.curves import read_record
    from seqtool.reports.pictures import Chart, Heat, Line
    from seqtool.reports.run_page import run_page

    answer = {
        "run": 0,
        "about": "4 rows.",
        "charts": [Chart("F1 of yes", "threshold", [Line("F1", [0, 0.5, 1], [0.2, 0.9, 0.1])]).described()],
        "heats": [
            Heat("Confusions", ["no", HOSTILE[0]], ["no", "yes"], [[1, 0], [0.5, 0.5]], [[1200, 0], [1, 1]]).described()
        ],
    }
    path = tmp_path / "r.html"
    path.write_bytes(run_page([read_record(small_run)], answers=[answer]))
    browser.open(path)
    cells = "return [...document.querySelectorAll('#answers tbody td')].map((one) => one.textContent)"
    assert browser.run(cells) == ["1,200", "0", "1", "1"]
    assert browser.run("return document.querySelectorAll('#answers .chart path').length") == 1
    browser.type("#answers .chart", END)
    assert browser.readout("F1 of yes") == "threshold 1F1 0.1000"
    assert browser.run("return document.querySelectorAll('img, script').length") == 2
    assert browser.complaints() == []


def test_a_text_is_read_by_pointer_and_keys(page: ReportPage, file: Path):
    told = data_of(file.read_bytes())["texts"][0]
    assert page.run("return document.getElementById('text').textContent") == "".join(told["pieces"])
    assert HOSTILE[0] in "".join(told["pieces"])
    page.type("#text", RIGHT + RIGHT)
    card = "return document.getElementById('card').textContent"
    assert f"cost {told['nats'][1]:.3f} nats" in page.run(card)
    likeliest = told["names"][told["likely"][1][0]]
    assert page.run("return document.querySelector('#card td').textContent") == likeliest
    page.type("#text", END)
    place = told["shown"] - 1
    assert f"cost {told['nats'][place]:.3f} nats" in page.run(card)
    page.run("document.querySelector('#text span').dispatchEvent(new Event('pointerover', {bubbles: true}))")
    assert f"cost {told['nats'][0]:.3f} nats" in page.run(card)
    colours = page.run(
        "return [...document.querySelectorAll('#text span')].map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert colours[0].startswith("rgba(214, 84, 20")
    page.choose("#reader", "1")
    other = data_of(file.read_bytes())["texts"][1]
    assert page.run("return document.getElementById('about-text').textContent") == other["about"]
    assert page.run("return document.querySelectorAll('img, script').length") == 2
    assert page.complaints() == []


def test_what_surprised_a_run_is_shown_where_it_stands(
    browser: ReportPage, seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path
):
    """Also where it stands behind what is shown of the text."""
    (tmp_path / "t.txt").write_text(prose_file.read_text()[:9000])
    result = seqtool("report", *[small_run] * 2, "--text", tmp_path / "t.txt", "-o", tmp_path / "r.html")
    assert result.returncode == 0, result.stderr.decode()
    browser.open(tmp_path / "r.html")
    _, told = data_of((tmp_path / "r.html").read_bytes())["texts"]
    browser.run("[...document.querySelectorAll('#runs li a')].at(-1).click()")
    assert browser.run("return document.getElementById('reader').value") == "1"
    worst = told["worst_tokens"]
    near = next(n for n, one in enumerate(worst) if one["place"] < told["shown"])
    far = next(n for n, one in enumerate(worst) if one["place"] >= told["shown"])
    height = "return document.getElementById('card').getBoundingClientRect().height"
    before = browser.run(height)
    click = "document.querySelectorAll('#worst-tokens button')[{}].click()"
    card = "return document.getElementById('card').textContent"
    seen = "const {{ top, bottom }} = document.querySelector('{}').getBoundingClientRect(); return top >= 0 && bottom <= innerHeight"
    browser.run(click.format(near))
    assert browser.run("return document.querySelector('#text .at').dataset.n") == str(worst[near]["place"])
    assert f"cost {worst[near]['nats']:.3f} nats" in browser.run(card)
    assert browser.run(seen.format("#text .at"))
    assert browser.run(seen.format("#card"))
    browser.run(click.format(far))
    assert f"token {worst[far]['place'] + 1:,}. Around it:" in browser.run(card)
    assert "".join([worst[far]["around"][0], worst[far]["token"], worst[far]["around"][1]]) in browser.run(card)
    assert browser.run("return document.querySelector('#text .at')") is None
    assert browser.run(seen.format("#card"))
    lines = told["worst_lines"]
    near = next(n for n, one in enumerate(lines) if one["place"] + one["tokens"] < told["shown"])
    browser.run(f"document.querySelectorAll('#worst-lines button')[{near}].click()")
    marked = browser.run("return [...document.querySelectorAll('#text .line')].map((one) => Number(one.dataset.n))")
    assert marked == list(range(lines[near]["place"], lines[near]["place"] + lines[near]["tokens"]))
    assert browser.run(height) == before
    assert browser.complaints() == []


def test_labels_stand_beside_the_curves_and_settings_without_effect_are_empty(
    browser: ReportPage, small_run: Path, tmp_path: Path
):
    from dataclasses import replace

    from seqtool.reports.curves import read_record
    from seqtool.reports.run_page import run_page

    one = read_record(small_run)
    nets = [replace(one.config.model, model="gdn", heads=heads) for heads in (2, 4)]
    others = [replace(one, config=replace(one.config, model=net)) for net in nets]
    (tmp_path / "r.html").write_bytes(run_page([one, *others]))
    browser.open(tmp_path / "r.html")
    best = one.metrics.validations["valid_loss"][one.metrics.best]
    keys = browser.run(
        "return [...document.querySelectorAll('#loss-charts .legend span')].map((one) => one.textContent)"
    )
    assert len(keys) == 3
    assert all(key.endswith(f": best {best:.4f} at step 60") for key in keys)
    assert not browser.run(
        "return [...document.querySelectorAll('#loss-charts svg text')].some((one) => /best/.test(one.textContent))"
    )
    rows = browser.run(
        "return [...document.querySelectorAll('#differ tbody tr')].map((row) => [...row.cells].map((one) => one.textContent))"
    )
    assert ["heads", "", "2", "4"] in rows
    heads = browser.run("return [...document.querySelectorAll('#runs thead th')].map((one) => one.textContent)")
    assert heads[:3] == ["run", "best validation loss, nats per token", "best step"]


def test_a_text_is_coloured_by_units_and_by_attention(
    browser: ReportPage, seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path
):
    net = ("--model", "transformer", "--hidden", 16, "--heads", 2, "--layers", 2, "--context", 16, "--steps", 3)
    (tmp_path / "t.txt").write_text('if x:\n    say "it was late"\n' * 20)
    for command in (
        ("train", prose_file, "--vocab", small_run / "vocab.model", "-o", tmp_path / "net", *net, "-q"),
        ("report", small_run, tmp_path / "net", "--text", tmp_path / "t.txt", "-o", tmp_path / "r.html"),
    ):
        result = seqtool(*command)
        assert result.returncode == 0, result.stderr.decode()
    browser.open(tmp_path / "r.html")
    texts = data_of((tmp_path / "r.html").read_bytes())["texts"]
    offered = "return [...document.getElementById('paint').options].map((one) => one.textContent)"
    gates = texts[0]["inside"]["gates"]
    units = [unit["name"] for unit in texts[0]["inside"]["units"]]
    assert browser.run(offered) == ["surprise", *units, *(gate["name"] for gate in gates)]
    browser.choose("#paint", "gate 1")
    assert f"from {gates[1]['low']:.3f} (no colour)" in browser.run(
        "return document.getElementById('about-paint').textContent"
    )
    strongest = gates[1]["values"].index(100)
    assert (
        browser.run(f"return getComputedStyle(document.querySelectorAll('#text span')[{strongest}]).backgroundColor")
        == "rgba(214, 84, 20, 0.75)"
    )
    browser.choose("#paint", "0")
    values = texts[0]["inside"]["units"][0]["values"]
    place = max(range(len(values)), key=lambda place: abs(values[place]))
    kind = "28, 100, 200" if values[place] < 0 else "214, 84, 20"
    background = "return getComputedStyle(document.querySelectorAll('#text span')[{}]).backgroundColor"
    assert browser.run(background.format(place)) == f"rgba({kind}, 0.75)"
    browser.choose("#reader", "1")
    assert browser.run(offered) == ["surprise", "attention"]
    browser.choose("#paint", "attention")
    browser.type("#text", RIGHT * 4)
    attention = texts[1]["inside"]["attention"]
    assert (attention["layers"], attention["heads"], attention["tokens"]) == (2, 2, 16)
    shares = np.frombuffer(base64.b64decode(attention["shares"]), np.uint8).reshape(2, 2, 16, 16) / 255
    browser.choose("#layer", "1")
    browser.choose("#head", "0")
    told = browser.run("return document.getElementById('about-paint').textContent")
    assert f"a share of {shares[1, 0, 3, 1:4].max():.3f}" in told
    assert f"{shares[1, 0, 3, 0]:.3f} went to the text's beginning" in told
    assert browser.run(background.format(3)) == "rgba(0, 0, 0, 0)"
    assert browser.complaints() == []
