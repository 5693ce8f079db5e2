"""`seqtool embed import`, by the real command: vectors that were exported come back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from seqtool.vectors.vectors import read_vectors
from tests.conftest import Command


@pytest.mark.parametrize(("name", "format"), [("v.txt", "word2vec"), ("v.bin", "word2vec-binary"), ("v", "glove")])
def test_out_and_in_again(seqtool: Command, word_vectors: Path, tmp_path: Path, name: str, format: str):
    asked = ["--format", format] if name == "v" else []
    out = seqtool("embed", "export", word_vectors, "-o", tmp_path / name, *asked, "--json")
    assert json.loads(out.stdout) == {"files": [str(tmp_path / name)], "format": format, "tokens": 6, "dim": 20}
    back = seqtool("embed", "import", tmp_path / name, "-o", tmp_path / "back", "--json")
    assert json.loads(back.stdout)["format"] == format
    assert read_vectors(tmp_path / "back").matrix_VD.tobytes() == read_vectors(word_vectors).matrix_VD.tobytes()
    assert list(read_vectors(tmp_path / "back").tokens) == list(read_vectors(word_vectors).tokens)
    told = json.loads(seqtool("info", tmp_path / "back", "--json").stdout)
    assert (told["kind"], told["tokens"], told["dim"], told["method"]) == ("vectors", 6, 20, "imported")
    assert told["input_sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert "embed import" in told["made_by"]["command"]


def test_text_goes_through_pipes(seqtool: Command, word_vectors: Path, tmp_path: Path):
    piped = seqtool("embed", "export", word_vectors, "-o", "-", "--format", "glove", "--most", 2)
    assert [line.split()[0] for line in piped.stdout.splitlines()] == [b"the", b"a"]
    result = seqtool("embed", "import", "-", "-o", tmp_path / "v", stdin=piped.stdout + piped.stdout)
    assert result.returncode == 0
    assert b"2 rows of tokens that came before were left out" in result.stderr
    assert list(read_vectors(tmp_path / "v").tokens) == ["the", "a"]
