"""The training engine through the real command: what its flags mean, recipes, watching."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqtool.settings.defaults import recipes
from seqtool.settings.training import SCHEDULE_NAMES
from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command
from tests.tasks.tables import pupils, texts

BASE = ["--vocab-type", "char", "--hidden", "24", "--batch-size", "8", "--steps", "30", "-q"]


@pytest.fixture(scope="session")
def prose_file(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of the prose: these tests train often."""
    path = tmp_path_factory.mktemp("little") / "prose.txt"
    path.write_text(prose[:20_000])
    return path


def plan(seqtool: Command, *arguments: object) -> dict[str, object]:
    result = seqtool("train", *arguments, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr.decode()
    return dict(json.loads(result.stdout))


def lines_of(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").open()]


DRY_RUNS = """
import json, sys
import torch
loaded = set(sys.modules)
from seqtool.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["seqtool", "train", *words, "--dry-run", "--json"]
    try: main()
    except SystemExit as end: assert not end.code, end.code
print(*(name for name in sys.modules if name not in loaded))
"""
SLOW_TO_IMPORT = (
    "torch._dynamo",
    "torch._inductor",
    "torch._decomp",
    "torch._refs",
    "torch._meta_registrations",
    "sympy",
)


def test_a_plan_loads_nothing_slow_beside_torch(prose_file: Path, tmp_path: Path):
    """Of a text, of texts with labels and of numbers: models without memory are made, not computed with."""
    plans = [[str(prose_file), "--vocab-type", "char"], [str(texts(tmp_path / "texts.tsv")), "--target", "label"],
             [str(pupils(tmp_path / "pupils.csv")), "--target", "pass"]]  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", DRY_RUNS, json.dumps(plans)], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    loaded = ran.stdout.splitlines()[-1].split()
    assert "seqtool.models.example_model" in loaded
    assert [name for name in loaded if name.startswith(SLOW_TO_IMPORT)] == []


def test_recipes_are_listed_and_each_is_whole(seqtool: Command, prose_file: Path):
    listed = seqtool("train", "--list-recipes").stdout.decode()
    assert {line.split()[0] for line in listed.splitlines()} == set(recipes())
    for name in recipes():
        settings = plan(seqtool, prose_file, "--config", name)
        assert settings["parameters"]
    awd = plan(seqtool, prose_file, "--config", "awd-lstm-ptb", "--steps", 7)
    assert (awd["optimizer"], awd["lr"], awd["steps"], awd["epochs"], awd["tar"]) == ("nt-asgd", 30.0, 7, 0.0, 1.0)


def test_a_layout_stands_for_its_settings(seqtool: Command, prose_file: Path):
    settings = plan(seqtool, prose_file, "--layout", "llama", "--hidden", 64)
    assert (settings["model"], settings["norm"], settings["inner"], settings["softmax"]) == (
        "transformer",
        "rms",
        192,
        "all",
    )
    refused = error_of(seqtool("train", prose_file, "--layout", "llama", "--model", "gru"), 2)
    assert "--layout llama has --model transformer, not --model gru: leave that or --layout out" in refused


def test_published_sizes_have_the_published_number_of_parameters(seqtool: Command, prose_file: Path, tmp_path: Path):
    """AWD-LSTM has 24 million with 10,000 words (Merity et al. 2017, table 1): without the embedding, 20.2 million."""
    settings = plan(seqtool, prose_file, "--config", "awd-lstm-ptb")
    words = int(settings["vocab_size"])  # type: ignore[call-overload]
    inner = int(settings["parameters"]) - 400 * words  # type: ignore[call-overload]
    gates = 4 * 1150 * (400 + 1150 + 2) + 4 * 1150 * (1150 + 1150 + 2) + 4 * 400 * (1150 + 400 + 2)
    assert gates <= inner <= gates + words
    assert 24.0e6 < inner - words + 10_000 * 400 + 10_000 < 24.5e6
    gpt = plan(seqtool, prose_file, "--config", "nanogpt-shakespeare-char")
    assert 10.6e6 < int(gpt["parameters"]) < 11.0e6  # type: ignore[call-overload]


def test_bptt_full_reads_whole_documents(seqtool: Command, tmp_path: Path):
    text = tmp_path / "lines.txt"
    text.write_text("".join(f"{'ab' * (n % 7 + 1)}\n" for n in range(400)))
    arguments = [text, "--document", "line", "--bptt", "full", *BASE, "--model", "rnn"]
    settings = plan(seqtool, *arguments)
    assert settings["bptt"] == 15
    assert settings["within_documents"] is True
    assert settings["stateful"] is False
    assert seqtool("train", *arguments, "-o", tmp_path / "run").returncode == 0
    assert "--bptt full" in error_of(seqtool("train", text, "--bptt", "full", "--stateful", "-q"), 2)


def test_what_is_there_already_is_not_asked_for_again(seqtool: Command, prose_file: Path, tmp_path: Path):
    vocab, store = tmp_path / "char.model", tmp_path / "prose.store"
    assert seqtool("vocab", prose_file, "--type", "char", "-o", vocab, "-q").returncode == 0
    assert seqtool("encode", prose_file, "--vocab", vocab, "-o", store, "-q").returncode == 0
    refused = seqtool("train", prose_file, "--vocab", vocab, "--vocab-type", "bpe", "--vocab-size", 400)
    assert "--vocab-type and --vocab-size" in error_of(refused, 2)
    assert "--document" in error_of(seqtool("train", store, "--document", "line"), 2)


def test_a_run_below_a_file_cannot_be(seqtool: Command, prose_file: Path):
    assert f"{prose_file} is a file, not a directory" in error_of(
        seqtool("train", prose_file, "-o", prose_file / "r"), 2
    )


def test_an_unknown_word_costs_what_the_text_taught(seqtool: Command, prose_file: Path, tmp_path: Path):
    """Words that occur once are <unk>, unless asked otherwise; one that was never learned cost 12 nats."""
    costs, base = {}, ["--vocab-type", "word", "--hidden", 16, "--embed", 16, "--steps", 60, "--batch-size", 8]
    for name, flags in (("learned", []), ("never", ["--min-count", 1])):
        trained = seqtool("train", prose_file, *base, *flags, "-o", tmp_path / name)
        assert trained.returncode == 0, trained.stderr.decode()
        assert (b"words that occur once are <unk>" in trained.stderr) == (name == "learned")
        rows = seqtool("eval", tmp_path / name, "-", "--per", "token", stdin=b"the xyzzy of\n").stdout.decode()
        costs[name] = float(rows.splitlines()[1].split("\t")[0])
    assert costs["learned"] < 5 < costs["never"]
    assert "--min-count is for" in error_of(seqtool("train", prose_file, "--vocab-type", "char", "--min-count", 2), 2)


def test_every_file_is_learned_from_and_validated_on(seqtool: Command, prose_file: Path, tmp_path: Path):
    """A second, smaller file was all of the held-back text once."""
    other = tmp_path / "other.txt"
    other.write_text("0123456789 " * 400)
    begin = ["train", prose_file, other, *BASE[:-1], "-o", tmp_path / "run"]
    result = seqtool(*begin, "--steps", 300)
    assert result.returncode == 0, result.stderr.decode()
    assert "the last 0.1 of each of 2 files" in result.stderr.decode()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["train_documents"] == 2
    scored = json.loads(seqtool("eval", tmp_path / "run", other, "--json").stdout)
    assert scored["nats"] / scored["tokens"] < 1.0


def test_a_weight_says_how_often_a_file_is_read(seqtool: Command, prose_file: Path, tmp_path: Path):
    other = tmp_path / "other.txt"
    other.write_text("0123456789\n" * 400)
    data = ["--vocab-type", "char"]
    once = int(plan(seqtool, prose_file, other, *data)["train_tokens"])  # type: ignore[call-overload]
    thrice = int(plan(seqtool, prose_file, f"{other}=3", *data)["train_tokens"])  # type: ignore[call-overload]
    part = int(plan(seqtool, prose_file, f"{other}=0.5", *data)["train_tokens"])  # type: ignore[call-overload]
    assert thrice - once == pytest.approx(2 * 0.9 * 4400, abs=20)
    assert once - part == pytest.approx(0.5 * 0.9 * 4400, abs=20)
    (strange := tmp_path / "name=3").write_text(other.read_text())
    assert int(plan(seqtool, prose_file, strange, *data)["train_tokens"]) == once  # type: ignore[call-overload]
    assert "over 0" in error_of(seqtool("train", prose_file, f"{other}=0"), 2)
    assert "only one" in error_of(seqtool("train", f"{other}=2"), 2)


@pytest.mark.parametrize("schedule", SCHEDULE_NAMES)
def test_every_schedule_trains_and_logs_its_rate(seqtool: Command, prose_file: Path, tmp_path: Path, schedule: str):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", *BASE, "--schedule", schedule)
    assert result.returncode == 0, result.stderr.decode()
    rates = [line["lr"] for line in lines_of(tmp_path / "run") if "lr" in line]
    assert all(0 <= rate <= 0.01 for rate in rates)  # type: ignore[operator]


@pytest.mark.parametrize("arguments", [
    ["--bptt-jitter"],
    pytest.param(["--bptt", "24", "--bptt-advance", "6"], marks=pytest.mark.slow),
    ["--within-documents", "--document", "blank-line"],
    pytest.param(["--accumulate", "4"], marks=pytest.mark.slow),
    pytest.param(["--clip-agc", "0.05", "--clip-norm", "0"], marks=pytest.mark.slow),
    ["--variational", "--dropout", "0.2", "--weight-dropout", "0.3", "--dropout-embedding", "0.1", "--ar", "2", "--tar", "1"],
    pytest.param(["--label-smoothing", "0.1", "--z-loss", "1e-4"], marks=pytest.mark.slow),
    ["--ema", "0.99"],
    pytest.param(["--layers", "2", "--last-hidden", "16", "--tied", "--embed", "16"], marks=pytest.mark.slow),
    ["--model", "transformer", "--hidden", "16", "--variational", "--dropout", "0.1", "--accumulate", "2"],
    pytest.param(["--model", "gru", "--weight-dropout", "0.2"], marks=pytest.mark.slow),
    ["--model", "rnn", "--activation", "relu", "--weight-dropout", "0.2", "--input", "one-hot"],
    pytest.param(["--model", "rnn", "--activation", "sigmoid", "--weight-dropout", "0.2"], marks=pytest.mark.slow),
])  # fmt: skip
def test_every_setting_learns(seqtool: Command, prose_file: Path, tmp_path: Path, arguments: list[str]):
    """Symbol frequencies are known before the first step: 3.2 nats."""
    result = seqtool("train", prose_file, "-o", tmp_path / "run", *BASE, "--json", "--steps", 60, *arguments)
    assert result.returncode == 0, result.stderr.decode()
    assert json.loads(result.stdout)["valid_nats_per_token"] < 3.3
    scored = json.loads(seqtool("eval", tmp_path / "run", prose_file, "--json").stdout)
    assert scored["nats"] / scored["tokens"] < 3.3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bpe", pytest.param("unigram", marks=pytest.mark.slow)])
def test_subword_sampling_learns_more_than_one_split(seqtool: Command, prose_file: Path, tmp_path: Path, kind: str):
    vocab = tmp_path / "vocab.model"
    assert seqtool("vocab", prose_file, "--type", kind, "--size", 500, "-o", vocab, "-q").returncode == 0
    arguments = [prose_file, "--vocab", vocab, "--hidden", 24, "--early-stop", 0, "--epochs", 2]
    for name in ("one", "two"):
        result = seqtool("train", *arguments, "-o", tmp_path / name, "--subword-sampling", 0.1, "-q", "--json")
        assert result.returncode == 0, result.stderr.decode()
    runs = [tmp_path / name / "model.safetensors" for name in ("one", "two")]
    assert runs[0].read_bytes() == runs[1].read_bytes()
    settings = plan(seqtool, *arguments)
    assert json.loads(result.stdout)["steps"] > 2 * int(settings["train_tokens"]) / (16 * 32)  # type: ignore[call-overload]
    refused = seqtool("train", prose_file, "--vocab-type", "char", "--subword-sampling", 0.1, "-q")
    assert "one split" in error_of(refused, 2)


def test_gradients_by_lag_are_recorded_at_each_validation(seqtool: Command, prose_file: Path, tmp_path: Path):
    result = seqtool("train", prose_file, "-o", tmp_path / "run", *BASE, "--probe-gradients", 20)
    assert result.returncode == 0, result.stderr.decode()
    probes = [line for line in lines_of(tmp_path / "run") if "gradient_by_lag" in line]
    assert [line["step"] for line in probes] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30]
    assert all(len(line["gradient_by_lag"]) == 20 for line in probes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--accumulate", "3", "--batch-size", "16"], "--accumulate 3"),
    (["--bptt", "8", "--bptt-advance", "9"], "--bptt-advance 9"),
    (["--bptt-jitter", "--stateless"], "--stateless"),
    (["--ema", "0.9", "--optimizer", "asgd"], "--ema"),
    (["--model", "ffn", "--weight-dropout", "0.1"], "--weight-dropout"),
    (["--dropout-input", "-0.5"], "--dropout-input"),
    (["--shard"], "torchrun"),
    (["--lr", "0"], "--lr 0"),
    (["--eval-every", "0"], "--eval-every 0"),
    (["--vocab-size", "0"], "--vocab-size 0"),
    (["--heads", "2"], "--heads is for --model transformer, mingru, gdn, not lstm"),
    (["--model", "transformer", "--forget-bias", "1"], "--forget-bias is for --model lstm"),
    (["--model", "ffn", "--probe-gradients", "5"], "--probe-gradients is for --model rnn, gru, lstm"),
    (["--momentum", "0.9"], "--momentum is for --optimizer sgd, rmsprop, muon, asgd, nt-asgd, not adamw"),
    (["--decay", "0.1"], "--decay is for --schedule wsd, not cosine"),
    (["--compile", "on"], "--compile on"),
    (["--tensorboard"], "seqtool[tensorboard]"),
    (["--trackio", "p"], "seqtool[trackio]"),
])  # fmt: skip
def test_settings_that_cannot_be_are_2(
    seqtool: Command, prose_file: Path, tmp_path: Path, arguments: list[str], message: str
):
    import importlib.util

    if message.startswith("seqtool[") and importlib.util.find_spec(message[8:-1]):
        pytest.skip("the extra is installed")
    assert message in error_of(seqtool("train", prose_file, "-o", tmp_path / "run", "--steps", 5, "-q", *arguments), 2)
    assert list(tmp_path.iterdir()) == []


def test_metrics_say_what_the_help_says(seqtool: Command, prose_file: Path, tmp_path: Path):
    told = seqtool("train", "--help").stdout.decode().partition("RUN/metrics.jsonl")[2].partition("Arguments:")[0]
    probing = ["--probe-gradients", 3, "--watch", prose_file]
    assert seqtool("train", prose_file, "-o", tmp_path / "run", *BASE, *probing).returncode == 0
    names = {name for line in lines_of(tmp_path / "run") for name in line}
    assert names <= set(re.findall(r"\w+", told))


def test_a_training_learns_the_vocabulary_that_vocab_learns(seqtool: Command, tmp_path: Path):
    (tmp_path / "text").write_text("so<sep>1940 <user> 1940\n" * 40)
    (tmp_path / "same.toml").write_text('symbols = "<sep>,<user>"\nsplit-digits = true\n')
    text, flags = tmp_path / "text", ["--symbols", "<sep>,<user>", "--split-digits"]
    assert seqtool("vocab", text, "-o", tmp_path / "v", *flags).returncode == 0
    for run, given in (("run", flags), ("again", ["--config", tmp_path / "same.toml"])):
        train = ["train", text, *given, "-o", tmp_path / run, "--hidden", 8, "--batch-size", 2, "-q"]
        result = seqtool(*train, "--steps", 2)
        assert result.returncode == 0, result.stderr.decode()
        said = [
            json.loads(seqtool("info", path, "--json").stdout)
            for path in (tmp_path / "v", tmp_path / run / "vocab.model")
        ]
        assert said[0]["sha256"] == said[1]["sha256"]
    assert said[1]["symbols"] == ["<sep>", "<user>"]
    assert seqtool(*train, "--resume", "--steps", 3).returncode == 0
