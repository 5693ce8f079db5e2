"""Runs of n-gram models to ARPA files, and ARPA files to runs.

A file that was written here brings its vocabulary along, and comes back as it was. Of another, the words are a
vocabulary of words, or else the pieces of one that is given, whose other symbols share what the file leaves to `<unk>`.
`</s>` is the newline, unless the file has that among its words: then it is the end of a document.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from seqtool.counts.model import NgramModel
from seqtool.counts.renumbering import renumbered, with_ends
from seqtool.counts.sums import greatest_sum
from seqtool.errors import InputError
from seqtool.exchange.arpa import (
    BEGIN,
    END,
    LN_10,
    NEVER,
    UNKNOWN,
    ArpaModel,
    no_progress,
    read_arpa,
    spelled,
    write_arpa,
)
from seqtool.files.writing import provenance
from seqtool.runs.config import WEIGHTS, RunConfig, new_config, read_config, read_vocabulary
from seqtool.runs.weights import read_counts
from seqtool.settings.architectures import having
from seqtool.settings.checking import shown
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.text.sentencepiece_model import MAX_MODEL_BYTES
from seqtool.text.vocabulary import END_OF_LINE, Vocabulary
from seqtool.text.word_list import vocabulary_of_words, words_without_a_piece

LINES = "line"  # of --document
ROUNDING_OF_SUM = 1e-7  # by which probabilities of seven digits may miss 1
MOST_EXCESS = 0.01  # by which a sum of probabilities may lie above 1
NO_UNKNOWN = -100.0  # log10 of the probability of unknown words where a file has no `<unk>`, as KenLM has it


class CountedRun(NamedTuple):
    """The parts of a run whose model is counted."""

    config: RunConfig
    vocabulary: Vocabulary
    model: NgramModel


def counted_run(path: Path) -> CountedRun:
    """Load a run to write as ARPA; InputError when it has no n-grams."""
    config = read_config(path)
    if not config.ngrams:
        kind = config.model.model if config.shape is None else f"model that learned to {config.task['name']}"
        mend = "name a run of train --model ngram"
        raise InputError(f"{path} is a {kind} and counts no n-grams, of which ARPA files are made: {mend}")
    return CountedRun(config, read_vocabulary(path, config), read_counts(path / WEIGHTS, config))


def export_arpa(stream: IO[bytes], run: CountedRun, progress: Callable[[int], None] = no_progress) -> tuple[int, ...]:
    """Write a run's model as ARPA, its vocabulary in comments; how many n-grams of each order were written."""
    vocabulary = run.vocabulary
    lines = vocabulary.has_newline and run.config.data.get("document") == LINES
    end_id = vocabulary.newline_ids[-1] if lines else run.model.begin_id
    tokens = [vocabulary.token(index) for index in range(vocabulary.size)]
    return write_arpa(stream, run.model, tokens, end_id, vocabulary.unknown_id, vocabulary.model, progress)


def import_arpa(
    stream: IO[bytes], name: str, vocabulary: Vocabulary | None = None, progress: Callable[[int], None] = no_progress
) -> CountedRun:
    """Read a model as a run; InputError when it is none, or its words are not those of `vocabulary` or of any."""
    found = read_arpa(stream, name, progress)
    _check_sums(found, name)
    if vocabulary is None and found.vocabulary:
        if len(found.vocabulary) > MAX_MODEL_BYTES:
            raise InputError(f"{name} has a vocabulary in its comments that is too large: give it with --vocab")
        vocabulary = Vocabulary(found.vocabulary, f"the vocabulary in the comments of {name}")
    if vocabulary is None:
        vocabulary = _vocabulary_of(found.words, name)
        ids = {vocabulary.token(index): index for index in range(vocabulary.size)}
    else:
        ids = {spelled(vocabulary.token(index)): index for index in range(vocabulary.size)}
    newline_id = vocabulary.newline_ids[-1]
    lines = vocabulary.has_newline and spelled(vocabulary.token(newline_id)) not in found.words
    end_id = newline_id if lines else vocabulary.begin_id
    model = _of_vocabulary(found, vocabulary, {**ids, BEGIN: vocabulary.begin_id, END: end_id}, name)
    if lines:
        model = with_ends(model, end_id)
    data = {"imported": name, "sha256": found.sha256, **({"document": LINES} if lines else {})}
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, min(len(found.words), vocabulary.size), 0)
    (architecture,) = having("counted")
    kept = ModelConfig(model=architecture, order=model.order)
    config = new_config(kept, TrainConfig(device="cpu", precision="fp32"), symbols, vocabulary, data)
    return CountedRun(dataclasses.replace(config, ngrams=model.sizes), vocabulary, model)


def _check_sums(found: ArpaModel, name: str) -> None:
    """InputError for a model of which the probabilities after a context sum to more than 1."""
    context, total = greatest_sum(found.model)
    if total > 1 + MOST_EXCESS:
        after = f"after {shown(' '.join(found.words[word] for word in context))}" if context else "of single words"
        raise InputError(f"{name}: the probabilities {after} sum to {total:.4g}, not 1: write the model again")


def _vocabulary_of(words: Sequence[str], name: str) -> Vocabulary:
    """A vocabulary of the words of a file."""
    plain = [word for word in words if word not in (BEGIN, END, UNKNOWN, END_OF_LINE)]
    if strange := words_without_a_piece(plain):
        raise InputError(
            f"{name} has words, such as {shown(strange[0])}, that no vocabulary of words has: "
            f"text is cut into words at all white space; give --vocab FILE, of which {name} has the pieces"
        )
    if not plain:
        raise InputError(f"{name} has no words but {' and '.join(words)}: there is nothing to predict")
    return vocabulary_of_words(plain, {"made_by": provenance()})


def _of_vocabulary(found: ArpaModel, vocabulary: Vocabulary, known: dict[str, int], name: str) -> NgramModel:
    """The model with the ids of a vocabulary, `known` by the words of the file.

    The probability of `<unk>` is that of all symbols which the file lacks, and of the unknown one.
    """
    has_unknown = vocabulary.unknown_id >= 0
    known = {**known, **({UNKNOWN: vocabulary.unknown_id} if has_unknown else {})}
    if other := [word for word in found.words if word not in known]:
        raise InputError(
            f"{name} has words, such as {shown(other[0])}, that {vocabulary.name} lacks: "
            "give --vocab the vocabulary that its words are the pieces of"
        )
    ids, begin_id, model = np.array([known[word] for word in found.words]), vocabulary.begin_id, found.model
    at = {word: place for place, word in enumerate(found.words)}
    end = at.get(END, -1)
    if known[END] == begin_id and end >= 0 and model.order > 1 and model.firsts[0][end] != model.firsts[0][end + 1]:
        raise InputError(f"{name} has n-grams that go on behind {END}, the end of a document: write it without them")
    log_p, backoffs = np.full(vocabulary.size, -np.inf), np.zeros(vocabulary.size)
    log_p[ids] = model.log_p[0]
    if model.order > 1:
        backoffs[ids] = model.backoffs[0]
        backoffs[begin_id] = model.backoffs[0][model.begin_id]
    is_other = np.ones(vocabulary.size, bool)
    is_other[[*ids, begin_id]] = False
    if has_unknown:
        is_other[vocabulary.unknown_id] = True
    unknown = model.log_p[0][at[UNKNOWN]] if UNKNOWN in at else NO_UNKNOWN * LN_10
    log_p[is_other] = unknown - math.log(max(1, int(np.count_nonzero(is_other))))
    log_p[begin_id] = -np.inf
    if known[END] != begin_id:  # a model of lines may have given some to `<s>`, which no line of the file says
        left = 1 - np.exp(log_p).sum()
        log_p[begin_id] = math.log(left) if left > ROUNDING_OF_SUM else -np.inf
    elif end >= 0 and model.log_p[0][end] > NEVER * LN_10:
        log_p[begin_id] = model.log_p[0][end]
    try:
        return renumbered(model, ids, begin_id, log_p, backoffs)
    except ValueError as error:
        raise InputError(f"{name} has n-grams that are one in {vocabulary.name}: write it without them") from error
