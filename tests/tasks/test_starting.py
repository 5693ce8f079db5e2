"""--from: a new run begins with another's weights, its vocabulary and its sizes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import load_run
from seqtool.tasks.language.planning import begun
from seqtool.tasks.language.task import LanguageTask
from seqtool.tasks.request import Request
from seqtool.tasks.starting import read_start
from seqtool.text.vocabulary import Vocabulary
from seqtool.training.world import alone
from tests.cli.test_contract import error_of
from tests.conftest import Command
from tests.tasks.tables import done, pupils, report, texts

CPU = torch.device("cpu")
NOT_AT_ALL = ["--lr", 1e-12, "--weight-decay", 0, "--steps", 1]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


@pytest.fixture(scope="module")
def other_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "other.txt"
    path.write_text("".join(f"{place} £ apples and {place * 7} pears\n" for place in range(400)))
    return path


def test_a_language_model_goes_on_where_it_was(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    run = tmp_path / "run"
    done(seqtool, "train", prose_file, "--from", small_run, "-o", run, "-q", *NOT_AT_ALL)
    before, after = (report(seqtool, "eval", path, prose_file)["nats"] for path in (small_run, run))
    assert after == pytest.approx(before, rel=1e-5)
    record = json.loads((run / "config.json").read_text())["data"]["from"]
    assert record["name"] == str(small_run)


def test_it_learns_a_new_text_with_symbols_of_its_own_and_tells_the_old_texts_loss(
    seqtool: Command, small_run: Path, prose_file: Path, other_text: Path, tmp_path: Path
):
    run = tmp_path / "run"
    done(seqtool, "train", other_text, "--from", small_run, "--watch", prose_file, "-o", run, "-q", "--steps", 60)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    watched = [line["watched_loss"] for line in lines if "watched_loss" in line]
    valid = [line["valid_loss"] for line in lines if "valid_loss" in line]
    assert valid[-1] < valid[0]
    assert lines[0]["step"] == 0
    assert len(watched) == len(valid) + 1
    assert watched[0] == pytest.approx(
        report(seqtool, "eval", small_run, prose_file)["nats"]
        / report(seqtool, "eval", small_run, prose_file)["tokens"],
        rel=0.05,
    )
    assert len(weights(run)["head.seen_ids"]) >= len(weights(small_run)["head.seen_ids"])
    assert set(weights(small_run)["head.seen_ids"].tolist()) <= set(weights(run)["head.seen_ids"].tolist())


def test_one_that_began_so_goes_on_exactly(seqtool: Command, small_run: Path, other_text: Path, tmp_path: Path):
    begin = ["train", other_text, "--from", small_run, "-q", "--early-stop", 0, "--eval-every", 10]
    done(seqtool, *begin, "-o", tmp_path / "whole", "--steps", 40)
    killed = seqtool(
        *begin,
        "-o",
        tmp_path / "parts",
        "--steps",
        40,
        "--checkpoint-every",
        1,
        kill=(9, [(f"{tmp_path}/parts/checkpoint/state.safetensors", 0.05)]),
    )
    assert killed.returncode == -9
    done(seqtool, *begin, "-o", tmp_path / "parts", "--resume")
    done(seqtool, "train", other_text, "-o", tmp_path / "parts", "--resume", "-q")
    assert all(
        torch.equal(tensor, weights(tmp_path / "parts")[name]) for name, tensor in weights(tmp_path / "whole").items()
    )


def grown_model(run: Path, text: Path) -> tuple[LanguageModel, LanguageModel, Vocabulary]:
    """A run's model, the one that a run begins with that grows its vocabulary by a text, and the grown vocabulary."""
    request = Request(
        [str(text)], [1.0], None, {"steps": 1}, None, {}, None, None, None, "strict", False, from_run=run, grow_vocab=True
    )  # fmt: skip
    config, data = begun("language", request, "cpu", alone(CPU))
    model = load_run(run, CPU).model
    assert isinstance(model, LanguageModel)
    return model, LanguageTask(config, data, 100).new_model().eval(), data.vocabulary


def test_a_grown_vocabulary_leaves_old_rows_and_what_old_tokens_score(small_run: Path, other_text: Path):
    before, after, vocabulary = grown_model(small_run, other_text)
    size = before.vocab_size
    assert after.vocab_size == vocabulary.size > size
    assert before.inputs.embedding is not None
    assert after.inputs.embedding is not None
    old_VE, new_VE = before.inputs.embedding.weight, after.inputs.embedding.weight
    assert torch.equal(new_VE[:size], old_VE)
    index = vocabulary.piece_id("£")
    assert index is not None
    assert index >= size
    assert torch.equal(new_VE[index], old_VE[vocabulary.byte_ids("£")].mean(0))
    ids_BT = torch.tensor([[1, *vocabulary.encode("apples and pears").tolist()]])
    with torch.no_grad():
        old_TV, new_TV = before(ids_BT)[0][0], after(ids_BT)[0][0]
    seen = before.head.seen_ids
    assert torch.allclose(new_TV[:, seen], old_TV[:, seen], atol=1e-6)


def test_what_is_frozen_is_neither_changed_nor_kept_by_an_optimizer_and_goes_on_exactly(
    seqtool: Command, small_run: Path, other_text: Path, tmp_path: Path
):
    begin = ["train", other_text, "--from", small_run, "--freeze", "embedding,core", "-q", "--early-stop", 0]
    begin += ["--weight-decay", 0.5, "--ema", 0.9, "--eval-every", 10, "--lr", 0.01]
    done(seqtool, *begin, "-o", tmp_path / "whole", "--steps", 30)
    old, new = weights(small_run), weights(tmp_path / "whole")
    for name, tensor in new.items():
        if name.startswith(("inputs.", "core.")):
            assert torch.equal(tensor, old[name]), name
    assert not torch.equal(new["head.output.weight"][:20], old["head.output.weight"][:20])
    state = load_file(tmp_path / "whole" / "checkpoint" / "state.safetensors")
    moments = {tuple(tensor.shape) for name, tensor in state.items() if name.endswith("exp_avg")}
    assert moments == {tuple(new[name].shape) for name in ("head.output.weight", "head.bias")}
    killed = seqtool(
        *begin, "-o", tmp_path / "parts", "--steps", 30, "--checkpoint-every", 1,
        kill=(9, [(f"{tmp_path}/parts/checkpoint/state.safetensors", 0.02)]),
    )  # fmt: skip
    assert killed.returncode == -9
    done(seqtool, *begin, "-o", tmp_path / "parts", "--resume")
    parts = weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in new.items())


@pytest.mark.slow
def test_one_that_grew_goes_on_exactly(seqtool: Command, small_run: Path, other_text: Path, tmp_path: Path):
    begin = ["train", other_text, "--from", small_run, "--grow-vocab", "-q", "--early-stop", 0, "--eval-every", 10]
    done(seqtool, *begin, "-o", tmp_path / "whole", "--steps", 40)
    killed = seqtool(
        *begin, "-o", tmp_path / "parts", "--steps", 40, "--checkpoint-every", 1,
        kill=(9, [(f"{tmp_path}/parts/checkpoint/state.safetensors", 0.05)]),
    )  # fmt: skip
    assert killed.returncode == -9
    done(seqtool, *begin, "-o", tmp_path / "parts", "--resume")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_what_grows_and_what_is_gone_on_with_are_told_apart(
    seqtool: Command, small_run: Path, other_text: Path, prose_file: Path, tmp_path: Path
):
    run = tmp_path / "run"
    begin = ["train", other_text, "-o", run, "-q", "--steps", 2]
    assert "--grow-vocab adds rows to the embedding of --from" in error_of(seqtool(*begin, "--grow-vocab"), 2)
    done(seqtool, *begin, "--from", small_run)
    (tmp_path / "longer.txt").write_text(other_text.read_text() + "more\n")
    (other := tmp_path / "mixed.txt").write_text(other_text.read_text()[::-1])
    again = ["-o", run, "--resume"]
    more = error_of(seqtool("train", tmp_path / "longer.txt", *again), 3)
    assert "which has 5 bytes more: --resume goes on with the same text; to learn from this one, begin a new" in more
    assert f"with --from {run}" in more
    assert "as many bytes but not the same ones" in error_of(seqtool("train", other, *again), 3)
    assert "bytes more: --resume" in error_of(seqtool("train", prose_file, *again), 3)
    assert "--grow-vocab names another" in error_of(seqtool("train", other_text, *again, "--grow-vocab"), 2)
    assert "--from names another" in error_of(seqtool("train", other_text, *again, "--from", run), 2)
    done(seqtool, "train", other_text, *again, "--from", small_run)


def test_a_classifier_begins_with_a_language_models_layers(seqtool: Command, small_run: Path, tmp_path: Path):
    run = tmp_path / "run"
    table = texts(tmp_path / "a.tsv")
    done(seqtool, "train", table, "--target", "label", "--from", small_run, "--one-way", "-o", run, "-q", *NOT_AT_ALL)
    old, new = weights(small_run), weights(run)
    assert torch.allclose(new["tables.0.weight"], old["inputs.embedding.weight"], atol=1e-6)
    for name, tensor in old.items():
        if name.startswith("core."):
            assert torch.allclose(new[name.replace("core.", "cores.0.", 1)], tensor, atol=1e-6), name
    frozen = tmp_path / "frozen"
    done(
        seqtool,
        "train",
        table,
        "--target",
        "label",
        "--from",
        small_run,
        "--freeze",
        "embedding",
        "-o",
        frozen,
        "-q",
        "--steps",
        30,
    )
    assert torch.equal(weights(frozen)["tables.0.weight"], old["inputs.embedding.weight"])
    assert not torch.equal(
        weights(frozen)["cores.0.layers.0.kernel.weight_hh_l0"], old["core.layers.0.kernel.weight_hh_l0"]
    )


@pytest.mark.slow
def test_ngrams_stand_beside_a_language_models_layers(seqtool: Command, small_run: Path, tmp_path: Path):
    table, run = texts(tmp_path / "a.tsv"), tmp_path / "run"
    begin = ["train", table, "--target", "label", "--from", small_run]
    assert report(seqtool, *begin, "--wide-ngrams", 0, "--dry-run")["bidirectional"]
    plain = report(seqtool, *begin, "--wide-ngrams", 0, "--one-way", "--dry-run")
    wide = report(seqtool, *begin, "--wide-ngrams", 3, "--buckets", 100, "--dry-run")
    assert (plain["wide_ngrams"], wide["wide_ngrams"], wide["buckets"]) == (0, 3, 100)
    rows = json.loads((small_run / "config.json").read_text())["symbols"]["size"] + 101
    assert wide["parameters"] - plain["parameters"] == 16 * (rows + 1)
    done(seqtool, *begin, "-o", run, "-q", "--steps", 40, "--eval-every", 10)
    own = json.loads((run / "config.json").read_text())["model"]
    assert (own["wide_ngrams"], own["bidirectional"]) == (7, False)  # of characters
    assert weights(run)["wide.table.weight"].any()

    def told(*flags: object) -> list[float]:
        lines = done(seqtool, "predict", run, table, *flags).decode().splitlines()
        return [float(line.split("\t")[1]) for line in lines]

    assert told("--batch-size", 1) == pytest.approx(told(), abs=1e-6)
    again = ["train", table, "--target", "label", "--from", run, "-q", *NOT_AT_ALL]
    done(seqtool, *again, "-o", tmp_path / "again")
    for name in ("wide.table.weight", "wide.tokens.weight", "head.weight"):
        assert torch.allclose(weights(tmp_path / "again")[name], weights(run)[name], atol=1e-6), name


def test_a_net_with_ngrams_goes_on_exactly(seqtool: Command, small_run: Path, tmp_path: Path):
    begin = ["train", texts(tmp_path / "a.tsv"), "--target", "label", "-q"]
    first = [*begin, "--from", small_run, "--early-stop", 0, "--eval-every", 10]
    done(seqtool, *first, "-o", tmp_path / "parts", "--steps", 20, "--schedule", "constant", "--warmup", 0)
    done(seqtool, *begin, "-o", tmp_path / "parts", "--resume", "--steps", 40)
    done(seqtool, *first, "-o", tmp_path / "straight", "--steps", 40, "--schedule", "constant", "--warmup", 0)
    parts, straight = weights(tmp_path / "parts"), weights(tmp_path / "straight")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in straight.items())


def test_a_transformers_stem_comes_along(seqtool: Command, prose_file: Path, tmp_path: Path):
    done(
        seqtool, "train", prose_file, "--model", "transformer", "--hidden", 16, "--layers", 1, "--context", 32,
        "--vocab-type", "char", "--steps", 20, "-o", tmp_path / "lm", "-q",
    )  # fmt: skip
    run = tmp_path / "run"
    done(
        seqtool,
        "train",
        texts(tmp_path / "a.tsv"),
        "--target",
        "label",
        "--from",
        tmp_path / "lm",
        "--max-length",
        30,
        "-o",
        run,
        "-q",
        *NOT_AT_ALL,
    )
    old, new = weights(tmp_path / "lm"), weights(run)
    for place in range(3):
        assert torch.allclose(
            new[f"tables_before.{place}.weight"], old[f"inputs.embeddings_before.{place}.weight"], atol=1e-6
        )


def test_what_does_not_fit_is_refused_by_name(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    begin = ["train", prose_file, "--from", small_run, "-o", tmp_path / "run"]
    assert "--hidden 99: that of --from" in error_of(seqtool(*begin, "--hidden", 99), 2)
    assert "own vocabulary and embedding: leave --vocab-type out" in error_of(seqtool(*begin, "--vocab-type", "bpe"), 2)
    assert "leave --embeddings out" in error_of(seqtool(*begin, "--embeddings", prose_file), 2)
    same = ["--config", small_run / "config.json", "--vocab-type", "char", "--dry-run", "-q"]
    done(seqtool, *begin, *same)
    done(seqtool, *begin, "--config", small_run / "config.json", "--dry-run", "-q")
    assert "is no language model" in error_of(seqtool("train", prose_file, "--from", _classifier(seqtool, tmp_path)), 2)


def test_a_start_with_anothers_vocabulary_or_a_weight_of_another_shape_is_refused(
    seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path
):
    shutil.copytree(small_run, spoiled := tmp_path / "spoiled")
    done(seqtool, "vocab", prose_file, "--type", "byte", "-o", spoiled / "vocab.model", "--force", "-q")
    begin = ["train", prose_file, "--from", spoiled, "-o", tmp_path / "run"]
    assert "is not the vocabulary of this run" in error_of(seqtool(*begin), 3)
    table = ["train", texts(tmp_path / "a.tsv"), "--target", "label", "--from", spoiled, "-o", tmp_path / "run"]
    assert "is not the vocabulary of this run" in error_of(seqtool(*table), 3)

    start, model = read_start(small_run), load_run(small_run, CPU).model
    assert isinstance(model, LanguageModel)
    start.put_into(model)
    start.tensors["inputs.embedding.weight"] = start.tensors["inputs.embedding.weight"][1:]
    with pytest.raises(InputError, match="its weights do not fit this model"):
        start.put_into(model)


def test_words_that_are_added_are_not_frozen_as_the_unknown(seqtool: Command, prose_file: Path, tmp_path: Path):
    (text := tmp_path / "new.txt").write_text("zyzzyva quincunx " * 30)
    words = ["train", prose_file, "--vocab-type", "word", "--hidden", 8, "--steps", 1, "-o", tmp_path / "words", "-q"]
    done(seqtool, *words)
    begin = ["train", text, "--from", tmp_path / "words", "--freeze", "embedding", "--dry-run"]
    assert "each of the words that --grow-vocab adds" in error_of(seqtool(*begin, "--grow-vocab"), 2)
    done(seqtool, *begin)


def test_a_start_is_not_replaced(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    shutil.copytree(small_run, start := tmp_path / "start")
    refused = seqtool("train", prose_file, "--from", start, "-o", start, "--force", "--steps", 1)
    assert "is an input as well" in error_of(refused, 2)


def _classifier(seqtool: Command, tmp_path: Path) -> Path:
    done(seqtool, "train", texts(tmp_path / "b.tsv"), "--target", "label", "-o", tmp_path / "c", "-q", "--steps", 5)
    return tmp_path / "c"


@pytest.mark.slow
def test_a_head_is_taken_only_where_it_means_the_same(seqtool: Command, tmp_path: Path):
    table, first = texts(tmp_path / "a.tsv"), tmp_path / "first"
    done(seqtool, "train", table, "--target", "label", "-o", first, "-q", "--steps", 200)
    again = ["train", table, "--target", "label", "--from", first, "-q", *NOT_AT_ALL]
    done(seqtool, *again, "-o", tmp_path / "same")
    assert torch.allclose(weights(tmp_path / "same")["head.weight"], weights(first)["head.weight"], atol=1e-6)
    done(seqtool, *again, "--positive", "neg", "-o", tmp_path / "turned")
    new, old = weights(tmp_path / "turned"), weights(first)
    assert not torch.allclose(new["head.weight"], old["head.weight"], atol=1e-6)
    assert torch.allclose(new["cores.0.table.weight"], old["cores.0.table.weight"], atol=1e-6)
    rows = pupils(tmp_path / "p.csv")
    done(seqtool, "train", rows, "--target", "pass", "-o", tmp_path / "pupils", "-q", "--steps", 5)
    refused = seqtool(
        "train", rows, "--target", "pass", "--ignore", "shoes", "--from", tmp_path / "pupils", "-o", tmp_path / "r"
    )
    assert "nothing that it learned means the same here" in error_of(refused, 2)
