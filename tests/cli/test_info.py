"""`seqtool info`, through the real command; what it says of artifacts is tested beside the commands that make them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from seqtool.native.loading import describe
from tests.cli.test_contract import error_of
from tests.conftest import Command


def test_info_of_the_machine_says_what_became_of_each_part_in_c(seqtool: Command):
    report = json.loads(seqtool("info", "--machine", "--json").stdout)
    assert (report["kind"], report["torch"]) == ("machine", torch.__version__)
    assert report["threads"] == 1  # OMP_NUM_THREADS of tests/conftest.py
    assert report["name"]
    assert report["parts"] == {name: dataclasses.asdict(part) for name, part in describe().items()}
    lines = seqtool("info", "--machine").stdout.decode().splitlines()
    for name, part in describe().items():
        assert f"{name}.c  ".ljust(14) + str(part) in lines


def test_info_of_nothing_and_of_both_is_wrong_usage(seqtool: Command, tmp_path: Path):
    assert "missing argument 'PATH'" in error_of(seqtool("info"), 2)
    assert "give one of them" in error_of(seqtool("info", "--machine", tmp_path), 2)
