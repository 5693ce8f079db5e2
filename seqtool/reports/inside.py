"""Inside the model, for the page: the units that follow the text best, gates, and attention by layer and head."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqtool.models.language_model import LanguageModel
from seqtool.models.predictor import Predictor
from seqtool.scoring.inside import Units, attention_shares, followers, gates, hidden_units, properties
from seqtool.scoring.surprise import CloseReading

UNIT_TOKENS = 2000  # of the text, one after the other
UNITS = 3  # for each property of the text
SHARES = 200_000  # of attention: layers times heads times the square of the tokens
MOST_LOOKING = 96  # tokens


def inside(model: Predictor, reading: CloseReading, pieces: Sequence[str], shown: int) -> dict[str, Any]:
    """What a net has inside while it reads, of the text's `pieces`, of which `shown` are on the page; else nothing."""
    if not isinstance(model, LanguageModel):
        return {}
    return {
        **_units(model, reading, pieces, shown),
        **_gates(model, reading, shown),
        **_attention(model, reading, shown),
    }


def _units(model: LanguageModel, reading: CloseReading, pieces: Sequence[str], shown: int) -> dict[str, Any]:
    count = min(len(reading.ids), len(pieces), UNIT_TOKENS)
    units = hidden_units(model, reading.ids[:count], [start for start in reading.starts if start < count])
    if units is None:
        return {}
    return {"units": _following(units, pieces[:count], shown), "unit_tokens": count, "unit_count": len(units.names)}


def _following(units: Units, pieces: Sequence[str], shown: int) -> list[dict[str, Any]]:
    """The units that follow the text best, as shares of their largest size in percent."""
    found = []
    for one in followers(units, properties(pieces), UNITS):
        values_T = units.values_TU[:shown, one.unit]
        largest = float(np.abs(units.values_TU[:, one.unit]).max()) or 1.0
        found.append(
            {
                "name": f"{one.name}: {one.property}, r {one.r:.2f}",
                "largest": largest,
                "values": np.rint(100 * values_T / largest).astype(int).tolist(),
            }
        )
    return found


def _gates(model: LanguageModel, reading: CloseReading, shown: int) -> dict[str, Any]:
    """The mean of each layer's gates of a kind, in percent of the way from its lowest to its highest."""
    count = min(len(reading.ids), shown)
    layers = gates(model, reading.ids[:count], [start for start in reading.starts if start < count])
    found = []
    for number, layer in enumerate(layers, 1):
        for name, values_TU in layer.items():
            mean_T = values_TU.mean(axis=1, dtype=np.float64)
            low, high = float(mean_T.min()), float(mean_T.max())
            found.append(
                {
                    "name": f"layer {number}, {name} gates",
                    "low": low,
                    "high": high,
                    "values": np.rint(100 * (mean_T - low) / ((high - low) or 1.0)).astype(int).tolist(),
                }
            )
    return {"gates": found} if found else {}


def _attention(model: LanguageModel, reading: CloseReading, shown: int) -> dict[str, Any]:
    config = model.config
    ends = [start for start in reading.starts if start] or [len(reading.ids)]
    most = int((SHARES / (config.layers * config.heads)) ** 0.5)
    tokens = min(most, MOST_LOOKING, shown, ends[0], model.context or MOST_LOOKING)
    looks_LHTT = attention_shares(model, reading.ids[:tokens])
    if looks_LHTT is None:
        return {}
    shares = np.rint(255 * looks_LHTT).astype(np.uint8)
    layers, heads = shares.shape[:2]
    return {
        "attention": {
            "layers": layers,
            "heads": heads,
            "tokens": tokens,
            "shares": base64.b64encode(shares.tobytes()).decode(),
        }
    }
