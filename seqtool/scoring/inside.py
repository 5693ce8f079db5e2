"""Inside a net as it reads: hidden units and gates, what of a text they follow (Karpathy et al. 2015), attention.

Shapes: T tokens, U units, L layers, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from seqtool.models.language_model import LanguageModel
from seqtool.scoring.scorer import document_parts
from seqtool.text.encoding import Ids

PARTS = ("hidden", "cell")
TAB_STOP = 8
OPEN, CLOSE, BOTH = "“„«", "”»", '"'


class Units(NamedTuple):
    """Numbers that a recurrent net carries on, after it has read each token."""

    names: list[str]
    """U of them."""
    values_TU: npt.NDArray[np.float32]


class Follower(NamedTuple):
    """A unit that follows a property of the text."""

    unit: int
    name: str
    property: str
    r: float
    """The correlation on the second half of the text; the unit was chosen on the first."""


def hidden_units(model: LanguageModel, ids: Ids, starts: Sequence[int]) -> Units | None:
    """The units of a net that carries vectors on, over a text in which documents begin at `starts`; None of others.

    Tables, such as those of gdn, and what only remembers tokens are left out.
    """
    if not model.config.architecture.carries_state:
        return None
    rows: list[npt.NDArray[np.float32]] = []
    names: list[str] = []
    with torch.inference_mode():
        for _, text in document_parts(ids, list(starts)):
            _, state = model.features(torch.tensor([[model.begin_id]], device=model.device))
            for index in text.tolist():
                _, state = model.features(torch.tensor([[index]], device=model.device), state)
                parts = [
                    (f"layer {number}, {PARTS[place] if place < 2 else place}", part)
                    for number, layer in enumerate(state, 1)
                    for place, part in enumerate(layer)
                    if part.dim() == 2 and part.is_floating_point()
                ]
                if not parts:
                    return None
                names = names or [f"{name} {unit + 1}" for name, part in parts for unit in range(part.shape[1])]
                rows.append(torch.cat([part[0].float() for _, part in parts]).cpu().numpy())
    return Units(names, np.stack(rows)) if rows else None


def gates(model: LanguageModel, ids: Ids, starts: Sequence[int]) -> list[dict[str, npt.NDArray[np.float32]]]:
    """Of each layer its gates by name, (T, U), with which it read each token of a text; empty for nets without gates.

    Documents begin at `starts`.
    """
    parts: list[list[dict[str, npt.NDArray[np.float32]]]] = []
    with torch.inference_mode():
        for _, text in document_parts(ids, list(starts)):
            read = torch.tensor([[model.begin_id, *text.tolist()]], device=model.device)
            x, _ = model.inputs(read, None)
            layers = model.core.gate_values(x)
            parts.append([{name: one[0, 1:].float().cpu().numpy() for name, one in layer.items()} for layer in layers])
    return [
        {name: np.concatenate([part[place][name] for part in parts]) for name in layer}
        for place, layer in enumerate(parts[0] if parts else [])
    ]


def properties(pieces: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """After each piece of a text, (T,): whether a quotation is open, the place in the line, the line's indentation."""
    quoted, column, indent, blank = False, 0, 0, True
    found: list[tuple[float, float, float]] = []
    for piece in pieces:
        for letter in piece:
            if letter == "\n":
                quoted = quoted and column > 0  # an empty line ends what was never closed
                column, indent, blank = 0, 0, True
                continue
            column += 1
            blank = blank and letter in " \t"
            indent += (TAB_STOP if letter == "\t" else 1) if blank else 0
            quoted = not quoted if letter in BOTH else letter in OPEN or (quoted and letter not in CLOSE)
        found.append((float(quoted), float(column), float(indent)))
    told = np.array(found, np.float64).reshape(-1, 3)
    return dict(zip(("inside quotes", "place in the line", "indentation"), told.T, strict=True))


def followers(units: Units, text: dict[str, npt.NDArray[np.float64]], most: int) -> list[Follower]:
    """For each property the `most` units that follow it best on the first half of the text, judged on the second."""
    half = len(units.values_TU) // 2
    found = []
    for name, values_T in text.items():
        chosen_on = correlations(units.values_TU[:half], values_T[:half])
        judged_on = correlations(units.values_TU[half:], values_T[half:])
        best = np.argsort(-np.abs(chosen_on), kind="stable")[:most]
        found += [
            Follower(unit, units.names[unit], name, float(judged_on[unit])) for unit in best.tolist() if chosen_on[unit]
        ]
    return found


def correlations(values_TU: npt.NDArray[np.float32], with_T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pearson's r of each unit with a property, (U,); 0 where one of them never changes."""
    if not len(with_T):
        return np.zeros(values_TU.shape[1])
    units_TU = values_TU - values_TU.mean(axis=0, dtype=np.float64)
    given_T = with_T - with_T.mean()
    size_U = np.sqrt((units_TU**2).sum(axis=0) * (given_T**2).sum())
    r_U: npt.NDArray[np.float64] = np.where(size_U > 1e-9, given_T @ units_TU / np.maximum(size_U, 1e-9), 0.0)
    return r_U


def attention_shares(model: LanguageModel, ids: Ids) -> npt.NDArray[np.float32] | None:
    """Where a transformer looks when it predicts each of a document's first tokens, (L, H, T, T); None of other nets.

    Row t is of the place in which token t is predicted; column 0 is `<s>`, column s the token before place s.
    """
    read = [model.begin_id, *ids[:-1].tolist()]
    with torch.inference_mode():
        x, _ = model.inputs(torch.tensor([read], device=model.device), None)
        looks_LBHTT = model.core.looks(x)
    return None if looks_LBHTT is None else looks_LBHTT[:, 0].float().cpu().numpy()
