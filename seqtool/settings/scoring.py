"""How text is scored."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """What a net looks back at besides its state."""

    cache: int = setting(
        0,
        "Look back at the last N hidden states, and at what followed them (a continuous cache; 0: do not).",
        panel=Panel.ADAPTING,
        low=0,
        high=1 << 20,
        metavar="N",
    )
    cache_weight: float = setting(
        0.2, "Share of the probability that --cache gives.", panel=Panel.ADAPTING, low=0.0, high=0.99
    )
    cache_flatness: float = setting(
        0.3,
        "--cache: multiply the products of states by this; 0 looks at all that are held alike.",
        panel=Panel.ADAPTING,
        low=0.0,
        high=1000.0,
    )


@dataclass(frozen=True, kw_only=True)
class EvalConfig(CacheConfig):
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
    adapt: bool = setting(
        False,
        "Score adapted as well: each segment is learned from once it is scored (dynamic evaluation).",
        panel=Panel.ADAPTING,
        flag="--adapt/--no-adapt",
    )
    adapt_rate: float = setting(2e-3, "Learning rate of --adapt.", panel=Panel.ADAPTING, low=0.0, high=1.0)
    adapt_every: int = setting(
        32,
        "Tokens of a segment; of a transformer it is what a window scores, --stride.",
        panel=Panel.ADAPTING,
        low=1,
        high=1 << 16,
    )
    adapt_decay: float = setting(
        0.02,
        "Share of the way back to the trained weights that each step of --adapt takes.",
        panel=Panel.ADAPTING,
        low=0.0,
        high=1.0,
    )

    @property
    def adapts(self) -> bool:
        """Whether figures are asked for that are called adapted."""
        return self.adapt or self.cache > 0
