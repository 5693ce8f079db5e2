"""Steps over several processes: the same losses as one process has; weights that are split and put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seqtool.settings.training import TrainConfig
from seqtool.tasks.language.objective import Objective
from seqtool.training.parallel import in_parallel, split_like, whole
from seqtool.training.world import World, alone
from tests.conftest import Command, Start
from tests.tasks.tables import texts, waves
from tests.training.torchrun import SETTINGS, torchrun, two_of
from tests.zoo import V, zoo_model

CPU = torch.device("cpu")
STEPS = 100


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    return [line.get("loss", line.get("valid_loss")) for line in lines]


def assert_two_lose_as_one(
    seqtool: Command, text: Path, folder: Path, settings: list[object], both: Callable[..., int]
) -> None:
    """`both` trains in two processes; its exit code."""
    alone = [word for word in settings if word != "--shard"]
    assert seqtool("train", text, "-o", folder / "one", *alone).returncode == 0
    assert both("train", text, "-o", folder / "two", *settings) == 0
    tolerance = 1e-4 if "--shard" in settings else 1e-5  # sums in another order, which adamw makes more of
    assert losses(folder / "two") == pytest.approx(losses(folder / "one"), rel=tolerance)
    assert seqtool("eval", folder / "two", "-", stdin=b"text").returncode == 0


def test_two_processes_lose_as_one_does(seqtool: Command, start: Start, text: Path, tmp_path: Path):
    def both(*words: object) -> int:
        return max(process.wait() for process in two_of(start, *words))

    settings = [*SETTINGS, "--model", "lstm", "--steps", STEPS, "--lr", "1e-3", "--accumulate", 4]
    assert_two_lose_as_one(seqtool, text, tmp_path, settings, both)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "more"), [
    ("lstm", ["--accumulate", "4"]),
    ("transformer", []),
    ("transformer", ["--shard"]),
    ("gdn", []),
    ("gdn", ["--shard", "--mirrors", "2"]),
    ("mingru", ["--shard"]),
    ("mingru", []),
    ("gru", ["--within-documents", "--document", "blank-line", "--ar", "2"]),
])  # fmt: skip
def test_two_processes_of_torchrun_lose_as_one_does(
    seqtool: Command, text: Path, tmp_path: Path, model: str, more: list[str]
):
    def both(*words: object) -> int:
        job = torchrun(*words, folder=tmp_path)
        out, err = job.communicate(timeout=200)
        assert job.returncode == 0, err.decode()
        assert out.count(b"steps") >= 1
        return job.returncode

    settings = [*SETTINGS, "--model", model, "--steps", STEPS, "--lr", "1e-3", *more]
    assert_two_lose_as_one(seqtool, text, tmp_path, settings, both)


CLASSES = ["--target", "label", "--model", "lstm", "--hidden", 16, "--embed", 8]
FORECASTS = ["--target", "value", "--horizon", 6, "--season", 12, "--window", 24]


@pytest.mark.slow
@pytest.mark.parametrize(("made", "asked"), [(texts, CLASSES), (waves, FORECASTS)])
def test_two_processes_answer_examples_as_one_does(
    seqtool: Command, tmp_path: Path, made: Callable[[Path], Path], asked: list[object]
):
    settings = [*asked, "--batch-size", 8, "--dropout", 0, "--steps", 40, "--eval-every", 10, "--lr", "1e-3"]
    settings += ["--early-stop", 0, "--seed", 3, "-q"]
    table = made(tmp_path / "table.csv" if made is waves else tmp_path / "table.tsv")
    assert seqtool("train", table, "-o", tmp_path / "one", *settings).returncode == 0
    both = torchrun("train", table, "-o", tmp_path / "two", *settings, folder=tmp_path)
    _, err = both.communicate(timeout=200)
    assert both.returncode == 0, err.decode()
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    assert seqtool("eval", tmp_path / "two", table).returncode == 0


@pytest.fixture
def group() -> Iterator[World]:
    """A process group of this process alone, which takes itself for the first of two."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield World(0, 2, CPU)
    dist.destroy_process_group()


def test_one_process_computes_as_it_is():
    model = zoo_model("lstm")
    objective = Objective(model, TrainConfig())
    assert in_parallel(model, objective, alone(CPU), shard=True) is objective
    weight = nn.Parameter(torch.ones(3))
    assert torch.equal(whole(weight), weight)
    assert not whole(weight).requires_grad
    assert split_like(weight, nn.Parameter(torch.ones(3))) is weight


def test_gradients_are_averaged_where_weights_are_the_same_in_all(group: World):
    model = zoo_model("lstm")
    objective = in_parallel(model, Objective(model, TrainConfig()), group, shard=False)
    assert isinstance(objective, DistributedDataParallel)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in zoo_model("lstm").named_parameters()]


@pytest.mark.parametrize("name", ["transformer plain", "mingru", "gdn of 2 mirrors tied"])
def test_split_weights_lose_and_learn_as_whole_ones_do(group: World, name: str):
    ids = torch.randint(2, V, (2, 9), generator=torch.Generator().manual_seed(0))
    found = []
    for shard in (False, True):
        model = zoo_model(name)
        objective: nn.Module = Objective(model, TrainConfig())
        if shard:
            objective = in_parallel(model, objective, group, shard=True)
        sums = objective(None, ids[:, :-1], ids[:, 1:], 8)
        sums.objective.backward()
        found.append([sums.loss, *(whole(weight.grad) for _, weight in model.weights())])
    for split, one in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(split, one)


def test_what_a_checkpoint_holds_whole_is_split_like_its_weight(group: World):
    model = zoo_model("transformer plain")
    expected = model.core.norm.weight.detach().clone()
    in_parallel(model, Objective(model, TrainConfig()), group, shard=True)
    parameter, count = model.core.norm.weight, torch.tensor(3.0)
    split = split_like(expected, parameter)
    assert type(split) is not torch.Tensor
    assert split.placements == parameter.placements
    assert torch.equal(whole(split), expected)
    assert torch.equal(whole(parameter), expected)
    assert split_like(count, parameter) is count, "a count of steps has another shape, and stays whole"
