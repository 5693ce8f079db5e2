"""Pages that need no other file: what is in them never becomes markup or code."""

from __future__ import annotations

import json
import re
from pathlib import Path

from seqtool.reports.pages import filled_page, inert

TEMPLATE = """<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{{RULES}}"><title>{{TITLE}}</title>
<style>p { margin: 0 }</style><script type="application/json" id="data">{{DATA}}</script><script>run()</script>"""
HOSTILE = ["</script><script>alert(1)</script>", "&lt;", "{{TITLE}}", "\u2028", '"', "<!--"]


def test_data_and_title_are_text(tmp_path: Path):
    (template := tmp_path / "page.html").write_text(TEMPLATE)
    page = filled_page(template, "<b>&", {"words": HOSTILE}).decode()
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert page.count("<script") == 2
    (data,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["words"] == HOSTILE
    assert "default-src 'none'; script-src 'sha256-" in page


def test_json_has_nothing_that_a_parser_takes_for_markup():
    assert not set("<>&") & set(inert(HOSTILE))
    assert json.loads(inert(HOSTILE)) == HOSTILE


def test_numbers_that_json_has_not_are_none():
    assert json.loads(inert({"a": [float("nan"), (float("inf"), 1e308)]})) == {"a": [None, [None, 1e308]]}
