"""A run of examples goes on with its own data and settings, or says which flag asks for others."""

from __future__ import annotations

from pathlib import Path

from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.resuming import other_vocabulary
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils


def test_other_data_and_settings_are_refused_by_name(seqtool: Command, tmp_path: Path):
    path, run = pupils(tmp_path / "a.csv"), tmp_path / "run"
    train = ["train", path, "--target", "pass", "--ignore", "mark", "-o", run, "-q"]
    done(seqtool, *train, "--steps", 20)
    again = [*train, "--resume", "--steps", 30]
    assert "--ignore says another" in error_of(seqtool(*again[:5], "shoes", *again[6:]), 2)
    assert "--hidden 9 (was 32)" in error_of(seqtool(*again, "--hidden", 9), 2)
    pupils(path, seed=5)
    assert "sha256 differs" in error_of(seqtool(*again), 3)
    pupils(path)
    done(seqtool, *again)
    done(seqtool, "train", path, "-o", run, "--resume", "--steps", 40, "-q")  # what is left out is as it was


def test_settings_of_a_vocabulary_are_compared_with_those_it_was_learned_with(short_text: Path):
    source = TextSource([str(short_text)])
    words, bytes_ = (
        learn_vocabulary(source, VocabularyConfig(type=kind, min_count=least), 0)
        for kind, least in (("word", 3), ("byte", 0))
    )
    same = {"type": "word", "min_count": 3, "size": words.size, "symbols": "", "split_digits": False}
    assert not any(other_vocabulary(same, [words]).values())
    assert not any(other_vocabulary({"min_count": 3}, [words, bytes_]).values())  # which bytes have not
    for name, value, flag in (
        ("type", "bpe", "--vocab-type"),
        ("size", words.size + 1, "--vocab-size"),
        ("min_count", 2, "--min-count"),
        ("symbols", "<a>", "--symbols"),
        ("split_digits", True, "--split-digits"),
    ):
        for vocabularies in ([words], []):
            assert other_vocabulary({name: value}, vocabularies)[flag]
