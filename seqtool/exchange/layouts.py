"""How a transformer's settings and weights are called in the layouts of other programs, for both directions.

A layout is data: what our settings must be, how settings are called there, and where each weight lies. A weight of ours
is one of theirs, or several of theirs one below the other: queries, keys and values; gate and up. They stand
themselves in `hub_layouts` and `gguf_layouts`.

Shapes: C width of the model, H heads, D width of a head, O rows and I columns of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.attention import sinusoidal_positions
from seqtool.models.cores.block import feedforward_width
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import Run
from seqtool.runs.mixtures import MixtureConfig
from seqtool.settings.layouts import flag_for
from seqtool.settings.model import ModelConfig

LAYER = "{}"  # in a weight's name, the number of the layer
EPSILON = {"layer": 1e-5, "rms": float(torch.finfo(torch.float32).eps)}  # of torch's norms in float32

Arrange = Callable[[Tensor, ModelConfig], Tensor]
Telling = str | Callable[[ModelConfig], Any]


class Part(NamedTuple):
    """A weight of theirs."""

    name: str
    there: Arrange | None = None
    """From ours to theirs; None: as it is."""
    here: Arrange | None = None
    """The way back."""


class Weight(NamedTuple):
    """A weight of ours, and those of theirs that it is made of, one below the other."""

    ours: str
    parts: tuple[Part, ...]
    bias: bool = False
    """Whether it is a bias of a product, which ours have with --biases."""


@dataclass(frozen=True)
class ForeignLayout:
    """A layout of another program."""

    name: str
    """What a configuration calls it."""
    architecture: str
    """The class of transformers that has it."""
    needs: Mapping[str, tuple[Any, ...]]
    """What settings of ours it takes, the first of which is to be recommended."""
    told: Mapping[str, Telling]
    """What its configuration calls a setting of ours, or what follows from several."""
    fixed: Mapping[str, Any]
    """What else its configuration says of every model of ours."""
    weights: tuple[Weight, ...]
    biased: bool = False
    """Whether its products always have biases, which are zeros where ours have none."""
    differs: tuple[str, ...] = ()
    """What its program computes otherwise in the last places, in sentences."""

    def problems(self, config: ModelConfig, whole: bool) -> list[str]:
        """The flags that would make the settings these; none where they are. `whole`: every symbol is predicted."""
        wrong = [name for name, values in self.needs.items() if getattr(config, name) not in values]
        flags = [flag_for(name, self.needs[name][0]) for name in wrong]
        return flags if whole else [*flags, "--softmax all"]

    def says(self, config: ModelConfig) -> dict[str, Any]:
        """What its configuration says of a model of ours, but for the vocabulary."""
        told = {name: getattr(config, of) if isinstance(of, str) else of(config) for name, of in self.told.items()}
        return {**self.fixed, **told}

    def with_biases(self, products: Collection[str]) -> ForeignLayout:
        """The same with biases of these products of ours only."""
        kept = (one for one in self.weights if not one.bias or one.ours.removesuffix(".bias") in products)
        return replace(self, weights=tuple(kept))


def transposed(W: Tensor, config: ModelConfig) -> Tensor:
    """(O, I) to (I, O) and back: a product that its program writes x W. A bias is as it was."""
    return W.t()


def beside_heads(W_O: Tensor, config: ModelConfig) -> Tensor:
    """Rows of all queries, then keys, then values, to those of each head side by side: GPT-NeoX; (3C, ...)."""
    return W_O.unflatten(0, (3, config.heads, -1)).transpose(0, 1).flatten(0, 2)


def apart_from_heads(W_O: Tensor, config: ModelConfig) -> Tensor:
    """The way back from `beside_heads`."""
    return W_O.unflatten(0, (config.heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def pairs_beside(W_O: Tensor, config: ModelConfig) -> Tensor:
    """Rows i and i + D/2 of each head, which rope turns together, to 2i and 2i + 1: GGUF and llama2.c; (H D, ...)."""
    half = config.hidden // config.heads // 2
    return W_O.unflatten(0, (-1, 2, half)).transpose(1, 2).flatten(0, 2)


def pairs_apart(W_O: Tensor, config: ModelConfig) -> Tensor:
    """The way back from `pairs_beside`."""
    half = config.hidden // config.heads // 2
    return W_O.unflatten(0, (-1, half, 2)).transpose(1, 2).flatten(0, 2)


def rows_of_parts(weight: Weight, config: ModelConfig) -> list[int]:
    """How many rows of a weight of ours each of theirs has."""
    if len(weight.parts) == 1:
        return []
    if len(weight.parts) == 2:
        return [feedforward_width(config)] * 2
    keys = config.hidden // config.heads * config.key_heads
    return [config.hidden, keys, keys]


def of_layers(weights: Sequence[Weight], layers: int) -> Iterator[Weight]:
    """The weights of a model, those of a layer for each layer."""
    for weight in weights:
        if LAYER not in weight.ours:
            yield weight
            continue
        for number in range(layers):
            parts = tuple(part._replace(name=part.name.replace(LAYER, str(number))) for part in weight.parts)
            yield weight._replace(ours=weight.ours.replace(LAYER, str(number)), parts=parts)


def their_tensors(layout: ForeignLayout, config: ModelConfig, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights as a layout has them. Where it has biases and we do not, zeros as wide as what they are added to."""
    found: dict[str, Tensor] = {}
    for weight in of_layers(layout.weights, config.layers):
        values = ours.get(weight.ours)
        if values is None and weight.bias and layout.biased:
            matrix = ours[f"{weight.ours.removesuffix('.bias')}.weight"]
            values = matrix.new_zeros(len(matrix))
        if values is None:
            continue  # a bias, or an output of its own where the embedding is tied
        rows = rows_of_parts(weight, config)
        for part, W in zip(weight.parts, values.split(rows) if rows else (values,), strict=True):
            found[part.name] = (part.there(W, config) if part.there else W).contiguous()
    return found


def our_tensors(layout: ForeignLayout, config: ModelConfig, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layout's weights as we have them; biases that are not there are zeros. KeyError for a missing matrix."""
    found: dict[str, Tensor] = {}
    for weight in of_layers(layout.weights, config.layers):
        absent = weight.parts[0].name not in theirs
        if absent and (weight.bias or (weight.ours == OUTPUT and config.tied)):
            continue
        parts = [part.here(theirs[part.name], config) if part.here else theirs[part.name] for part in weight.parts]
        found[weight.ours] = (torch.cat(parts) if len(parts) > 1 else parts[0]).contiguous()
    if config.biases:
        for number in range(config.layers):
            for name in PRODUCTS:
                matrix = found[f"{name}.weight".replace(LAYER, str(number))]
                found.setdefault(f"{name}.bias".replace(LAYER, str(number)), matrix.new_zeros(len(matrix)))
    return found


def with_positions(config: ModelConfig, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights, with positions that are sines and cosines written out as learned ones are."""
    if config.position != "sinusoidal":
        return dict(ours)
    return {**ours, POSITIONS: sinusoidal_positions(config.context, config.hidden)}


EMBEDDING, POSITIONS, OUTPUT = "inputs.embedding.weight", "core.learned_positions.weight", "head.output.weight"
NORM, ATTENTION, FEEDFORWARD = "core.norm", "core.layers.{}.attention", "core.layers.{}.feedforward"
QKV, GATHERED, UP, DOWN = (
    f"{ATTENTION}.queries_keys_values",
    f"{ATTENTION}.output",
    f"{FEEDFORWARD}.up",
    f"{FEEDFORWARD}.down",
)
PRODUCTS = (QKV, GATHERED, UP, DOWN)


def as_is(ours: str, *theirs: str) -> Weight:
    """A weight that is theirs, or several of theirs, one below the other."""
    return Weight(ours, tuple(map(Part, theirs)))


def norm(ours: str, theirs: str) -> tuple[Weight, Weight]:
    """Gain and bias of a LayerNorm."""
    return as_is(f"{ours}.weight", f"{theirs}.weight"), as_is(f"{ours}.bias", f"{theirs}.bias")


def product(
    ours: str, *theirs: str, there: Arrange | None = None, here: Arrange | None = None
) -> tuple[Weight, Weight]:
    """A matrix and its bias, of theirs one below the other, each arranged alike."""
    return of_parts(ours, *(Part(name, there, here) for name in theirs))


def of_parts(ours: str, *theirs: Part) -> tuple[Weight, Weight]:
    """The same of parts that are arranged each in its own way; a part has the name of its matrix and bias alike."""
    matrix, bias = (tuple(part._replace(name=f"{part.name}.{kind}") for part in theirs) for kind in ("weight", "bias"))
    return Weight(f"{ours}.weight", matrix), Weight(f"{ours}.bias", bias, bias=True)


PLAIN: dict[str, tuple[Any, ...]] = {
    "model": ("transformer",),
    "stem": (1,),
    "output_bias": (False,),
    "bidirectional": (False,),
}
"""What every layout of another program takes alone."""


def norm_epsilon(config: ModelConfig) -> float:
    """What a norm of the model adds before its root, in float32."""
    return config.norm_epsilon or EPSILON[config.norm]


def called(names: Mapping[str, str]) -> Callable[[ModelConfig], str]:
    """What is told of --feedforward where it has other names."""
    return lambda config: names[config.feedforward]


def net_of(run: Run) -> LanguageModel:
    """The net of a run; UsageError for counts and mixtures, which are none."""
    if isinstance(run.model, LanguageModel):
        return run.model
    mend = "export one of the runs it is made of" if isinstance(run.config, MixtureConfig) else "export it --to arpa"
    raise UsageError(f"{run.path} is not one net (model {run.config.name}): {mend}")


def fitting_layout(config: ModelConfig, whole: bool, layouts: Sequence[ForeignLayout]) -> ForeignLayout:
    """The first layout that has the settings of a model exactly; UsageError naming the flags that one would take.

    `whole` says whether every symbol of the vocabulary is predicted, not those alone that the text has.
    """
    wrong = {layout.name: layout.problems(config, whole) for layout in layouts}
    for layout in layouts:
        if not wrong[layout.name]:
            return layout
    if config.model not in PLAIN["model"]:
        raise UsageError(
            f"no other program has --model {config.model}: train with --layout llama, or export it --to onnx"
        )
    nearest = min(layouts, key=lambda layout: (len(wrong[layout.name]), layouts.index(layout)))
    raise UsageError(
        f"no layout is exactly this model: that of {nearest.name} would be with {' '.join(wrong[nearest.name])}; "
        "train again so, or with --layout llama"
    )
