"""All pictures by name, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from corpora.lectures.bottleneck import bottleneck
from corpora.lectures.clipping import clipping
from corpora.lectures.embeddings import embeddings
from corpora.lectures.gradients import gradients
from corpora.lectures.memory import memory
from corpora.lectures.optimizers import optimizers
from corpora.lectures.overfitting import overfitting
from corpora.lectures.perceptron import perceptron
from corpora.lectures.rates import rates
from seqtool.reports.gallery import Picture

if TYPE_CHECKING:
    from corpora.gallery import Workshop

PICTURES: dict[str, Callable[[Workshop], Picture]] = {
    "perceptron": perceptron,
    "overfitting": overfitting,
    "optimizers": optimizers,
    "rates": rates,
    "embeddings": embeddings,
    "gradients": gradients,
    "clipping": clipping,
    "bottleneck": bottleneck,
    "memory": memory,
}
