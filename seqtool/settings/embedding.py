"""How vectors are learned from text."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import Panel, setting

EMBED_METHODS = ("skipgram", "cbow", "glove", "svd", "one-hot")
METHODS_WITHOUT_STEPS = ("svd", "one-hot")  # they learn at once: there is nothing to stop and resume
VECTOR_FORMATS = ("word2vec", "word2vec-binary", "glove", "npy", "projector")
LONGEST_NGRAM = 100  # characters


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """How vectors are learned from text."""

    method: str = setting(
        "skipgram", "How vectors are learned; one-hot is a baseline.", panel=Panel.METHOD, choices=EMBED_METHODS
    )
    dim: int = setting(
        100,
        "Dimensions of a vector.",
        panel=Panel.METHOD,
        low=1,
        high=1 << 16,
        shown_default="100; one-hot: one for each token",
    )
    window: int = setting(
        5, "Tokens on each side of a word that are its context.", panel=Panel.METHOD, low=1, high=1000
    )
    negative: int = setting(5, "skipgram, cbow: negative samples for each word.", panel=Panel.METHOD, low=1, high=1000)
    noise_power: float = setting(
        0.75,
        "Weight negative samples, and svd's contexts, by their count to this power.",
        panel=Panel.METHOD,
        low=0,
        high=1,
    )
    subsample: float = setting(
        1e-3,
        "skipgram, cbow: skip words at random that are a larger share of the text than this (0: none).",
        panel=Panel.METHOD,
        low=0,
        high=1,
    )
    epochs: float = setting(
        0.0,
        "Passes over the text; for glove over its co-occurrence counts.",
        panel=Panel.LENGTH,
        low=0,
        high=1e6,
        shown_default="5 to 40, by the text; glove 25",
    )
    time: float = setting(
        0.0,
        "Learn for about this long, such as 60s, 10m or 2h; the number of passes follows from the speed of the first.",
        panel=Panel.LENGTH,
        low=0,
        high=1e9,
        metavar="DURATION",
        shown_default="--epochs",
    )
    x_max: float = setting(
        0.0,
        "glove: counts from this on have full weight.",
        panel=Panel.METHOD,
        low=0,
        high=1e9,
        shown_default="by the text's length, 100 at most",
    )
    lr: float = setting(
        0.0,
        "Initial learning rate.",
        panel=Panel.METHOD,
        low=0,
        high=1e3,
        shown_default="skipgram 0.025, cbow and glove 0.05",
    )
    subword: bool = setting(
        False,
        "skipgram, cbow: make a word's vector of its character n-grams too, so that unseen words have one.",
        panel=Panel.NGRAMS,
        flag="--subword/--no-subword",
    )
    shortest_ngram: int = setting(
        3, "--subword: length of the shortest n-gram, in characters.", panel=Panel.NGRAMS, low=1, high=LONGEST_NGRAM
    )
    longest_ngram: int = setting(
        6, "--subword: length of the longest n-gram, in characters.", panel=Panel.NGRAMS, low=1, high=LONGEST_NGRAM
    )
    ngram_rows: int = setting(
        0,
        "--subword: number of vectors that the n-grams are hashed to.",
        panel=Panel.NGRAMS,
        low=0,
        high=1 << 24,
        shown_default="by the vocabulary",
    )
    checkpoint_every: float = setting(
        60.0, "Write a checkpoint for --resume every X seconds.", panel=Panel.CHECKPOINTS, low=1, high=1e9
    )
    seed: int = setting(0, "Seed of everything random.", panel=Panel.MACHINE, low=0, high=2**63 - 1)
    device: str = setting(
        "auto", "Device to compute on: auto, cpu, cuda, cuda:1 or mps.", panel=Panel.MACHINE, metavar="DEVICE"
    )


EMBED_USES = {
    "negative": ("skipgram", "cbow"),
    "subsample": ("skipgram", "cbow"),
    "subword": ("skipgram", "cbow"),
    "noise_power": ("skipgram", "cbow", "svd"),
    "x_max": ("glove",),
    "window": ("skipgram", "cbow", "glove", "svd"),
    "epochs": ("skipgram", "cbow", "glove"),
    "time": ("skipgram", "cbow", "glove"),
    "lr": ("skipgram", "cbow", "glove"),
    "checkpoint_every": ("skipgram", "cbow", "glove"),
    "device": ("skipgram", "cbow", "glove"),
}
"""The methods that a setting of EmbedConfig has an effect on, where these are not all."""
