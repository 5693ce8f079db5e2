"""Attention as a page: the shares that were given, by layer and head, of tokens that are text whatever they are."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtool.reports.attention import AttentionMap, attention_page
from tests.conftest import Command
from tests.tasks.tables import done


def data_of(page: bytes) -> Any:
    (data,) = re.findall(r'id="data">(.*?)</script>', page.decode(), re.DOTALL)
    return json.loads(data)


def test_shares_come_back_by_layer_and_head():
    looks = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3, 5)).astype(np.float32)
    hostile = ["<s>", "</script>", "\x00", "a b"]
    page = attention_page([AttentionMap("<b>", hostile, list("vwxyz"), looks)], "Attention of <run>")
    found = data_of(page)
    assert (found["layers"], found["heads"]) == (2, 3)
    (one,) = found["maps"]
    shares = np.frombuffer(base64.b64decode(one["looks"]), np.uint8).reshape(looks.shape) / 255
    np.testing.assert_allclose(shares, looks, atol=0.003)
    assert one["source"][:2] == ["<s>", "</script>"]
    assert "<b>" not in page.decode()
    assert not re.search(rb"https?:(?!//www\.w3\.org/2000/svg)", page)
    assert data_of(attention_page([], "none"))["maps"] == []


def test_the_command_draws_what_the_model_looked_at(seqtool: Command, translator: Path, tmp_path: Path):
    page = tmp_path / "map.html"
    asked = ["predict", translator / "run", "-", "--attention-map", page]
    out = done(seqtool, *asked, stdin=b"the red cat\n\nthe dog\n" + b"the cat\n" * 60)
    assert out.count(b"\n") == 63
    maps = data_of(page.read_bytes())["maps"]
    assert len(maps) == 50
    assert maps[0]["source"] == ["<s>", "the", "red", "cat"]
    assert maps[0]["title"] == f"1: {out.decode().split(chr(10))[0]}"
    assert maps[1]["title"].startswith("3: ")
    looks = np.frombuffer(base64.b64decode(maps[0]["looks"]), np.uint8).reshape(-1, 4) / 255
    assert looks.sum(1) == pytest.approx(np.ones(len(looks)), abs=0.02)
    result = seqtool(*asked, stdin=b"the dog\n")
    assert result.returncode == 2
    assert b"--force" in result.stderr
