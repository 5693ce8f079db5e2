"""The mean of runs' weights is what torch says, and what has no mean is refused by the name of what differs."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqtool.errors import InputError, UsageError
from seqtool.runs.averaging import average_runs, differences
from seqtool.runs.config import read_config
from seqtool.runs.loading import load_run
from tests.conftest import Command
from tests.tasks.tables import done

CHAR = ["--vocab-type", "char", "--hidden", 12, "-q", "--steps", 3]


@pytest.fixture(scope="module")
def runs(
    seqtool: Command, whole_prose_file: Path, small_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Three runs that began with the weights of one."""
    folder = tmp_path_factory.mktemp("alike")
    for seed in (1, 2):
        begin = ["train", whole_prose_file, "--from", small_run, "-q", "--steps", 3, "--lr", 0.05]
        done(seqtool, *begin, "--seed", seed, "--dropout", 0.1 * seed, "-o", folder / str(seed))
    return [small_run, folder / "1", folder / "2"]


def average(paths: list[Path], folder: Path) -> Path:
    folder.mkdir()
    average_runs(paths, folder, lambda count: None)
    return folder


def test_the_weights_are_the_mean_and_the_sources_are_recorded(runs: list[Path], tmp_path: Path):
    mean = average(runs, tmp_path / "mean")
    given, found = [load_file(run / "model.safetensors") for run in runs], load_file(mean / "model.safetensors")
    for name, tensor in found.items():
        if tensor.is_floating_point():
            expected = torch.stack([tensors[name].double() for tensors in given]).mean(0).float()
            assert torch.equal(tensor, expected), name
            assert tensor.dtype == given[0][name].dtype
        else:
            assert torch.equal(tensor, given[0][name])
    assert not torch.equal(found["head.bias"], given[0]["head.bias"])
    config = read_config(mean)
    assert [source["name"] for source in config.data["averaged"]] == list(map(str, runs))
    assert config.model == read_config(runs[0]).model
    assert load_run(mean, torch.device("cpu")).config == config


def test_a_run_with_itself_is_itself(small_run: Path, tmp_path: Path):
    mean = average([small_run] * 3, tmp_path / "mean")
    before = load_file(small_run / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_file(mean / "model.safetensors").items())


def test_what_differs_is_named(seqtool: Command, small_run: Path, prose_file: Path, runs: list[Path], tmp_path: Path):
    begin = ["train", prose_file, *CHAR, "-o"]
    done(seqtool, *begin, tmp_path / "a")
    for name, flags, told in (
        ("b", ["--layers", 2], "has --layers 2, not 1"),
        ("c", ["--model", "gru"], "has --model gru, not lstm"),
        ("d", ["--vocab-size", 300], "has another vocabulary"),
    ):
        done(seqtool, *begin, tmp_path / name, *flags)
        with pytest.raises(InputError, match=f"{tmp_path / name} {told}, so its weights and those of .* no mean"):
            average([tmp_path / "a", tmp_path / name], tmp_path / f"mean-{name}")
    with pytest.raises(UsageError, match="two runs or more: name another"):
        average([small_run], tmp_path / "one")
    assert next(differences(read_config(runs[0]), read_config(runs[1])), None) is None


def test_numbers_that_are_none_and_counts_that_do_not_fit_are_refused(small_run: Path, tmp_path: Path):
    from seqtool.runs.weights import read_weights, write_weights

    config = read_config(small_run)
    for name, spoiled, told in (
        ("head.bias", lambda tensor: tensor * float("nan"), "head.bias has a number that is not finite"),
    ):
        other = tmp_path / name
        shutil.copytree(small_run, other)
        tensors = read_weights(small_run / "model.safetensors", config)
        write_weights(other / "model.safetensors", {**tensors, name: spoiled(tensors[name])}, config)
        with pytest.raises(InputError, match=told):
            average([small_run, other], tmp_path / f"{name}-mean")


def test_a_symbol_that_one_run_alone_has_learned_is_as_that_has_it(
    seqtool: Command, small_run: Path, prose: str, tmp_path: Path
):
    (text := tmp_path / "new.txt").write_text(prose[:5000] + "\u00a3\u20ac" * 300 + "\n" + prose[:3000])
    done(seqtool, "train", text, "--from", small_run, "-o", tmp_path / "new", "-q", "--steps", 3, "--lr", 0.05)
    mean = average([small_run, tmp_path / "new"], tmp_path / "mean")
    old, new, found = (load_file(run / "model.safetensors") for run in (small_run, tmp_path / "new", mean))
    ids, known = found["head.seen_ids"].tolist(), old["head.seen_ids"].tolist()
    assert ids == new["head.seen_ids"].tolist()
    assert len(ids) > len(known)
    for name in ("head.output.weight", "head.bias"):
        for place, index in enumerate(ids):
            rows = [new[name][place], *([old[name][known.index(index)]] if index in known else [])]
            assert torch.allclose(found[name][place], torch.stack(rows).mean(0), atol=1e-7)
    assert load_run(mean, torch.device("cpu")).config.symbols.seen == len(ids)


def test_runs_of_other_rows_have_a_mean_and_others_say_what_differs(small_run: Path):
    config = read_config(small_run)
    task = {"name": "classify", "labels": ["a", "b"], "columns": {"text": ["t"]}, "counts": [3, 4], "examples": 7}
    one = dataclasses.replace(config, task=task)
    assert not list(differences(one, dataclasses.replace(config, task={**task, "counts": [1, 2], "examples": 3})))
    other = dataclasses.replace(config, task={**task, "labels": ["b", "a"], "max_length": 9})
    assert list(differences(one, other)) == ["answers with other labels and max_length"]
