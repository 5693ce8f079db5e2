"""What the command line promises, through the real command: streams, exit codes, one-sentence errors, artifacts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from seqtool.settings.training import OPTIMIZER_NAMES
from tests.conftest import Command, Start


def error_of(result: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one sentence on stderr of a command that failed as it should."""
    text = result.stderr.decode()
    assert result.returncode == code, (result.returncode, text)
    assert result.stdout == b""
    assert text.startswith("seqtool: error: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(("arguments", "message"), [
    (["frobnicate"], "no such command 'frobnicate': choose from vocab, encode"),
    (["trian", "x"], "no such command 'trian': did you mean train? choose from vocab, "),
    (["embed", "nearst", "x"], "no such command 'nearst': did you mean nearest? choose from train, "),
    (["train", "x", "--hiden", "3"], "no such option --hiden: did you mean --hidden?\n"),
    (["train", "x", "--batch_size", "3"], "no such option --batch_size: did you mean --batch-size?\n"),
    (["train", "x", "--zzz"], "no such option: --zzz: see seqtool train --help"),
    (["eval", "x", "--per", "lines"], "--per 'lines': did you mean line? choose from word, line"),
    (["train", "x", "--model", "lsmt"], "--model 'lsmt': did you mean lstm? choose from rnn, "),
    (["train", "x", "--config", "nanogpt-shakespeare"], "did you mean nanogpt-shakespeare-char? choose from awd-"),
    (["vocab"], "missing"),
    (["train", "x", "--optimizer", "adm"], "'adm': did you mean adam? choose from sgd, adam"),
    (["train", "x", "--nonsense"], "--nonsense"),
    (["train", "x", "--steps", "many"], "--steps"),
    (["train", "x", "--time", "soon"], "60s"),
    (["train", "x", "--dropout", "1"], "--dropout"),
    (["train", "x", "--resume"], "-o RUN"),
    (["train", "x", "--list-recipe"], "no such option"),
    (["train", "x", "--config", "awd"], "awd-lstm-ptb"),
    (["train", "x", "--bptt", "all"], "or full"),
    (["eval", "x", "--per", "page"], "line, token, document"),
    (["train", "x", "--steps", "0"], "--steps 0"),
    (["train", "x", "-o", "-"], "is a directory"),
    (["generate", "x", "-", "--prompt", "y"], "not both"),
    (["vocab", "x", "-o", "y", "--type", "bytes"], "choose from bpe"),
])  # fmt: skip
def test_wrong_usage_is_2(seqtool: Command, arguments: list[str], message: str):
    assert message.lower() in error_of(seqtool(*arguments), 2).lower()


def make_bad_files(folder: Path) -> None:
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(bytes(range(256)) * 10)
    (folder / "latin1").write_bytes("café au lait, encore une fois\n".encode("latin-1") * 50)
    (folder / "short").write_bytes(b"ab")
    (folder / "folder").mkdir()


@pytest.mark.parametrize(("name", "message"), [
    ("missing", "does not exist"),
    ("empty", "is empty"),
    ("binary", "a binary file"),
    ("latin1", "at offset 3 is not valid UTF-8"),
    ("folder", "is a directory"),
    ("short", "too short"),
])  # fmt: skip
def test_text_that_cannot_be_trained_on_is_3_and_leaves_nothing(
    seqtool: Command, tmp_path: Path, name: str, message: str
):
    make_bad_files(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert message in error_of(seqtool("train", name, "-o", "run", "--steps", 2, "-q", cwd=tmp_path), 3)
    assert sorted(tmp_path.iterdir()) == before


def test_unreadable_files_are_3(seqtool: Command, tmp_path: Path):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path = tmp_path / "locked"
    path.write_text("text")
    path.chmod(0)
    assert "Permission denied" in error_of(seqtool("vocab", path, "-o", tmp_path / "v"), 3)


@pytest.mark.parametrize("arguments", [
    ["--model", "transformer", "--hidden", "100", "--heads", "3"],
    ["--batch-size", "100000"],
    ["--bptt", "100000"],
    ["--vocab-size", "100000"],
    ["--nesterov"],
    ["--steps", "5", "--epochs", "1"],
])  # fmt: skip
def test_settings_that_do_not_go_together_leave_nothing(
    seqtool: Command, tmp_path: Path, prose_file: Path, arguments: list[str]
):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", "-q", *arguments)
    assert result.returncode in (2, 3)
    error_of(result, result.returncode)
    assert list(tmp_path.iterdir()) == []


def test_a_store_trains_as_its_text_does(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    seqtool("encode", prose_file, "--vocab", small_run / "vocab.model", "-o", tmp_path / "store")
    for data, name in ((prose_file, "text"), (tmp_path / "store", "stored")):
        result = seqtool(
            "train", data, "-o", tmp_path / name, "--steps", 12, "--hidden", 16, "-q", "--json",
            *(["--vocab", small_run / "vocab.model"] if name == "text" else []),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr.decode()
    assert (tmp_path / "text" / "model.safetensors").read_bytes() == (
        tmp_path / "stored" / "model.safetensors"
    ).read_bytes()


def test_train_reads_a_pipe_and_says_what_is_next(seqtool: Command, start: Start, tmp_path: Path):
    process = start("train", "-", "--steps", 20, "-o", "run", cwd=tmp_path)
    process.stdin.write(b"y\n" * 1000)
    process.stdin.close()
    assert process.wait() == 0
    assert b"next: seqtool eval run TEXT" in process.stderr.read()
    assert b"bits per byte" in seqtool("eval", "run", "-", stdin=b"y\n", cwd=tmp_path).stdout


def test_train_alone_makes_a_run_in_runs(seqtool: Command, tmp_path: Path):
    (tmp_path / "novel.txt").write_text("It was a dark and stormy night; the rain fell in torrents.\n" * 40)
    for name in ("novel-lstm", "novel-lstm-2"):
        assert seqtool("train", "novel.txt", "--steps", 5, "-q", cwd=tmp_path).returncode == 0
        assert {path.name for path in (tmp_path / "runs" / name).iterdir()} == {
            "config.json",
            "vocab.model",
            "model.safetensors",
            "checkpoint",
            "metrics.jsonl",
        }


def test_a_flag_beats_the_file_beats_the_default(seqtool: Command, prose_file: Path, tmp_path: Path):
    (tmp_path / "settings.toml").write_text('hidden = 20\nembed = 12\ntime = "2m"\n')
    result = seqtool("train", prose_file, "--dry-run", "--json", "--config", tmp_path / "settings.toml", "--hidden", 30)
    plan = json.loads(result.stdout)
    assert (plan["hidden"], plan["embed"], plan["time"], plan["layers"]) == (30, 12, 120.0, 1)
    (tmp_path / "settings.toml").write_text("hiden = 20\n")
    assert "hiden" in error_of(seqtool("train", prose_file, "--config", tmp_path / "settings.toml"), 3)


def damaged(run: Path, folder: Path, damage: str) -> Path:
    """A copy of a run with something wrong."""
    copy = folder / "run"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    weights = copy / "model.safetensors"
    if damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        (copy / "config.json").unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "flipped weight":
        content = bytearray(weights.read_bytes())
        content[-3] ^= 1
        weights.write_bytes(content)
    elif damage == "cut config":
        (copy / "config.json").write_text((copy / "config.json").read_text()[:-30])
    elif damage == "huge sizes":
        config["model"]["hidden"] = 65536
        config["model"]["layers"] = 500
    elif damage == "other size":
        config["model"]["hidden"] += 1
    elif damage == "other activation":
        config["model"]["init"] = "xavier"
    elif damage == "wrong kind":
        config["symbols"] = [1, 2]
    elif damage == "other vocabulary":
        (copy / "vocab.model").write_bytes((copy / "vocab.model").read_bytes()[:-40])
    elif damage == "not a vocabulary":
        (copy / "vocab.model").write_bytes(b"junk" * 100)
    if damage in ("huge sizes", "other size", "other activation", "wrong kind"):
        (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize("damage", [
    "no weights", "no config", "cut weights", "flipped weight", "cut config", "huge sizes", "other size",
    "other activation", "wrong kind", "other vocabulary", "not a vocabulary",
])  # fmt: skip
def test_a_damaged_run_is_3(seqtool: Command, small_run: Path, tmp_path: Path, damage: str):
    run = damaged(small_run, tmp_path, damage)
    assert str(run) in error_of(seqtool("eval", run, "-", stdin=b"text"), 3)


def test_a_run_can_be_moved(seqtool: Command, small_run: Path, tmp_path: Path):
    shutil.copytree(small_run, tmp_path / "elsewhere")
    assert seqtool("eval", tmp_path / "elsewhere", "-", stdin=b"text").returncode == 0


def test_results_are_not_overwritten_without_force(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    assert "--force" in error_of(seqtool("train", prose_file, "-o", small_run, "--steps", 1), 2)
    vocab = tmp_path / "v.model"
    assert seqtool("vocab", prose_file, "-o", vocab, "--type", "byte", "-q").returncode == 0
    assert "--force" in error_of(seqtool("vocab", prose_file, "-o", vocab), 2)
    assert seqtool("vocab", prose_file, "-o", vocab, "--type", "char", "--force", "-q").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["v.model"]


def test_force_replaces_only_what_seqtool_made(seqtool: Command, small_run: Path, tmp_path: Path):
    (tmp_path / "text").write_text("some words\n" * 50)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis").write_text("x")
    vocab = small_run / "vocab.model"
    for command in (
        ["encode", "text", "--vocab", vocab, "-o", "text"],
        ["encode", "text", "--vocab", vocab, "-o", "precious"],
        ["train", "text", "-o", "precious", "--steps", 1],
        ["vocab", "text", "-o", "text", "--type", "byte"],
        ["vocab", "text", "-o", "/dev/null", "--type", "byte"],
    ):
        error_of(seqtool(*command, "--force", cwd=tmp_path), 2)
    assert (tmp_path / "text").read_text() == "some words\n" * 50
    assert (tmp_path / "precious" / "thesis").exists()


def test_resume_refuses_edited_settings(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    for section, changes in (("training", {"batch_size": 9}), ("training", {"optimizer": "sgd"}), ("data", {"valid": 5}),
                             ("symbols", {"seen": 9}), ("training", {"stateful": False})):  # fmt: skip
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(small_run, run)
        config = json.loads((run / "config.json").read_text())
        config[section] |= changes
        (run / "config.json").write_text(json.dumps(config))
        error_of(seqtool("train", prose_file, "-o", run, "--resume", "-q"), 3)


def test_a_name_taken_meanwhile_is_not_replaced(start: Start, prose_file: Path, tmp_path: Path):
    words = ["train", prose_file, "--vocab-type", "char", "--steps", 5, "-q", "-o", tmp_path / "run"]
    both = [start(*words) for _ in range(2)]
    assert sorted(process.wait() for process in both) == [0, 1], [process.stderr.read() for process in both]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(name, marks=[] if name in ("sgd", "adamw") else pytest.mark.slow) for name in OPTIMIZER_NAMES],
)
def test_every_optimizer_learns_at_its_defaults(seqtool: Command, prose_file: Path, tmp_path: Path, optimizer: str):
    """Symbol frequencies alone are worth about 3.2 nats here."""
    result = seqtool("train", prose_file, "-o", tmp_path / "run", "--vocab-type", "char", "--hidden", 64, "--steps", 150,
                     "--optimizer", optimizer, "-q", "--json")  # fmt: skip
    assert json.loads(result.stdout)["valid_nats_per_token"] < 2.8


def test_divergence_is_4(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool(
        "train", prose_file, "-o", tmp_path / "run", "--optimizer", "sgd", "--lr", 1e6, "--clip-norm", 0, "--steps", 50,
        "--warmup", 0, "--activation", "relu", "--model", "rnn", "-q",
    )  # fmt: skip
    assert "lower --lr" in error_of(result, 4)


def test_a_stopped_training_goes_on_where_it_was(seqtool: Command, start: Start, prose_file: Path, tmp_path: Path):
    settings = ["--vocab-type", "char", "--steps", "80", "--hidden", "24", "--seed", "1", "--dropout", "0.1"]
    process = start("train", prose_file, *settings, "-o", tmp_path / "run")
    while b"validation" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read().decode()
    assert process.wait() == 128 + signal.SIGTERM, rest
    assert "--resume" in rest
    steps = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert 0 < steps < 80
    assert seqtool("train", prose_file, "-o", tmp_path / "run", "--resume", "-q").returncode == 0
    assert seqtool("train", prose_file, *settings, "-o", tmp_path / "whole", "-q").returncode == 0
    for name in ("model.safetensors",):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_resume_refuses_other_text(seqtool: Command, small_run: Path, tmp_path: Path):
    (tmp_path / "other.txt").write_text("something else entirely\n" * 100)
    assert "other text" in error_of(seqtool("train", tmp_path / "other.txt", "-o", small_run, "--resume"), 3)


def test_killed_at_any_instant_a_run_is_whole_or_not_there(seqtool: Command, prose_file: Path, tmp_path: Path):
    words = ["train", prose_file, "--vocab-type", "char", "--steps", 100_000, "--eval-every", 2, "--hidden", 16, "-q"]
    run = tmp_path / "run"
    killed = seqtool(*words, "-o", run, kill=(signal.SIGKILL, [(f"{run}/checkpoint/state.safetensors", 0.5)]))
    assert killed.returncode == -signal.SIGKILL
    assert seqtool("eval", tmp_path / "run", "-", stdin=b"text").returncode == 0


def test_bytes_that_are_not_utf8_can_be_replaced(seqtool: Command, small_run: Path):
    assert "offset 4" in error_of(seqtool("eval", small_run, "-", stdin=b"caf\xc3\xe9 x"), 3).replace(
        "offset 3", "offset 4"
    )
    assert seqtool("eval", small_run, "-", "--errors", "replace", stdin=b"caf\xe9 x").returncode == 0


def test_words_make_published_perplexities(seqtool: Command, prose_file: Path, tmp_path: Path):
    run = tmp_path / "run"
    result = seqtool("train", prose_file, "-o", run, "--vocab-type", "word", "--steps", 5, "--hidden", 16, "-q")
    assert result.returncode == 0, result.stderr.decode()
    report = json.loads(seqtool("eval", run, "-", "--json", stdin=b"the value of xyzzy\nis the\n").stdout)
    assert (report["tokens"], report["words"], report["unknowns"]) == (8, 6, 1)


def test_documents_by_line_end_by_themselves(seqtool: Command, tmp_path: Path):
    (tmp_path / "names.txt").write_text("ann\nbob\ncarl\n" * 300)
    run = tmp_path / "run"
    result = seqtool("train", tmp_path / "names.txt", "-o", run, "--document", "line", "--vocab-type", "char", "--steps", 250,
                     "--hidden", 32, "-q")  # fmt: skip
    assert result.returncode == 0, result.stderr.decode()
    samples = (
        seqtool("generate", run, "-n", 20, "--json", "--seed", 1, "--temperature", 0.5).stdout.decode().splitlines()
    )
    records = [json.loads(line) for line in samples]
    assert sum(record["stopped_by"] == "end" for record in records) > 15
    assert sum(record["text"] in ("ann\n", "bob\n", "carl\n") for record in records) > 15
    report = json.loads(seqtool("eval", run, tmp_path / "names.txt", "--json").stdout)
    assert report["documents"] == 900
