"""Attention as a page: what was written against what was read, by layer and head.

Shapes: L layers, H heads, T tokens that were written, S that were read.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.reports.drawing import visible
from seqtool.reports.pages import filled_page

PAGE = Path(__file__).with_name("attention.html")


class AttentionMap(NamedTuple):
    """Where the model looked for each token that it wrote."""

    title: str
    source: Sequence[str]
    target: Sequence[str]
    looks_LHTS: npt.NDArray[np.float32]
    """Shares, which sum to 1 over S."""


def attention_page(maps: Sequence[AttentionMap], title: str) -> bytes:
    """A page that needs no other file, in which layer and head are chosen; tokens never become markup."""
    layers, heads = maps[0].looks_LHTS.shape[:2] if maps else (0, 0)
    drawn = []
    for one in maps:
        shares = np.rint(255 * np.clip(one.looks_LHTS, 0, 1)).astype(np.uint8)
        assert shares.shape == (layers, heads, len(one.target), len(one.source))
        drawn.append(
            {
                "title": visible(one.title),
                "source": [visible(token) for token in one.source],
                "target": [visible(token) for token in one.target],
                "looks": base64.b64encode(shares.tobytes()).decode(),
            }
        )
    return filled_page(PAGE, visible(title), {"layers": layers, "heads": heads, "maps": drawn})
