from __future__ import annotations

import ast
from pathlib import Path

import pytest
from torch import nn

from seqtool.exchange import onnx_cores
from seqtool.exchange.onnx_cores import MIXERS, STEPS, core_step
from seqtool.exchange.onnx_graph import Graph
from seqtool.models.cores import mixers
from seqtool.models.cores.core import Core, core_class
from seqtool.settings.architectures import nets
from seqtool.settings.examples import LANGUAGE
from seqtool.settings.model import ModelConfig


def test_every_net_that_predicts_text_has_its_step():
    pytest.importorskip("onnx")
    assert {core_class(ModelConfig(model=name)) for name in nets(LANGUAGE)} == STEPS.keys()
    assert set(mixers.MIXERS.values()) == MIXERS.keys()

    class Other(Core):
        pass

    with pytest.raises(NotImplementedError, match="Other has no step"):
        core_step(Graph(), nn.Identity(), Other(), "tanh")  # type: ignore[arg-type]


def test_no_architecture_is_written_by_its_name():
    strings = {
        node.value
        for node in ast.walk(ast.parse(Path(onnx_cores.__file__).read_text()))
        if isinstance(node, ast.Constant)
    }
    assert not strings & set(nets(LANGUAGE))
