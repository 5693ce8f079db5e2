"""`seqtool train --model ngram`: a run as any other, from counts."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.counts import choosing, columns
from seqtool.counts.columns import Storage
from seqtool.runs.config import WEIGHTS
from seqtool.runs.loading import load_run
from seqtool.settings.model import ModelConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language import counting
from seqtool.tasks.language.data import prepare_data
from tests.conftest import ODD_STRINGS, Command

TRAIN = ("--model", "ngram", "--vocab-type", "char")


@pytest.fixture(scope="module")
def counted_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counted") / "run"
    result = seqtool("train", prose_file, "-o", path, *TRAIN, "--json")
    assert result.returncode == 0, result.stderr.decode()
    told = json.loads(result.stdout)
    assert 4 <= told["order"] <= 8
    assert told["valid_nats_per_token"] < 2
    return path


def test_a_run_has_what_others_have(seqtool: Command, counted_run: Path):
    assert {file.name for file in counted_run.iterdir()} == {"config.json", "vocab.model", WEIGHTS, "metrics.jsonl"}
    assert {file.name for file in counted_run.parent.iterdir()} == {"run"}
    about = json.loads(seqtool("info", counted_run, "--json").stdout)
    orders = [json.loads(line) for line in (counted_run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in orders] == list(range(1, len(orders) + 1))
    assert about["order"] == len(about["ngrams"]) == orders[-1]["best_step"]
    assert "hidden" not in about
    assert sum(about["ngrams"]) in [record["ngrams"] for record in orders]


def test_all_next_symbols_have_the_probability_one_anywhere(counted_run: Path):
    run = load_run(counted_run, torch.device("cpu"))
    ids = run.vocabulary.encode("".join(text[:300] for text in ODD_STRINGS)).astype(np.int64)
    ngrams = run.model.ngrams  # type: ignore[attr-defined]
    contexts = ngrams.advance(ngrams.no_contexts(1), np.array([ngrams.begin_id]))
    for place, token in enumerate(ids[:1500]):
        if place % 7 == 0:
            assert abs(np.exp(ngrams.next_log_p(contexts)).sum() - 1) < 1e-9
        contexts = ngrams.advance(contexts, np.array([token]))


def test_every_form_of_scoring_gives_the_same_nats(seqtool: Command, counted_run: Path, prose: str):
    text = prose[:3000].encode() + "\u2028 ünseen \x00\n".encode()
    total = json.loads(seqtool("eval", counted_run, "-", "--json", stdin=text).stdout)
    for per in ("token", "word", "document"):
        rows = seqtool("eval", counted_run, "-", "--per", per, stdin=text).stdout.decode().splitlines()
        assert sum(float(row.split("\t")[0]) for row in rows) == pytest.approx(total["nats"], rel=1e-5)
        assert sum(int(row.split("\t")[1]) for row in rows) == total["tokens"]
    lines = text.decode().split("\n")[:3]
    rows = (
        seqtool("eval", counted_run, "-", "--per", "line", stdin="\n".join(lines).encode()).stdout.decode().splitlines()
    )
    alone = [seqtool("eval", counted_run, "-", "--json", stdin=line.encode() + b"\n").stdout for line in lines[:2]]
    assert [float(row.split("\t")[0]) for row in rows[:2]] == pytest.approx([json.loads(one)["nats"] for one in alone])


def test_text_is_generated_in_every_way(seqtool: Command, counted_run: Path):
    for flags in (["--greedy"], ["--beam", 3, "-n", 2], ["--top-p", 0.9], ["--constrain", "[a-z]+ [a-z]+[.]"]):
        made = [
            seqtool(
                "generate", counted_run, "--prompt", "the ", "--max-tokens", 30, "--seed", 4, "--json", *flags
            ).stdout
            for _ in range(2)
        ]
        assert made[0] == made[1]
        one = json.loads(made[0].splitlines()[0])
        scored = json.loads(
            seqtool("eval", counted_run, "-", "--given", "the ", "--json", stdin=one["text"].encode()).stdout
        )
        assert scored["nats"] == pytest.approx(one["nats"], abs=1e-3)


def test_documents_end_where_the_next_began(seqtool: Command, tmp_path: Path):
    text = tmp_path / "lines.txt"
    text.write_text("one two three\nfour five six\n" * 200)
    result = seqtool("train", text, "-o", tmp_path / "run", *TRAIN, "--order", 4, "--document", "line", "-q")
    assert result.returncode == 0, result.stderr.decode()
    made = seqtool("generate", tmp_path / "run", "--prompt", "fo", "--greedy", "--json")
    assert json.loads(made.stdout) | {"written": 0, "seed": 0, "nats": 0} == {
        "prompt": "fo", "text": "ur five six\n", "tokens": 12, "nats": 0, "stopped_by": "end", "seed": 0, "written": 0,
    }  # fmt: skip
    rows = seqtool("eval", tmp_path / "run", "-", "--per", "line", stdin=b"one two three\nfour\n").stdout.decode()
    assert [int(row.split("\t")[1]) for row in rows.splitlines()] == [14, 5]


def test_resume_of_a_run_says_that_it_is_whole(seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path):
    before = {file: file.read_bytes() for file in counted_run.iterdir()}
    result = seqtool("train", prose_file, "-o", counted_run, *TRAIN, "--resume", "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert b"nothing was left to do" in result.stderr
    assert json.loads(result.stdout)["valid_nats_per_token"] < 2
    assert {file: file.read_bytes() for file in counted_run.iterdir()} == before
    other = seqtool("train", prose_file, "-o", counted_run, *TRAIN, "--resume", "--order", 3)
    assert (other.returncode, b"--order 3" in other.stderr) == (2, True)
    begun = seqtool("train", prose_file, "-o", counted_run, *TRAIN, "--resume-or-begin")
    assert b"nothing was left to do" in begun.stderr
    again = seqtool("train", prose_file, "-o", counted_run, *TRAIN)
    assert (again.returncode, b"--force" in again.stderr) == (2, True)


def test_a_dry_run_tells_what_would_be_written(seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path):
    told = json.loads(seqtool("train", prose_file, "-o", tmp_path / "run", *TRAIN, "--dry-run", "--json").stdout)
    about = json.loads(seqtool("info", counted_run, "--json").stdout)
    assert (told["order"], told["ngrams"]) == (about["order"], about["ngrams"])
    assert 0 < (counted_run / WEIGHTS).stat().st_size - told["weights_bytes"] < 8192
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("flags", "told"), [
    (["--hidden", "8", "--lr", "0.1"], "--hidden and --lr: --model ngram is counted"),
    (["--steps", "8"], "--steps: --model ngram"),
    (["--from", "."], "--from: --model ngram"),
    (["--watch", "x"], "--watch: --model ngram"),
    (["--order", "99"], "--order 99: at most 16"),
    (["--prune", "1"], "begin with 0"),
    (["--prune", "0,2,1"], "never let it fall"),
    (["--prune", "0,-1"], "write a count for each order"),
])  # fmt: skip
def test_what_has_no_meaning_is_refused_by_name(
    seqtool: Command, prose_file: Path, tmp_path: Path, flags: list[str], told: str
):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", *TRAIN, *flags)
    assert (result.returncode, told in result.stderr.decode()) == (2, True), result.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_memory_changes_nothing_but_what_waits_on_disk(
    seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path
):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", *TRAIN, "--memory", "400M", "-q")
    assert result.returncode == 0, result.stderr.decode()
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (counted_run / WEIGHTS).read_bytes()
    refused = seqtool("train", prose_file, "-o", tmp_path / "other", *TRAIN, "--memory", "9M")
    assert (refused.returncode, b"--memory 9M: the program itself takes" in refused.stderr) == (2, True)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_kill_loses_nothing(seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path):
    """While text is read, n-grams are counted or the run is written: what was there is there, or the new one."""
    (temporary := tmp_path / "temporary").mkdir()
    (folder := tmp_path / "runs").mkdir()
    env, run = {"TMPDIR": str(temporary)}, folder / "run"
    command = ["train", prose_file, "-o", run, *TRAIN, "--memory", "400M", "--force", "-q", "--order"]
    assert seqtool(*command, 3, env=env).returncode == 0
    kept, began = {3: (run / WEIGHTS).read_bytes()}, time.perf_counter()
    assert seqtool(*command, 6, env=env).returncode == 0
    took = time.perf_counter() - began
    kept[6] = (run / WEIGHTS).read_bytes()
    ended, order = 0, 6
    for part in np.linspace(0.02, 1.0, 40):
        asked = 9 - order
        result = seqtool(*command, asked, env=env, kill=(9, [(str(folder / ".run.lock"), float(part * took))]))
        ended += result.returncode == 0
        assert result.returncode in (0, -9), result.stderr.decode()
        found = (run / WEIGHTS).read_bytes()
        assert found == kept[order] or found == kept[asked]
        order = 6 if found == kept[6] else 3
        assert seqtool("eval", run, prose_file, "-q").returncode == 0
        assert list(temporary.iterdir()) == []
    assert ended < 30
    assert seqtool(*command, order, env=env).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["run"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_too_little_memory_is_told(seqtool: Command, tmp_path: Path):
    (tmp_path / "big.txt").write_bytes(np.random.default_rng(0).integers(97, 123, 12 << 20).astype(np.uint8).tobytes())
    result = seqtool("train", tmp_path / "big.txt", "-o", tmp_path / "run", *TRAIN, "--memory", "9G", memory=90 << 20)
    assert result.returncode == 1
    assert b"not enough memory for so many n-grams: lower --memory or --order" in result.stderr, result.stderr.decode()


def test_half_of_what_is_free_is_for_counting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(columns, "free_bytes", lambda: 80 << 20)
    assert counting._storage(None).block == Storage(40 << 20).block < Storage().block
    monkeypatch.setattr(columns, "free_bytes", lambda: None)
    assert counting._storage(None).block == Storage().block


def test_its_settings_are_refused_for_others(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", "--order", 3)
    assert (result.returncode, b"--order is for --model ngram" in result.stderr) == (2, True)


def test_pruning_leaves_n_grams_out(seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path):
    run = tmp_path / "run"
    assert seqtool("train", prose_file, "-o", run, *TRAIN, "--prune", "0,0,1", "-q").returncode == 0
    few, all_of_them = (json.loads(seqtool("info", path, "--json").stdout)["ngrams"] for path in (run, counted_run))
    assert few[:2] == all_of_them[:2]
    assert few[2] < all_of_them[2]


def test_what_needs_weights_refuses_counts(seqtool: Command, counted_run: Path, prose_file: Path, tmp_path: Path):
    for command, told in (
        (["embed", "from", counted_run, "-o", tmp_path / "v"], b"has no vectors of its own"),
        (["train", prose_file, "-o", tmp_path / "run", "--from", counted_run], b"counts of n-grams"),
    ):
        result = seqtool(*command)
        assert (result.returncode, told in result.stderr) == (3, True), result.stderr.decode()


@pytest.mark.parametrize("part", ["config.json", WEIGHTS])
def test_an_edited_run_is_refused(seqtool: Command, counted_run: Path, tmp_path: Path, part: str):
    """Any byte of the counts, and every number of the configuration: exit code 3, or the same nats as before."""
    run = tmp_path / "run"
    run.mkdir()
    for file in counted_run.iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    content = (run / part).read_bytes()
    edits = [
        content[:-9],
        content[: len(content) // 2],
        content.replace(b'"ngrams": [\n    ', b'"ngrams": [\n    9'),
        b"",
    ]
    edits += [
        content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(3, len(content), len(content) // 5)
    ]
    for edited in edits:
        (run / part).write_bytes(edited)
        result = seqtool("eval", run, "-", stdin=b"the text\n")
        assert result.returncode == 3 or math.isfinite(len(result.stdout)), result.stderr.decode()
        assert b"Traceback" not in result.stderr
        assert part == "config.json" or edited == content or result.returncode == 3, result.stderr.decode()


@pytest.mark.slow
def test_only_the_last_models_are_kept(prose_file: Path, monkeypatch: pytest.MonkeyPatch):
    """Of sixteen orders on disk, a thousand files would be open otherwise."""
    prepared = prepare_data(
        [str(prose_file)], vocabulary=None, vocabulary_config=VocabularyConfig(type="char"), valid=None,
        errors="strict", document="file", seed=0,
    )  # fmt: skip
    monkeypatch.setattr(choosing, "LEAST_GAIN", -1.0)  # no order gains too little
    found, metrics = counting._counted(prepared, ModelConfig(model="ngram"), Storage(0))
    alive = [candidate.model.order for candidate in found]
    assert (alive, len(metrics)) == ([15, 16], 16)
