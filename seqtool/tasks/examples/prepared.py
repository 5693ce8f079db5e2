"""What reading the data of a task on examples gives."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtool.embeddings.pretrained import PretrainedRows
from seqtool.settings.examples import ExampleConfig, ExampleShape
from seqtool.settings.model import Symbols
from seqtool.tasks.examples.sets import ExampleSet
from seqtool.tasks.request import Request
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
    target_vocabulary: Vocabulary | None = None
    """That of the texts that are written, where it is not the same."""
    beginning: PretrainedRows | None = None
    """The vectors that a new model's embedding begins with."""
    start: Start | None = None
    """The run whose weights a new model begins with."""
    suited: dict[str, Any] = field(default_factory=dict)
    """Settings that suit these data."""


def data_record(request: Request, examples: ExampleConfig, sha256: str, left_out: int) -> dict[str, Any]:
    """What a run's configuration says of where its examples came from and how they were read."""
    asked = {name: value for name, value in dataclasses.asdict(examples).items() if name != "task"}
    return {
        "name": ", ".join(request.data),
        "sha256": sha256,
        "examples": asked,
        "left_out": left_out,
        "valid": request.valid,
    }


def valid_record(path: str, sha256: str) -> dict[str, Any]:
    """What it says of a file to validate on."""
    return {"valid_sha256": sha256, "valid_path": str(Path(path).absolute())}


def counts_record(train: ExampleSet, valid: ExampleSet) -> dict[str, int]:
    """What it says of how many examples there are, and how many tokens or steps in them."""
    return {
        "train_examples": len(train),
        "valid_examples": len(valid),
        "train_tokens": int(train.lengths_N.sum()),
        "valid_tokens": int(valid.lengths_N.sum()),
    }
