"""How text is scored."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How text is scored."""

    context: int = setting(
        0,
        "Number of tokens that a transformer sees.",
        panel=Panel.SCORING,
        low=0,
        high=MAX_COUNT,
        shown_default="the model's",
    )
    stride: int = setting(
        0,
        "Tokens that a transformer's window moves by; fewer give more context and take longer.",
        panel=Panel.SCORING,
        low=0,
        high=MAX_COUNT,
        shown_default="half the context",
    )
    batch_size: int = setting(
        256, "Lines, documents or windows to score at once.", panel=Panel.MACHINE, low=1, high=1 << 20
    )
    oov: str = setting(
        "include",
        "Score the unknown words of a `word` vocabulary, or only read them.",
        panel=Panel.SCORING,
        choices=("include", "exclude"),
    )
