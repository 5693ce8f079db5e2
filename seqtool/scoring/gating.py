"""Making a gated mixture of runs: gates that read one text alone, and another with what the runs say of it.

Of what they learned from, nets are too sure: so gates read that text for its counts, while the nets say nothing, and
learn how far to trust each net from a text that none of them learned from. Before they learn from its second half, it
tells how far to trust them when they learn no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.gates.gates import Gates
from seqtool.counts.mixture import fitted_weights
from seqtool.errors import InputError
from seqtool.files.writing import provenance
from seqtool.models.gated import Gated
from seqtool.runs.config import config_sha256
from seqtool.runs.loading import Run
from seqtool.runs.mixtures import MixtureConfig, write_mixture
from seqtool.runs.weights import write_gates
from seqtool.scoring.learning import LearningScorer
from seqtool.scoring.mixing import MOST_TOKENS, check_unread, nats_of
from seqtool.scoring.scorer import Nats
from seqtool.text.encoded import EncodedText
from seqtool.text.sequences import without_begins
from seqtool.text.vocabulary import Vocabulary

READ_TOKENS = 1 << 16  # at once
Progress = Callable[[int], None]


class GatedMixed(NamedTuple):
    """A gated mixture that was made; of the two texts together their tokens, and of the second nats per token.

    Each token was scored before it was learned from, so these nats are adapted.
    """

    config: MixtureConfig
    read_tokens: int
    valid_tokens: int
    adapted_nats: float | None


def token_kinds(vocabulary: Vocabulary) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What each token is in a word, (V,), and whether it begins a word or ends a line, (V,), as `Gates.new` has them.

    A word is of letters, digits, `_` and apostrophes; letters in either case are the same.
    """
    numbers: dict[bytes, int] = {}
    words_V, kinds_V = np.zeros(vocabulary.size, np.int64), np.zeros(vocabulary.size, np.int64)
    for index, spelled in enumerate(vocabulary.token_strings):
        body = spelled.lstrip(b" ")
        text = body.decode(errors="replace").lower()
        # Bytes of other alphabets, one by one, are taken for letters.
        in_word = bool(text) and all(one.isalnum() or one in "_'\u2019\ufffd" for one in text)
        if in_word:
            words_V[index] = numbers.setdefault(text.encode() if "\ufffd" not in text else body, len(numbers) + 1)
        kinds_V[index] = 1 if len(body) < len(spelled) else 0
        if vocabulary.joins_newlines and spelled.endswith(b"\n"):
            kinds_V[index] |= 2
    if vocabulary.has_newline:
        kinds_V[vocabulary.newline_ids[-1]] |= 2
    return words_V, kinds_V


def _counts(text: EncodedText, begin: int, end: int) -> npt.NDArray[np.int64]:
    """How often each token is in a part of a text, (V,)."""
    counts_V = np.zeros(text.vocabulary.size, np.int64)
    for start in range(begin, end, READ_TOKENS):
        part = text.ids[start : min(end, start + READ_TOKENS)]
        counts_V += np.bincount(part.astype(np.int64), minlength=len(counts_V))
    counts_V[text.vocabulary.begin_id] = 0
    return counts_V


def work_of(read: EncodedText | None, valid: EncodedText | None, runs: int) -> int:
    """How many tokens making gates reads, as its progress tells them: the second half of `valid` several times."""
    tokens = sum(len(text.ids) for text in (read, valid) if text is not None)
    return tokens + (0 if valid is None else _judged(valid) * (runs + 1))


def _judged(valid: EncodedText) -> int:
    """How many tokens tell the weights."""
    return min(MOST_TOKENS, len(valid.ids) - len(valid.ids) // 2)


def _weights(model: Gated, ids: npt.NDArray[np.unsignedinteger], progress: Progress) -> Sequence[float]:
    """Weights of the gates and of each model that suit a text none has learned from; none without text."""
    nats_MT = nats_of([model, *model.all.models], ids, progress)
    return fitted_weights(nats_MT).tolist() if nats_MT.shape[1] else ()


def gate(
    folder: Path,
    paths: Sequence[Path],
    runs: Sequence[Run],
    read: EncodedText | None,
    valid: EncodedText | None,
    memory: int,
    progress: Progress,
) -> GatedMixed:
    """Make a gated mixture whole, of runs that were copied into `folder` from `paths`.

    InputError when there is no token to read, or a run learned from `valid`.
    """
    if valid is not None:
        check_unread(paths, runs, valid)
        if read is not None and read.sha256 == valid.sha256:
            raise InputError("--read and --valid are the same text, which would be learned twice: give one of them")
    vocabulary = runs[0].vocabulary
    tokens = sum(len(text.ids) for text in (read, valid) if text is not None)
    half = 0 if valid is None else len(valid.ids) // 2
    # The second half of `valid` is judged before it is known: it may not tell how tokens are spelled.
    counts_V = np.zeros(vocabulary.size, np.int64)
    for text, end in ((read, None), (valid, half)):
        counts_V += 0 if text is None else _counts(text, 0, len(text.ids) if end is None else end)
    if not (counts_V.sum() or (valid is not None and _counts(valid, half, len(valid.ids)).any())):
        raise InputError("there is no token to learn gates from: give more text")
    kinds = token_kinds(vocabulary)
    gates = Gates.new(counts_V, *kinds, vocabulary.begin_id, len(runs), tokens, memory)
    model = Gated([run.model for run in runs], gates)
    done, scored = 0, list[Nats]()

    def learn(scorer: LearningScorer, text: EncodedText, begin: int, end: int) -> Iterator[Nats]:
        nonlocal done
        for start in range(begin, end, READ_TOKENS):
            stop = min(end, start + READ_TOKENS)
            yield scorer.score(*without_begins(text.ids[start:stop], vocabulary.begin_id))
            done += stop - start
            progress(done)

    if read is not None:
        for _ in learn(LearningScorer(model, gates, speaking=False), read, 0, len(read.ids)):
            pass
    weights: Sequence[float] = ()
    if valid is not None:
        scorer = LearningScorer(model, gates)
        scored += learn(scorer, valid, 0, half)
        before = done
        weights = _weights(model, valid.ids[half : half + MOST_TOKENS], lambda told: progress(before + told))
        done += _judged(valid) * (len(runs) + 1)
        scored += learn(scorer, valid, half, len(valid.ids))
    count, nats = sum(len(part) for part in scored), sum(float(part.sum(dtype=np.float64)) for part in scored)
    config = MixtureConfig(
        weights=tuple(weights),
        parts=tuple(config_sha256(run.path) for run in runs),
        models=tuple(run.config.name for run in runs),
        parameters=sum(run.config.parameters for run in runs),
        vocabulary_sha256=vocabulary.sha256,
        data={
            "runs": list(map(str, paths)),
            "read_sha256": None if read is None else read.sha256,
            "valid_sha256": None if valid is None else valid.sha256,
            "valid_tokens": count,
            "document": str(runs[0].config.data.get("document", "file")),
        },
        made_by=dict(provenance()),
        gates_tokens=gates.past_count,
    )
    write_gates(folder, config, gates)
    write_mixture(folder, config, vocabulary)
    return GatedMixed(config, gates.past_count, count, nats / count if count else None)
