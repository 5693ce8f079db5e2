"""The mean of the weights of several runs of one shape and vocabulary, as a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import atomic_writer, file_sha256, provenance
from seqtool.runs.config import (
    NO_TEXT,
    TARGET_VOCABULARY,
    WEIGHTS,
    RunConfig,
    learned_texts,
    read_config,
    read_target_vocabulary,
    read_vocabulary,
    write_config,
)
from seqtool.runs.weights import read_weights, write_weights
from seqtool.settings.fields import flag_of
from seqtool.settings.model import ModelConfig

SEEN, OF_SYMBOLS = "head.seen_ids", {"head.output.weight", "head.bias"}
OF_TRAINING_ALONE = (
    "dropout", "dropout_input", "dropout_hidden", "dropout_output", "dropout_embedding", "weight_dropout",
    "variational", "init", "forget_bias",
)  # fmt: skip
"""Settings of the model that say how weights are begun with or learned, not what they mean."""
OF_EXAMPLES_ALONE = ("counts", "examples", "commonest", "longest", "layout", "deviations")
"""What a task's record says of the examples that were learned from, not of what the weights mean."""


def average_runs(paths: Sequence[Path], folder: Path, progress: Callable[[int], None]) -> RunConfig:
    """Write the run whose weights are the mean of others' into `folder`; its configuration.

    It has the settings and data of the first, and a record of all; a symbol that only some of them have learned to
    predict has the mean of theirs. `progress` is told how many are read. InputError for
    runs that differ in what their weights mean, named; UsageError for fewer than two.
    """
    if len(paths) < 2:
        raise UsageError("a mean is of two runs or more: name another")
    configs = [read_config(path) for path in paths]
    for path, config in zip(paths[1:], configs[1:], strict=True):
        if difference := next(differences(configs[0], config), ""):
            raise InputError(f"{path} {difference}, so its weights and those of {paths[0]} have no mean: leave one out")
    total, sources = _Sum(configs[0]), []
    for number, (path, config) in enumerate(zip(paths, configs, strict=True), 1):
        total.add(_read(path, config), path, paths[0])
        learned = sorted(learned_texts(config.data))
        sources.append({"name": str(path), "sha256": file_sha256(path / WEIGHTS), "learned": learned})
        progress(number)
    means = total.means(len(paths))
    first, path = configs[0], paths[0]
    data = {**first.data, "averaged": sources}
    seen = len(means[SEEN]) if SEEN in means else first.symbols.seen
    symbols = dataclasses.replace(first.symbols, seen=seen)
    made = dataclasses.replace(first, symbols=symbols, data=data, made_by=dict(provenance()))
    write_config(folder, made, None if first.symbols == NO_TEXT else read_vocabulary(path, first))
    if (target := read_target_vocabulary(path, first)) is not None:
        with atomic_writer(folder / TARGET_VOCABULARY) as stream:
            stream.write(target.model)
    write_weights(folder / WEIGHTS, means, made)
    return made


def differences(first: RunConfig, other: RunConfig) -> Iterator[str]:
    """What the weights of two runs differ in but their values, each as a phrase of the other run."""
    if first.task["name"] != other.task["name"]:
        yield f"learned to {other.task['name']}, not to {first.task['name']}"
    for item in dataclasses.fields(ModelConfig):
        ours, theirs = getattr(first.model, item.name), getattr(other.model, item.name)
        if ours != theirs and item.name not in OF_TRAINING_ALONE:
            yield f"has {flag_of(item).split('/')[0]} {theirs}, not {ours}"
    if first.vocabulary_sha256 != other.vocabulary_sha256:
        yield "has another vocabulary"
    names = [name for name in {**first.task, **other.task} if name not in OF_EXAMPLES_ALONE]
    if others := [name for name in names if first.task.get(name) != other.task.get(name)]:
        yield f"answers with other {' and '.join(others)}"
    if first.shape != other.shape:
        yield "reads or answers with other sizes"


def _read(path: Path, config: RunConfig) -> dict[str, Tensor]:
    tensors = read_weights(path / WEIGHTS, config)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path / WEIGHTS}: {name} has a number that is not finite; leave that run out")
    return tensors


class _Sum:
    """The sum of the weights of runs; of what a run has for each symbol, the symbols that it has learned."""

    def __init__(self, config: RunConfig) -> None:
        self._sums: dict[str, Tensor] = {}
        self._kinds: dict[str, torch.dtype] = {}
        self._counts_V = torch.zeros(config.symbols.size, dtype=torch.long)

    def add(self, tensors: dict[str, Tensor], path: Path, first: Path) -> None:
        """Add a run's weights; InputError where they have other names or shapes, or other whole numbers."""
        if (seen_ids := tensors.pop(SEEN, None)) is not None:
            self._counts_V[seen_ids] += 1
            for name in OF_SYMBOLS & tensors.keys():
                rows = tensors[name]
                tensors[name] = rows.new_zeros(len(self._counts_V), *rows.shape[1:]).index_copy(0, seen_ids, rows)
        own = self._sums or tensors
        if _forms(tensors) != _forms(own):
            raise InputError(f"{path / WEIGHTS} has weights of other names or sizes than {first}: it was edited")
        for name, tensor in tensors.items():
            if name not in self._sums:
                self._kinds[name] = tensor.dtype
                self._sums[name] = tensor.double() if tensor.is_floating_point() else tensor
            elif tensor.is_floating_point():
                self._sums[name] += tensor.double()
            elif not torch.equal(tensor, self._sums[name]):
                raise InputError(f"{path} differs from {first} in {name}, which has no mean: leave one out")

    def means(self, runs: int) -> dict[str, Tensor]:
        """The means, in the types that were added; of a symbol over the runs that have learned it."""
        found = {
            name: (total / runs).to(self._kinds[name]) if total.is_floating_point() else total
            for name, total in self._sums.items()
        }
        seen_S = self._counts_V.nonzero().flatten()
        if not len(seen_S):  # no language models
            return found
        for name in OF_SYMBOLS & found.keys():
            total_SH, counts_S = self._sums[name][seen_S], self._counts_V[seen_S]
            counts = counts_S.view(-1, *[1] * (total_SH.dim() - 1))
            found[name] = (total_SH / counts).to(self._kinds[name])
        return {**found, SEEN: seen_S}


def _forms(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
