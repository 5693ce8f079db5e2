"""Making mixtures in a process: what is copied, what is refused, and the weights beside a search for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.counts.mixture import mixed_nats
from seqtool.errors import InputError, UsageError
from seqtool.runs.config import part_of
from seqtool.runs.loading import load_run
from seqtool.scoring.mixing import check_parts, copied_parts, mix, nats_of
from seqtool.scoring.scorer import Scorer
from seqtool.text.documents import TextSource
from seqtool.text.encoded import EncodedText, encode_text
from tests.cli.test_contract import error_of
from tests.cli.test_export import counts as counts
from tests.conftest import Command
from tests.tasks.tables import done

CPU = torch.device("cpu")


def encoded(path: Path, run: Path) -> EncodedText:
    return encode_text(load_run(run, CPU).vocabulary, TextSource([str(path)]))


def quiet(done: int) -> None:
    pass


@pytest.fixture
def valid(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "valid.txt"
    path.write_text(prose[8000:12000])
    return path


@pytest.fixture
def pair(counts: Path, seqtool, short_text: Path, tmp_path: Path) -> list[Path]:
    other = tmp_path / "unigrams"
    flags = ["--model", "ngram", "--order", 1, "--vocab", counts / "vocab.model", "-o", other, "-q"]
    assert seqtool("train", short_text, *flags).returncode == 0
    return [counts, other]


def test_the_weights_and_nats_are_those_of_scoring_each(pair: list[Path], valid: Path, tmp_path: Path):
    folder = tmp_path / "both"
    runs = copied_parts(pair, folder, CPU)
    text = encoded(valid, pair[0])
    told: list[int] = []
    mixed = mix(folder, pair, runs, text, told.append)
    assert told[-1] == 2 * len(text.ids)
    ids = text.ids[1 : len(text.ids)]
    own_MT = np.array([Scorer(load_run(path, CPU).model).score(ids, [0]) for path in pair], np.float64)
    assert mixed.nats_M == pytest.approx(own_MT.mean(axis=1), rel=1e-6)
    best = min(mixed_nats(own_MT, np.array([w, 1 - w])).mean() for w in np.linspace(0, 1, 1001))
    assert mixed.nats == pytest.approx(best, abs=1e-5)
    loaded = load_run(folder, CPU)
    assert Scorer(loaded.model).score(ids, [0]).mean() == pytest.approx(mixed.nats, abs=1e-5)
    assert nats_of([run.model for run in runs], text.ids[:], quiet) == pytest.approx(own_MT, abs=1e-4)
    assert {path.name for path in part_of(folder, 1).iterdir()} == {"config.json", "vocab.model", "model.safetensors"}


def test_what_a_run_learned_from_tells_no_weights(pair: list[Path], short_text: Path, tmp_path: Path):
    runs = copied_parts(pair, tmp_path / "both", CPU)
    with pytest.raises(InputError, match="learned from this very text"):
        mix(tmp_path / "both", pair, runs, encoded(short_text, pair[0]), quiet)


def test_other_vocabularies_and_mixtures_are_refused(pair: list[Path], small_run: Path, valid: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="another vocabulary"):
        copied_parts([pair[0], small_run], tmp_path / "a", CPU)
    folder = tmp_path / "both"
    mix(folder, pair, copied_parts(pair, folder, CPU), encoded(valid, pair[0]), quiet)
    with pytest.raises(InputError, match="is a mixture itself"):
        copied_parts([pair[0], folder], tmp_path / "b", CPU)
    for count in (1, 17):
        with pytest.raises(UsageError, match="2 to 16 runs"):
            check_parts([pair[0]] * count)


def test_a_run_that_is_not_whole_is_named_itself(pair: list[Path], tmp_path: Path):
    (pair[1] / "model.safetensors").unlink()
    for path in (pair[1], tmp_path / "none"):
        with pytest.raises(InputError, match=str(path)):
            copied_parts([pair[0], path], tmp_path / f"of-{path.name}", CPU)


def test_what_a_run_learned_through_others_tells_no_weights(
    seqtool: Command, small_run: Path, prose_file: Path, valid: Path, tmp_path: Path
):
    tuned, mean = tmp_path / "tuned", tmp_path / "mean"
    done(seqtool, "train", valid, "--from", small_run, "--steps", 1, "-q", "-o", tuned)
    done(seqtool, "average", small_run, tuned, "-q", "-o", mean)
    for run, text in ((tuned, prose_file), (mean, valid)):
        refused = seqtool("mix", run, small_run, "--valid", text, "-o", tmp_path / "mixed", "-q")
        assert f"{run} has the weights of a run that learned from this very text" in error_of(refused, 3)
