"""The table of models beside compressors, by the real program."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.corpora.test_recipes import ROOT

PROGRAM = ROOT / "corpora" / "beside_compressors.py"
TRAIN, TEXT = b"the cat sat on the mat. " * 400, b"the cat sat on the hat. " * 100


def rows(folder: Path, reports: str, path: str) -> dict[str, float]:
    (folder / "train.txt").write_bytes(TRAIN)
    (folder / "text.txt").write_bytes(TEXT)
    result = subprocess.run(
        [sys.executable, PROGRAM, folder / "train.txt", folder / "text.txt"], input=reports, text=True,
        capture_output=True, check=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    lines = [line.removesuffix(" bits per byte").rsplit(None, 1) for line in result.stdout.splitlines()]
    return {name.strip(): float(bits) for name, bits in lines}


def test_each_model_has_a_row_and_each_compressor(tmp_path: Path):
    reports = [
        {"model": "lstm", "bits_per_byte": 2.0},
        {"model": "gated", "bits_per_byte": 1.5, "adapted_bits_per_byte": 1.2},
    ]
    found = rows(tmp_path, "".join(json.dumps(report) + "\n" for report in reports), path="")
    both, one = (len(lzma.compress(text, preset=9)) for text in (TRAIN + TEXT, TRAIN))
    assert found == {
        "seqtool lstm": 2.0,
        "seqtool gated": 1.5,
        "seqtool gated, adapted": 1.2,
        "gzip -9": round(8 * len(gzip.compress(TEXT, 9)) / len(TEXT), 3),
        "xz -9": round(8 * len(lzma.compress(TEXT, preset=9)) / len(TEXT), 3),
        "xz -9 after the training text": round(8 * (both - one) / len(TEXT), 3),
    }
    assert rows(tmp_path, json.dumps({"bits_per_byte": 1.0}), path="")["this model"] == 1.0


def test_a_strong_compressor_is_asked_where_it_is_installed(tmp_path: Path):
    fake = tmp_path / "paq8px"
    fake.write_text('#!/bin/sh\nhead -c $(($(wc -c < "$2") / 10)) "$2" > "$3.paq8px"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    found = rows(tmp_path, "", path=f"{tmp_path}:/usr/bin:/bin")
    assert found["paq8px -8 after the training text"] == 0.8
