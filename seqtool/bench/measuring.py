"""All measurements of a machine and of some models on it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from seqtool.bench import machine
from seqtool.bench.generation import STREAMS, GenerationSpeed, generation_speed
from seqtool.bench.machine import Machine
from seqtool.bench.memory import fits
from seqtool.bench.others import Others
from seqtool.bench.setup import Setup
from seqtool.bench.training import (
    BATCH_FACTORS,
    TrainingSpeed,
    require_for_training,
    training_bytes,
    training_speed,
    with_batch,
)
from seqtool.errors import out_of_memory

Told = Callable[[int, str], None]


@dataclass(frozen=True)
class Measured:
    """The machine's limits, and how near models come to them."""

    machine: Machine
    training: list[TrainingSpeed]
    generation: list[GenerationSpeed]
    others_cpu_share: float | None
    """The part of the processors' time that other programs had meanwhile; None where that is not known."""


def measurement_count(setups: Sequence[Setup], precisions: Sequence[str]) -> int:
    """How many there are."""
    rates, bandwidths = len(precisions), 2
    return rates + bandwidths + len(setups) * (len(precisions) * len(BATCH_FACTORS) + len(STREAMS))


def measure(
    setups: Sequence[Setup], precisions: Sequence[str], device: torch.device, seconds: float, told: Told
) -> Measured:
    """Measure each for about so many seconds; `told` hears how many are done, and what comes next.

    A batch for which there is no memory is left out, if a smaller one was measured; SeqtoolError otherwise.
    """
    for setup in setups:
        require_for_training(setup, device)
    others, done = Others(), 0

    def next_is(what: str) -> None:
        nonlocal done
        told(done, what)
        done += 1

    size, rates = machine.matrix_size(device), {}
    for precision in precisions:
        next_is(f"matrices in {precision}")
        rates[precision] = machine.matrix_gflops_per_s(size, precision, device, seconds)
    buffer = machine.buffer_bytes(device)
    next_is("reading memory")
    read = machine.read_gb_per_s(buffer, device, seconds)
    next_is("copying memory")
    copy = machine.copy_gb_per_s(buffer, device, seconds)
    training, generation = [], []
    for setup in setups:
        name = setup.model.model
        for precision in precisions:
            for factor in BATCH_FACTORS:
                next_is(f"training {name} in {precision}, batches of {factor * setup.training.batch_size}")
                variant = with_batch(setup, precision, factor)
                if factor > 1 and not fits(training_bytes(variant), device):
                    continue
                try:
                    training.append(training_speed(variant, device, seconds, rates[precision]))
                except (MemoryError, RuntimeError) as error:
                    if factor == 1 or not out_of_memory(error):
                        raise
        for streams in STREAMS:
            next_is(f"generating with {name}, streams: {streams}")
            generation.append(generation_speed(setup, streams, device, seconds, read))
    limits = machine.describe(device, size, rates, buffer, (read, copy))
    return Measured(limits, training, generation, others.share())
