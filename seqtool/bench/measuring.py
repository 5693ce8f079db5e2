"""All measurements of a machine and of some models on it, one after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from seqtool.bench import machine
from seqtool.bench.generation import STREAMS, GenerationSpeed, generation_speed
from seqtool.bench.machine import Machine
from seqtool.bench.memory import fits
from seqtool.bench.others import OtherPrograms
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
from seqtool.native import loading

Announce = Callable[[int, str], None]
"""Takes how many measurements are done, and what the next one is."""


@dataclass(frozen=True)
class Measured:
    """The limits of a machine, and the speeds of models on it."""

    machine: Machine
    training: list[TrainingSpeed]
    generation: list[GenerationSpeed]
    others_cpu_share: float | None
    """The share of the processors' time that other programs took meanwhile; None where it is not known."""


def measurement_count(setups: Sequence[Setup], precisions: Sequence[str]) -> int:
    """How many measurements `measure` makes."""
    rates, bandwidths = len(precisions), 2
    return rates + bandwidths + len(setups) * (len(precisions) * len(BATCH_FACTORS) + len(STREAMS))


def measure(
    setups: Sequence[Setup], precisions: Sequence[str], device: torch.device, seconds: float, announce: Announce
) -> Measured:
    """Measure the machine and each setup on it, each figure for about `seconds`.

    `announce` is called before each measurement. A larger batch for which there is no memory is left out; SeqtoolError
    when there is none for the smallest.
    """
    for setup in setups:
        require_for_training(setup, device)
    others, done = OtherPrograms(), itertools.count()

    def next_is(what: str) -> None:
        announce(next(done), what)

    limits = _measure_machine(precisions, device, seconds, next_is)
    training: list[TrainingSpeed] = []
    generation: list[GenerationSpeed] = []
    for setup in setups:
        training += _measure_training(setup, limits, device, seconds, next_is)
        for streams in STREAMS:
            next_is(f"generating with {setup.model.model}, streams: {streams}")
            generation.append(generation_speed(setup, streams, device, seconds, limits.read_gb_per_s))
    return Measured(limits, training, generation, others.share())


def _measure_machine(
    precisions: Sequence[str], device: torch.device, seconds: float, next_is: Callable[[str], None]
) -> Machine:
    size, rates = machine.matrix_size(device), {}
    for precision in precisions:
        next_is(f"matrices in {precision}")
        rates[precision] = machine.matrix_gflops_per_s(size, precision, device, seconds)
    buffer_bytes = machine.buffer_bytes(device)
    next_is("reading memory")
    read_gb_per_s = machine.read_gb_per_s(buffer_bytes, device, seconds)
    next_is("copying memory")
    copy_gb_per_s = machine.copy_gb_per_s(buffer_bytes, device, seconds)
    return Machine(
        device=str(device),
        name=machine.device_name(device),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        matrix_size=size,
        matrix_gflops_per_s=rates,
        buffer_bytes=buffer_bytes,
        read_gb_per_s=read_gb_per_s,
        copy_gb_per_s=copy_gb_per_s,
        parts=loading.describe(),
    )


def _measure_training(
    setup: Setup, limits: Machine, device: torch.device, seconds: float, next_is: Callable[[str], None]
) -> list[TrainingSpeed]:
    """One model with each precision and batch size for which there is memory."""
    speeds = []
    for precision, matrix_gflops_per_s in limits.matrix_gflops_per_s.items():
        for factor in BATCH_FACTORS:
            variant = with_batch(setup, precision, factor)
            next_is(f"training {setup.model.model} in {precision}, batches of {variant.training.batch_size}")
            if factor > 1 and not fits(training_bytes(variant), device):
                continue
            try:
                speeds.append(training_speed(variant, device, seconds, matrix_gflops_per_s))
            except (MemoryError, RuntimeError) as error:
                if factor == 1 or not out_of_memory(error):
                    raise
    return speeds
