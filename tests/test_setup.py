"""setup.py, run with compilers that are not like ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from seqtool.embeddings.skipgram import CompiledLearner, TorchLearner
from seqtool.models import recurrence
from seqtool.models.decoding import compiled_step
from seqtool.models.loss import output_nats
from seqtool.native import loading
from seqtool.native.loading import PARTS, describe, part
from tests.conftest import ROOT
from tests.embeddings.test_skipgram import problem, windows

# As Apple's clang; and in a hurry.
WITHOUT_OPENMP = """#!/bin/sh
for word; do
    shift
    case "$word" in
        -fopenmp) echo "unsupported option '-fopenmp'" >&2; exit 1 ;;
        -O3) set -- "$@" -O0 ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec cc "$@"
"""
pytest.importorskip("setuptools")


def build(folder: Path, compiler: Path) -> tuple[Path, str]:
    """Where the parts that setup.py could compile are, and what it said."""
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", folder / "lib", "--build-temp", folder / "temp"]
    environment = {**os.environ, "CC": str(compiler)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return folder / "lib" / "seqtool" / "native", ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def without_openmp(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("build")
    compiler = folder / "compiler"
    compiler.write_text(WITHOUT_OPENMP)
    compiler.chmod(0o755)
    return build(folder, compiler)


@pytest.fixture
def in_one_thread(without_openmp: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """These parts in place of ours, while torch has two threads."""
    monkeypatch.setattr(loading, "__file__", str(without_openmp[0] / "loading.py"))
    monkeypatch.setattr(loading, "_load", loading._load.__wrapped__)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.slow
def test_a_compiler_without_openmp_builds_all_parts(without_openmp: tuple[Path, str], in_one_thread: None):
    assert "does not take -fopenmp" in without_openmp[1]
    assert [(report.why_not, report.openmp) for report in describe().values()] == [(None, False)] * len(PARTS)


@pytest.mark.slow
@torch.inference_mode()
def test_a_layer_in_one_thread_is_torchs(in_one_thread: None):
    torch.manual_seed(1)
    layer, state = torch.nn.LSTM(5, 40, batch_first=True), torch.randn(3, 40)
    x = torch.randn(3, 7, 5)
    W_ih, W_hh, b_ih, b_hh = layer.parameters()
    given = F.linear(x, W_ih, b_ih + b_hh)
    ours, _ = recurrence.run("lstm", False, given, None, W_hh, None, (state, state), torch.float32)
    torch.testing.assert_close(ours, layer(x, (state[None], state[None]))[0], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_loss_in_one_thread_is_torchs(in_one_thread: None):
    features, W, b, targets = torch.randn(2, 9, 8), torch.randn(30, 8), torch.randn(30), torch.randint(30, (2, 9))
    expected = F.cross_entropy(F.linear(features, W, b).flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(output_nats(features, W, b, targets), expected)


@pytest.mark.slow
def test_a_product_in_one_thread_is_torchs(in_one_thread: None):
    weight, x = torch.randn(70, 33), torch.randn(2, 33)
    ours = compiled_step.product(part("step"), compiled_step.matrix(weight, None), x, None, threads=2)
    torch.testing.assert_close(ours, x @ weight.t(), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_vectors_learned_in_one_thread_are_torchs(in_one_thread: None):
    of = problem(cbow=False, subword=True, blocks=3)
    (drawn, noise), found = windows(200, of), []
    for learner, more in ((CompiledLearner, part("skipgram")), (TorchLearner, "cpu")):
        own = learner(replace(of, input=of.input.copy(), output=of.output.copy()), more)
        own.learn(drawn, noise, 0, 200, 1e-3)
        found.append(own.weights())
    for compiled, torchs in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, torchs, rtol=2e-4, atol=2e-5)


def test_without_a_compiler_there_are_no_parts_and_a_warning(tmp_path: Path):
    parts, told = build(tmp_path, tmp_path / "no-such-compiler")
    assert list(parts.glob("*")) == []
    assert "install again with a C compiler" in told
