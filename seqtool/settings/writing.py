"""How a run that learned to translate writes its texts."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting


@dataclass(frozen=True, kw_only=True)
class WritingConfig:
    """How texts are written for what is read: the likeliest tokens one by one, by a search, or drawn."""

    beam: int = setting(
        1,
        "Search for the likeliest text, keeping the N best beginnings at each step (1: greedily).",
        panel=Panel.TRANSLATION,
        low=1,
        high=1024,
    )
    length_penalty: float = setting(
        1.0,
        "--beam: divide a text's log probability by its length to this power (0: prefer short texts).",
        panel=Panel.TRANSLATION,
        low=0,
        high=10,
    )
    max_tokens: int = setting(
        0,
        "Write at most N tokens.",
        panel=Panel.TRANSLATION,
        low=0,
        high=MAX_COUNT,
        shown_default="half as many again as in training",
    )
    temperature: float = setting(
        0.0,
        "Draw texts at random, logits divided by this (0: do not).",
        panel=Panel.TRANSLATION,
        low=0,
        high=1000,
    )
    top_k: int = setting(
        0,
        "Draw only from the K likeliest tokens (0: all).",
        panel=Panel.TRANSLATION,
        low=0,
        high=MAX_COUNT,
        metavar="K",
    )
    top_p: float = setting(
        1.0,
        "Draw only from the likeliest tokens that together have this probability (nucleus).",
        panel=Panel.TRANSLATION,
        low=0,
        high=1,
    )
    min_p: float = setting(
        0.0,
        "Draw only from tokens with at least this share of the likeliest one's probability.",
        panel=Panel.TRANSLATION,
        low=0,
        high=1,
    )
    constrain: str = setting(
        "",
        "Write only text that matches this regular expression as a whole.",
        panel=Panel.TRANSLATION,
        metavar="REGEX",
    )
    copy_unknown: bool = setting(
        False,
        "Replace an unknown word by that of the source which was looked at most; for --target-type word.",
        panel=Panel.TRANSLATION,
        flag="--copy-unknown",
    )
    allow_unk: bool = setting(
        False,
        "Allow <unk>, which stands for words that the vocabulary lacks.",
        panel=Panel.TRANSLATION,
        flag="--allow-unk",
    )
    seed: int = setting(0, "Seed of what is drawn.", panel=Panel.TRANSLATION, low=0, high=2**63 - 1)

    @property
    def draws(self) -> bool:
        """Whether texts are drawn at random."""
        return self.temperature > 0 or self.top_k > 0 or self.top_p < 1 or self.min_p > 0
