"""How text is scored."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How text is scored."""

    context: int = setting(
        0, "Tokens a transformer sees at most.", panel=Panel.SCORING, low=0, high=MAX_COUNT, shown_default="the model's"
    )
    stride: int = setting(
        0,
        "Tokens a transformer's window moves on.",
        panel=Panel.SCORING,
        low=0,
        high=MAX_COUNT,
        shown_default="half the context",
    )
    batch_size: int = setting(
        256, "Lines, documents or windows scored at once, at most.", panel=Panel.MACHINE, low=1, high=1 << 20
    )
    oov: str = setting(
        "include",
        "Unknown words of a `word` vocabulary: scored, or only read.",
        panel=Panel.SCORING,
        choices=("include", "exclude"),
    )
