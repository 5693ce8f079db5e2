"""A close reading: the costs are those of scoring, the likeliest are those of the model, and calibration counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import InputError
from seqtool.runs.loading import Run, load_run
from seqtool.scoring.scorer import Scorer
from seqtool.scoring.surprise import CloseReading, calibration, read_closely
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from tests.conftest import Command

TEXT = "It was late, and the king was there.\n\nNaïve 🙂 text\twithout an end"


@pytest.fixture(scope="module", params=["lstm", "transformer", "ngram", "mixture"])
def run(
    request: pytest.FixtureRequest,
    seqtool: Command,
    small_run: Path,
    prose_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    path = small_run
    if request.param != "lstm":
        path = tmp_path_factory.mktemp(request.param) / "run"
        train = ("train", prose_file, "--vocab", small_run / "vocab.model", "-o", path, "-q", "--model")
        small = ("transformer", "--hidden", 16, "--heads", 2, "--layers", 1, "--context", 16, "--steps", 5)
        commands = {"transformer": (*train, *small), "ngram": (*train, "ngram", "--order", 3)}
        commands["mixture"] = ("mix", small_run, small_run, "-o", path, "-q")
        result = seqtool(*commands[request.param])
        assert result.returncode == 0, result.stderr.decode()
    return load_run(path, torch.device("cpu"))


def read(run: Run, folder: Path, text: str, document: str = "file", most: int = 10_000) -> CloseReading:
    (folder / "t.txt").write_text(text, encoding="utf-8")
    return read_closely(run.model, run.vocabulary, TextSource([str(folder / "t.txt")]), document, most)


@pytest.mark.parametrize("document", ["file", "line"])
def test_costs_are_those_of_scoring(run: Run, document: str, prose: str, tmp_path: Path):
    reading = read(run, tmp_path, TEXT + prose[:500], document)
    expected = Scorer(run.model).score(reading.ids, reading.starts)
    np.testing.assert_allclose(reading.nats, expected, rtol=1e-4, atol=1e-4)
    assert len(reading.starts) == (1 if document == "file" else (TEXT + prose[:500]).rstrip("\n").count("\n") + 1)
    assert reading.whole


def test_a_text_without_a_token_is_refused(run: Run, tmp_path: Path):
    (tmp_path / "words").write_text("one two\n" * 9)
    words = learn_vocabulary(TextSource([str(tmp_path / "words")]), VocabularyConfig(type="word", min_count=1))
    (tmp_path / "t.txt").write_text("   ")
    with pytest.raises(InputError, match=r"t\.txt has no token to read: give text with words"):
        read_closely(run.model, words, TextSource([str(tmp_path / "t.txt")]), "file", 10)


def test_the_likeliest_are_those_of_the_model(run: Run, tmp_path: Path):
    reading = read(run, tmp_path, TEXT[:20])
    read_BT = torch.tensor([[run.vocabulary.begin_id, *reading.ids.tolist()[:-1]]])
    with torch.inference_mode():
        log_p_BTV, _ = run.model.log_p(read_BT[:, :16], None)
    top = log_p_BTV[0].topk(10)
    np.testing.assert_array_equal(reading.likely_TK[: len(top.indices), 0], top.indices[:, 0].numpy())
    np.testing.assert_allclose(reading.p_TK[: len(top.values)], top.values.exp().numpy(), rtol=1e-3, atol=1e-5)


def test_a_long_text_is_read_in_part_and_the_same(run: Run, prose: str, tmp_path: Path):
    whole, part = (read(run, tmp_path, prose[:3000], most=most) for most in (10_000, 700))
    assert (len(part.ids), part.whole, whole.whole) == (700, False, True)
    np.testing.assert_allclose(part.nats, whole.nats[:700], rtol=1e-4, atol=1e-4)
    assert part.lines == [line for line in whole.lines if line.stop <= 700]


def test_calibration_counts_every_symbol_in_every_place(run: Run, prose: str, tmp_path: Path):
    reading = read(run, tmp_path, prose[:800])
    size = run.vocabulary.size
    p_TV = np.empty((len(reading.ids), size))
    with torch.inference_mode():
        if run.model.context is None:
            ids = torch.tensor([[run.vocabulary.begin_id, *reading.ids.tolist()[:-1]]])
            p_TV[:] = run.model.log_p(ids, None)[0][0].exp().numpy()
        else:
            pytest.skip("a window is read in parts")
    came_TV = np.arange(size) == reading.ids[:, None]
    bins = np.minimum((p_TV * 10).astype(int), 9)
    for number, one in enumerate(calibration(reading, size)):
        inside = bins == number
        assert one.predictions == pytest.approx(inside.sum(), abs=2)  # p on an edge, where batches differ
        if one.predictions > 5:
            assert one.p == pytest.approx(p_TV[inside].mean(), rel=0.02)
            assert one.share == pytest.approx(came_TV[inside].mean(), rel=0.05, abs=0.02)
    found = [bin for bin in calibration(reading, size) if bin.predictions]
    assert sum(bin.predictions for bin in found) == p_TV.size
    assert sum(bin.predictions * bin.share for bin in found) == pytest.approx(
        len(reading.ids)
    )  # one comes in each place
    assert sum(bin.predictions * bin.p for bin in found) == pytest.approx(len(reading.ids))
