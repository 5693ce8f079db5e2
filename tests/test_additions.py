"""What is new is one file: a trial architecture beside its entry, and a trial task, with nothing else edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtool.models.language_model import build_model
from seqtool.models.net import Net
from seqtool.runs.config import RunConfig, new_config, write_config
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.text.vocabulary import Vocabulary
from seqtool.training.session import train_run
from seqtool.training.task import Sums, Validation
from seqtool.training.world import alone
from tests.client import Warm
from tests.conftest import ROOT, Command, command_of

AVERAGE = '''
import torch
from torch import nn

from seqtool.models.cores.core import Core, CoreSize


class MovingAverage(Core):
    """A dense layer on a moving average of the input: h_t = (h_{t-1} + x_t) / 2."""

    def __init__(self, config, input_width):
        super().__init__()
        self.layer = nn.Linear(input_width, config.hidden)

    def forward(self, x, state):
        means = [torch.zeros_like(x.dense()[:, 0]) if state is None else state[0][0]]
        for x_BE in x.dense().unbind(1):
            means.append((means[-1] + x_BE) / 2)
        return torch.relu(self.layer(torch.stack(means[1:], 1))), ((means[-1],),)

    @staticmethod
    def size(config, input_width):
        return CoreSize((input_width + 1) * config.hidden, input_width * config.hidden)
'''
ENTRY = """ARCHITECTURES: dict[str, Architecture] = {
    "average": Architecture(core="average.MovingAverage", carries_state=True, settings=(), inputs=("learned",), bf16_from_width=1 << 16),
"""


@pytest.fixture(scope="module")
def with_average(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The real command of a copy of the package that has one more architecture."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "seqtool", folder / "seqtool", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "seqtool" / "models" / "cores" / "average.py").write_text(AVERAGE)
    file = folder / "seqtool" / "settings" / "architectures.py"
    assert file.read_text().count(ENTRY.splitlines()[0]) == 1
    file.write_text(file.read_text().replace(ENTRY.splitlines()[0] + "\n", ENTRY))
    warm = Warm(tmp_path_factory.mktemp("streams"), root=folder)
    yield command_of(warm)
    warm.close()


@pytest.mark.slow
def test_an_architecture_is_one_file_and_one_entry(with_average: Command, prose: str, tmp_path: Path):
    (prose_file := tmp_path / "prose.txt").write_text(prose[:20_000])
    run, half = tmp_path / "run", ["--steps", 60]
    train = [
        "train",
        prose_file,
        "-o",
        run,
        "--vocab-type",
        "char",
        "--model",
        "average",
        "--hidden",
        24,
        "--eval-every",
        30,
        "-q",
    ]

    def out(*arguments: object) -> bytes:
        ran = with_average(*arguments)
        assert ran.returncode == 0, ran.stderr.decode()
        return bytes(ran.stdout)

    out(*train, *half)
    best = json.loads(out(*train, "--resume", "--steps", 120, "--json"))["valid_nats_per_token"]
    assert best < np.log(70)
    scored = json.loads(out("eval", run, prose_file, "--json"))
    assert scored["nats"] / scored["tokens"] == pytest.approx(best, abs=0.5)
    written = [
        out("generate", run, "--prompt", "the", "--max-tokens", 30, "--seed", 1, *more)
        for more in ([], ["--precision", "bf16"])
    ]
    assert all(len(text) > 20 for text in written)
    assert b"average" in out("info", run)


class Pairs(NamedTuple):
    """Pairs of a token and the token that stood before it."""

    ids_BT: Tensor
    rows: int
    targets: int
    rate_factor: float = 1.0

    def restarts(self, device: torch.device) -> Tensor:
        return torch.ones(self.rows, dtype=torch.bool, device=device)

    def part(self, rows: slice, device: torch.device) -> tuple[Any, ...]:
        return (self.ids_BT[rows].to(device),)


class PairBatches:
    """Random places of a text."""

    def __init__(self, ids: np.ndarray, config: RunConfig) -> None:
        self.ids, self.training = torch.from_numpy(ids.astype(np.int64)), config.training
        self.steps_per_pass = len(ids) / config.training.batch_size

    def batch(self, step: int, rows: slice) -> Pairs:
        drawn = np.random.default_rng([self.training.seed, step])
        starts = drawn.integers(len(self.ids) - 1, size=self.training.batch_size)[rows]
        return Pairs(torch.stack([self.ids[start : start + 2] for start in starts]), len(starts), len(starts))


class Before(nn.Module):
    """The squared error of the probability of the token before each token."""

    def __init__(self, model: Net) -> None:
        super().__init__()
        self.model = model

    def forward(self, state: Any, ids_B2: Tensor) -> Sums:
        logits_B1V, state = self.model(ids_B2[:, 1:], state)
        wrong = (1 - logits_B1V[:, 0].softmax(-1).gather(1, ids_B2[:, :1])).square().sum()
        return Sums(wrong, wrong.detach(), state)


class BeforeTask:
    """Tell which token stood before one."""

    def __init__(self, config: RunConfig, vocabulary: Vocabulary, ids: np.ndarray) -> None:
        self.config, self.vocabulary, self.ids = config, vocabulary, ids

    def batches(self) -> PairBatches:
        return PairBatches(self.ids, self.config)

    def new_model(self) -> Net:
        return build_model(self.config.model, self.config.symbols, dict.fromkeys(range(self.config.symbols.seen), 1))

    def objective(self, model: Net) -> nn.Module:
        return Before(model)

    def example(self, rows: int, targets: int, device: torch.device) -> tuple[Any, ...]:
        return (torch.ones(rows, 2, dtype=torch.long, device=device),)

    def validate(self, model: Net, stopped: Any) -> Validation:
        with torch.no_grad():
            sums = Before(model)(None, torch.from_numpy(self.ids.astype(np.int64)).unfold(0, 2, 1))
        return Validation(float(sums.loss), len(self.ids) - 1)

    def probes(self, model: Net) -> dict[str, Any]:
        return {"longest": max(float(weight.detach().norm()) for _, weight in model.weights())}

    def write(self, folder: Path, config: RunConfig) -> None:
        write_config(folder, config, self.vocabulary)


def test_a_task_is_one_file(seqtool: Command, small_run: Path, tmp_path: Path):
    """Trained by the session that the command uses, stopped and resumed exactly; its run is read by the real commands."""
    from seqtool.runs.loading import load_run

    vocabulary = load_run(small_run, torch.device("cpu")).vocabulary
    ids = vocabulary.encode("a cat sat on a mat and ate that fat rat. " * 30)
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, vocabulary.size, len(ids))

    def trained(name: str, **options: Any) -> Any:
        training = TrainConfig(
            batch_size=16, stateful=False, steps=80, lr=1e-2, precision="fp32", compile="off", early_stop=0
        )
        config = new_config(ModelConfig(model="rnn", hidden=16), training, symbols, vocabulary, {})
        records: list[dict[str, Any]] = []
        task = BeforeTask(config, vocabulary, ids)
        train_run(tmp_path / name, task, report=records.append, world=alone(torch.device("cpu")), **options)
        return records

    records = trained("whole")
    losses = [record["valid_loss"] for record in records if "valid_loss" in record]
    assert losses[-1] < 0.6 * losses[0]
    assert all(record["longest"] > 0 for record in records if "longest" in record)
    steps = iter(range(100))
    trained("parts", stopped=lambda: next(steps) == 39)
    trained("parts", resume=True)
    weights = [load_run(tmp_path / name, torch.device("cpu")).model.state_dict() for name in ("whole", "parts")]
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())
    assert seqtool("eval", tmp_path / "whole", "-", stdin=b"a cat").returncode == 0
    assert seqtool("generate", tmp_path / "whole", "--max-tokens", 5, "--seed", 1).returncode == 0
