"""Making a mixture of runs: copies of them, side by side, and weights that suit a text which none learned from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from seqtool.counts.mixture import fitted_weights, mixed_nats
from seqtool.errors import InputError, UsageError
from seqtool.files.writing import cannot_write, provenance
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor
from seqtool.runs.config import CONFIG, VOCABULARY, WEIGHTS, config_sha256, learned_texts, part_of
from seqtool.runs.loading import Run, load_part
from seqtool.runs.mixtures import MAX_PARTS, MixtureConfig, write_mixture
from seqtool.scoring.scorer import TOKENS_AT_ONCE, Scorer
from seqtool.text.encoded import EncodedText
from seqtool.text.sequences import without_begins

MOST_TOKENS = 1 << 22  # that weights are learned from
Progress = Callable[[int], None]


class Mixed(NamedTuple):
    """A mixture that was made, and what it and its parts make of the text, in nats per token; None without a text."""

    config: MixtureConfig
    nats_M: Sequence[float | None]
    nats: float | None
    tokens: int


def check_parts(paths: Sequence[Path], gated: bool = False) -> None:
    """UsageError where so many runs are no mixture."""
    if not 2 - gated <= len(paths) <= MAX_PARTS:
        raise UsageError(
            f"a mixture is of {2 - gated} to {MAX_PARTS} runs, not {len(paths)}: name them one after another"
        )


def copied_parts(paths: Sequence[Path], folder: Path, device: torch.device) -> list[Run]:
    """Copy what predicts of each run into the directory of a mixture, and load the copies.

    InputError when one is not whole, UsageError when their vocabularies differ.
    """
    runs: list[Run] = []
    for number, path in enumerate(paths):
        runs.append(_copied(path, part_of(folder, number), device))
        if runs[-1].vocabulary.sha256 != runs[0].vocabulary.sha256:
            raise UsageError(
                f"{path} has another vocabulary than {paths[0]}: train one of them with --vocab {paths[0] / VOCABULARY}"
            )
    return runs


def _copied(path: Path, part: Path, device: torch.device) -> Run:
    """Copy a run to `part` and load that: what is mixed is what was loaded, whatever becomes of the run meanwhile."""
    try:
        part.mkdir(parents=True)
        for name in (CONFIG, VOCABULARY, WEIGHTS):
            shutil.copyfile(path / name, part / name)
        return load_part(part, device)
    except (OSError, InputError) as error:
        load_part(path, torch.device("cpu"))  # tells of the run itself what is wrong with it
        raise cannot_write(part, error) if isinstance(error, OSError) else error from error


def check_unread(paths: Sequence[Path], runs: Sequence[Run], text: EncodedText) -> None:
    """InputError when one of the runs learned from the text, or one that it began with or is the mean of."""
    for path, run in zip(paths, runs, strict=True):
        if text.sha256 in learned_texts(run.config.data):
            whose = "" if text.sha256 == run.config.data.get("sha256") else " has the weights of a run that"
            raise InputError(
                f"{path}{whose} learned from this very text and knows it by heart: give --valid another one"
            )


def mix(
    folder: Path, paths: Sequence[Path], runs: Sequence[Run], text: EncodedText | None, progress: Progress
) -> Mixed:
    """Learn the weights of runs that were copied into `folder` from `paths`, and make the mixture whole.

    Without a text the weights are equal. InputError when the text has no token, or a run learned from it.
    """
    nats_MT = np.empty((len(runs), 0))
    weights_M = np.full(len(runs), 1 / len(runs))
    if text is not None:
        check_unread(paths, runs, text)
        nats_MT = nats_of([run.model for run in runs], text.ids[:MOST_TOKENS], progress)
        if not nats_MT.shape[1]:
            raise InputError("there is no token to learn weights from: give more text")
        weights_M = fitted_weights(nats_MT)
    config = MixtureConfig(
        weights=tuple(map(float, weights_M)),
        parts=tuple(config_sha256(run.path) for run in runs),
        models=tuple(run.config.name for run in runs),
        parameters=sum(run.config.parameters for run in runs),
        vocabulary_sha256=runs[0].vocabulary.sha256,
        data={
            "runs": list(map(str, paths)),
            "valid_sha256": None if text is None else text.sha256,
            "valid_tokens": nats_MT.shape[1],
            "document": str(runs[0].config.data.get("document", "file")),
        },
        made_by=dict(provenance()),
    )
    write_mixture(folder, config, runs[0].vocabulary)
    if text is None:
        return Mixed(config, [None] * len(runs), None, 0)
    return Mixed(config, nats_MT.mean(axis=1).tolist(), float(mixed_nats(nats_MT, weights_M).mean()), nats_MT.shape[1])


def nats_of(
    models: Sequence[Predictor], ids: npt.NDArray[np.unsignedinteger], progress: Progress
) -> npt.NDArray[np.float64]:
    """-log p of each token by each model as it is read in a mixture, (M, T); in the ids `<s>` begins documents."""
    context, begin_id = Mixture(models, [1 / len(models)] * len(models)).context, models[0].begin_id
    rows = []
    for number, model in enumerate(models):
        scorer = Scorer(Mixture([model], [1.0], context))
        parts = [np.empty(0)]
        for start in range(0, len(ids), TOKENS_AT_ONCE):
            stop = min(len(ids), start + TOKENS_AT_ONCE)
            text, starts = without_begins(ids[start:stop], begin_id)
            parts.append(scorer.score(text, starts).astype(np.float64))
            progress(number * len(ids) + stop)
        rows.append(np.concatenate(parts))
    return np.stack(rows)
