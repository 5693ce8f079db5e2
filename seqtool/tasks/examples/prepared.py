"""What reading the data of a task on examples gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seqtool.embeddings.pretrained import PretrainedRows
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import Symbols
from seqtool.tasks.examples.sets import ExampleSet
from seqtool.tasks.starting import Start
from seqtool.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prepared:
    """Examples to learn from and to validate on, and what is known of them."""

    train: ExampleSet
    valid: ExampleSet
    shape: ExampleShape
    symbols: Symbols
    vocabulary: Vocabulary | None
    task: dict[str, Any]
    """What the run's configuration says of its task."""
    record: dict[str, Any]
    """Where the data came from."""
    told: list[str] = field(default_factory=list)
    """What was found in the data, to be said."""
    beginning: PretrainedRows | None = None
    """The vectors that a new model's embedding begins with."""
    start: Start | None = None
    """The run whose weights a new model begins with."""
    suited: dict[str, Any] = field(default_factory=dict)
    """Settings that suit these data."""
