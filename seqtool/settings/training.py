"""How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting

OPTIMIZER_NAMES = (
    "sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop", "asgd", "nt-asgd", "adafactor", "muon"
)  # fmt: skip
SCHEDULE_NAMES = ("constant", "linear", "cosine", "inverse-sqrt", "wsd", "step", "plateau")
LENGTHS = ("steps", "epochs", "time")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

    # Mini-batches and back-propagation through time.
    batch_size: int = setting(
        32, "Sequences in a mini-batch.", panel=Panel.OPTIMIZER, low=1, high=1 << 20, shown_default="by model and text"
    )
    accumulate: int = setting(
        1,
        "Compute a mini-batch in so many parts, which takes less memory for the same result.",
        panel=Panel.OPTIMIZER,
        low=1,
        high=1 << 20,
    )
    bptt: int = setting(
        64,
        "Time steps that gradients flow back through; full: to the document's beginning (a transformer's is its "
        "--context).",
        panel=Panel.TRUNCATION,
        low=1,
        high=1 << 20,
        metavar="N|full",
        shown_default="by model and text",
    )
    bptt_advance: int = setting(
        0,
        "Tokens to go forward at each step, at most --bptt: truncation with k1 of these and k2 of those.",
        panel=Panel.TRUNCATION,
        low=0,
        high=1 << 20,
        shown_default="--bptt",
    )
    bptt_jitter: bool = setting(
        False,
        "Draw each batch's length around --bptt, its rate in proportion (AWD-LSTM).",
        panel=Panel.TRUNCATION,
        flag="--bptt-jitter",
    )
    stateful: bool = setting(
        True,
        "Carry the hidden state from batch to batch, or start each sequence afresh.",
        panel=Panel.TRUNCATION,
        flag="--stateful/--stateless",
    )
    within_documents: bool = setting(
        False,
        "Begin afresh at each document, or read on across their borders.",
        panel=Panel.TRUNCATION,
        flag="--within-documents/--across-documents",
        shown_default="within, where documents are long",
    )
    subword_sampling: float = setting(
        0.0,
        "Split words anew in each pass: for bpe the share of merges left out, for unigram the smoothing (0: never).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1,
    )

    # The update rule and its rate.
    optimizer: str = setting("adamw", "Update rule.", panel=Panel.OPTIMIZER, choices=OPTIMIZER_NAMES)
    lr: float = setting(
        0.0, "Peak learning rate.", panel=Panel.RATE, low=0, high=1e6, shown_default="by optimizer and model"
    )
    momentum: float = setting(
        0.0,
        "Momentum of sgd, rmsprop and muon.",
        panel=Panel.OPTIMIZER,
        low=0,
        below=1,
        shown_default="0.9 for sgd, 0.95 for muon",
    )
    nesterov: bool = setting(
        False, "Nesterov's momentum, for sgd.", panel=Panel.OPTIMIZER, flag="--nesterov/--no-nesterov"
    )
    beta1: float = setting(0.9, "Decay of the mean gradient: adam, adamw, muon.", panel=Panel.OPTIMIZER, low=0, below=1)
    beta2: float = setting(
        0.99,
        "Decay of the mean squared gradient: adam, adamw, adadelta, rmsprop, muon.",
        panel=Panel.OPTIMIZER,
        low=0,
        below=1,
    )
    weight_decay: float = setting(
        0.03,
        "Weight decay of matrices, not of embeddings, norms and biases (decoupled under adamw, adafactor, muon).",
        panel=Panel.OPTIMIZER,
        low=0,
        high=100,
        shown_default="by model for adamw and muon, else 0",
    )
    average_from: float = setting(
        0.5, "asgd: share of the training after which weights are averaged.", panel=Panel.OPTIMIZER, low=0, below=1
    )
    nonmonotone: int = setting(
        5,
        "nt-asgd: average once a validation is no better than the best before the last so many.",
        panel=Panel.OPTIMIZER,
        low=1,
        high=1000,
    )
    ema: float = setting(
        0.0,
        "Keep an exponential moving average of the weights with this decay, as 0.999 (0: none).",
        panel=Panel.OPTIMIZER,
        low=0,
        below=1,
    )
    schedule: str = setting(
        "cosine",
        "How the rate falls.",
        panel=Panel.RATE,
        choices=SCHEDULE_NAMES,
        shown_default="cosine; constant for asgd and nt-asgd",
    )
    warmup: float = setting(
        0.03, "Linear warm-up: steps, or under 1 a share of the whole.", panel=Panel.RATE, low=0, high=MAX_COUNT
    )
    final_lr: float = setting(0.0, "Last rate of the schedule as a share of --lr.", panel=Panel.RATE, low=0, high=1)
    decay: float = setting(
        0.2, "wsd: share of the training, at its end, in which the rate falls.", panel=Panel.RATE, low=0, high=1
    )
    decay_every: float = setting(
        0.25,
        "step: the rate falls every so many steps, or under 1 after each such share of the whole.",
        panel=Panel.RATE,
        low=0,
        high=MAX_COUNT,
    )
    decay_factor: float = setting(
        0.3, "step and plateau: what the rate is multiplied by.", panel=Panel.RATE, low=0, high=1
    )
    decay_patience: int = setting(
        1, "plateau: the rate falls after so many validations without a better one.", panel=Panel.RATE, low=1, high=1000
    )
    clip_norm: float = setting(
        1.0,
        "Rescale gradients whose norm is larger (0: never).",
        panel=Panel.TRUNCATION,
        low=0,
        high=1e9,
        shown_default="1",
    )
    clip_value: float = setting(
        0.0, "Clamp each component of the gradient to +-this (0: never).", panel=Panel.TRUNCATION, low=0, high=1e9
    )
    clip_agc: float = setting(
        0.0,
        "Rescale the gradient of a unit's weights to this share of their norm, as 0.01 (adaptive clipping; 0: never).",
        panel=Panel.TRUNCATION,
        low=0,
        high=1e9,
    )

    freeze: bool = setting(
        False, "Keep the embedding as --embeddings gives it.", panel=Panel.MODEL, flag="--freeze/--no-freeze"
    )

    softmax: str = setting(
        "seen",
        "Symbols whose probability is learned: those that the training text has, while the others share that of one "
        "more token; or all of the vocabulary.",
        panel=Panel.MODEL,
        choices=("seen", "all"),
    )

    # What the objective has beside the cross-entropy.
    label_smoothing: float = setting(
        0.0,
        "Share of the target's probability that is spread over all symbols.",
        panel=Panel.REGULARISATION,
        low=0,
        below=1,
    )
    z_loss: float = setting(
        0.0,
        "Weight of the squared log of the softmax's denominator, as 1e-4.",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e3,
    )
    ar: float = setting(
        0.0,
        "Weight of the squared activations that the output reads (AWD-LSTM: 2).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e6,
    )
    tar: float = setting(
        0.0,
        "Weight of their squared changes from token to token (AWD-LSTM: 1).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e6,
    )

    # How long, and what is kept.
    steps: int = setting(
        0, "Train for this many steps.", panel=Panel.LENGTH, low=0, high=MAX_COUNT, shown_default="by text"
    )
    epochs: float = setting(
        0.0, "Train for this many passes over the text.", panel=Panel.LENGTH, low=0, high=1e9, shown_default="--steps"
    )
    time: float = setting(
        0.0,
        "Train for about this long: 60s, 10m, 2h; soon after the beginning it becomes a number of steps.",
        panel=Panel.LENGTH,
        low=0,
        high=1e9,
        metavar="DURATION",
        shown_default="--steps",
    )
    early_stop: int = setting(
        0,
        "Stop after this many validations without a better one (0: never).",
        panel=Panel.LENGTH,
        low=0,
        high=MAX_COUNT,
        shown_default="4",
    )
    min_gain: float = setting(
        0.0, "A validation is better when it is so many nats per token lower.", panel=Panel.LENGTH, low=0, high=1e3
    )
    eval_every: int = setting(
        0,
        "Steps between validations.",
        panel=Panel.PROGRESS,
        low=0,
        high=MAX_COUNT,
        shown_default="ten in all; four where --time is under 20s",
    )
    checkpoint_every: int = setting(
        0,
        "Steps between checkpoints, from which --resume goes on.",
        panel=Panel.CHECKPOINTS,
        low=0,
        high=MAX_COUNT,
        shown_default="at each validation",
    )
    keep_checkpoints: int = setting(
        1,
        "Keep the last so many checkpoints, those before the last as checkpoint/step-N.safetensors.",
        panel=Panel.CHECKPOINTS,
        low=1,
        high=10_000,
    )
    probe_gradients: int = setting(
        0,
        "At each validation, record the gradient of a loss by the hidden state up to so many tokens before.",
        panel=Panel.PROGRESS,
        low=0,
        high=1 << 16,
        metavar="LAGS",
    )

    # The machine.
    seed: int = setting(0, "Fixes everything random.", panel=Panel.MACHINE, low=0, high=2**63 - 1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.", panel=Panel.MACHINE, metavar="DEVICE")
    precision: str = setting(
        "auto", "Arithmetic of the matrix products.", panel=Panel.MACHINE, choices=("auto", "fp32", "bf16", "fp16")
    )
    compile: str = setting(
        "auto",
        "Compile the training step; auto: in long trainings, if it is faster.",
        panel=Panel.MACHINE,
        choices=("auto", "on", "off"),
    )
    shard: bool = setting(
        False,
        "Under torchrun, split the weights of a transformer over the processes.",
        panel=Panel.MACHINE,
        flag="--shard/--no-shard",
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
FULL = 1 << 20
"""The --bptt that reaches to every document's beginning."""
