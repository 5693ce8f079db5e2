"""Which task a training is for: the one that is named, or the one that target and data suggest."""

from __future__ import annotations

from pathlib import Path

from seqtool.errors import UsageError
from seqtool.files.streams import chunks_of, open_bytes
from seqtool.files.unpacking import unpacked
from seqtool.records.layout import suffix_of
from seqtool.settings.examples import LANGUAGE, TRANSLATE, listed
from seqtool.tasks.request import Request

LABEL = "__label__"
OF_FORECASTS = ("horizon", "window", "quantiles", "season", "time_column", "series", "future")


OF_COLUMNS = (".conllu", ".conll")
OF_TRANSLATIONS = ("source_type", "target_type", "vocabularies")


def decide_task(request: Request) -> str:
    """The task of a request: a plain text without a target is for a language model."""
    asked = request.examples
    if asked.get("task"):
        task = str(asked["task"])
    elif any(name in asked for name in OF_FORECASTS):
        task = "forecast"
    elif any(asked.get(name, "auto") != "auto" for name in OF_TRANSLATIONS) or _has_target_file(request):
        task = TRANSLATE
    elif asked.get("format") == "conll" or (asked.get("target") and suffix_of(request.data[0]) in OF_COLUMNS):
        task = "tag"
    elif asked.get("target") or asked.get("format") == "labelled" or _is_labelled(request.data[0]):
        task = _by_target(request)
    else:
        task = LANGUAGE
    if task == LANGUAGE and (unused := [f"--{name.replace('_', '-')}" for name in asked if name != "task"]):
        mend = "leave that out, or leave out --task" if "task" in asked else "name what to tell with --target COLUMN"
        raise UsageError(f"{' and '.join(unused)}: a language model reads plain text; {mend}")
    return task


def _has_target_file(request: Request) -> bool:
    """Whether --target names files, not a column that DATA have."""
    from seqtool.settings.examples import ExampleConfig
    from seqtool.tasks.examples.opening import open_request
    from seqtool.tasks.pairs.sources import is_table, target_files

    if not request.examples.get("target"):
        return False
    examples = ExampleConfig(**request.examples)
    if not target_files(request, examples):
        return False
    return not is_table(request.data[0], examples) or examples.target not in open_request(request, examples).columns


def _by_target(request: Request) -> str:
    from seqtool.records.columns import no_column
    from seqtool.settings.examples import ExampleConfig
    from seqtool.tasks.examples.opening import open_request, profile_of
    from seqtool.tasks.examples.table import is_free_text, task_of_target

    examples = ExampleConfig(**request.examples)
    records = open_request(request, examples)
    if records.layout.format == "labelled":
        return "classify"
    if records.layout.format == "conll":
        return "tag"
    target = listed(examples.target, records.columns)
    found = [column for column in profile_of(request, records) if column.name in target]
    if len(found) < len(target):
        missing = next(name for name in target if name not in records.columns)
        raise UsageError(f"--target {missing}: {no_column(missing, records.columns)}, and there is no such file")
    if len(target) == 1 and is_free_text(found[0]):
        return TRANSLATE
    return "regress" if len(target) > 1 else task_of_target(found[0])


def _is_labelled(name: str) -> bool:
    """Whether a file's first line begins with a label, as fastText's do; of a pipe, the text would be gone."""
    if not Path(name).is_file():
        return False
    with open_bytes(name) as stream:
        head = next((part for part in unpacked(chunks_of(stream, name), name) if part), b"")
        return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(LABEL.encode())
