"""Every setting: its name, default, choices and limits. Flags, TOML files and help text take them from here.

Frozen dataclasses of plain values; nothing here imports torch. What suits a text is chosen in
seqtool.defaults, what goes together is checked in seqtool.checking.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

RECURRENT = ("rnn", "gru", "lstm")
MODELS = (*RECURRENT, "ffn", "transformer")
VOCABULARY_TYPES = ("bpe", "unigram", "char", "byte", "word")
DOCUMENT_BREAKS = ("file", "blank-line", "line")
DOCUMENT_AT = "at:"  # before a text that separates documents
SHOWN_DOCUMENT_BREAKS = (*DOCUMENT_BREAKS, f"{DOCUMENT_AT}TEXT")
NORMALIZATIONS = ("none", "nfkc")
OPTIMIZER_NAMES = (
    "sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop", "asgd", "nt-asgd", "adafactor", "muon"
)  # fmt: skip
SCHEDULE_NAMES = ("constant", "linear", "cosine", "inverse-sqrt", "wsd", "step", "plateau")
LENGTHS = ("steps", "epochs", "time")
ERROR_HANDLERS = ("strict", "replace")
EMBED_METHODS = ("skipgram", "cbow", "glove", "svd", "one-hot")
VECTOR_FORMATS = ("word2vec", "word2vec-binary", "glove", "npy", "projector")

MAX_VOCABULARY = 10_000_000
MAX_SYMBOLS = 1000  # that a vocabulary keeps whole
LONGEST_SYMBOL = 100  # characters
LONGEST_NGRAM = 100  # characters
MAX_COUNT = 1_000_000_000  # of steps, validations, tokens: what nobody waits for
MAX_PARAMETERS = 20_000_000_000  # a configuration beyond this is a mistake or an attack, not a model


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    flag: str = "",
    metavar: str = "",
    shown_default: str = "",
) -> Any:
    """A dataclass field that knows its help text, choices, and closed range `low..high` (or open end `below`)."""
    return field(
        default=default,
        metadata={
            "help": help,
            "choices": tuple(choices),
            "low": low,
            "high": high,
            "below": below,
            "flag": flag,
            "metavar": metavar,
            "shown_default": shown_default,
        },
    )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is needed to build a model and to read its weights back."""

    model: str = setting("lstm", "Architecture.", choices=MODELS)
    layers: int = setting(1, "Stacked layers.", low=1, high=512, shown_default="by model and time")
    hidden: int = setting(256, "Width of a layer.", low=1, high=65536, shown_default="by model and time")
    embed: int = setting(0, "Width of the embedding (0: --hidden's).", low=0, high=65536, shown_default="by model")
    input: str = setting(
        "learned", "First representation of a token: a learned embedding, or one-hot.", choices=("learned", "one-hot")
    )
    activation: str = setting(
        "tanh", "Activation of rnn and ffn.", choices=("tanh", "relu", "sigmoid"), shown_default="rnn tanh, ffn relu"
    )
    init: str = setting(
        "default",
        "Initial weights: torch's default, Xavier, orthogonal, or the identity with zero biases.",
        choices=("default", "xavier", "orthogonal", "identity"),
        shown_default="by model",
    )
    forget_bias: float = setting(
        0.0, "Initial bias of the LSTM's forget gate (0: as --init leaves it).", low=-100, high=100
    )
    context: int = setting(64, "Tokens that ffn and transformer see.", low=1, high=1 << 20, shown_default="by model")
    heads: int = setting(4, "Attention heads of the transformer.", low=1, high=1024)
    position: str = setting("rope", "How the transformer knows positions.", choices=("learned", "sinusoidal", "rope"))
    stem: int = setting(
        4,
        "A transformer's input is the sum of embeddings of the last so many tokens, a table for each place (1: plain).",
        low=1,
        high=64,
        shown_default="4, or 2 for a large vocabulary",
    )
    norm: str = setting("layer", "Normalisation in the transformer.", choices=("layer", "rms"))
    feedforward: str = setting("relu", "Feed-forward block of the transformer.", choices=("relu", "gelu", "swiglu"))
    tied: bool = setting(False, "Share the embedding with the output layer.", flag="--tied/--untied")
    dropout: float = setting(
        0.0, "Dropout on embeddings, between layers and before the output.", low=0, below=1, shown_default="by the text"
    )
    dropout_input: float = setting(
        -1.0, "Of that, the one on embeddings.", low=-1, below=1, shown_default="--dropout's"
    )
    dropout_hidden: float = setting(
        -1.0, "Of that, the one between layers.", low=-1, below=1, shown_default="--dropout's"
    )
    dropout_output: float = setting(
        -1.0, "Of that, the one before the output.", low=-1, below=1, shown_default="--dropout's; transformer 0"
    )
    dropout_embedding: float = setting(0.0, "Leave out whole symbols of the embedding.", low=0, below=1)
    weight_dropout: float = setting(0.0, "Dropout on the weights from hidden state to hidden state.", low=0, below=1)
    variational: bool = setting(
        False,
        "One dropout mask for all tokens of a sequence, or a new one for each.",
        flag="--variational/--no-variational",
    )
    last_hidden: int = setting(0, "Width of the last recurrent layer.", low=0, high=65536, shown_default="--hidden's")

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
        return 0.0 if place == "output" and self.model == "transformer" else self.dropout


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

    # Mini-batches and back-propagation through time.
    batch_size: int = setting(32, "Sequences in a mini-batch.", low=1, high=1 << 20, shown_default="by model and text")
    accumulate: int = setting(
        1, "Compute a mini-batch in so many parts, which takes less memory for the same result.", low=1, high=1 << 20
    )
    bptt: int = setting(
        64,
        "Time steps that gradients flow back through; full: to the document's beginning (a transformer's is its "
        "--context).",
        low=1,
        high=1 << 20,
        metavar="N|full",
        shown_default="by model and text",
    )
    bptt_advance: int = setting(
        0,
        "Tokens to go forward at each step, at most --bptt: truncation with k1 of these and k2 of those.",
        low=0,
        high=1 << 20,
        shown_default="--bptt",
    )
    bptt_jitter: bool = setting(
        False, "Draw each batch's length around --bptt, its rate in proportion (AWD-LSTM).", flag="--bptt-jitter"
    )
    stateful: bool = setting(
        True,
        "Carry the hidden state from batch to batch, or start each sequence afresh.",
        flag="--stateful/--stateless",
    )
    within_documents: bool = setting(
        False,
        "Begin afresh at each document, or read on across their borders.",
        flag="--within-documents/--across-documents",
        shown_default="within, where documents are long",
    )
    subword_sampling: float = setting(
        0.0,
        "Split words anew in each pass: for bpe the share of merges left out, for unigram the smoothing (0: never).",
        low=0,
        high=1,
    )

    # The update rule and its rate.
    optimizer: str = setting("adamw", "Update rule.", choices=OPTIMIZER_NAMES)
    lr: float = setting(0.0, "Peak learning rate.", low=0, high=1e6, shown_default="by optimizer and model")
    momentum: float = setting(
        0.0, "Momentum of sgd, rmsprop and muon.", low=0, below=1, shown_default="0.9 for sgd, 0.95 for muon"
    )
    nesterov: bool = setting(False, "Nesterov's momentum, for sgd.", flag="--nesterov/--no-nesterov")
    beta1: float = setting(0.9, "Decay of the mean gradient: adam, adamw, muon.", low=0, below=1)
    beta2: float = setting(
        0.99, "Decay of the mean squared gradient: adam, adamw, adadelta, rmsprop, muon.", low=0, below=1
    )
    weight_decay: float = setting(
        0.03,
        "Weight decay of matrices, not of embeddings, norms and biases (decoupled under adamw, adafactor, muon).",
        low=0,
        high=100,
        shown_default="by model for adamw and muon, else 0",
    )
    average_from: float = setting(0.5, "asgd: share of the training after which weights are averaged.", low=0, below=1)
    nonmonotone: int = setting(
        5, "nt-asgd: average once a validation is no better than the best before the last so many.", low=1, high=1000
    )
    ema: float = setting(
        0.0, "Keep an exponential moving average of the weights with this decay, as 0.999 (0: none).", low=0, below=1
    )
    schedule: str = setting(
        "cosine",
        "How the rate falls.",
        choices=SCHEDULE_NAMES,
        shown_default="cosine; constant for asgd and nt-asgd",
    )
    warmup: float = setting(0.03, "Linear warm-up: steps, or under 1 a share of the whole.", low=0, high=MAX_COUNT)
    final_lr: float = setting(0.0, "Last rate of the schedule as a share of --lr.", low=0, high=1)
    decay: float = setting(0.2, "wsd: share of the training, at its end, in which the rate falls.", low=0, high=1)
    decay_every: float = setting(
        0.25,
        "step: the rate falls every so many steps, or under 1 after each such share of the whole.",
        low=0,
        high=MAX_COUNT,
    )
    decay_factor: float = setting(0.3, "step and plateau: what the rate is multiplied by.", low=0, high=1)
    decay_patience: int = setting(
        1, "plateau: the rate falls after so many validations without a better one.", low=1, high=1000
    )
    clip_norm: float = setting(
        1.0, "Rescale gradients whose norm is larger (0: never).", low=0, high=1e9, shown_default="1"
    )
    clip_value: float = setting(0.0, "Clamp each component of the gradient to +-this (0: never).", low=0, high=1e9)
    clip_agc: float = setting(
        0.0,
        "Rescale the gradient of a unit's weights to this share of their norm, as 0.01 (adaptive clipping; 0: never).",
        low=0,
        high=1e9,
    )

    freeze: bool = setting(False, "Keep the embedding as --embeddings gives it.", flag="--freeze/--no-freeze")

    # What the objective has beside the cross-entropy.
    label_smoothing: float = setting(
        0.0, "Share of the target's probability that is spread over all symbols.", low=0, below=1
    )
    z_loss: float = setting(0.0, "Weight of the squared log of the softmax's denominator, as 1e-4.", low=0, high=1e3)
    ar: float = setting(0.0, "Weight of the squared activations that the output reads (AWD-LSTM: 2).", low=0, high=1e6)
    tar: float = setting(0.0, "Weight of their squared changes from token to token (AWD-LSTM: 1).", low=0, high=1e6)

    # How long, and what is kept.
    steps: int = setting(0, "Train for this many steps.", low=0, high=MAX_COUNT, shown_default="by text")
    epochs: float = setting(0.0, "Train for this many passes over the text.", low=0, high=1e9)
    time: float = setting(
        0.0,
        "Train for about this long: 60s, 10m, 2h; soon after the beginning it becomes a number of steps.",
        low=0,
        high=1e9,
        metavar="DURATION",
    )
    early_stop: int = setting(
        0, "Stop after this many validations without a better one (0: never).", low=0, high=MAX_COUNT, shown_default="4"
    )
    min_gain: float = setting(0.0, "A validation is better when it is so many nats per token lower.", low=0, high=1e3)
    eval_every: int = setting(
        0,
        "Steps between validations.",
        low=0,
        high=MAX_COUNT,
        shown_default="ten in all; four where --time is under 20s",
    )
    checkpoint_every: int = setting(
        0,
        "Steps between checkpoints, from which --resume goes on.",
        low=0,
        high=MAX_COUNT,
        shown_default="at each validation",
    )
    keep_checkpoints: int = setting(
        1,
        "Keep the last so many checkpoints, those before the last as checkpoint/step-N.safetensors.",
        low=1,
        high=10_000,
    )
    probe_gradients: int = setting(
        0,
        "At each validation, record the gradient of a loss by the hidden state up to so many tokens before.",
        low=0,
        high=1 << 16,
        metavar="LAGS",
    )

    # The machine.
    seed: int = setting(0, "Fixes everything random.", low=0, high=2**63 - 1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: str = setting("auto", "Arithmetic of the matrix products.", choices=("auto", "fp32", "bf16", "fp16"))
    compile: str = setting(
        "auto", "Compile the training step; auto: in long trainings, if it is faster.", choices=("auto", "on", "off")
    )
    shard: bool = setting(
        False, "Under torchrun, split the weights of a transformer over the processes.", flag="--shard/--no-shard"
    )


MAY_CHANGE = (
    "steps",
    "epochs",
    "time",
    "early_stop",
    "min_gain",
    "eval_every",
    "checkpoint_every",
    "keep_checkpoints",
    "probe_gradients",
    "device",
)
"""The training settings that --resume takes: they do not change what a step does."""

RATE_SETTINGS = (
    "lr", "schedule", "warmup", "final_lr", "decay", "decay_every", "decay_factor", "decay_patience"
)  # fmt: skip
"""The training settings that --resume takes from a flag, and from nothing else: the steps to come have other rates."""

DECIDED_BY_MACHINE = ("device", "precision", "compile")
"""The training settings whose `auto` becomes something else when a run begins."""


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """How a vocabulary is learned."""

    type: str = setting("bpe", "Kind of vocabulary.", choices=VOCABULARY_TYPES)
    size: int = setting(0, "Number of entries.", low=0, high=MAX_VOCABULARY, shown_default="by the text")
    normalize: str = setting("none", "Unicode normalisation.", choices=NORMALIZATIONS)
    lowercase: bool = setting(False, "Fold to lower case.", flag="--lowercase/--keep-case")
    min_count: int = setting(
        0,
        "word: what is rarer is <unk>.",
        low=0,
        high=MAX_COUNT,
        shown_default="2, so that <unk> is learned; 1 where it is anyway",
    )
    symbols: str = setting(
        "", "Symbols that are kept whole wherever they stand, commas between them.", metavar="SYMBOL,..."
    )
    split_digits: bool = setting(False, "bpe, unigram: each digit stands for itself.", flag="--split-digits")

    @property
    def symbol_list(self) -> list[str]:
        """The symbols that are kept whole."""
        return self.symbols.split(",") if self.symbols else []


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How text is sampled from a model."""

    max_tokens: int = setting(500, "Tokens to write at most.", low=0, high=MAX_COUNT)
    min_tokens: int = setting(
        0, "Tokens to write at least: neither the model nor --stop ends a text before them.", low=0, high=MAX_COUNT
    )
    temperature: float = setting(0.8, "Divide logits by this: under 1 is safer, over 1 wilder.", low=0, high=1000)
    top_k: int = setting(0, "Sample from the K likeliest tokens (0: all).", low=0, high=MAX_COUNT)
    top_p: float = setting(1.0, "Sample from the likeliest tokens that hold this much probability.", low=0, high=1)
    min_p: float = setting(0.0, "Leave out tokens under this share of the likeliest one's probability.", low=0, high=1)
    typical: float = setting(
        1.0,
        "Sample from the tokens nearest to the expected information that hold this much probability.",
        low=0,
        high=1,
    )
    repetition_penalty: float = setting(
        1.0, "Divide the probability of tokens that are there already by this (1: do not).", low=0.001, high=1e9
    )
    no_repeat_ngram: int = setting(
        0,
        "Never write N tokens in a row that are there already, in prompt or text (0: do).",
        low=0,
        high=1 << 20,
        metavar="N",
    )
    allow_unk: bool = setting(False, "Write <unk> too, which stands for what the vocabulary lacks.", flag="--allow-unk")
    greedy: bool = setting(False, "Always take the likeliest token.", flag="--greedy")
    beam: int = setting(
        0, "Search for the likeliest text, keeping this many beginnings of it (0: sample).", low=0, high=1024
    )
    length_penalty: float = setting(
        1.0, "--beam: a text's log p is divided by its length to this power (0: short ones win).", low=0, high=10
    )
    until_end: bool = setting(
        False,
        "Write until the model ends the text, however long that takes (--beam: 4,096 tokens at most).",
        flag="--until-end",
    )
    constrain: str = setting("", "Write only what matches this regular expression, as a whole.", metavar="REGEX")
    heal: bool = setting(
        True,
        "Let the first token begin inside the prompt, where a longer one begins with the prompt's last: it may end "
        "inside a word or with a space.",
        flag="--heal/--no-heal",
    )
    alternatives: int = setting(
        0, "--json: at each place the K likeliest tokens, with log p.", low=0, high=MAX_VOCABULARY, metavar="K"
    )
    precision: str = setting(
        "fp32",
        "What weights are kept in: fewer bits are read faster, for one to four texts at a time on a CPU.",
        choices=("fp32", "bf16", "int8"),
    )
    seed: int = setting(0, "Fixes the sampling.", low=0, high=2**63 - 1, shown_default="random, and printed")
    batch_size: int = setting(64, "Samples made at once.", low=1, high=1 << 20)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How text is scored."""

    context: int = setting(0, "Tokens a transformer sees at most.", low=0, high=MAX_COUNT, shown_default="the model's")
    stride: int = setting(
        0, "Tokens a transformer's window moves on.", low=0, high=MAX_COUNT, shown_default="half the context"
    )
    batch_size: int = setting(256, "Lines, documents or windows scored at once, at most.", low=1, high=1 << 20)
    oov: str = setting(
        "include", "Unknown words of a `word` vocabulary: scored, or only read.", choices=("include", "exclude")
    )


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """How vectors are learned from text."""

    method: str = setting("skipgram", "How vectors are learned.", choices=EMBED_METHODS)
    dim: int = setting(
        100, "Numbers in a vector.", low=1, high=1 << 16, shown_default="100; one-hot: one for each token"
    )
    window: int = setting(5, "Tokens on each side that count as near.", low=1, high=1000)
    negative: int = setting(5, "skipgram, cbow: noise words for each word.", low=1, high=1000)
    noise_power: float = setting(
        0.75, "Noise words, and svd's contexts, are weighted by their count to this power.", low=0, high=1
    )
    subsample: float = setting(
        1e-3, "skipgram, cbow: leave out words that are more frequent than this share, by lot (0: none).", low=0, high=1
    )
    epochs: float = setting(
        0.0,
        "Passes over the text; of glove over its counts.",
        low=0,
        high=1e6,
        shown_default="5 to 40, by the text; glove 25",
    )
    time: float = setting(
        0.0,
        "Learn for about this long: 60s, 10m, 2h; soon after the beginning it becomes a number of passes.",
        low=0,
        high=1e9,
        metavar="DURATION",
        shown_default="--epochs",
    )
    x_max: float = setting(
        0.0,
        "glove: counts from here on have full weight.",
        low=0,
        high=1e9,
        shown_default="by the text's length, 100 at most",
    )
    lr: float = setting(
        0.0, "Learning rate at the beginning.", low=0, high=1e3, shown_default="skipgram 0.025, cbow and glove 0.05"
    )
    subword: bool = setting(
        False,
        "skipgram, cbow: a word is the mean of its character n-grams and itself, so that unseen words have a vector.",
        flag="--subword/--no-subword",
    )
    shortest_ngram: int = setting(3, "--subword: characters of the shortest n-gram.", low=1, high=LONGEST_NGRAM)
    longest_ngram: int = setting(6, "--subword: characters of the longest n-gram.", low=1, high=LONGEST_NGRAM)
    ngram_rows: int = setting(
        0, "--subword: vectors that the n-grams share.", low=0, high=1 << 24, shown_default="by the vocabulary"
    )
    checkpoint_every: float = setting(
        60.0, "Seconds between checkpoints, from which --resume goes on.", low=1, high=1e9
    )
    seed: int = setting(0, "Fixes everything random.", low=0, high=2**63 - 1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")


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


@dataclass(frozen=True)
class Symbols:
    """What a model knows of its vocabulary and of the text it learns from."""

    size: int
    begin_id: int
    seen: int
    """How many of the symbols occur in the training text."""
    tokens: int
    """Length of the training text."""


def is_document_break(value: object) -> bool:
    """Whether a value says what separates documents: one of DOCUMENT_BREAKS, or `at:` and a text."""
    if not isinstance(value, str) or not value.startswith(DOCUMENT_AT):
        return value in DOCUMENT_BREAKS
    return value != DOCUMENT_AT and value.encode(errors="ignore").decode() == value


def flag_of(item: dataclasses.Field[Any]) -> str:
    """The command-line flag of a setting, `--batch-size` for `batch_size`."""
    return str(item.metadata["flag"] or "--" + item.name.replace("_", "-"))


FULL = 1 << 20
"""The --bptt that reaches to every document's beginning."""
