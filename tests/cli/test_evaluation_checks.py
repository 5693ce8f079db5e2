"""What eval refuses before it scores, in one sentence each; by the real command in test_evaluate.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtool.cli.evaluation_checks import check_adapting, check_colour, check_flags, check_kinds, refuse_of_text
from seqtool.errors import InputError, UsageError
from seqtool.settings.scoring import EvalConfig

NONE = {"per": None, "carry": False, "bits": False, "given": None, "errors": "strict", "document": None}


@pytest.mark.parametrize(
    "flags, told",
    [
        ({"per": "sentence"}, "--per"),
        ({"carry": True}, "--carry goes with --per line"),
        ({"bits": True}, "--bits goes with --per"),
        ({"given": ""}, "--given needs some text"),
        ({"given": "\udcff"}, "--given is not UTF-8"),
        ({"errors": "ignore"}, "--errors"),
        ({"document": "page"}, "--document"),
        ({"per": "line", "document": "line"}, "leave it out or add --carry"),
    ],
)
def test_flags_that_are_wrong_or_do_nothing(flags: dict[str, object], told: str):
    check_flags(**NONE)
    with pytest.raises(UsageError, match=told):
        check_flags(**{**NONE, **flags})


def test_what_adapts_is_told_how_and_gives_totals():
    check_adapting(EvalConfig(adapt=True, adapt_rate=0.1), {"adapt": True, "adapt_rate": 0.1}, None, None)
    for config, settings, per, told in (
        (EvalConfig(), {"adapt_rate": 0.1}, None, "--adapt-rate: nothing adapts without --adapt"),
        (EvalConfig(), {"cache_weight": 0.1}, None, "without --cache"),
        (EvalConfig(cache=9), {"cache": 9}, "line", "--per: --cache gives totals"),
        (EvalConfig(adapt=True, cache=9), {}, "line", "--per: --adapt gives totals"),
    ):
        with pytest.raises(UsageError, match=told):
            check_adapting(config, settings, per, None)


def test_what_is_no_run_or_no_text_is_named(small_run: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("a text")
    check_kinds([small_run], [str(tmp_path / "a.txt")], "strict", None)
    with pytest.raises(UsageError, match="is a run, not text"):
        check_kinds([small_run], [str(small_run)], "strict", None)
    with pytest.raises(InputError, match="is a vocabulary, not a run"):
        check_kinds([small_run / "vocab.model"], ["-"], "strict", None)


def test_others_beside_colour_and_of_text_beside_examples():
    with pytest.raises(UsageError, match="--per: --colour writes the text itself"):
        check_colour({"--per": True, "--json": False})
    refuse_of_text(Path("r"), {"--per": None}, {})
    with pytest.raises(UsageError, match=r"--per and --adapt-rate: r is no language model"):
        refuse_of_text(Path("r"), {"--per": "line"}, {"adapt_rate": 0.1})
