"""Beginning with the weights of another run: its vocabulary and sizes are kept, what is learned on top is new."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import file_sha256
from seqtool.models.encoder_decoder import blank_model
from seqtool.models.language_model import LanguageModel
from seqtool.runs.config import (
    VOCABULARY,
    WEIGHTS,
    RunConfig,
    learned_texts,
    read_config,
    read_target_vocabulary,
    read_vocabulary,
)
from seqtool.runs.weights import read_weights
from seqtool.settings.fields import flag_of
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import FREEZABLE
from seqtool.tasks.request import Request
from seqtool.tasks.resuming import other_vocabulary
from seqtool.text.vocabulary import load_vocabulary

MAY_DIFFER = (
    "dropout", "dropout_input", "dropout_hidden", "dropout_output", "dropout_embedding", "weight_dropout",
    "variational", "bidirectional", "pooling",
)  # fmt: skip
"""Settings of the model on which the shape of none of its weights depends, or only that of new ones."""
OF_READING = ("bidirectional", "pooling")
"""Of these, what a model of examples goes on with where nothing is asked: its head reads as many features."""
OF_NGRAMS = ("wide_ngrams", "buckets")
"""Settings that may differ as well where a language model's weights are taken: it has no n-grams."""
OF_EXAMPLES = {"inputs.embedding": "tables.0", "inputs.embeddings_before": "tables_before", "core": "cores.0"}
"""Where the parts of a language model lie in a model of examples."""
OF_SEQUENCE = ("tables.", "tables_before.", "cores.", "wide.")
"""The parts of a model of examples that know tokens, not what is told of them."""
PARTS = {
    "embedding": ("inputs.", "tables.", "tables_before.", "source_table.", "target_table."),
    "core": ("core.", "cores.", "encoder.", "decoder."),
}
"""The beginnings of the names of the weights that --freeze keeps."""
RATE_SHARE = 0.3
"""Of the rate that suits a new model: what was learned is to be kept."""


@dataclass(frozen=True)
class Start:
    """The weights to begin with, by name, and where they come from."""

    config: RunConfig
    tensors: dict[str, Tensor]
    record: dict[str, Any]
    parts: tuple[str, ...] = ()
    """The parts of a model that are taken, by the beginnings of their names; nothing: all."""
    spelled: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Of a vocabulary that has grown: the ids that stood before for each token that it has gained, in order."""

    @property
    def of_language(self) -> bool:
        """Whether they are a language model's."""
        return self.config.shape is None

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        """Set the weights of a model that have the name of one of these, of the parts that are taken.

        InputError for one of another shape, but of the output, or of the tables where the vocabulary has grown.
        """
        own = dict(model.named_parameters())
        for name, tensor in self.tensors.items():
            for told in {name, renamed(name)} & own.keys():
                if self.parts and not told.startswith(self.parts):
                    continue
                if own[told].shape == tensor.shape:
                    own[told].copy_(tensor)
                elif not told.startswith(("head.", "inputs.") if self.spelled else "head."):
                    shapes = " and ".join(str(tuple(shape)) for shape in (tensor.shape, own[told].shape))
                    raise InputError(
                        f"--from {self.record['name']}: its weights do not fit this model, which is to begin with them "
                        f"({name}: {shapes}); train anew"
                    )


def renamed(name: str) -> str:
    """The name that a weight of a language model has in a model of examples; the same where it has none."""
    part = next((part for part in OF_EXAMPLES if name.startswith(f"{part}.")), None)
    return name if part is None else OF_EXAMPLES[part] + name.removeprefix(part)


def read_start(path: Path) -> Start:
    """The weights of a run; InputError where it is none, or not whole."""
    config = read_config(path)
    tensors = read_weights(path / WEIGHTS, config)
    if config.vocabulary_sha256:
        read_vocabulary(path, config)
    read_target_vocabulary(path, config)
    learned = {"learned": sorted(learned_texts(config.data))}
    return Start(config, tensors, {"name": str(path), "sha256": file_sha256(path / WEIGHTS), **learned})


def request_from(request: Request, start: Start) -> Request:
    """A request for a run that begins with another's weights: with its vocabulary and the sizes that it has.

    UsageError for what asks for others.
    """
    path = request.from_run
    assert path is not None
    if other := [flag for flag, is_other in _others(path, request, start).items() if is_other]:
        raise UsageError(
            f"--from {path} has its own vocabulary and embedding: leave {' and '.join(other)} out, here and in --config"
        )
    kept: dict[str, Any] = {}
    for item in dataclasses.fields(ModelConfig):
        theirs = getattr(start.config.model, item.name)
        if item.name in MAY_DIFFER or (item.name in OF_NGRAMS and start.of_language):
            continue
        asked = request.settings.get(item.name, theirs)
        if asked != theirs:
            flag = flag_of(item).split("/")[0]
            raise UsageError(f"{flag} {asked}: that of --from {path} is {theirs}, which its weights need; leave it out")
        kept[item.name] = theirs
    reading = {} if start.of_language else {name: getattr(start.config.model, name) for name in OF_READING}
    settings = {**reading, **request.settings, **kept}
    vocabulary = path / VOCABULARY if start.config.vocabulary_sha256 else None
    return dataclasses.replace(request, settings=settings, vocab=vocabulary, vocabulary={}, embeddings=None)


def _others(path: Path, request: Request, start: Start) -> dict[str, object]:
    """Which flags ask for another vocabulary, or other vectors, than those of the run to begin with."""
    own = [read_vocabulary(path, start.config)] if start.config.vocabulary_sha256 else []
    if (target := read_target_vocabulary(path, start.config)) is not None:
        own.append(target)
    vectors = start.config.data.get("embeddings", {}).get("sha256")
    return {
        "--vocab": request.vocab and {load_vocabulary(request.vocab).sha256} != {one.sha256 for one in own},
        "--embeddings": request.embeddings and file_sha256(request.embeddings) != vectors,
        **other_vocabulary(request.vocabulary, own),
    }


def check_freeze(request: Request) -> None:
    """UsageError where --freeze would keep what nothing gave."""
    frozen = set(str(request.settings.get("freeze", "")).split(",")) & set(FREEZABLE)
    if frozen and request.from_run is None:
        if request.embeddings is None:
            raise UsageError("--freeze keeps what --from or --embeddings gives: name one of them, or leave it out")
        if "core" in frozen:
            raise UsageError(
                "--freeze core keeps the layers that --from gives: name a run, or freeze the embedding alone"
            )


def freeze(model: nn.Module, config: RunConfig) -> None:
    """Keep the parts of `--freeze` from learning: of vectors that were given, the table of these alone.

    UsageError where nothing is left to learn.
    """
    parts = PARTS if "from" in config.data else {**PARTS, "embedding": ("inputs.embedding.", *PARTS["embedding"][1:])}
    for part in config.training.frozen:
        kept = [weight for name, weight in model.named_parameters() if name.startswith(parts[part])]
        if not kept:
            raise UsageError(f"--freeze {part}: this model has none to keep; leave it out")
        for weight in kept:
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise UsageError(f"--freeze {config.training.freeze} leaves nothing to learn: freeze one of them")


def frozen_parameters(config: RunConfig) -> int:
    """How many numbers of a run's model --freeze keeps."""
    if not config.training.freeze:
        return 0
    with torch.device("meta"):
        sizes, shape = config.model, config.shape
        model = LanguageModel(sizes, config.symbols) if shape is None else blank_model(sizes, shape)
    freeze(model, config)
    return sum(weight.numel() for weight in model.parameters() if not weight.requires_grad)


def gentle(settings: Mapping[str, Any], lr: float) -> float:
    """The learning rate of a model that goes on as it was: as asked, or a share of the one that suits a new model."""
    return float(settings.get("lr") or lr * RATE_SHARE)
