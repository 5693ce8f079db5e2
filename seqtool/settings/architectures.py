"""What each architecture can do and takes, as data. Nothing outside its own file in models/cores names one besides.

A new architecture is a file there and an entry here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqtool.settings.examples import LANGUAGE, TASKS, TRANSLATE

if TYPE_CHECKING:
    from seqtool.settings.model import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The traits of an architecture, and the settings that not every architecture has."""

    core: str = ""
    """Its module in seqtool.models.cores, and the class there; none of what is counted."""
    decoder: str = ""
    """The module in seqtool.models.cores, and the class there, that writes a text from what this core has read; none:
    it cannot translate.
    """
    counted: bool = False
    """Whether it is learned by counting (seqtool.counts), not by gradients: without layers or steps."""
    carries_state: bool
    """A state of one size is carried through a text of any length. Where not, at most --context tokens are seen, and
    training is on windows that each begin afresh.
    """
    settings: tuple[str, ...]
    """Of the settings that only some architectures use, those that this one does."""
    inputs: tuple[str, ...] = ("learned", "one-hot")
    """What of --input it takes."""
    inits: tuple[str, ...] = ("default", "xavier", "orthogonal")
    """What of --init it takes."""
    one_width: bool = False
    """Whether --embed is --hidden."""
    drops_output: bool = True
    """Whether --dropout stands for the one before the output as well."""
    compiles: bool = False
    """Whether torch can compile a step of training."""
    shards: bool = False
    """Whether its layers can be split over processes."""
    sees_all: bool = False
    """Whether its own layers can see a whole sequence at once; others read it a second time from its end."""
    whole: bool = False
    """Whether it reads columns or a series' steps as one vector, by dense layers of which the answer is the last."""
    tasks: tuple[str, ...] = TASKS
    """What it can learn."""
    bf16_from_width: int
    """The --hidden from which `auto` is bf16 on a CPU that multiplies it: 1.2 times as fast or faster, on a Zen 4."""
    bf16_by_torch_from_width: int = 0
    """The same where its layers are torch's, not those in C; 0: there is no difference."""
    check: Callable[[ModelConfig], list[str]] = lambda config: []
    """What is wrong with a model's settings taken together, a phrase for each problem."""

    def learns(self, task: str) -> bool:
        """Whether it can learn a task."""
        return task in self.tasks and (task != TRANSLATE or bool(self.decoder))


def _check_attention(config: ModelConfig) -> list[str]:
    if config.hidden % config.heads:
        return [f"--hidden {config.hidden} does not divide by --heads {config.heads}: choose a multiple"]
    if config.heads % config.key_heads:
        return [f"--kv-heads {config.kv_heads} does not divide --heads {config.heads}: choose a divisor"]
    if config.position == "rope" and (config.hidden // config.heads) % 2:
        return [f"--position rope needs an even --hidden / --heads, not {config.hidden // config.heads}"]
    if config.attention in ("none", "bahdanau"):
        return [f"--attention {config.attention} is for recurrent nets: a transformer has luong or rotary"]
    if config.attention == "rotary" and config.position != "rope":
        return [f"--attention rotary needs --position rope, not {config.position}; or give --attention luong"]
    return []


def _check_recurrent(config: ModelConfig) -> list[str]:
    if config.attention == "rotary":
        return ["--attention rotary is for a transformer: choose from none, bahdanau, luong"]
    return []


def _check_mixers(config: ModelConfig) -> list[str]:
    problems, names = [], config.mixers.split(",") if config.mixers else [config.model]
    for name in names:
        if name not in MIXERS:
            problems.append(f"--mixers {config.mixers}: {name!r} is none of them; choose from {', '.join(MIXERS)}")
    if len(names) > config.layers:
        problems.append(f"--mixers {config.mixers} names {len(names)} of --layers {config.layers}: give more layers")
    if config.hidden % config.heads and set(names) - {"mingru"}:
        problems.append(f"--hidden {config.hidden} does not divide by --heads {config.heads}: choose a multiple")
    elif "attention" in names and (config.hidden // config.heads) % 2:
        problems.append(f"attention needs an even --hidden / --heads, not {config.hidden // config.heads}")
    return problems


def _check_prune(config: ModelConfig) -> list[str]:
    if not re.fullmatch(r"(\d{1,9}(,\d{1,9})*)?", config.prune):
        return [
            f"--prune {config.prune!r}: write a count for each order, such as 0,0,1; the last is for those beyond too"
        ]
    counts = config.pruned
    if counts and (counts[0] or sorted(counts) != list(counts)):
        return [f"--prune {config.prune}: begin with 0, since no single token is left out, and never let it fall"]
    return []


MIXERS = ("mingru", "gdn", "attention")
"""What moves numbers between tokens in the blocks of models that --mixers is for."""
MIXER_SETTINGS = {
    "heads": ("gdn", "attention"),
    "signed": ("mingru", "gdn"),
    "convolution": ("gdn",),
    "mirrors": ("gdn",),
    "context": ("attention",),
}
"""Of the settings of these models, those that only some mixers use, and which."""
_STACK = (
    "mixers",
    "signed",
    "heads",
    "context",
    "convolution",
    "mirrors",
    "stem",
    "norm",
    "feedforward",
    "inner",
    "probe_gradients",
)
_STACKED = Architecture(
    core="stack.Stack",
    carries_state=True,
    settings=_STACK,
    inputs=("learned",),
    one_width=True,
    drops_output=False,
    shards=True,
    bf16_from_width=128,
    check=_check_mixers,
)
_RECURRENT = ("weight_dropout", "last_hidden", "probe_gradients", "attention")
_ALL_INITS = ("default", "xavier", "orthogonal", "identity")

ARCHITECTURES: dict[str, Architecture] = {
    "rnn": Architecture(
        core="recurrent.Recurrent",
        decoder="recurrent_decoder.RecurrentDecoder",
        carries_state=True,
        settings=("activation", *_RECURRENT),
        check=_check_recurrent,
        inits=_ALL_INITS,
        bf16_from_width=128,
        bf16_by_torch_from_width=512,
    ),
    "gru": Architecture(
        core="recurrent.Recurrent",
        decoder="recurrent_decoder.RecurrentDecoder",
        carries_state=True,
        settings=_RECURRENT,
        check=_check_recurrent,
        inits=_ALL_INITS,
        bf16_from_width=128,
        bf16_by_torch_from_width=512,
    ),
    "lstm": Architecture(
        core="recurrent.Recurrent",
        decoder="recurrent_decoder.RecurrentDecoder",
        carries_state=True,
        settings=("forget_bias", *_RECURRENT),
        check=_check_recurrent,
        inits=_ALL_INITS,
        bf16_from_width=128,
        bf16_by_torch_from_width=256,
    ),
    "ffn": Architecture(
        core="window.DenseWindow",
        carries_state=True,
        settings=("context", "activation"),
        whole=True,
        compiles=True,
        bf16_from_width=256,
    ),
    "transformer": Architecture(
        core="transformer.Transformer",
        decoder="transformer_decoder.TransformerDecoder",
        carries_state=False,
        settings=(
            "context",
            "heads",
            "kv_heads",
            "position",
            "stem",
            "norm",
            "norm_epsilon",
            "feedforward",
            "inner",
            "biases",
            "rope_base",
            "layout",
            "attention",
        ),
        inputs=("learned",),
        one_width=True,
        drops_output=False,
        compiles=True,
        shards=True,
        sees_all=True,
        bf16_from_width=128,
        check=_check_attention,
    ),
    "mingru": _STACKED,
    "gdn": _STACKED,
    "bag": Architecture(
        core="bag.Bag",
        carries_state=True,
        settings=("ngrams", "buckets"),
        inputs=("learned",),
        inits=("default",),
        one_width=True,
        tasks=("classify", "regress"),
        bf16_from_width=1 << 17,
    ),
    "ngram": Architecture(
        counted=True,
        carries_state=True,
        settings=("order", "prune"),
        tasks=(LANGUAGE,),
        bf16_from_width=1 << 17,
        check=_check_prune,
    ),
}
DEFAULT = "lstm"


def using(setting: str) -> tuple[str, ...]:
    """The architectures that use a setting which not all do."""
    return tuple(name for name, traits in ARCHITECTURES.items() if setting in traits.settings)


def learning(task: str) -> tuple[str, ...]:
    """The architectures that can learn a task."""
    return tuple(name for name, traits in ARCHITECTURES.items() if traits.learns(task))


def nets(task: str) -> tuple[str, ...]:
    """Those of them that learn by gradients."""
    return tuple(name for name in learning(task) if not ARCHITECTURES[name].counted)


def having(trait: str) -> tuple[str, ...]:
    """The architectures of which a trait, named as in Architecture, is true."""
    return tuple(name for name, traits in ARCHITECTURES.items() if getattr(traits, trait))
