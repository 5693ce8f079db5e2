"""Reports: the same for a text alone and among others, in order, whatever is scored together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import Run, load_run
from seqtool.scoring import reports
from seqtool.scoring.reports import text_report, text_reports
from seqtool.scoring.rows import score_rows
from seqtool.settings.scoring import EvalConfig
from seqtool.text.documents import TextSource
from tests.conftest import Command

LINES = [f"line {number} of {'many ' * (number % 7)}words\n" for number in range(40)]


@pytest.fixture(scope="module")
def runs(seqtool: Command, small_run: Path, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    path = tmp_path_factory.mktemp("runs") / "transformer"
    made = seqtool("train", prose_file, "-o", path, "--vocab-type", "bpe", "--model", "transformer", "--hidden", 16,
                   "--context", 8, "--steps", 2, "-q")  # fmt: skip
    assert made.returncode == 0, made.stderr.decode()
    return [load_run(path, torch.device("cpu")) for path in (small_run, path)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    for number, line in enumerate(LINES):
        (folder / f"{number:02}").write_text("" if number % 5 == 3 else line.removesuffix("\n" * (number % 2)))
    return sorted(map(str, folder.iterdir()))


def sources_of(files: list[str]) -> list[TextSource]:
    return [TextSource([file], empty_files=True) for file in files]


@pytest.mark.parametrize("at_once", [1, 50, 1 << 16])
def test_a_text_among_others_has_the_report_that_it_has_alone(
    runs: list[Run], files: list[str], monkeypatch: pytest.MonkeyPatch, at_once: int
):
    for run in runs:
        alone = [text_report(run, TextSource([file]), EvalConfig()) for file in files if Path(file).stat().st_size]
        monkeypatch.setattr(reports, "TOKENS_AT_ONCE", at_once)
        found = list(text_reports(run, sources_of(files), EvalConfig()))
        assert [report["text"] for report in found] == files
        assert [report["text"] for report in found if not report["tokens"]] == files[3::5]
        for one, other in zip(alone, [report for report in found if report["tokens"]], strict=True):
            assert one["nats"] == pytest.approx(other["nats"], rel=1e-5)
            for name in ("tokens", "words", "characters", "bytes", "documents", "unknowns", "text_sha256", "text_lost"):
                assert one[name] == other[name], name
        monkeypatch.undo()


def test_many_small_files_are_scored_together(runs: list[Run], files: list[str], monkeypatch: pytest.MonkeyPatch):
    """In far fewer calls of the model than there are files."""
    calls = 0
    forward = LanguageModel.forward

    def counting(*arguments, **options):
        nonlocal calls
        calls += 1
        return forward(*arguments, **options)

    monkeypatch.setattr(LanguageModel, "forward", counting)
    list(text_reports(runs[0], sources_of(files), EvalConfig()))
    in_reports, calls = calls, 0
    for per in ("document", "line"):
        source = TextSource(files, empty_files=per == "document")
        rows = list(score_rows(runs[0].model, runs[0].vocabulary, source, EvalConfig(), per=per))
        assert sum(map(len, rows)) == len(files) - (0 if per == "document" else len(files[3::5]))
    assert max(in_reports, calls) < len(files) / 2


def test_what_stands_before_a_broken_file_is_answered(runs: list[Run], files: list[str], tmp_path: Path):
    (tmp_path / "broken").write_bytes(b"one\ntw\xff\n")
    source = TextSource([*files[:2], str(tmp_path / "broken"), files[2]])
    rows = score_rows(runs[0].model, runs[0].vocabulary, source, EvalConfig(), per="line")
    assert ["".join(row.text).rstrip("\n") for row in next(rows)] == [line.rstrip("\n") for line in LINES[:2]] + ["one"]
    with pytest.raises(InputError, match="at offset 6"):
        next(rows)


def test_nothing_is_reported_where_there_is_nothing(runs: list[Run], files: list[str]):
    with pytest.raises(InputError, match="no word to score"):
        next(text_reports(runs[0], sources_of(files[3::5]), EvalConfig()))
