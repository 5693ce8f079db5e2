"""The task of telling a label for each token of a sentence: parts of speech, or tags that mark spans (BIO and others).

Shapes: N tokens, O labels, K tables of which each token has a row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.files.spools import Spool
from seqtool.models.loss import IGNORE
from seqtool.records.conll import PLAIN, is_comment
from seqtool.records.layout import SUFFIX_FORMATS, Layout, detect_layout, suffix_of
from seqtool.records.reading import Records, RecordsFile, open_records
from seqtool.records.sentences import Sentence, column_place, sentences_of
from seqtool.runs.config import NO_TEXT, RunConfig
from seqtool.runs.loading import ExampleRun
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.examples import ExampleConfig, ExampleShape, listed
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.asking import BATCH_TOKENS, Answer, Asking, arriving, no_heading
from seqtool.tasks.examples.labels import balanced_weights, labels_from, shrunk
from seqtool.tasks.examples.opening import open_request
from seqtool.tasks.examples.prepared import Prepared, counts_record, data_record, valid_record
from seqtool.tasks.examples.rows import blocks_of
from seqtool.tasks.examples.sets import ArrayExamples, Rows, by_length, split_rows
from seqtool.tasks.examples.table import layout_from, layout_record
from seqtool.tasks.examples.treebank import Treebank, piece_lengths, sentence_arrays, whole_sentences
from seqtool.tasks.examples.words import BEGIN, WordCounter, WordReader, Words, words_from
from seqtool.tasks.language.data import held_share
from seqtool.tasks.request import Request

FORM, TAG = PLAIN
MOST_LABELS, LABEL_BYTES = 5000, 1 << 20
MEANT = ("target", "text", "format", "max_length", "unscored", "class_weight", "best_by")
UNITS = ("token", "nats")
SEPARATOR = "\t"
BACKTESTED = False
heading = no_heading  # each line is a token's answer, and an empty one ends a sentence
ASKED_ROWS = 512  # pieces of sentences that are tagged at a time
SHOWN = 10  # labels that a message names
TEXT_LINES = Layout("lines", ("text",), header=False)


@dataclass(frozen=True)
class Tags:
    """The labels, in order, and how many of the training tokens have each."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    weights: tuple[float, ...] = ()
    """How much a token of each label counts in training; nothing: all the same."""

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for each token."""
        return len(self.labels)

    @property
    def fitted(self) -> int:
        """The logarithm of a temperature."""
        return 1

    @property
    def commonest(self) -> int:
        """The most frequent label."""
        return int(np.argmax(self.counts))

    def unweighted(self, outputs: Tensor) -> Tensor:
        """The outputs without what weights of the labels have added."""
        return outputs - torch.tensor(self.weights, dtype=outputs.dtype).log() if self.weights else outputs

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """-log p of each label, in nats: cross-entropy; 0 of one that training has not."""
        return F.cross_entropy(outputs, targets, reduction="none", ignore_index=IGNORE)

    def objective(self, outputs: Tensor, targets: Tensor, weights_N: Tensor | None, config: TrainConfig) -> Tensor:
        """The losses, smoothed and weighed as asked, summed."""
        losses_N = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=config.label_smoothing)
        if config.z_loss:
            losses_N = losses_N + config.z_loss * outputs.logsumexp(-1).square()
        if self.weights:
            losses_N = losses_N * torch.tensor(self.weights, device=outputs.device)[targets]
        return losses_N.sum()

    def fit(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The temperature with the least log loss (Guo et al. 2017)."""
        from seqtool.scoring.metrics.fitting import fit_temperature

        known = targets != IGNORE
        plain = self.unweighted(outputs[known].double()).numpy()
        temperature = fit_temperature(plain, targets[known].numpy().astype(np.int64))
        return torch.tensor([shrunk(math.log(temperature), int(known.sum()))])

    def score(self, outputs: Tensor, targets: Tensor, fitted: Tensor, by: str) -> float | None:
        """The accuracy of tokens, or the mean of the labels' F1; None where the loss decides."""
        from seqtool.scoring.metrics import classes

        if by == "loss":
            return None
        told, true = outputs.argmax(-1).numpy(), targets.numpy().astype(np.int64)
        known = true != IGNORE
        if by == "accuracy":
            return classes.accuracy(true[known], told[known])
        return classes.label_counts(true[known], told[known], len(self.labels)).macro_f1()

    def likeliest(self, outputs: Tensor, fitted: Tensor, most: int) -> list[list[tuple[str, float]]]:
        """For each token its likeliest labels, each with its probability at the fitted temperature.

        With `most` 0 one, and no probability is worked out.
        """
        if not most:
            return [[(self.labels[place], math.nan)] for place in outputs.argmax(-1).tolist()]
        cooled_NO = (self.unweighted(outputs.double()) / float(fitted[0].double().exp())).softmax(-1)
        found = cooled_NO.topk(min(most, self.outputs), dim=-1)
        return [
            [(self.labels[place], probability) for probability, place in zip(*row, strict=True)]
            for row in zip(found.values.tolist(), found.indices.tolist(), strict=True)
        ]


def answers(task: Mapping[str, Any]) -> Tags:
    """The labels that a run's configuration names; InputError when it was edited."""
    labels, counts, weights = labels_from(task)
    if not 2 <= len(labels) <= MOST_LABELS:
        raise InputError("a run's configuration has labels that cannot be told apart: it was edited")
    return Tags(labels, counts, weights)


def same_answers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the outputs of two runs mean the same: labels in the same order."""
    return bool(one["labels"] == other["labels"])


def open_data(request: Request, examples: ExampleConfig) -> Treebank:
    """Open sentences in CoNLL columns; UsageError for a column that they have not, or what is for other tasks."""
    if request.from_run is not None:
        raise UsageError("--from: that is not for tagging; leave it out")
    if examples.format not in ("auto", "conll"):
        raise UsageError(f"--format {examples.format}: tagging is learned from CoNLL columns, a token a line")
    records = open_request(request, examples, "conll")
    target, form = (
        _column(records.columns, flag, asked, usual)
        for flag, asked, usual in (("--target", examples.target, TAG), ("--text", examples.text, FORM))
    )
    if form == target:
        raise UsageError(f"--target {target}: that is the column of the words; name another with --text")
    return Treebank(records, form, target)


def _column(columns: Sequence[str], flag: str, asked: str, usual: str) -> str:
    """The column that is asked for, or the usual one; of words, the first where none is called so."""
    names = listed(asked) or ((usual,) if usual in columns else (columns[0],) if flag == "--text" else ())
    if len(names) != 1:
        what = "say which column has the labels" if not names else "labels are told of one column"
        raise UsageError(f"{flag} COLUMN: {what}, of {', '.join(columns)}")
    return columns[column_place(columns, names[0])]


def prepare(
    request: Request, opened: Treebank, examples: ExampleConfig, settings: dict[str, Any], kept: RunConfig | None
) -> Prepared:
    """The sentences as arrays, and what is held back; with `kept` as that run's configuration says."""
    seed, share = int(settings.get("seed", 0)), held_share(request.valid)
    counts: Counter[str] = Counter()
    sentences = 0
    for sentence in whole_sentences(opened.sentences()):
        counts.update(sentence.columns[1])
        sentences += 1
    if not sentences:
        raise InputError(f"{opened.records.name} has no sentences to learn from")
    if examples.unscored and not counts.pop(examples.unscored, 0):
        raise InputError(f"--unscored {examples.unscored}: no token of {opened.records.name} has that label")
    held: npt.NDArray[np.bool_] = np.zeros(sentences, bool)
    if share is not None:
        held[split_rows(sentences, share, seed)[1]] = True
    task = kept.task if kept is not None else _described(opened, counts, held, examples, settings)
    tags, words = answers(task), words_from(task["words"], len(task["labels"]), opened.records.name)
    unscored = str(task.get("unscored", ""))
    whole = sentence_arrays(opened, tags.labels, WordReader(words), task["max_length"], unscored)
    record = data_record(request, examples, whole.sha256, whole.left_out)
    told = [] if kept is not None else [*opened.records.told, _about(opened, sentences, counts, words, task)]
    if share is None:
        assert request.valid is not None
        other = opened.opened(request.valid, request.errors)
        held_back = sentence_arrays(other, tags.labels, WordReader(words), task["max_length"], unscored)
        if not held_back.lengths:
            raise InputError(f"{other.records.name} has no sentences to validate on")
        train, valid = whole.examples, held_back.examples
        record |= valid_record(request.valid, held_back.sha256)
        if held_back.unknown:
            told.append(
                f"{sum(held_back.unknown.values()):,} tokens of {other.records.name} have labels that the training "
                f"examples have not ({_named(held_back.unknown)}): the loss leaves them out"
            )
    else:
        held_pieces = held[np.array(whole.sentence_of)]
        train, valid = (whole.examples.some(np.flatnonzero(part)) for part in (~held_pieces, held_pieces))
        record["valid_share"] = share
    if unscored and not valid.targets_in(np.arange(len(valid))):
        raise InputError(
            f"no token that is held back has another label than {unscored}: give more sentences, or --valid"
        )
    record |= counts_record(train, valid)
    if whole.left_out:
        told.append(f"{whole.left_out:,} sentences are left out: they are broken")
    shape = ExampleShape(tables=words.tables, begin_id=BEGIN, outputs=tags.outputs, each=True, fitted=tags.fitted)
    return Prepared(train, valid, shape, NO_TEXT, None, task, record, told)


def _described(
    opened: Treebank,
    counts: Counter[str],
    held: npt.NDArray[np.bool_],
    examples: ExampleConfig,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """What the run's configuration says of the task: columns, labels, and the words of sentences not held back."""
    labels = sorted(counts)
    if len(labels) < 2:
        labels = labels or [examples.unscored]
        raise InputError(f"{opened.target} is {labels[0]!r} everywhere: there is nothing to tell apart")
    if len(labels) > MOST_LABELS:
        raise InputError(f"{opened.target} has {len(labels):,} values, more than {MOST_LABELS:,}: name another column")
    if sum(len(label.encode("utf-8", "replace")) for label in labels) > LABEL_BYTES:
        raise InputError(f"{opened.target} has values of over {LABEL_BYTES:,} bytes in all: name another column")
    counter = WordCounter()
    for is_held, sentence in zip(held, whole_sentences(opened.sentences()), strict=True):
        if not is_held:
            counter.add(*sentence.columns)
    balanced = settings.get("class_weight", "none") == "balanced"
    return {
        "name": examples.task,
        "target": opened.target,
        "form": opened.form,
        "layout": layout_record(opened.records.layout),
        "max_length": _piece(examples.max_length, settings),
        **({"unscored": examples.unscored} if examples.unscored else {}),
        "labels": labels,
        "counts": [counts[label] for label in labels],
        "class_weights": balanced_weights(labels, counts) if balanced else [],
        "words": counter.record(labels),
    }


def _piece(most: int, settings: Mapping[str, Any]) -> int:
    """Tokens of a sentence that are read at once: no more than the model can look at."""
    if ARCHITECTURES[settings["model"]].carries_state:
        return most
    return min(most, int(settings.get("context", ModelConfig.context)))


def _about(opened: Treebank, sentences: int, counts: Counter[str], words: Words, task: Mapping[str, Any]) -> str:
    """What was found, in words."""
    rest = f" and {task['words']['left_out']:,} that are not listed" if task["words"]["left_out"] else ""
    return (
        f"{opened.target} ({len(counts):,} labels) is told for each {opened.form}: {sum(counts.values()):,} tokens "
        f"in {sentences:,} sentences, {len(words.label_of):,} words to learn from{rest}"
    )


def _named(labels: Mapping[str, int]) -> str:
    names = sorted(labels)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


class Tagger:
    """A run that is asked about sentences."""

    def __init__(self, run: ExampleRun) -> None:
        task = run.config.task
        self.run, self.tags = run, answers(task)
        self.words = words_from(task.get("words"), len(self.tags.labels), str(run.path))
        self.layout = layout_from(task.get("layout"))
        form, target, piece = task.get("form"), task.get("target"), task.get("max_length")
        if not isinstance(form, str) or not isinstance(target, str) or type(piece) is not int or piece < 1:
            raise InputError(f"{run.path} does not say what it reads: its config.json was edited")
        self.form, self.target, self.piece, self.unscored = form, target, piece, task.get("unscored", "")
        if run.config.shape is None or run.config.shape.tables != self.words.tables:
            raise InputError(f"{run.path} reads words otherwise than this version of seqtool: train it again")
        self._reader = WordReader(self.words)

    @torch.inference_mode()
    def outputs(self, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        """The model's outputs for each sentence, (N, O), the same alone as together."""
        pieces: list[tuple[int, int, int]] = []
        for number, words in enumerate(sentences):
            start = 0
            for length in piece_lengths(len(words), self.piece):
                pieces.append((number, start, start + length))
                start += length
        lengths: Rows = np.array([stop - start for _, start, stop in pieces], np.int64)
        found: list[Tensor] = [torch.empty(0)] * len(pieces)
        for batch in by_length(lengths, ASKED_ROWS, BATCH_TOKENS):
            asked = [pieces[place] for place in batch.tolist()]
            ids = self._reader.rows(word for number, start, stop in asked for word in sentences[number][start:stop])
            starts = np.concatenate([[0], np.cumsum(lengths[batch])])
            x = ArrayExamples(np.zeros(len(ids), np.int32), starts, ids, begin_id=BEGIN, each=True).take(
                np.arange(len(batch))
            )
            outputs = self.run.model(x.x.to(self.run.model.device)).float().cpu()
            for place, output, length in zip(batch.tolist(), outputs, lengths[batch].tolist(), strict=True):
                found[place] = output[:length]
        parts: list[list[Tensor]] = [[] for _ in sentences]
        for (number, _, _), output in zip(pieces, found, strict=True):
            parts[number].append(output)
        empty = torch.empty(0, self.tags.outputs)
        return [torch.cat(own) if own else empty for own in parts]

    def column(self, records: Records, name: str) -> str:
        """The column of a file that is called so; where its columns have other names, the one in the same place."""
        if name.lower() in (column.lower() for column in records.columns) or name not in self.layout.columns:
            return name
        place = self.layout.columns.index(name) + 1
        return str(place) if place <= len(records.columns) else name


def predictions(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """For each sentence its tokens with their labels, as they come."""
    tagger, fitted = Tagger(run), run.fitted.cpu()
    records = open_sentences(tagger, paths, asking)
    for block in arriving(asked_sentences(tagger, records), records.waits, asking.batch_size):
        outputs = tagger.outputs([() if sentence.problem else sentence.columns[0] for sentence in block])
        told = iter(tagger.tags.likeliest(torch.cat(outputs), fitted, asking.most))
        yield [_answer(sentence, told, asking.most) for sentence in block]


def open_sentences(tagger: Tagger, paths: Sequence[str], asking: Asking) -> Records:
    """Open what is to be tagged: CoNLL columns, or lines of text whose words have spaces between them."""
    if asking.format not in ("auto", "conll", "lines"):
        raise UsageError(f"--format {asking.format}: {tagger.run.path} reads CoNLL columns (conll) or text (lines)")
    files = [RecordsFile(path, errors=asking.errors, rereadable=False) for path in paths]
    if asking.format == "lines" or (asking.format == "auto" and not in_columns(files[0], tagger.layout)):
        return Records(files, TEXT_LINES, errors=asking.errors, header=None)
    head = files[0].head()
    tokens = [line for line in head.split("\n") if line.strip() and not line.startswith("#")]
    layout = detect_layout(head, paths[0], format="conll") if tokens else tagger.layout
    return Records(files, layout, errors=asking.errors, header=None)


def in_columns(file: RecordsFile, layout: Layout) -> bool:
    """Whether a file has tokens in columns: by its name, tabs in most of its lines, or as many fields as the run's."""
    if SUFFIX_FORMATS.get(suffix_of(file.path)) == "conll":
        return True
    lines = [line.rstrip("\r") for line in file.head().split("\n") if line.strip()]
    if layout.delimiter == "\t":
        tokens = [line for line in lines if not line.startswith("#")]
        if not tokens:
            return layout.columns[0] == "id" and bool(lines)
        return 2 * sum("\t" in line for line in tokens) > len(tokens)
    return bool(lines) and all(
        is_comment(line, layout.columns, layout.delimiter) or len(line.split()) == len(layout.columns) for line in lines
    )


def asked_sentences(tagger: Tagger, records: Records) -> Iterator[Sentence]:
    """The sentences of CoNLL columns, or of lines of text: then one for each line, even an empty one."""
    if records.layout.format == "conll":
        yield from sentences_of(records, (tagger.column(records, tagger.form),))
        return
    for row in records.rows():
        words = tuple((row.values[0] or "").split())
        yield Sentence(row.number, (words,), problem=row.problem)


def _answer(sentence: Sentence, told: Iterator[list[tuple[str, float]]], most: int) -> Answer:
    """The rows of a sentence, with the lines that are no words in their places, and an empty one behind them."""
    (words,) = sentence.columns
    lines: list[tuple[str, ...]] = []
    likeliest = [[] if sentence.problem else next(told) for _ in words]
    for word, labels in zip(words, likeliest, strict=True):
        cells = [cell for label, p in labels for cell in ((label, f"{p:.6f}") if most else (label,))]
        lines.append((word, *(cells or [""])))
    for before, line in reversed(sentence.aside):
        lines.insert(before, tuple(line.split("\t")))
    content: dict[str, Any] = {
        "tokens": list(words),
        "tags": [labels[0][0] if labels else None for labels in likeliest],
    }
    if most:
        content["likeliest"] = [[[label, p] for label, p in labels] for labels in likeliest]
    if sentence.problem:
        content["problem"] = sentence.problem
    problem = f"is a sentence that cannot be read: {sentence.problem}" if sentence.problem else ""
    return Answer((*lines, ("",)), content, problem)


def evaluation(run: ExampleRun, paths: Sequence[str], asking: Asking) -> dict[str, Any]:
    """Every metric beside the baseline's, which gives each word its most frequent label.

    A label that training has not seen counts as an error; a token of --unscored does not count.
    """
    from seqtool.scoring.metrics.classes import accuracy
    from seqtool.scoring.metrics.spans import tags_report

    tagger = Tagger(run)
    records = open_records(paths, format="conll", errors=asking.errors)
    columns = [tagger.column(records, name) for name in (tagger.form, tagger.target)]
    numbers = {label: place for place, label in enumerate(tagger.tags.labels)}
    label_of, commonest = tagger.words.label_of, tagger.tags.commonest
    truth, told, baseline, seen = (Spool("labels") for _ in range(4))
    lengths: list[int] = []
    left_out = 0
    for block in blocks_of(sentences_of(records, columns), asking.batch_size):
        whole = [sentence for sentence in block if not sentence.problem]
        left_out += len(block) - len(whole)
        outputs = tagger.outputs([sentence.columns[0] for sentence in whole])
        best = torch.cat([torch.empty(0, tagger.tags.outputs), *outputs]).argmax(-1).numpy()
        told.append(best[[label != tagger.unscored for sentence in whole for label in sentence.columns[1]]])
        for sentence in whole:
            scored = [pair for pair in zip(*sentence.columns, strict=True) if pair[1] != tagger.unscored]
            if not scored:
                continue
            forms, labels = zip(*scored, strict=True)
            lengths.append(len(forms))
            truth.append(np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64))
            baseline.append(np.array([label_of.get(form, commonest) for form in forms], np.int64))
            seen.append(np.array([form in label_of for form in forms], bool))
    if not sum(lengths):
        raise InputError(f"{records.name} has no labels: there is nothing to compare with")
    names = list(numbers)
    truth_N, told_N, baseline_N = (each.mapped(np.int64) for each in (truth, told, baseline))
    report = tags_report(
        names, truth_N, told_N, np.array(lengths, np.int64), seen=len(tagger.tags.labels), baseline_N=baseline_N
    )
    unseen_N = ~seen.mapped(bool)
    unseen = {
        "unseen_words": int(unseen_N.sum()),
        "unseen_words_accuracy": accuracy(truth_N[unseen_N], told_N[unseen_N]) if unseen_N.any() else None,
        "unseen_words_baseline_accuracy": (
            accuracy(truth_N[unseen_N], baseline_N[unseen_N]) if unseen_N.any() else None
        ),
    }
    tables = {name: report.pop(name) for name in ("unseen_labels", "unseen", "spans", "labels", "confusion")}
    return {"task": "tag", **report, **unseen, **tables, "left_out": left_out}
