"""Pages that need no other file: a template, a title, and data that never become markup or code."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html import escape
from pathlib import Path
from typing import Any

HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{RULES}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="seqtool">
<title>{{TITLE}}</title>"""
"""How every page begins."""


def filled_page(template: Path, title: str, data: Any) -> bytes:
    """A template with the HEAD of all, its title and data; its policy allows only its own script and style.

    `{{page.css}}` and `{{page.js}}` in it stand for these files beside it, which pages share.
    """
    page = template.read_text(encoding="utf-8").replace("{{HEAD}}", HEAD, 1)
    page = re.sub(
        r"\{\{([a-z]+\.(?:css|js))\}\}", lambda match: template.with_name(match[1]).read_text(encoding="utf-8"), page
    )
    rules = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_allowed(page, 'script')}",
            f"style-src {_allowed(page, 'style')}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {"RULES": escape(rules, quote=False), "TITLE": escape(title), "DATA": inert(data)}
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], page).encode("utf-8")


def _allowed(page: str, element: str) -> str:
    """The source that a content security policy allows for the page's own script or style: its hash."""
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode()}'"


def inert(value: Any) -> str:
    """JSON in ASCII that an HTML parser does not take for markup; None for numbers that are not finite."""
    text = json.dumps(_finite(value), separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(value: Any) -> Any:
    """A value in which numbers that JSON has not are None."""
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
