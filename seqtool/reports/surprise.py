"""A text as a model read it, for the page: the cost of each token, what was likelier, and what surprised it most."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtool.models.predictor import Predictor
from seqtool.reports.drawing import JOINERS, visible
from seqtool.reports.inside import inside
from seqtool.scoring.surprise import CloseReading, calibration, decoded_pieces
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.vocabulary import Vocabulary

READ_TOKENS = 20_000  # of a text, by each run
SHOWN_TOKENS, FEWEST_SHOWN = 5000, 500  # of all runs together; of one
ALTERNATIVES = 5
WORST = 25
AROUND = 8  # tokens before and after a surprising one
AROUND_UNSHOWN = 60  # the same of one whose place is not among the shown
FEWEST_IN_LINE = 4  # tokens of a line that may be among the worst
LONGEST = 160
NEWLINE = "⏎"
TOKENS = {
    "char": "characters",
    "byte": "bytes",
    "word": "words and punctuation",
    "bpe": "pieces of words (bpe)",
    "unigram": "pieces of words (unigram)",
    "foreign": "pieces of words",
    BYTE_LEVEL: "pieces of words (byte-level bpe)",
}
"""What the symbols of a vocabulary of each type are."""


def surprise(
    place: int, name: str, vocabulary: Vocabulary, reading: CloseReading, most: int, model: Predictor | None = None
) -> dict[str, Any]:
    """The reading of the text `name` by the run at `place`, of which up to `most` tokens are shown.

    With the `model`, also what it has inside while it reads them.
    """
    shown = min(most, len(reading.ids))
    used = sorted({*reading.ids[:shown].tolist(), *reading.likely_TK[:shown, :ALTERNATIVES].ravel().tolist()})
    number = {index: position for position, index in enumerate(used)}
    tokens, nats = len(reading.ids), float(reading.nats.sum(dtype=np.float64))
    first = float((reading.likely_TK[:, 0] == reading.ids).mean())
    extent = "All" if reading.whole else "The first"
    pieces = decoded_pieces(vocabulary, reading.ids, reading.starts)
    return {
        "run": place,
        "inside": {} if model is None else inside(model, reading, pieces, shown),
        "shown": shown,
        "tokens": tokens,
        "total_nats": nats,
        "about": (
            f"Tokens are {TOKENS[vocabulary.type]} here. "
            f"{extent} {tokens:,} tokens of {visible(name, LONGEST)} were read"
            f"{'' if reading.whole else ', of more'}; "
            f"{'all' if shown == tokens else f'the first {shown:,}'} are shown. "
            f"{nats / tokens:.4f} nats per token (perplexity {np.exp(min(700.0, nats / tokens)):,.2f}); "
            f"what was likeliest came in {first:.1%} of the places."
        ),
        "pieces": _shown_pieces(vocabulary, reading, pieces[:shown]),
        "names": [_name(vocabulary, index) for index in used],
        "ids": [number[index] for index in reading.ids[:shown].tolist()],
        "nats": [_short(value) for value in reading.nats[:shown].tolist()],
        "likely": [[number[index] for index in row] for row in reading.likely_TK[:shown, :ALTERNATIVES].tolist()],
        "p": [[_short(value) for value in row] for row in reading.p_TK[:shown, :ALTERNATIVES].tolist()],
        "worst_tokens": [_in_context(vocabulary, reading, worst, shown) for worst in _worst_places(reading)],
        "worst_lines": _worst_lines(vocabulary, reading, shown),
        "about_bins": (
            f"In each of {tokens:,} places the model gives a probability to every one of the vocabulary's "
            f"{vocabulary.size:,} symbols, of which one came. Predictions of like probability are put together: how "
            "many of them came? On the diagonal a model means what it says; below it, it is too sure."
        ),
        "bins": [bin._asdict() for bin in calibration(reading, vocabulary.size)],
    }


def shown_tokens(runs: int) -> int:
    """How many tokens of a text are shown of each run."""
    return max(FEWEST_SHOWN, SHOWN_TOKENS // max(1, runs))


def _shown_pieces(vocabulary: Vocabulary, reading: CloseReading, pieces: list[str]) -> list[str]:
    """Pieces as they are shown in their text; the name of a token that ends inside a character."""
    ids = reading.ids[: len(pieces)].tolist()
    return [_in_text(piece) if piece else _name(vocabulary, index) for index, piece in zip(ids, pieces, strict=True)]


def _in_text(piece: str) -> str:
    """A piece as it is shown in its text: a newline is drawn and breaks the line, invisible characters are escaped."""
    if len(piece) > LONGEST:
        piece = piece[:LONGEST] + "…"
    return "".join(
        f"{NEWLINE}\n"
        if letter == "\n"
        else letter
        if letter.isprintable() or letter in JOINERS or letter == "\t"
        else letter.encode("unicode_escape").decode()
        for letter in piece
    )


def _worst_places(reading: CloseReading) -> list[int]:
    """The places of the tokens that cost most, the worst first."""
    order: list[int] = np.argsort(-reading.nats, kind="stable")[:WORST].tolist()
    return order


def _in_context(vocabulary: Vocabulary, reading: CloseReading, place: int, shown: int) -> dict[str, Any]:
    """A surprising token with what is around it: of one beyond the `shown` also more, and the likeliest."""
    before, after = _around(vocabulary, reading, place, place + 1, AROUND)
    told = {
        "place": place,
        "nats": float(reading.nats[place]),
        "before": before.replace("\n", ""),
        "token": _name(vocabulary, int(reading.ids[place])),
        "after": after.replace("\n", ""),
        "likely": _name(vocabulary, int(reading.likely_TK[place, 0])),
        "p": float(reading.p_TK[place, 0]),
    }
    if place < shown:
        return told
    likeliest = reading.likely_TK[place, :ALTERNATIVES].tolist()
    return told | {
        "around": _around(vocabulary, reading, place, place + 1, AROUND_UNSHOWN),
        "likeliest": [
            [_name(vocabulary, index), _short(p), bool(index == reading.ids[place])]
            for index, p in zip(likeliest, reading.p_TK[place, :ALTERNATIVES].tolist(), strict=True)
        ],
    }


def _around(vocabulary: Vocabulary, reading: CloseReading, start: int, stop: int, most: int) -> tuple[str, str]:
    """Up to so many tokens before and after those from `start` to `stop`, of the same document, as they are shown."""
    begin = max((first for first in reading.starts if first <= start), default=0)
    end = min((first for first in reading.starts if first >= stop), default=len(reading.ids))
    before = reading.ids[max(begin, start - most) : start].tolist()
    return _in_text(vocabulary.decode(before)), _in_text(
        vocabulary.decode(reading.ids[stop : min(end, stop + most)].tolist())
    )


def _name(vocabulary: Vocabulary, index: int) -> str:
    """A token's text as it is shown alone, a newline as it is drawn in the text."""
    return visible(vocabulary.token_text(index).replace("\n", NEWLINE))


def _worst_lines(vocabulary: Vocabulary, reading: CloseReading, shown: int) -> list[dict[str, Any]]:
    """The lines that cost most per token, the worst first, and where each begins."""
    sums = np.concatenate([[0.0], np.cumsum(reading.nats, dtype=np.float64)])
    lines: list[dict[str, Any]] = []
    begin = 0
    for number, line in enumerate(reading.lines, 1):
        if line.stop - begin >= FEWEST_IN_LINE:
            nats = float(sums[line.stop] - sums[begin])
            text = visible(line.text.removesuffix("\n"), LONGEST)
            lines.append({"number": number, "text": text, "nats": nats, "tokens": line.stop - begin, "place": begin})
        begin = line.stop
    worst = sorted(lines, key=lambda line: -line["nats"] / line["tokens"])[:WORST]
    for one in worst:
        begin, stop = one["place"], one["place"] + one["tokens"]
        if begin >= shown:
            one["around"] = _around(vocabulary, reading, begin, min(stop, len(reading.ids)), AROUND_UNSHOWN)
    return worst


def _short(value: float) -> float:
    return float(f"{value:.5g}")
