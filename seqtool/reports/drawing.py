"""Drawings of a map of words: an HTML page to explore, an SVG and a PNG to print.

A token may be any text: it is shown as text, and never becomes markup or code.
"""

from __future__ import annotations

import io
import logging
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.errors import UsageError
from seqtool.reports.pages import filled_page, inert
from seqtool.vectors.mapping import WordMap

PAGE = Path(__file__).with_name("map.html")
LONGEST_LABEL = 60
JOINERS = "\u200c\u200d"  # invisible, but they change the shape of letters and emoji

WIDTH, HEIGHT, MARGIN = 1600, 1200, 70  # pixels
DPI = 100
POINTS_PER_PIXEL = 72 / DPI
PAPER, INK, FAINT, DOT, NAMED = "#ffffff", "#1f2430", "#6b7280", "#7f9cc9", "#6741d9"
TITLE_SIZE, CAPTION_SIZE = 26, 16
LETTER = 0.62  # the width of a letter as a share of the font's size, estimated generously
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari")


class About(NamedTuple):
    """What is written on a drawing: a title, a caption, and its provenance."""

    title: str
    caption: str
    made: Mapping[str, Any]


class Label(NamedTuple):
    """A word beside its dot: the left end of its baseline (x, y) and its font size, in pixels."""

    text: str
    x: float
    y: float
    size: int
    named: bool


class DrawingLayout(NamedTuple):
    """The dots (x, y, named) and the labels of a still drawing, in pixels."""

    dots: list[tuple[float, float, bool]]
    labels: list[Label]
    radius: float


def visible(token: str, longest: int = LONGEST_LABEL) -> str:
    """A token as it is shown: invisible characters are escaped, a space at either end is drawn, a long token is cut."""
    text = "".join(
        letter if letter.isprintable() or letter in JOINERS else letter.encode("unicode_escape").decode()
        for letter in token[: longest + 1]
    )
    if text != text.strip():
        text = text.replace(" ", "␣")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def html(words: WordMap, about: About) -> bytes:
    """A page that needs no other file; its content security policy allows only its own script and style."""
    data = {
        "caption": about.caption,
        "made": about.made,
        "words": [visible(word) for word in words.words],
        "x": words.points_N2[:, 0].tolist(),
        "y": words.points_N2[:, 1].tolist(),
        "named": np.flatnonzero(words.named_N).tolist(),
        "nearest": words.nearest_NK.tolist(),
        "cosines": [[round(cosine, 2) for cosine in row] for row in words.cosine_NK.tolist()],
    }
    return filled_page(PAGE, visible(about.title), data)


def svg(words: WordMap, about: About) -> bytes:
    """A drawing in SVG 1.1; the same map gives the same bytes."""
    layout = arrange(words)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\">",
        f"<title>{escape(visible(about.title))}</title>",
        f"<desc>{inert(about.made)}</desc>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{layout.radius:.1f}" fill="{NAMED if named else DOT}"/>'
            for x, y, named in layout.dots
        ),
        f'<g stroke="{PAPER}" stroke-width="3" stroke-linejoin="round" paint-order="stroke">',
        *(
            f'<text x="{label.x:.1f}" y="{label.y:.1f}" font-size="{label.size}" {_style(label.named)} '
            f'direction="ltr" unicode-bidi="embed">{escape(label.text)}</text>'
            for label in layout.labels
        ),
        f'<text x="{MARGIN // 2}" y="42" font-size="{TITLE_SIZE}" font-weight="bold" fill="{INK}">'
        f"{escape(visible(about.title))}</text>",
        f'<text x="{MARGIN // 2}" y="{HEIGHT - 22}" font-size="{CAPTION_SIZE}" fill="{FAINT}">'
        f"{escape(about.caption)}</text>",
        "</g>",
        "</svg>",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _style(named: bool) -> str:
    return f'fill="{NAMED}" font-weight="bold"' if named else f'fill="{INK}"'


def png(words: WordMap, about: About) -> bytes:
    """A drawing in PNG, by matplotlib."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would warn of each font that is not installed
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout = arrange(words)
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    x, y, named = zip(*layout.dots, strict=True)
    colours = [NAMED if is_named else DOT for is_named in named]
    axes.scatter(x, y, s=(2 * layout.radius * POINTS_PER_PIXEL) ** 2, c=colours, linewidths=0)
    _write_texts(axes, layout.labels, about)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that no font has is drawn as a box
        FigureCanvasAgg(figure).print_png(stream, metadata={"Description": inert(about.made)})
    return stream.getvalue()


def _write_texts(axes: Any, labels: list[Label], about: About) -> None:
    """Write the labels, the title and the caption on matplotlib's axes, in the FONTS that are installed."""
    from matplotlib import font_manager, patheffects

    installed = {font.name for font in font_manager.fontManager.ttflist}
    family = [font for font in FONTS if font in installed]

    def write(text: str, x: float, y: float, size: int, **style: Any) -> None:
        halo = [patheffects.withStroke(linewidth=3 * POINTS_PER_PIXEL, foreground=PAPER)]
        points = size * POINTS_PER_PIXEL
        axes.text(x, y, text, fontsize=points, family=family, path_effects=halo, parse_math=False, **style)

    for label in labels:
        weight, colour = ("bold", NAMED) if label.named else ("normal", INK)
        write(label.text, label.x, label.y, label.size, weight=weight, color=colour)
    write(visible(about.title), MARGIN // 2, 42, TITLE_SIZE, weight="bold", color=INK)
    write(about.caption, MARGIN // 2, HEIGHT - 22, CAPTION_SIZE, color=FAINT)


DRAWERS: dict[str, Callable[[WordMap, About], bytes]] = {"html": html, "svg": svg, "png": png}


def arrange(words: WordMap) -> DrawingLayout:
    """Place a dot for each word, and labels for as many as have room: the named first, then the most frequent."""
    count = len(words.words)
    radius = min(4.0, max(1.5, 90 / count**0.5))
    x_N, y_N = _pixels(words)
    dots = list(zip(x_N.tolist(), y_N.tolist(), words.named_N.tolist(), strict=True))
    taken = _Boxes()
    labels = []
    for index in sorted(range(count), key=lambda index: (not words.named_N[index], index)):
        x, y, named = dots[index]
        size = 16 if named else round(12 + 6 * (1 - index / count) ** 4)
        for label, box in _beside(visible(words.words[index]), x, y, size, radius, named):
            if taken.has_room(box):
                taken.add(box)
                taken.add((x - radius, y - radius, x + radius, y + radius))
                labels.append(label)
                break
    return DrawingLayout(dots, labels, radius)


def _pixels(words: WordMap) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The x (N,) and y (N,) of all words in pixels: as large as fits, and in the middle."""
    spans_2 = np.maximum(np.ptp(words.points_N2, axis=0), 1e-9)
    scale = float(min((WIDTH - 3 * MARGIN) / spans_2[0], (HEIGHT - 2 * MARGIN) / spans_2[1]))
    if len(words.words) == 1 or scale > WIDTH * HEIGHT:
        scale = 1.0
    middle_2 = (words.points_N2.min(axis=0) + words.points_N2.max(axis=0)) / 2
    x_N = WIDTH / 2 - MARGIN / 2 + (words.points_N2[:, 0] - middle_2[0]) * scale
    y_N = HEIGHT / 2 - (words.points_N2[:, 1] - middle_2[1]) * scale
    return x_N, y_N


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def _beside(text: str, x: float, y: float, size: int, radius: float, named: bool) -> Iterator[tuple[Label, Box]]:
    """The label and its box to the right of a dot, to the left, above and below."""
    width, gap = _width(text) * size * (1.1 if named else 1), radius + 3
    for left, middle in (
        (x + gap, y),
        (x - gap - width, y),
        (x - width / 2, y - gap - size / 2),
        (x - width / 2, y + gap + size / 2),
    ):
        label = Label(text, left, middle + 0.35 * size, size, named)
        yield label, (left - 1, middle - 0.55 * size, left + width + 1, middle + 0.55 * size)


def _width(text: str) -> float:
    """About how wide a text is, in multiples of its font's size."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    unseen = sum(unicodedata.combining(letter) > 0 or letter in JOINERS for letter in text)
    return wide + LETTER * (len(text) - wide - unseen)


class _Boxes:
    """Boxes inside a drawing that do not overlap, indexed by the cells of a grid that they touch."""

    CELL = 64

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], list[Box]] = {}

    def add(self, box: Box) -> None:
        for cell in self._cells(box):
            self._at.setdefault(cell, []).append(box)

    def has_room(self, box: Box) -> bool:
        """Whether a box lies inside the drawing, clear of its title and caption, and overlaps no other."""
        left, top, right, bottom = box
        if not (left >= 0 and right <= WIDTH and top >= MARGIN * 0.8 and bottom <= HEIGHT - MARGIN * 0.8):
            return False
        return not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
            for cell in self._cells(box)
            for other in self._at.get(cell, ())
        )

    def _cells(self, box: Box) -> Iterator[tuple[int, int]]:
        left, top, right, bottom = (int(edge // self.CELL) for edge in box)
        return ((column, row) for column in range(left, right + 1) for row in range(top, bottom + 1))


def format_of(path: str, named: str | None) -> str:
    """The format of a drawing written to `path`: `named`, or else by its suffix; html for `-`, standard output.

    UsageError when neither says a format, or they differ.
    """
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix in DRAWERS and named not in (None, suffix):
        raise UsageError(f"-o {path} and --format {named} say different formats: give one of them")
    if named or suffix in DRAWERS:
        return named or suffix
    if path == "-":
        return "html"
    raise UsageError(
        f"-o {path}: a name that ends in {', '.join('.' + kind for kind in DRAWERS)}, or --format, is needed"
    )
