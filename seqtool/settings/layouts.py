"""Layouts that other programs know, each as the settings that make it.

A layout is no architecture of its own: whoever gives all of its settings one by one has the same model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqtool.errors import UsageError

OWN = "own"


@dataclass(frozen=True)
class Layout:
    """What a layout fixes."""

    model: str
    """The architecture."""
    settings: Mapping[str, Any]
    """Settings of ModelConfig and TrainConfig, which are the layout."""
    inner_multiple: int
    """What the inner width of the feed-forward nets is a multiple of, so that their rows fall into whole blocks where
    another program stores them in few bits.
    """


LAYOUTS = {
    "llama": Layout(
        model="transformer",
        settings={
            "norm": "rms",
            "position": "rope",
            "feedforward": "swiglu",
            "stem": 1,
            "output_bias": False,
            "softmax": "all",
        },
        inner_multiple=32,
    ),
}


def with_layout(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, with the settings of the layout that is among it.

    UsageError, naming them, when others of these were asked as well.
    """
    if problems := other_than_layout(asked):
        raise UsageError("; ".join(problems))
    layout = LAYOUTS.get(asked.get("layout", OWN))
    return dict(asked) if layout is None else {**asked, "model": layout.model, **layout.settings}


def other_than_layout(settings: Mapping[str, Any]) -> list[str]:
    """What of some settings the layout among them is not, a phrase in the user's words; none without a layout."""
    name = settings.get("layout", OWN)
    layout = LAYOUTS.get(name)
    if layout is None:
        return []
    fixed = {"model": layout.model, **layout.settings}
    if other := [setting for setting, value in fixed.items() if settings.get(setting, value) != value]:
        has = " and ".join(flag_for(setting, fixed[setting]) for setting in other)
        asked = " and ".join(flag_for(setting, settings[setting]) for setting in other)
        return [f"--layout {name} has {has}, not {asked}: leave that or --layout out"]
    return []


def flag_for(name: str, value: Any) -> str:
    """A setting as the command line has it."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {value}"


def inner_width(layout: str, width: int) -> int:
    """The least inner width from `width` on that a layout takes; 0, the architecture's own, where that is no matter."""
    multiple = LAYOUTS[layout].inner_multiple if layout in LAYOUTS else 0
    return -(-width // multiple) * multiple if multiple else 0
