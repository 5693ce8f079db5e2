"""Asking a run for the texts that it writes: for each row a text, or several, in order and as rows come.

Shapes: B rows, S positions that were read, T tokens that were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.generation.beam import beam_search, beam_search_together
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import Steering
from seqtool.models.decoding.encoder_decoder import WritingStepper
from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.example_model import ExampleInput
from seqtool.models.loss import IGNORE, token_nats
from seqtool.records.lines import Row
from seqtool.runs.loading import ExampleRun
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.asking import Answer, Asking, arriving, open_for, reader_of, unanswered
from seqtool.tasks.examples.rows import RowReader
from seqtool.tasks.examples.sets import ArrayExamples, Rows, by_length
from seqtool.text.vocabulary import Vocabulary

TOGETHER_TEXTS, TOGETHER_TOKENS = 256, 1 << 14  # that are written side by side, and tokens that are read for them


class Written(NamedTuple):
    """A text, and where the model looked for each unit of it."""

    text: str
    tokens: tuple[int, ...]
    ended: bool
    """Whether the model ended it, not a limit."""
    nats: float = 0.0
    """-log p of its tokens and of its end, where it was asked for."""
    alignment: tuple[tuple[int, int], ...] = ()
    """Pairs of a unit of what was read and one that was written, both from 0."""


class Writer:
    """Writes texts for what is read."""

    def __init__(
        self, run: ExampleRun, config: WritingConfig, samples: int = 1, align: bool = False, nats: bool = False
    ) -> None:
        assert isinstance(run.model, EncoderDecoder)
        self.run, self.model, self.config = run, run.model, config
        self.samples, self.align, self.nats = samples, align, nats
        vocabulary = run.target_vocabulary or run.vocabulary
        assert vocabulary is not None
        self.vocabulary: Vocabulary = vocabulary
        self.most = config.max_tokens or int(run.config.task["longest"])
        if align and run.vocabulary is None:
            raise UsageError(f"--align: {run.path} reads no text, whose words could be named; leave it out")
        if align and run.config.model.attention == "none" and self.model.config.architecture.carries_state:
            raise UsageError(f"--align: {run.path} was trained with --attention none and looks nowhere; leave it out")
        if config.draws and config.beam > 1:
            raise UsageError("--beam searches and --temperature draws: give one of them")
        self._steering = _constraint(self.vocabulary, config)
        self._seam = vocabulary.seam("", [])
        self._barred = -1 if config.allow_unk or vocabulary.type != "word" else vocabulary.unknown_id

    @torch.inference_mode()
    def write(self, x: ExampleInput, keys: Sequence[tuple[int, ...]]) -> list[list[Written]]:
        """The texts for some examples, the best first, the same alone as together."""
        found: list[list[Written]] = [[] for _ in keys]
        width = max(self.config.beam, self.samples)
        lengths: Rows = x.lengths_B.numpy()
        for batch in by_length(lengths, max(1, TOGETHER_TEXTS // width), max(1, TOGETHER_TOKENS // width)):
            part = x.take(torch.from_numpy(batch))
            own = [keys[place] for place in batch.tolist()]
            for place, samples in zip(batch.tolist(), self._samples(part, own), strict=True):
                found[place] = [self._written(sample) for sample in samples]
            if self.nats:
                self._add_nats(part, batch, found)
            if self.align:
                self._add_alignments(part, own, batch, found)
        return found

    def _samples(self, x: ExampleInput, keys: Sequence[tuple[int, ...]]) -> list[list[Sample]]:
        config = self.config
        stepper = WritingStepper(self.model, x, keys, self._barred)
        if config.beam > 1 or (self.samples > 1 and not config.draws):
            search = GenerateConfig(
                beam=max(config.beam, self.samples), length_penalty=config.length_penalty, max_tokens=self.most
            )
            prompts = [Sample(list(key), seam=self._seam) for key in keys]
            if self._steering is None:
                return beam_search_together(stepper, prompts, self.samples, search, self._text)
            steering = Steering(search, stepper.begin_id, self._steering)
            return [beam_search(stepper, one, self.samples, search, steering, text_of=self._text) for one in prompts]
        draw = GenerateConfig(
            max_tokens=self.most,
            greedy=not config.draws,
            temperature=config.temperature or 1.0,
            top_k=config.top_k,
            top_p=config.top_p,
            min_p=config.min_p,
            seed=config.seed,
            batch_size=len(keys) * self.samples,
        )
        rows = [Sample(list(key), copy, seam=self._seam) for key in keys for copy in range(self.samples)]
        for _ in generate(stepper, rows, draw, Steering(draw, stepper.begin_id, self._steering)):
            pass
        return [rows[start : start + self.samples] for start in range(0, len(rows), self.samples)]

    def _text(self, tokens: Sequence[int]) -> str:
        return self.vocabulary.decode(tokens)

    def _written(self, sample: Sample) -> Written:
        return Written(self._text(sample.tokens), tuple(sample.tokens), sample.finished != "length")

    def _add_nats(self, x: ExampleInput, batch: Rows, found: list[list[Written]]) -> None:
        """Add to each text its nats, as `seqtool eval` has them."""
        texts = [(row, one) for row, place in enumerate(batch.tolist()) for one in found[place]]
        lengths = [len(one.tokens) for _, one in texts]
        targets_BT = torch.full((len(texts), max(lengths) + 1), IGNORE)
        for row, (_, one) in enumerate(texts):
            targets_BT[row, : lengths[row] + 1] = torch.tensor([*one.tokens, self.model.begin_id])
        inputs_BT = F.pad(targets_BT[:, :-1].clamp(min=0), (1, 0), value=self.model.begin_id)
        rows = x.take(torch.tensor([row for row, _ in texts])).to(self.model.device)
        logits_BTV = self.model(rows, inputs_BT.to(self.model.device)).cpu()
        nats = iter(token_nats(logits_BTV, targets_BT).double().sum(1).tolist())
        for place in batch.tolist():
            found[place] = [one._replace(nats=next(nats)) for one in found[place]]

    def _add_alignments(
        self, x: ExampleInput, keys: Sequence[tuple[int, ...]], batch: Rows, found: list[list[Written]]
    ) -> None:
        """Add to each text where the model looked."""
        for row, place in enumerate(batch.tolist()):
            for number, one in enumerate(found[place]):
                looks_TS = self.looks(x.rows(slice(row, row + 1)), one.tokens).mean((0, 1))
                pairs = alignment(looks_TS, units_of(self._read, keys[row]), units_of(self.vocabulary, one.tokens))
                found[place][number] = one._replace(alignment=pairs)

    @property
    def _read(self) -> Vocabulary:
        assert self.run.vocabulary is not None
        return self.run.vocabulary

    def looks(self, x: ExampleInput, tokens: Sequence[int]) -> Tensor:
        """Where the model looks for each of a text's tokens, of an example, (layers, heads, T, S)."""
        device = self.model.device
        ids_1T = torch.tensor([[self.model.begin_id, *tokens[:-1]]], device=device)
        return self.model.looks(x.to(device), ids_1T)[0].float().cpu()


def _constraint(vocabulary: Vocabulary, config: WritingConfig) -> Constraint | None:
    """What --constrain allows."""
    if not config.constrain:
        return None
    spacing = "lines" if vocabulary.type == "word" else "kept" if vocabulary.keeps_spaces else "first"
    rows = list(vocabulary.token_strings)
    if vocabulary.type == "word" and not config.allow_unk:
        rows[vocabulary.unknown_id] = b""
    return Constraint(config.constrain, TokenBytes(rows, spacing))


def alignment(looks_TS: Tensor, source: Sequence[int], target: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """For each unit that was written the one that was looked at most: summed over its tokens, averaged over the unit.

    `source` and `target` say which unit each token belongs to, -1 for none. What is read begins with `<s>`, which is of
    no unit.
    """
    if not source or not target:
        return ()
    place_S = torch.tensor([-1, *source])
    of_units_TU = torch.zeros(len(target), max(source) + 1)
    inside_S = place_S >= 0
    of_units_TU.index_add_(1, place_S[inside_S], looks_TS[: len(target), : len(place_S)][:, inside_S])
    found = []
    for unit in range(max(target) + 1):
        tokens = [place for place, own in enumerate(target) if own == unit]
        found.append((int(of_units_TU[tokens].mean(0).argmax()), unit))
    return tuple(found)


def units_of(vocabulary: Vocabulary, ids: Sequence[int]) -> list[int]:
    """The unit of each token, from 0: of pieces the word between spaces, -1 for a space alone; else the token."""
    if vocabulary.type in ("char", "byte", "word"):
        return list(range(len(ids)))
    units, word, inside = [], -1, False
    for index in ids:
        text = vocabulary.token_strings[index]
        if not text.strip():
            units.append(-1)
            inside = False
            continue
        if not inside or text[:1].isspace():
            word += 1
        units.append(word)
        inside = not text[-1:].isspace()
    return units


def answered_texts(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """The texts for the rows of some files, in order and in blocks, as soon as no more rows are waiting."""
    writer = Writer(run, asking.writing, max(1, asking.samples), asking.align, asking.nats or asking.samples > 0)
    records = open_for(run, paths, asking)
    columns = run.config.task["columns"]["text"]
    records.as_text = frozenset(columns)
    reader = reader_of(run, records)
    for block in arriving(records.rows(), records.waits, asking.batch_size):
        problems = [reader.problem(row) for row in block]
        broken = next((place for place, problem in enumerate(problems) if problem), len(block))
        if asking.errors == "replace":
            broken = len(block)
        whole = [row for row, problem in zip(block[:broken], problems, strict=False) if not problem]
        told = iter(texts_for(writer, reader, whole))
        if broken:
            answers = [
                unanswered(problem) if problem else _answer(row, next(told), asking)
                for row, problem in zip(block[:broken], problems, strict=False)
            ]
            yield answers
        if broken < len(block):
            raise InputError(
                f"line {block[broken].number} of {records.reading} {problems[broken]}: mend it, or give --errors "
                "replace for an empty answer"
            )


def texts_for(writer: Writer, reader: RowReader, rows: Sequence[Row]) -> list[list[Written]]:
    """The texts for rows that can be read; an empty one for an empty text."""
    x, keys = inputs_for(reader, rows)
    empty = Written("", (), True)
    if x is None:
        return [[empty] * writer.samples for _ in rows]
    places = [place for place, row in enumerate(rows) if not is_empty(reader, row)]
    found = [[empty] * writer.samples for _ in rows]
    if places:
        own = writer.write(x.take(torch.tensor(places)), [keys[place] for place in places])
        for place, texts in zip(places, own, strict=True):
            found[place] = texts
    return found


def is_empty(reader: RowReader, row: Row) -> bool:
    """Whether a row has no text to read."""
    return bool(reader.columns.text) and not reader.text_of(row).strip()


def inputs_for(reader: RowReader, rows: Sequence[Row]) -> tuple[ExampleInput | None, list[tuple[int, ...]]]:
    """What a model reads of some rows, and a key of each: its ids without `<s>`, or the bits of its numbers."""
    if not rows:
        return None, []
    arrays: dict[str, Any] = {}
    keys: list[tuple[int, ...]] = [()] * len(rows)
    columns = reader.columns
    if columns.text:
        ids = reader.ids(rows)
        lengths = np.array([len(one) for one in ids], np.int64)
        arrays |= {"starts": np.concatenate([[0], np.cumsum(lengths)]), "ids": np.concatenate(ids).reshape(-1, 1)}
        assert reader.vocabulary is not None
        arrays["begin_id"] = reader.vocabulary.begin_id
        keys = [tuple(one[1:].tolist()) for one in ids]
    if columns.numbers:
        arrays["numbers_ND"] = reader.numbers(rows)
        bits = np.ascontiguousarray(arrays["numbers_ND"], np.float32).view(np.uint32)
        keys = [(*key, *own) for key, own in zip(keys, bits.tolist(), strict=True)]
    if columns.categories:
        arrays["categories_NC"] = reader.categories(rows)
        keys = [(*key, *own) for key, own in zip(keys, arrays["categories_NC"].tolist(), strict=True)]
    return ArrayExamples(np.zeros(len(rows), np.int64), **arrays).take(np.arange(len(rows))).x, keys


def _answer(row: Row, texts: Sequence[Written], asking: Asking) -> Answer:
    """The texts of a row: alone a line each; of several the row's number, its rank and nats before each."""
    content: dict[str, Any] = {"texts": [_content(one, asking.align) for one in texts]}
    if not asking.samples:
        (one,) = texts
        cells = (one.text, _pharaoh(one)) if asking.align else (one.text,)
        return Answer((cells,), _content(one, asking.align), plain=True)
    rows = tuple(
        (str(row.number), str(rank), f"{one.nats:.4f}", one.text, *([_pharaoh(one)] if asking.align else []))
        for rank, one in enumerate(texts, start=1)
    )
    return Answer(rows, {"row": row.number, **content})


def _content(one: Written, align: bool) -> dict[str, Any]:
    aligned = {"alignment": [list(pair) for pair in one.alignment]} if align else {}
    return {"text": one.text, "nats": one.nats, "ended": one.ended, **aligned}


def _pharaoh(one: Written) -> str:
    """Pairs of units as `0-0 1-2`, source first."""
    return " ".join(f"{source}-{target}" for source, target in one.alignment)
