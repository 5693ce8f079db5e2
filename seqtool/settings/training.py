"""How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.architectures import ARCHITECTURES, having, nets
from seqtool.settings.examples import CLASS_WEIGHTS, LANGUAGE
from seqtool.settings.fields import MAX_COUNT, Panel, setting

OPTIMIZER_NAMES = (
    "sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop", "asgd", "nt-asgd", "adafactor", "muon"
)  # fmt: skip
SCHEDULE_NAMES = ("constant", "linear", "cosine", "inverse-sqrt", "wsd", "step", "plateau")
LENGTHS = ("steps", "epochs", "time")
FREEZABLE = ("embedding", "core")
_BF16_WIDTHS = {name: ARCHITECTURES[name].bf16_from_width for name in nets(LANGUAGE)}
_LEAST_BF16 = min(_BF16_WIDTHS.values())
_WIDER_BF16 = ", ".join(f"{name} {width}" for name, width in _BF16_WIDTHS.items() if width > _LEAST_BF16)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

    # Mini-batches and back-propagation through time.
    batch_size: int = setting(
        32,
        "Sequences in a mini-batch, those of all processes together.",
        panel=Panel.OPTIMIZER,
        low=1,
        high=1 << 20,
        shown_default="by model and text",
    )
    batch_tokens: int = setting(
        0,
        "translate: fill a mini-batch with examples of like lengths, up to N tokens of the longer side (0: no).",
        panel=Panel.TRANSLATION,
        low=0,
        high=1 << 26,
        shown_default="by model",
    )
    accumulate: int = setting(
        1,
        "Compute a mini-batch in N parts and add their gradients: less memory for the same result.",
        panel=Panel.OPTIMIZER,
        low=1,
        high=1 << 20,
    )
    bptt: int = setting(
        64,
        "Time steps that gradients flow back through; full: to the document's beginning (transformer: --context).",
        panel=Panel.TRUNCATION,
        low=1,
        high=1 << 20,
        metavar="N|full",
        shown_default="by model and text",
    )
    bptt_advance: int = setting(
        0,
        "Tokens to advance at each step, at most --bptt: truncated BPTT(k1, k2) with this as k1 and --bptt as k2.",
        panel=Panel.TRUNCATION,
        low=0,
        high=1 << 20,
        shown_default="--bptt",
    )
    bptt_jitter: bool = setting(
        False,
        "Draw each batch's length at random around --bptt, and scale its learning rate with it (AWD-LSTM).",
        panel=Panel.TRUNCATION,
        flag="--bptt-jitter",
    )
    stateful: bool = setting(
        True,
        "Carry the hidden state over from batch to batch, or begin every sequence with a zero state.",
        panel=Panel.TRUNCATION,
        flag="--stateful/--stateless",
    )
    within_documents: bool = setting(
        False,
        "Begin afresh at each document, or read on across the borders of documents.",
        panel=Panel.TRUNCATION,
        flag="--within-documents/--across-documents",
        shown_default="within, where documents are long",
    )
    subword_sampling: float = setting(
        0.0,
        "Split words at random in each pass: for bpe the rate of merge dropout, for unigram the smoothing (0: off).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1,
    )

    # The update rule and its rate.
    optimizer: str = setting("adamw", "Optimizer of the weights.", panel=Panel.OPTIMIZER, choices=OPTIMIZER_NAMES)
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
        False, "Use Nesterov momentum, for sgd.", panel=Panel.OPTIMIZER, flag="--nesterov/--no-nesterov"
    )
    beta1: float = setting(
        0.9, "Decay of the running mean of gradients: adam, adamw, muon.", panel=Panel.OPTIMIZER, low=0, below=1
    )
    beta2: float = setting(
        0.99,
        "Decay of the running mean of squared gradients: adam, adamw, adadelta, rmsprop, muon.",
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
        0.5, "asgd: share of the training after which the weights are averaged.", panel=Panel.OPTIMIZER, low=0, below=1
    )
    nonmonotone: int = setting(
        5,
        "nt-asgd: begin to average once a validation is no better than the best of those before the last N.",
        panel=Panel.OPTIMIZER,
        low=1,
        high=1000,
    )
    ema: float = setting(
        0.0,
        "Keep an exponential moving average of the weights with this decay, such as 0.999 (0: none).",
        panel=Panel.OPTIMIZER,
        low=0,
        below=1,
    )
    schedule: str = setting(
        "cosine",
        "How the learning rate falls after the warm-up.",
        panel=Panel.RATE,
        choices=SCHEDULE_NAMES,
        shown_default="cosine; constant for asgd and nt-asgd",
    )
    warmup: float = setting(
        0.03,
        "Linear warm-up: a number of steps, or below 1 a share of the training.",
        panel=Panel.RATE,
        low=0,
        high=MAX_COUNT,
    )
    final_lr: float = setting(
        0.0, "Last learning rate of the schedule, as a share of --lr.", panel=Panel.RATE, low=0, high=1
    )
    decay: float = setting(
        0.2, "wsd: share of the training, at its end, over which the rate falls.", panel=Panel.RATE, low=0, high=1
    )
    decay_every: float = setting(
        0.25,
        "step: lower the rate every N steps, or below 1 after each such share of the training.",
        panel=Panel.RATE,
        low=0,
        high=MAX_COUNT,
    )
    decay_factor: float = setting(
        0.3, "step, plateau: multiply the rate by this to lower it.", panel=Panel.RATE, low=0, high=1
    )
    decay_patience: int = setting(
        1, "plateau: lower the rate after N validations without a better one.", panel=Panel.RATE, low=1, high=1000
    )
    clip_norm: float = setting(
        1.0,
        "Rescale the gradient when its norm is larger than this (0: never).",
        panel=Panel.TRUNCATION,
        low=0,
        high=1e9,
        shown_default="1",
    )
    clip_value: float = setting(
        0.0,
        "Clamp each component of the gradient between -X and X (0: never).",
        panel=Panel.TRUNCATION,
        low=0,
        high=1e9,
    )
    clip_agc: float = setting(
        0.0,
        "Limit the gradient of a unit's weights to this share of their norm, such as 0.01 (adaptive; 0: never).",
        panel=Panel.TRUNCATION,
        low=0,
        high=1e9,
    )

    freeze: str = setting(
        "",
        "Keep these as --embeddings or --from gives them, untrained: embedding, core (the layers), or embedding,core.",
        panel=Panel.MODEL,
        metavar="PART,...",
        shown_default="none",
    )

    softmax: str = setting(
        "seen",
        "Symbols with a learned probability: those seen in training, while the others share one; or all.",
        panel=Panel.MODEL,
        choices=("seen", "all"),
    )

    # Examples.
    class_weight: str = setting(
        "none",
        "Weigh each class's examples so that all classes count the same.",
        panel=Panel.EXAMPLES,
        choices=CLASS_WEIGHTS,
    )
    best_by: str = setting(
        "loss",
        "What the best weights are chosen by, on the validation examples; bleu of translations.",
        panel=Panel.EXAMPLES,
        choices=("loss", "accuracy", "f1", "bleu"),
    )

    # What the objective has beside the cross-entropy.
    label_smoothing: float = setting(
        0.0,
        "Share of the target's probability to spread evenly over all symbols.",
        panel=Panel.REGULARISATION,
        low=0,
        below=1,
    )
    z_loss: float = setting(
        0.0,
        "Weight of the squared log of the softmax's denominator, such as 1e-4, to keep logits small.",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e3,
    )
    ar: float = setting(
        0.0,
        "Activation regularisation: weight of the squared activations before the output (AWD-LSTM: 2).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e6,
    )
    tar: float = setting(
        0.0,
        "Temporal activation regularisation: weight of their squared change between tokens (AWD-LSTM: 1).",
        panel=Panel.REGULARISATION,
        low=0,
        high=1e6,
    )

    # How long, and what is kept.
    steps: int = setting(0, "Train for N steps.", panel=Panel.LENGTH, low=0, high=MAX_COUNT, shown_default="by text")
    epochs: float = setting(
        0.0, "Train for this many passes over the text.", panel=Panel.LENGTH, low=0, high=1e9, shown_default="--steps"
    )
    time: float = setting(
        0.0,
        "Train for about this long, such as 60s, 10m or 2h; the speed of the first tenth (30s at most) sets the number "
        "of steps.",
        panel=Panel.LENGTH,
        low=0,
        high=1e9,
        metavar="DURATION",
        shown_default="--steps",
    )
    early_stop: int = setting(
        0,
        "Stop after N validations without a better one (0: never).",
        panel=Panel.LENGTH,
        low=0,
        high=MAX_COUNT,
        shown_default="4",
    )
    min_gain: float = setting(
        0.0,
        "Take a validation for better only if it is at least this many nats per token lower.",
        panel=Panel.LENGTH,
        low=0,
        high=1e3,
    )
    eval_every: int = setting(
        0,
        "Validate every N steps.",
        panel=Panel.PROGRESS,
        low=0,
        high=MAX_COUNT,
        shown_default="ten in all; four where --time is under 20s",
    )
    checkpoint_every: int = setting(
        0,
        "Write a checkpoint for --resume every N steps.",
        panel=Panel.CHECKPOINTS,
        low=0,
        high=MAX_COUNT,
        shown_default="at each validation",
    )
    keep_checkpoints: int = setting(
        1,
        "Keep the last N checkpoints, older ones as checkpoint/step-*.safetensors: --resume goes on from one that is "
        "copied over state.safetensors there.",
        panel=Panel.CHECKPOINTS,
        low=1,
        high=10_000,
    )
    probe_gradients: int = setting(
        0,
        "At each validation, record the loss's gradient with respect to hidden states up to LAGS tokens back.",
        panel=Panel.PROGRESS,
        low=0,
        high=1 << 16,
        metavar="LAGS",
    )

    # The machine.
    seed: int = setting(0, "Seed of everything random.", panel=Panel.MACHINE, low=0, high=2**63 - 1)
    device: str = setting(
        "auto", "Device to compute on: auto, cpu, cuda, cuda:1 or mps.", panel=Panel.MACHINE, metavar="DEVICE"
    )
    precision: str = setting(
        "auto",
        "Number format of the matrix products. auto: bf16 where the device multiplies it, on a CPU for a --hidden of "
        f"{_LEAST_BF16} or more ({_WIDER_BF16}); fp16 on other CUDA devices; else fp32.",
        panel=Panel.MACHINE,
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    compile: str = setting(
        "auto",
        f"Compile the training step of {' and '.join(having('compiles'))} with torch. auto: in trainings of half an "
        "hour or more, if it is faster.",
        panel=Panel.MACHINE,
        choices=("auto", "on", "off"),
    )
    shard: bool = setting(
        False,
        f"Under torchrun, split the weights of {' and '.join(having('shards'))} over the processes, if they do not fit "
        "one device.",
        panel=Panel.MACHINE,
        flag="--shard/--no-shard",
    )

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that are not trained, of FREEZABLE."""
        return tuple(self.freeze.split(",")) if self.freeze else ()


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
