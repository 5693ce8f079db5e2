"""From a run directory to what predicts: found whole, or refused in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.models.counted import CountedModel
from seqtool.models.encoder_decoder import EncoderDecoder, blank_model
from seqtool.models.example_model import ExampleModel
from seqtool.models.gated import Gated
from seqtool.models.language_model import LanguageModel
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor
from seqtool.runs.config import (
    NO_TEXT,
    WEIGHTS,
    RunConfig,
    config_sha256,
    is_mixture,
    is_run,
    part_of,
    read_config,
    read_target_vocabulary,
    read_vocabulary,
    vocabulary_in,
)
from seqtool.runs.mixtures import MixtureConfig, read_mixture
from seqtool.runs.weights import load_tensors, read_counts, read_gates, read_weights
from seqtool.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Run:
    """A run of whatever predicts the next token, which has been loaded and found whole."""

    path: Path
    config: RunConfig | MixtureConfig
    vocabulary: Vocabulary
    model: Predictor


@dataclass(frozen=True)
class ExampleRun:
    """A run of examples that has been loaded and found whole."""

    path: Path
    config: RunConfig
    vocabulary: Vocabulary | None
    model: ExampleModel | EncoderDecoder
    target_vocabulary: Vocabulary | None = None
    """That of the texts that it writes, where it has one of its own."""

    @property
    def fitted(self) -> Tensor:
        """What validation has fitted, of one that answers with numbers."""
        assert isinstance(self.model, ExampleModel)
        return self.model.fitted


def _load_mixture(path: Path, device: torch.device) -> Run:
    config = read_mixture(path)
    runs: list[Run] = []
    for number, (expected, name) in enumerate(zip(config.parts, config.models, strict=True)):
        part = part_of(path, number)
        if not is_run(part):
            raise InputError(f"{path} lacks its part {part}: put that back, or mix again")
        if config_sha256(part) != expected:
            raise InputError(f"{part} is not the run that {path} was made of: put that back, or mix again")
        runs.append(load_part(part, device))
        if (runs[-1].config.name, runs[-1].config.vocabulary_sha256) != (name, config.vocabulary_sha256):
            raise InputError(f"{part} is another kind of model than {path} says: it was edited; mix again")
    vocabulary = vocabulary_in(path, config.vocabulary_sha256)
    models = [run.model for run in runs]
    if not config.gated:
        return Run(path, config, vocabulary, Mixture(models, config.weights))
    gates = read_gates(path, config, vocabulary.begin_id, vocabulary.size)
    return Run(path, config, vocabulary, Gated(models, gates, config.weights))


def load_part(path: Path, device: torch.device) -> Run:
    """Load a run for a mixture, of which none is a mixture itself; InputError as `load_run` has it."""
    if is_mixture(path):
        raise InputError(f"{path} is a mixture itself: name the runs it is made of, {part_of(path, 0)} and so on")
    return load_run(path, device)


def load_run(path: Path, device: torch.device) -> Run:
    """Load a language model: InputError, naming the file, when a part is missing, cut short, edited, or another's."""
    if is_mixture(path):
        return _load_mixture(path, device)
    config = read_config(path)
    if config.shape is not None:
        raise InputError(
            f"{path} is no language model: it learned to {config.task['name']}; ask it with seqtool predict"
        )
    vocabulary = read_vocabulary(path, config)
    if config.model.architecture.counted:
        return Run(path, config, vocabulary, CountedModel(read_counts(path / WEIGHTS, config)))
    tensors = read_weights(path / WEIGHTS, config)
    model = LanguageModel(config.model, config.symbols)
    load_tensors(model, tensors, path / WEIGHTS)
    return Run(path, config, vocabulary, model.to(device).eval())


def load_example_run(path: Path, device: torch.device) -> ExampleRun:
    """Load a run of examples; InputError as `load_run` has it."""
    config = read_config(path)
    if config.shape is None:
        raise InputError(f"{path} is a language model: score text with seqtool eval, write some with seqtool generate")
    vocabulary = None if config.symbols == NO_TEXT else read_vocabulary(path, config)
    tensors = read_weights(path / WEIGHTS, config)
    model = blank_model(config.model, config.shape)
    load_tensors(model, tensors, path / WEIGHTS)
    return ExampleRun(path, config, vocabulary, model.to(device).eval(), read_target_vocabulary(path, config))
