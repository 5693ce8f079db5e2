"""A page in a real browser: chromium, driven by its chromedriver in the protocol of W3C WebDriver, over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and its chromedriver")

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
]  # fmt: skip
ENTER = "\ue007"
OWNED = "document.title='owned'"
HOSTILE = [
    f"</script><script>{OWNED}</script>", f"<img src=x onerror={OWNED}>", "<!--<script>", "line\u2028end", "\u202eback",
    "\x00\x1b[31m", "عربي", "👩‍👧", f"';{OWNED};'", "__proto__",
]  # fmt: skip


class Page:
    """A page in a browser."""

    def __init__(self, port: int, profile: Path) -> None:
        self._port = port
        self._session = ""
        chrome = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def _call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request(verb, self._session + path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        value = json.loads(answer.read())["value"]
        connection.close()
        assert answer.status == 200, value
        return value

    def open(self, path: Path) -> None:
        self._call("POST", "/url", {"url": path.as_uri()})

    def close(self) -> None:
        self._call("DELETE", "")

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def type(self, place: str, text: str) -> None:
        found = self._call("POST", "/element", {"using": "css selector", "value": place})
        self._call("POST", f"/element/{next(iter(found.values()))}/value", {"text": text})

    def wheel(self, x: int, y: int, by: int) -> None:
        scroll = {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": by}
        self._call("POST", "/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [scroll]}]})

    def mouse(self, *actions: dict[str, Any]) -> None:
        self._call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [*actions]}]})

    @contextmanager
    def on_a_phone(self, width: int) -> Iterator[None]:
        """A screen of so many pixels while the block runs; a page has to be opened in it."""
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        self._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": screen})
        try:
            yield
        finally:
            self._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})

    def complaints(self) -> list[dict[str, Any]]:
        return self._call("POST", "/se/log", {"type": "browser"})

    @classmethod
    @contextmanager
    def started(cls, profile: Path) -> Iterator[Self]:
        """A page of a browser that runs while the block does."""
        driver = subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            said = iter(driver.stdout.readline, "")
            port = next(int(match[1]) for line in said if (match := re.search(r"successfully on port (\d+)", line)))
            page = cls(port, profile)
            yield page
            page.close()
        finally:
            driver.terminate()
            driver.wait()
            driver.stdout.close()
