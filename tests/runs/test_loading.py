"""From run directories to what predicts: each kind is found whole, or refused by what it lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import InputError
from seqtool.models.counted import CountedModel
from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.language_model import LanguageModel
from seqtool.models.mixture import Mixture
from seqtool.runs.config import part_of
from seqtool.runs.loading import load_example_run, load_part, load_run
from seqtool.scoring.mixing import copied_parts, mix
from seqtool.text.documents import TextSource
from seqtool.text.encoded import encode_text
from tests.cli.test_export import counts as counts
from tests.conftest import Command

CPU = torch.device("cpu")


@pytest.fixture
def mixture(seqtool: Command, counts: Path, short_text: Path, prose: str, tmp_path: Path) -> Path:
    other, folder, text = tmp_path / "unigrams", tmp_path / "both", tmp_path / "valid.txt"
    flags = ["--model", "ngram", "--order", 1, "--vocab", counts / "vocab.model", "-o", other, "-q"]
    assert seqtool("train", short_text, *flags).returncode == 0
    text.write_text(prose[8000:10000])
    runs = copied_parts([counts, other], folder, CPU)
    mix(folder, [counts, other], runs, encode_text(runs[0].vocabulary, TextSource([str(text)])), lambda done: None)
    return folder


def test_each_kind_of_run_gives_its_model(small_run: Path, counts: Path, mixture: Path):
    kinds = {small_run: LanguageModel, counts: CountedModel, mixture: Mixture}
    for path, kind in kinds.items():
        loaded = load_run(path, CPU)
        assert isinstance(loaded.model, kind)
        assert loaded.model.vocab_size == loaded.vocabulary.size
        with pytest.raises(InputError, match="mixture of runs" if kind is Mixture else "is a language model"):
            load_example_run(path, CPU)
    loaded = load_run(mixture, CPU)
    assert np.exp(loaded.model.log_weights).tolist() == pytest.approx(loaded.config.weights)
    assert loaded.config.name == "mixture"


def test_no_part_is_a_mixture(counts: Path, mixture: Path):
    assert load_part(counts, CPU).path == counts
    with pytest.raises(InputError, match="is a mixture itself: name the runs it is made of"):
        load_part(mixture, CPU)
    shutil.rmtree(part_of(mixture, 0))
    shutil.copytree(mixture, mixture.with_name("copy"))
    shutil.move(mixture.with_name("copy"), part_of(mixture, 0))
    with pytest.raises(InputError, match="is not the run that"):
        load_run(mixture, CPU)


def test_a_part_that_is_put_in_the_place_of_another_is_found(mixture: Path):
    first, second = part_of(mixture, 0), part_of(mixture, 1)
    first.rename(mixture / "x")
    second.rename(first)
    (mixture / "x").rename(second)
    with pytest.raises(InputError, match="is not the run that"):
        load_run(mixture, CPU)


def test_a_mixture_keeps_its_vocabulary(mixture: Path, small_run: Path):
    shutil.copy(small_run / "vocab.model", mixture / "vocab.model")
    with pytest.raises(InputError, match="is not the vocabulary of this run"):
        load_run(mixture, CPU)


def test_what_a_mixture_lacks_is_said(mixture: Path):
    part = part_of(mixture, 1)
    shutil.rmtree(part)
    with pytest.raises(InputError, match=f"lacks its part {part}: put that back, or mix again"):
        load_run(mixture, CPU)
    part.symlink_to("..")
    with pytest.raises(InputError, match="is not the run that"):
        load_run(mixture, CPU)


@pytest.mark.parametrize(
    "make", [Path.unlink, lambda path: (path.unlink(), path.mkdir()), lambda path: (path.unlink(), os.mkfifo(path))]
)
def test_a_run_without_a_vocabulary_is_refused(small_run: Path, tmp_path: Path, make):
    shutil.copytree(small_run, tmp_path / "run")
    make(tmp_path / "run" / "vocab.model")
    with pytest.raises(InputError, match=r"has no vocab.model, a plain file: put its own back"):
        load_run(tmp_path / "run", CPU)


def test_what_writes_texts_has_a_vocabulary_of_its_own_or_the_same(seqtool: Command, tmp_path: Path):
    (source := tmp_path / "a").write_text("one\ntwo\n" * 20)
    (target := tmp_path / "b").write_text("e i n s\nz w e i\n" * 20)
    for name, kind, files in (("apart", "word", 2), ("shared", "bpe", 1)):
        run = tmp_path / name
        asked = [
            "train",
            source,
            "--target",
            target,
            "-o",
            run,
            "--target-type",
            kind,
            "--steps",
            1,
            "--hidden",
            8,
            "-q",
        ]
        assert seqtool(*asked).returncode == 0
        assert len(list(run.glob("*.model"))) == files
        loaded = load_example_run(run, CPU)
        assert isinstance(loaded.model, EncoderDecoder)
        assert (loaded.target_vocabulary is None) == (files == 1)
    run = tmp_path / "apart"
    (run / "target.model").write_bytes((run / "vocab.model").read_bytes())
    with pytest.raises(InputError, match=r"target\.model is not the vocabulary of this run"):
        load_example_run(run, CPU)
    (run / "target.model").unlink()
    with pytest.raises(InputError, match=r"has no target\.model"):
        load_example_run(run, CPU)
