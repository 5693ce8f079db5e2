"""What reading the data of a task gives is kept whole: the same data give the same examples."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Command
from tests.tasks.tables import report, texts


def test_the_same_data_give_the_same_examples_wherever_they_lie(seqtool: Command, tmp_path: Path):
    plans = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plan = report(seqtool, "train", texts(tmp_path / name / "t.tsv"), "--target", "label", "--dry-run")
        plans.append(
            {key: plan[key] for key in ("labels", "columns", "train_examples", "valid_examples", "parameters")}
        )
    assert plans[0] == plans[1]
