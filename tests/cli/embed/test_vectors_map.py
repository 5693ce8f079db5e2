"""`seqtool embed map`, through the real command."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command

WORDS = ["<unk>", "the", "of", "king", "queen", "</script><b>", "\x1b[31mred", "漢字", *(f"w{n}" for n in range(40))]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "some.vectors"
    matrix = np.random.default_rng(0).standard_normal((len(WORDS), 6)).astype(np.float32)
    write_vectors(path, Vectors(TokenTable.of(WORDS), matrix, {"method": "svd", "vocabulary_type": "word"}))
    return path


def data_of(page: bytes) -> dict:
    (text,) = re.findall(rb'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_page_holds_the_words_and_says_what_made_it(seqtool: Command, vectors: Path, tmp_path: Path):
    result = seqtool("embed", "map", vectors, "-o", "map.html", "--most", 30, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, b"")
    data = data_of((tmp_path / "map.html").read_bytes())
    assert data["words"][:4] == WORDS[1:5]
    assert len(data["words"]) == len(data["x"]) == len(data["y"]) == len(data["nearest"]) == 30
    assert data["made"]["program"] == "seqtool"
    assert data["made"]["vectors_sha256"] == hashlib.sha256(vectors.read_bytes()).hexdigest()
    assert data["made"]["settings"]["method"] == "pca"
    share = re.search(r"which show (\d+\.\d)% of the variance", result.stderr.decode())[1]
    assert f"{share}%" in data["caption"]
    assert "next: open map.html" in result.stderr.decode()


def test_share_of_variance_is_that_of_the_unit_rows(seqtool: Command, tmp_path: Path):
    rows = np.random.default_rng(4).standard_normal((30, 5)).astype(np.float32)
    write_vectors(tmp_path / "v", Vectors(TokenTable.of([f"w{n}" for n in range(30)]), rows, {}))
    result = seqtool("embed", "map", tmp_path / "v", "-o", "-", "--format", "svg")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    squares = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False) ** 2
    assert f"{squares[:2].sum() / squares.sum():.1%}" in result.stderr.decode()
    assert ElementTree.fromstring(result.stdout).tag.endswith("svg")


def test_named_words_alone_or_marked_among_the_frequent(seqtool: Command, vectors: Path, tmp_path: Path):
    (tmp_path / "words").write_bytes("\ufeffking\r\n\nw39\nghost\n".encode())
    alone = seqtool("embed", "map", vectors, "queen", "--words", "words", "-o", "-", cwd=tmp_path)
    assert data_of(alone.stdout)["words"] == ["king", "queen", "w39"]
    assert "1 of the words named has no vector: 'ghost'" in alone.stderr.decode()
    among = seqtool("embed", "map", vectors, "--words", "-", "--most", 2, "-o", "-", "-q", stdin=b"king\nthe")
    data = data_of(among.stdout)
    assert (data["words"], data["named"], among.stderr) == (["the", "of", "king"], [0, 2], b"")


def test_words_that_are_not_utf8_can_be_replaced(seqtool: Command, vectors: Path, tmp_path: Path):
    (tmp_path / "words").write_bytes(b"king\n\xff\n")
    command = ("embed", "map", vectors, "--words", "words", "-o", "a b.html")
    assert "--errors replace" in error_of(seqtool(*command, cwd=tmp_path), 3)
    result = seqtool(*command, "--errors", "replace", cwd=tmp_path)
    assert result.returncode == 0
    assert "next: open 'a b.html' in" in result.stderr.decode()
    assert data_of((tmp_path / "a b.html").read_bytes())["words"] == ["king"]


def test_same_command_same_bytes_and_nothing_is_overwritten(seqtool: Command, vectors: Path, tmp_path: Path):
    command = ("embed", "map", vectors, "-o", "map.svg", "-q")
    assert seqtool(*command, cwd=tmp_path).returncode == 0
    first = (tmp_path / "map.svg").read_bytes()
    assert "exists already" in error_of(seqtool(*command, cwd=tmp_path), 2)
    (tmp_path / "map.svg").unlink()
    assert seqtool(*command, cwd=tmp_path).returncode == 0
    assert (tmp_path / "map.svg").read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["map.svg"]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["ghost", "-o", "x.html"], 3, "none of the words named has a vector"),
    (["--words", "empty", "-o", "x.html"], 3, "is empty"),
    (["--words", "blank", "-o", "x.html"], 3, "names no word"),
    (["--words", "nowhere", "-o", "x.html"], 3, "does not exist"),
    (["-o", "x.pdf"], 2, "ends in .html, .svg, .png"),
    (["-o", "x.svg", "--format", "png"], 2, "different formats"),
    (["-o", "x.html", "--format", "pdf"], 2, "choose from html, svg, png"),
    (["-o", "x.html", "--method", "umap"], 2, "choose from pca, tsne"),
    (["-o", "x.html", "--seed", 1], 2, "--seed is for --method tsne"),
    (["-o", "x.html", "--errors", "replace"], 2, "--errors is for the file of --words"),
    (["-o", "nowhere/x.html"], 2, "no directory"),
])  # fmt: skip
def test_what_cannot_be_drawn_leaves_nothing(
    seqtool: Command, vectors: Path, tmp_path: Path, arguments: list[str], code: int, message: str
):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_bytes(b"\n\r\n")
    result = seqtool("embed", "map", vectors, *arguments, "-q", cwd=tmp_path)
    assert message in error_of(result, code)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["blank", "empty"]


def test_png_and_tsne(seqtool: Command, vectors: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    result = seqtool("embed", "map", vectors, "-o", "map.png", "--method", "tsne", "--seed", 3, "-q", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    content = (tmp_path / "map.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert b"tsne" in content


def test_drawing_loads_neither_torch_nor_what_it_does_not_need(vectors: Path):
    code = (
        f"import sys; sys.argv = ['seqtool', 'embed', 'map', {str(vectors)!r}, 'king', 'queen', '-o', '-', '-q']\n"
        "from seqtool.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "heavy = ('torch', 'sentencepiece', 'matplotlib', 'sklearn')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert result.stderr.decode().strip() == "[]"
    assert data_of(result.stdout)["words"] == ["king", "queen"]
