"""How text is sampled from a model."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting
from seqtool.settings.vocabulary import MAX_VOCABULARY

MAX_BEAM_TOKENS = 4096  # of --beam --until-end: a beam shows nothing before it is done


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How text is sampled from a model."""

    max_tokens: int = setting(500, "Tokens to write at most.", panel=Panel.LENGTH, low=0, high=MAX_COUNT)
    min_tokens: int = setting(
        0,
        "Tokens to write at least: neither the model nor --stop ends a text before them.",
        panel=Panel.LENGTH,
        low=0,
        high=MAX_COUNT,
    )
    temperature: float = setting(
        0.8, "Divide logits by this: under 1 is safer, over 1 wilder.", panel=Panel.SAMPLING, low=0, high=1000
    )
    top_k: int = setting(
        0, "Sample from the K likeliest tokens (0: all).", panel=Panel.SAMPLING, low=0, high=MAX_COUNT, metavar="K"
    )
    top_p: float = setting(
        1.0, "Sample from the likeliest tokens that hold this much probability.", panel=Panel.SAMPLING, low=0, high=1
    )
    min_p: float = setting(
        0.0,
        "Leave out tokens under this share of the likeliest one's probability.",
        panel=Panel.SAMPLING,
        low=0,
        high=1,
    )
    typical: float = setting(
        1.0,
        "Sample from the tokens nearest to the expected information that hold this much probability.",
        panel=Panel.SAMPLING,
        low=0,
        high=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "Divide the probability of tokens that are there already by this (1: do not).",
        panel=Panel.SAMPLING,
        low=0.001,
        high=1e9,
    )
    no_repeat_ngram: int = setting(
        0,
        "Never write N tokens in a row that are there already, in prompt or text (0: do).",
        panel=Panel.SAMPLING,
        low=0,
        high=1 << 20,
        metavar="N",
    )
    allow_unk: bool = setting(
        False,
        "Write <unk> too, which stands for what the vocabulary lacks.",
        panel=Panel.CONSTRAINTS,
        flag="--allow-unk",
    )
    greedy: bool = setting(False, "Always take the likeliest token.", panel=Panel.SAMPLING, flag="--greedy")
    beam: int = setting(
        0,
        "Search for the likeliest text, keeping this many beginnings of it (0: sample).",
        panel=Panel.SAMPLING,
        low=0,
        high=1024,
    )
    length_penalty: float = setting(
        1.0,
        "--beam: a text's log p is divided by its length to this power (0: short ones win).",
        panel=Panel.SAMPLING,
        low=0,
        high=10,
    )
    until_end: bool = setting(
        False,
        f"Write until the model ends the text, however long that takes (--beam: {MAX_BEAM_TOKENS:,} tokens at most).",
        panel=Panel.LENGTH,
        flag="--until-end",
    )
    constrain: str = setting(
        "", "Write only what matches this regular expression, as a whole.", panel=Panel.CONSTRAINTS, metavar="REGEX"
    )
    heal: bool = setting(
        True,
        "Let the first token begin inside the prompt, where a longer one begins with the prompt's last: it may end "
        "inside a word or with a space.",
        panel=Panel.CONSTRAINTS,
        flag="--heal/--no-heal",
    )
    alternatives: int = setting(
        0,
        "--json: at each place the K likeliest tokens, with log p.",
        panel=Panel.PROGRESS,
        low=0,
        high=MAX_VOCABULARY,
        metavar="K",
    )
    precision: str = setting(
        "fp32",
        "What weights are kept in: fewer bits are read faster, for one to four texts at a time on a CPU.",
        panel=Panel.MACHINE,
        choices=("fp32", "bf16", "int8"),
    )
    seed: int = setting(
        0, "Fixes the sampling.", panel=Panel.SAMPLING, low=0, high=2**63 - 1, shown_default="random, and printed"
    )
    batch_size: int = setting(64, "Samples made at once.", panel=Panel.MACHINE, low=1, high=1 << 20)
