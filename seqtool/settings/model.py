"""What is needed to build a model and to read its weights back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from seqtool.settings.architectures import ARCHITECTURES, DEFAULT, Architecture
from seqtool.settings.fields import Panel, setting
from seqtool.settings.layouts import LAYOUTS, OWN

ATTENTIONS = ("none", "bahdanau", "luong", "rotary")
ENCODERS = ("dense", "steps")
POOLINGS = ("last", "mean", "max", "attention")
ROPE_BASE = 10_000.0  # of Su et al. 2021
MAX_ORDER = 16  # of n-grams
MAX_PARAMETERS = 20_000_000_000  # a configuration beyond this is a mistake or an attack, not a model


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is needed to build a model and to read its weights back."""

    model: str = setting(DEFAULT, "Architecture of the model.", panel=Panel.MODEL, choices=tuple(ARCHITECTURES))
    layers: int = setting(
        1, "Number of stacked layers.", panel=Panel.MODEL, low=1, high=512, shown_default="by model and time"
    )
    hidden: int = setting(
        256, "Width of each layer.", panel=Panel.MODEL, low=1, high=65536, shown_default="by model and time"
    )
    embed: int = setting(
        0,
        "Width of the embedding, if not --hidden (0).",
        panel=Panel.MODEL,
        low=0,
        high=65536,
        shown_default="by model",
    )
    input: str = setting(
        "learned",
        "What represents a token: a learned embedding or a one-hot vector.",
        panel=Panel.MODEL,
        choices=("learned", "one-hot"),
    )
    activation: str = setting(
        "tanh",
        "Activation function of rnn and ffn.",
        panel=Panel.MODEL,
        choices=("tanh", "relu", "sigmoid"),
        shown_default="rnn tanh, ffn relu",
    )
    init: str = setting(
        "default",
        "Initial weights: torch's default, Xavier, orthogonal, or the identity with zero biases (for relu).",
        panel=Panel.MODEL,
        choices=("default", "xavier", "orthogonal", "identity"),
        shown_default="by model",
    )
    forget_bias: float = setting(
        0.0,
        "Initial bias of the LSTM's forget gate, such as 1 to remember longer at first (0: by --init).",
        panel=Panel.MODEL,
        low=-100,
        high=100,
    )
    context: int = setting(
        64,
        "Number of tokens that ffn, transformer and attention among --mixers see.",
        panel=Panel.MODEL,
        low=1,
        high=1 << 20,
        shown_default="by model",
    )
    heads: int = setting(
        4, "Heads of the transformer and of gdn; divides --hidden.", panel=Panel.MODEL, low=1, high=1024
    )
    kv_heads: int = setting(
        0,
        "Heads of the transformer's keys and values, each shared by as many heads of queries; divides --heads.",
        panel=Panel.MODEL,
        low=0,
        high=1024,
        shown_default="--heads's",
    )
    position: str = setting(
        "rope", "Position encoding of the transformer.", panel=Panel.MODEL, choices=("learned", "sinusoidal", "rope")
    )
    stem: int = setting(
        4,
        "Input of blocks: the sum of embeddings of the last N tokens, a table for each place (1: plain).",
        panel=Panel.MODEL,
        low=1,
        high=64,
        shown_default="4, or 2 for a large vocabulary",
    )
    norm: str = setting(
        "layer", "Normalisation in blocks: LayerNorm or RMSNorm.", panel=Panel.MODEL, choices=("layer", "rms")
    )
    feedforward: str = setting(
        "relu",
        "Activation of a block's feed-forward net.",
        panel=Panel.MODEL,
        choices=("relu", "gelu", "swiglu", "gelu-tanh"),
    )
    norm_epsilon: float = setting(
        0.0,
        "What a norm adds to the variance or mean square before its root.",
        panel=Panel.MODEL,
        low=0,
        high=1,
        shown_default="1e-5; of rms 1.2e-7",
    )
    rope_base: float = setting(
        ROPE_BASE, "Base of the angles by which --position rope turns.", panel=Panel.MODEL, low=1, high=1e12
    )
    biases: bool = setting(
        False, "Add a learned bias to each product of a block.", panel=Panel.MODEL, flag="--biases/--no-biases"
    )
    inner: int = setting(
        0,
        "Inner width of a block's feed-forward net.",
        panel=Panel.MODEL,
        low=0,
        high=1 << 20,
        shown_default="4 x --hidden; of swiglu 8/3, by 8s",
    )
    layout: str = setting(
        OWN,
        "Settings that make another program's model, which export can write exactly: llama is a transformer of --norm "
        "rms, --position rope, --feedforward swiglu, --stem 1, --no-output-bias, --softmax all, and an --inner by 32s.",
        panel=Panel.MODEL,
        choices=(OWN, *LAYOUTS),
    )
    mixers: str = setting(
        "",
        "Mixers of mingru's or gdn's layers in turn, as gdn,gdn,attention; attention is to the last --context tokens.",
        panel=Panel.MODEL,
        metavar="NAME,NAME,...",
        shown_default="the model's own",
    )
    signed: bool = setting(
        False,
        "Let a state be kept by negative factors too, so that it can count parity (gdn: beta up to 2, not 1).",
        panel=Panel.MODEL,
        flag="--signed/--unsigned",
        shown_default="by model",
    )
    convolution: int = setting(
        4, "Tokens that gdn's keys, values and queries are made of.", panel=Panel.MODEL, low=1, high=16
    )
    mirrors: int = setting(
        1,
        "Steps by which each token changes gdn's tables, with keys of their own: two can rotate a --signed state, so "
        "that one layer follows words of a group (learned with --convolution 1).",
        panel=Panel.MODEL,
        low=1,
        high=4,
    )
    tied: bool = setting(
        False,
        "Share the embedding's weights with the output layer, which saves parameters.",
        panel=Panel.MODEL,
        flag="--tied/--untied",
    )
    dropout: float = setting(
        0.0,
        "Dropout on embeddings, between layers and before the output; more of it against overfitting.",
        panel=Panel.REGULARISATION,
        low=0,
        below=1,
        shown_default="by the text",
    )
    dropout_input: float = setting(
        -1.0,
        "Dropout on embeddings only.",
        panel=Panel.REGULARISATION,
        low=-1,
        below=1,
        shown_default="--dropout's",
    )
    dropout_hidden: float = setting(
        -1.0,
        "Dropout between layers only.",
        panel=Panel.REGULARISATION,
        low=-1,
        below=1,
        shown_default="--dropout's",
    )
    dropout_output: float = setting(
        -1.0,
        "Dropout before the output only.",
        panel=Panel.REGULARISATION,
        low=-1,
        below=1,
        shown_default="--dropout's; transformer 0",
    )
    dropout_embedding: float = setting(
        0.0, "Drop whole symbols from the embedding (AWD-LSTM: 0.1).", panel=Panel.REGULARISATION, low=0, below=1
    )
    weight_dropout: float = setting(
        0.0,
        "Dropout on hidden-to-hidden weights (DropConnect; AWD-LSTM: 0.5).",
        panel=Panel.REGULARISATION,
        low=0,
        below=1,
    )
    variational: bool = setting(
        False,
        "Use one dropout mask for all tokens of a sequence, or a new one for each token.",
        panel=Panel.REGULARISATION,
        flag="--variational/--no-variational",
    )
    last_hidden: int = setting(
        0, "Width of the last recurrent layer.", panel=Panel.MODEL, low=0, high=65536, shown_default="--hidden's"
    )
    output_bias: bool = setting(
        True, "Add a learned bias to each symbol's logit.", panel=Panel.MODEL, flag="--output-bias/--no-output-bias"
    )

    bidirectional: bool = setting(
        False,
        "Read each example from its end as well; not for language models.",
        panel=Panel.EXAMPLES,
        flag="--bidirectional/--one-way",
        shown_default="by model and task",
    )
    pooling: str = setting(
        "mean",
        "What of a sequence's features an answer is told from: the last, their mean or maximum, or a learned mixture.",
        panel=Panel.EXAMPLES,
        choices=POOLINGS,
        shown_default="by model",
    )
    attention: str = setting(
        "luong",
        "How the source is looked at: not at all but for its last state, by additive (bahdanau) or multiplicative "
        "(luong) attention, or by the latter with keys and queries turned by their places (rotary); for translate. A "
        "transformer has luong or rotary, the others the first three.",
        panel=Panel.TRANSLATION,
        choices=ATTENTIONS,
        shown_default="luong; transformer rotary",
    )
    encoder: str = setting(
        "dense",
        "How numbers are read to write a text for them: as one vector, by dense layers, or column by column (steps).",
        panel=Panel.TRANSLATION,
        choices=ENCODERS,
    )
    ngrams: int = setting(
        2,
        "Tokens of the longest n-grams that have vectors of their own (1: none).",
        panel=Panel.EXAMPLES,
        low=1,
        high=16,
        shown_default="by the text",
    )
    wide_ngrams: int = setting(
        0,
        "Beside a net's features, vectors of n-grams of up to N tokens (0: none), for classes and numbers of texts.",
        panel=Panel.EXAMPLES,
        low=0,
        high=16,
        shown_default="0; by the text with --from a language model",
    )
    buckets: int = setting(
        1 << 17,
        "Vectors that n-grams share by hashing.",
        panel=Panel.EXAMPLES,
        low=1,
        high=1 << 26,
        shown_default="by the text",
    )

    order: int = setting(
        0,
        "Tokens of the longest n-grams that are counted (0: as many as lower the loss on the validation text).",
        panel=Panel.MODEL,
        low=0,
        high=MAX_ORDER,
        shown_default="by the validation text",
    )
    prune: str = setting(
        "",
        "Leave out n-grams that occur at most N times: a count for each order, the last for those beyond, as 0,0,1.",
        panel=Panel.MODEL,
        metavar="N,N,...",
    )

    @property
    def pruned(self) -> tuple[int, ...]:
        """The counts of --prune."""
        return tuple(map(int, self.prune.split(","))) if self.prune else ()

    @property
    def mixer_of_layers(self) -> tuple[str, ...]:
        """The mixer of each layer: those of --mixers in turn, or the model's own."""
        names = self.mixers.split(",") if self.mixers else [self.model]
        return tuple(names[layer % len(names)] for layer in range(self.layers))

    def told(self) -> dict[str, Any]:
        """The settings by name; of a model that is counted those that mean something to it."""
        kept = ("model", *self.architecture.settings) if self.architecture.counted else None
        return {name: value for name, value in dataclasses.asdict(self).items() if kept is None or name in kept}

    @property
    def architecture(self) -> Architecture:
        """What the chosen architecture can do and takes."""
        return ARCHITECTURES[self.model]

    @property
    def key_heads(self) -> int:
        """Heads of keys and values; those of queries unless set."""
        return self.kv_heads or self.heads

    @property
    def embed_width(self) -> int:
        """Width of the embedding; that of the hidden layers unless set."""
        return self.embed or self.hidden

    @property
    def feature_width(self) -> int:
        """Width of what the output layer reads; that of the hidden layers unless set."""
        return self.last_hidden or self.hidden

    def dropout_at(self, place: str) -> float:
        """The dropout on `input`, `hidden` or `output`: its own, or what --dropout says of all."""
        own: float = getattr(self, f"dropout_{place}")
        if own >= 0:
            return own
        return self.dropout if place != "output" or self.architecture.drops_output else 0.0


@dataclass(frozen=True)
class Symbols:
    """What a model knows of its vocabulary and of the text it learns from."""

    size: int
    begin_id: int
    seen: int
    """How many of the symbols occur in the training text."""
    tokens: int
    """Length of the training text."""
