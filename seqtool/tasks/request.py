"""What a user asks `seqtool train` for, and the place that the run has for its own from the beginning."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from seqtool.errors import BusyError, UsageError
from seqtool.files.writing import reserved
from seqtool.settings.model import ModelConfig
from seqtool.training.world import World, may_restart


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for: the data, where the run goes, and the settings that were given."""

    data: list[str]
    weights: list[float]
    output: Path | None
    settings: dict[str, Any]
    vocab: Path | None
    vocabulary: dict[str, Any]
    """The settings that were given for a vocabulary to learn, by the names of VocabularyConfig."""
    valid: str | None
    document: str | None
    embeddings: Path | None
    errors: str
    force: bool
    files: list[Any] = dataclasses.field(default_factory=list, compare=False)
    """The data as files of records, once they are opened."""
    profiles: list[Any] = dataclasses.field(default_factory=list, compare=False)
    """The profiles of their columns, once they are looked through."""
    examples: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The settings of ExampleConfig that were given."""
    run: Path | None = None
    """The run that is gone on with."""
    from_run: Path | None = None
    """The run whose weights to begin with."""
    jsonl_field: str = ""
    """The field of JSON lines, or column of a table, that is the text; empty where files are text."""
    grow_vocab: bool = False
    """Whether the vocabulary of that run gains what it lacks of the text."""
    watch: str | None = None
    """A text on which the loss is recorded beside that on the validation text."""
    memory: int | None = None
    """Bytes of memory that counting may take; None: half of what is free."""
    flags: frozenset[str] = frozenset()
    """The settings that the command line itself names, not a --config file."""


@contextmanager
def reserved_run(request: Request, resume: bool, dry_run: bool, world: World) -> Iterator[Path]:
    """Where the run goes: the directory asked for, or a name of its own; nobody else's while the block runs.

    BusyError when another training has the name. With `dry_run` nothing is reserved.
    """
    if request.output is None and may_restart():
        raise UsageError("torchrun --max-restarts needs -o RUN: the name by which a restart finds what was done")
    with ExitStack() as held:
        path = request.output
        if path is None and resume:
            path = _only_run(request)
        if world.main:
            if path is None:
                path = _free_name(request, held, dry_run)
            elif not dry_run:
                held.enter_context(reserved(path))
        yield Path(world.from_main(str(path)))


def _free_name(request: Request, held: ExitStack, dry_run: bool) -> Path:
    """The first automatic name that neither lies there nor is reserved by another training; `held` reserves it."""
    for path in _automatic_names(request):
        if path.exists():
            continue
        if dry_run:
            return path
        with contextlib.suppress(BusyError):
            held.enter_context(reserved(path))
            if not path.exists():  # nor was made just now
                return path
    raise AssertionError("there is always another number")


def _automatic_names(request: Request) -> Iterator[Path]:
    """`runs/NAME-MODEL`, then the same with a number."""
    data, model = request.data[0], request.settings.get("model", ModelConfig.model)
    stem = "stdin" if data == "-" else re.sub(r"[^\w.-]+", "_", Path(data).stem) or "text"
    yield Path("runs") / f"{stem}-{model}"
    for number in itertools.count(2):
        yield Path("runs") / f"{stem}-{model}-{number}"


def _only_run(request: Request) -> Path:
    """The run that --resume goes on with where -o was left to seqtool."""
    found = list(itertools.takewhile(Path.exists, _automatic_names(request)))
    if len(found) == 1:
        return found[0]
    which = f"one of {', '.join(map(str, found))}" if found else "the run to go on with"
    raise UsageError(f"--resume needs -o RUN: {which}")
