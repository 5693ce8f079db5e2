"""How text is sampled from a model."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting
from seqtool.settings.vocabulary import MAX_VOCABULARY

MAX_BEAM_TOKENS = 4096  # of --beam --until-end: a beam shows nothing before it is done


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How text is sampled from a model."""

    max_tokens: int = setting(500, "Write at most N tokens.", panel=Panel.LENGTH, low=0, high=MAX_COUNT)
    min_tokens: int = setting(
        0,
        "Write at least N tokens: neither the model nor --stop ends a text before that.",
        panel=Panel.LENGTH,
        low=0,
        high=MAX_COUNT,
    )
    temperature: float = setting(
        0.8,
        "Divide logits by this: below 1 for likelier text, above 1 for more varied text.",
        panel=Panel.SAMPLING,
        low=0,
        high=1000,
    )
    top_k: int = setting(
        0, "Sample only from the K likeliest tokens (0: all).", panel=Panel.SAMPLING, low=0, high=MAX_COUNT, metavar="K"
    )
    top_p: float = setting(
        1.0,
        "Sample only from the likeliest tokens that together have this probability (nucleus).",
        panel=Panel.SAMPLING,
        low=0,
        high=1,
    )
    min_p: float = setting(
        0.0,
        "Sample only from tokens with at least this share of the likeliest one's probability.",
        panel=Panel.SAMPLING,
        low=0,
        high=1,
    )
    typical: float = setting(
        1.0,
        "Sample only from the most typical tokens, near the entropy, that together have this probability.",
        panel=Panel.SAMPLING,
        low=0,
        high=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "Divide the probability of tokens that have occurred by this (1: off).",
        panel=Panel.SAMPLING,
        low=0.001,
        high=1e9,
    )
    no_repeat_ngram: int = setting(
        0,
        "Never repeat N tokens in a row from the prompt or the text (0: off).",
        panel=Panel.SAMPLING,
        low=0,
        high=1 << 20,
        metavar="N",
    )
    allow_unk: bool = setting(
        False,
        "Allow <unk>, which stands for words that the vocabulary lacks.",
        panel=Panel.CONSTRAINTS,
        flag="--allow-unk",
    )
    greedy: bool = setting(False, "Always take the likeliest token.", panel=Panel.SAMPLING, flag="--greedy")
    beam: int = setting(
        0,
        "Search for the likeliest text, keeping the N best beginnings at each step (0: sample).",
        panel=Panel.SAMPLING,
        low=0,
        high=1024,
    )
    length_penalty: float = setting(
        1.0,
        "--beam: divide a text's log probability by its length to this power (0: prefer short texts).",
        panel=Panel.SAMPLING,
        low=0,
        high=10,
    )
    until_end: bool = setting(
        False,
        f"Write until the model ends the text, however long it gets (--beam: {MAX_BEAM_TOKENS:,} tokens at most).",
        panel=Panel.LENGTH,
        flag="--until-end",
    )
    constrain: str = setting(
        "", "Write only text that matches this regular expression as a whole.", panel=Panel.CONSTRAINTS, metavar="REGEX"
    )
    heal: bool = setting(
        True,
        "Let the first token begin inside the prompt, so that this may end inside a word or with a space.",
        panel=Panel.CONSTRAINTS,
        flag="--heal/--no-heal",
    )
    alternatives: int = setting(
        0,
        "--json: list the K likeliest tokens at each place, with their log probabilities.",
        panel=Panel.PROGRESS,
        low=0,
        high=MAX_VOCABULARY,
        metavar="K",
    )
    precision: str = setting(
        "fp32",
        "Number format of the weights: fewer bits are faster, for one to four texts at a time on a CPU.",
        panel=Panel.MACHINE,
        choices=("fp32", "bf16", "int8"),
    )
    seed: int = setting(
        0, "Seed of the sampling.", panel=Panel.SAMPLING, low=0, high=2**63 - 1, shown_default="random, and printed"
    )
    batch_size: int = setting(64, "Texts to write at once.", panel=Panel.MACHINE, low=1, high=1 << 20)
