"""The weights of a run, or its n-grams: written whole, and read only by the run they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqtool.counts.gates import stored as stored_gates
from seqtool.counts.gates.gates import Gates
from seqtool.counts.model import NgramModel
from seqtool.counts.stored import arrays_of, model_of, shapes_of
from seqtool.errors import InputError, UsageError
from seqtool.files.tensors import TensorFile, open_tensors, write_tensors
from seqtool.runs.config import CONFIG, WEIGHTS, RunConfig, write_config
from seqtool.runs.mixtures import MixtureConfig
from seqtool.text.vocabulary import Vocabulary

GATES_FORMAT = "seqtool gates 1"
RENAMED = {
    "core.embedding": "inputs.embedding",
    "core.embeddings_before": "inputs.embeddings_before",
    "narrow": "head.narrow",
    "output": "head.output",
    "output_bias": "head.bias",
    "seen_ids": "head.seen_ids",
}
"""Where parts of a model lie now whose weights were written before inputs and head were parts of their own."""


def named_now(name: str) -> str:
    """The present name of a weight in a file that may be of then."""
    part = next((part for part in RENAMED if name == part or name.startswith(f"{part}.")), None)
    return name if part is None else RENAMED[part] + name[len(part) :]


def write_weights(path: Path, tensors: Mapping[str, Tensor | npt.NDArray[Any]], config: RunConfig) -> None:
    """Write a model's state, atomically, bound by hashes to the configuration, the vocabulary and its own values."""
    metadata = {
        "format": "seqtool weights 2",
        "model_sha256": config.model_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
    }
    write_tensors(path, tensors, metadata)


def write_counts(folder: Path, config: RunConfig, vocabulary: Vocabulary, model: NgramModel) -> None:
    """Write a run that is counted into the directory `folder`."""
    write_config(folder, config, vocabulary)
    write_weights(folder / WEIGHTS, arrays_of(model), config)


def read_weights(file: Path, config: RunConfig) -> dict[str, Tensor]:
    """Read weights and compare hashes; no memory is taken unless the file is as large as it should be."""
    if config.model.architecture.counted:
        raise InputError(
            f"{file.parent} has no weights but counts of n-grams: name a run that was trained by gradients"
        )
    _check_there(file)
    try:
        expected = config.numbers
    except UsageError as error:
        raise InputError(f"{file.with_name(CONFIG)}: {error}") from error
    tensors, metadata = read_tensors(file, expected, expected)
    tensors = {named_now(name): tensor for name, tensor in tensors.items()}
    _check_owner(file, metadata, config)
    if config.shape is not None:
        return tensors
    seen_ids = tensors.get("head.seen_ids")
    if (
        seen_ids is None
        or seen_ids.dtype != torch.int64
        or not bool(((seen_ids >= 0) & (seen_ids < config.symbols.size)).all())
    ):
        raise InputError(f"{file} names symbols that its vocabulary lacks: it was edited")
    return tensors


def read_counts(file: Path, config: RunConfig) -> NgramModel:
    """Map the n-grams of a run; InputError as `read_weights` has it."""
    _check_there(file)
    with open_tensors(file) as content:
        _check_numbers(content, config.numbers, config.numbers)
        if {entry.name: (entry.dtype, entry.shape) for entry in content.entries} != shapes_of(config.ngrams):
            raise InputError(f"{file} does not fit {CONFIG}: it belongs to another run or was edited")
        arrays = content.arrays()
        _check_owner(file, content.metadata, config)
    try:
        return model_of(arrays, len(config.ngrams), config.symbols.begin_id)
    except ValueError as error:
        raise InputError(f"{file} holds {error}: it was edited") from error


def write_gates(folder: Path, config: MixtureConfig, gates: Gates) -> None:
    """Write what the gates of a mixture know into its directory `folder`."""
    metadata = {
        "format": GATES_FORMAT,
        "parts_sha256": config.parts_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
    }
    write_tensors(folder / WEIGHTS, stored_gates.arrays_of(gates), metadata)


def read_gates(folder: Path, config: MixtureConfig, begin_id: int, vocab_size: int) -> Gates:
    """Map the gates of a mixture; InputError when they are missing, damaged, or another's."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise InputError(f"{folder} has no {WEIGHTS}, which holds its gates: put that back, or mix again")
    expected = {
        "format": GATES_FORMAT,
        "parts_sha256": config.parts_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
    }
    try:
        with open_tensors(file) as content:
            if {name: content.metadata.get(name) for name in expected} != expected:
                raise InputError(f"{file} belongs to another mixture: it was exchanged; put its own back, or mix again")
            shapes = {entry.name: entry.shape for entry in content.entries}
            stored_gates.check_sizes(shapes, vocab_size, config.gates_tokens)  # before much is read
            arrays = content.arrays()
        return stored_gates.gates_of(arrays, len(config.parts), begin_id)
    except ValueError as error:
        raise InputError(f"{file} holds {error}: it was edited; mix again") from error


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Put tensors read from `file` into a model; InputError when names, shapes or types differ."""
    try:
        own = model.state_dict()
        if any(tensor.dtype != own[name].dtype for name, tensor in tensors.items() if name in own):
            raise RuntimeError("tensors of other types")
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file} does not fit {CONFIG}: it belongs to another run or was edited") from error


def read_tensors(file: Path, least: int, most: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and metadata of a file that holds between `least` and `most` numbers in all."""
    with open_tensors(file) as content:
        _check_numbers(content, least, most)
        return content.tensors(), content.metadata


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise InputError(f"{file.parent} has no {WEIGHTS}: its training did not get that far; train again")


def _check_numbers(content: TensorFile, least: int, most: int) -> None:
    if not least <= content.numbers <= most:
        raise InputError(
            f"{content.path} holds {content.numbers:,} numbers, where {CONFIG} says {least:,}: "
            "it belongs to another run or one of them was edited"
        )


def _check_owner(file: Path, metadata: Mapping[str, Any], config: RunConfig) -> None:
    """InputError when a weights' file was written for another configuration or vocabulary."""
    if metadata.get("model_sha256") != config.model_sha256:
        raise InputError(f"{file} belongs to another configuration: {CONFIG} or the weights were edited or exchanged")
    if metadata.get("vocabulary_sha256") != config.vocabulary_sha256:
        raise InputError(f"{file} belongs to another vocabulary: a part of another run was put here")
