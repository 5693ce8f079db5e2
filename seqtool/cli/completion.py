"""What <TAB> offers as the value of an option or an argument. If nothing is offered, the shell offers files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence

MOST_ENTRIES = 1000  # of a directory that are read
RUN_FILE = "config.json"

Completion = Callable[[str], list[str]]


def offering(choices: Sequence[str]) -> Completion:
    """A completion that offers the `choices` that begin with what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def runs(incomplete: str) -> list[str]:
    """Run directories whose path begins with what was typed, and those inside other directories that do."""
    found = []
    for path in _directories(incomplete):
        inside = [path] if _is_run(path) else [one for one in _directories(f"{path}/") if _is_run(one)]
        found += inside
    return found


def configurations(incomplete: str) -> list[str]:
    """Values of --config that begin with what was typed: recipes, TOML files and configurations of runs."""
    from seqtool.settings.defaults import recipes

    files = [path for path in _entries(incomplete) if path.endswith(".toml")]
    named = [name for name in recipes() if name.startswith(incomplete)]
    return [*named, *files, *(f"{path}/{RUN_FILE}" for path in runs(incomplete))]


def _is_run(path: str) -> bool:
    return os.path.isfile(os.path.join(path, RUN_FILE))


def _directories(incomplete: str) -> list[str]:
    return [path for path in _entries(incomplete) if os.path.isdir(path)]


def _entries(incomplete: str) -> Iterator[str]:
    """Paths that begin with `incomplete` and need no quotes in a shell; hidden ones only if a dot was typed."""
    folder, slash, start = incomplete.rpartition("/")
    try:
        names = sorted(os.listdir(folder + slash or "."))[:MOST_ENTRIES]
    except OSError:
        return
    for name in names:
        path = folder + slash + name
        if name.startswith(start) and (start or not name.startswith(".")) and shlex.quote(path) == path:
            yield path
