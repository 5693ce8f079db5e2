"""How fast text is written, in one stream and in many, and what share of the memory bandwidth the weights take."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from seqtool.bench.memory import require
from seqtool.bench.setup import BEGIN_ID, FP32_BYTES, Setup, make_model
from seqtool.bench.timing import LEAST_REPEATS
from seqtool.generation.generating import Sample, generate
from seqtool.models.predictor import Stepper
from seqtool.models.size import parameter_count, step_weights
from seqtool.settings.generation import GenerateConfig

STREAMS = (1, 64)
LEAST_TOKENS, MOST_TOKENS = 20, 4000  # of each timed text


@dataclass(frozen=True)
class GenerationSpeed:
    """One model that writes several texts side by side, with weights in fp32."""

    model: str
    layers: int
    hidden: int
    streams: int
    tokens_per_s: float
    """Of all streams together."""
    weight_bytes: int
    """Of the weights that are read to write one token of every stream."""
    weight_gb_per_s: float
    """At which they are read: from the cache if they fit into it."""
    read_gb_per_s: float
    """At which the machine reads memory."""
    share: float
    """The share of that which reading weights reaches; over 1 when they come from the cache."""


def weight_bytes(setup: Setup) -> int:
    """Bytes of weights that a step of generation reads, for any number of streams."""
    return FP32_BYTES * step_weights(setup.model, setup.symbols)


def generation_speed(
    setup: Setup, streams: int, device: torch.device, seconds: float, read_gb_per_s: float
) -> GenerationSpeed:
    """Tokens per second of `streams` texts written side by side: the median of several runs after a warm-up.

    SeqtoolError when the model does not fit in memory.
    """
    needed = 2 * FP32_BYTES * parameter_count(setup.model, setup.symbols)
    require(needed, device, f"generating with {setup.model.model}", "lower --hidden or --layers")
    stepper = make_model(setup).to(device).eval().stepper()
    for _ in range(2):
        rate = _rate(stepper, streams, LEAST_TOKENS)
    tokens = min(max(int(rate / streams * seconds / LEAST_REPEATS), LEAST_TOKENS), MOST_TOKENS)
    tokens_per_s = statistics.median(_rate(stepper, streams, tokens) for _ in range(LEAST_REPEATS))
    size = weight_bytes(setup)
    gb_per_s = size * tokens_per_s / streams / 1e9
    return GenerationSpeed(
        model=setup.model.model,
        layers=setup.model.layers,
        hidden=setup.model.hidden,
        streams=streams,
        tokens_per_s=tokens_per_s,
        weight_bytes=size,
        weight_gb_per_s=gb_per_s,
        read_gb_per_s=read_gb_per_s,
        share=gb_per_s / read_gb_per_s,
    )


def _rate(stepper: Stepper, streams: int, tokens: int) -> float:
    """Tokens per second of all streams together, reading the prompts included."""
    samples = [Sample([BEGIN_ID + 1], copy=copy) for copy in range(streams)]
    config = GenerateConfig(max_tokens=tokens, batch_size=streams)
    began = time.perf_counter()
    for _ in generate(stepper, samples, config):
        pass
    return sum(len(one.tokens) for one in samples) / (time.perf_counter() - began)
