"""Writing texts for what is read: the likeliest tokens, a search, or draws, and where the model looked.

Shapes: B rows, S positions that were read, T tokens that were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.generation.beam import beam_search, beam_search_together
from seqtool.generation.constraint import Constraint, TokenBytes
from seqtool.generation.generating import Sample, generate
from seqtool.generation.steering import Steering
from seqtool.models.decoding.encoder_decoder import WritingStepper
from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.example_model import ExampleInput
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.sets import Rows, by_length
from seqtool.tasks.pairs.nats import arrays_of, pair_nats
from seqtool.tasks.pairs.reading import Vocabularies
from seqtool.tasks.pairs.sets import PairSet
from seqtool.text.vocabulary import Vocabulary

TOGETHER_TEXTS, TOGETHER_TOKENS = 256, 1 << 14  # that are written side by side, and tokens that are read for them

Key = tuple[int, ...]
"""What an example is known by: the ids of its text without `<s>`, the bits of its numbers."""


class Telling(NamedTuple):
    """What is told of each row."""

    samples: int = 1
    """Texts."""
    nats: bool = False
    align: bool = False
    """Whether each has an alignment."""
    copy_unknown: bool = False
    """Whether an unknown word is replaced by the one that was looked at."""


TEXT_ALONE = Telling()


class Written(NamedTuple):
    """A text, and where the model looked for each unit of it."""

    text: str
    tokens: tuple[int, ...]
    ended: bool
    """Whether the model ended it, not a limit."""
    nats: float | None = None
    """-log p of its tokens and of its end, where it was asked for and the model wrote it."""
    alignment: tuple[tuple[int, int], ...] = ()
    """Pairs of a unit of what was read and one that was written, both from 0."""


NOTHING = Written("", (), True)
"""What is written for an empty text."""


class Writer:
    """Writes texts for what is read. UsageError for what cannot be told of a model."""

    def __init__(
        self,
        model: EncoderDecoder,
        vocabularies: Vocabularies,
        longest: int,
        config: WritingConfig,
        telling: Telling = TEXT_ALONE,
    ) -> None:
        self.model, self.vocabularies, self.config, self.telling = model, vocabularies, config, telling
        self.most = config.max_tokens or longest
        if not model.config.architecture.carries_state:
            self.most = min(self.most, model.config.context - 1)
        target = vocabularies.target
        for flag, asked in {"--align": telling.align, "--copy-unknown": telling.copy_unknown}.items():
            if asked:
                self.check_looks(flag)
        if telling.copy_unknown and target.type != "word":
            raise UsageError(f"--copy-unknown: a vocabulary of type {target.type} spells every word; leave it out")
        if config.draws and config.beam > 1:
            raise UsageError("--beam searches and --temperature draws: give one of them")
        self._constraint = _constraint(target, config)
        self._seam = target.seam("", [])
        knows_all = config.allow_unk or telling.copy_unknown or target.type != "word"
        self._barred = -1 if knows_all else target.unknown_id

    def check_looks(self, flag: str) -> None:
        """UsageError, naming the flag, where the model looks at no words."""
        if self.vocabularies.source is None:
            raise UsageError(f"{flag}: the run reads no text, whose words could be named; leave it out")
        if not self.model.looks_back:
            raise UsageError(f"{flag}: the run was trained with --attention none and looks nowhere; leave it out")

    @torch.inference_mode()
    def write(self, x: ExampleInput, keys: Sequence[Key], texts: Sequence[str]) -> list[list[Written]]:
        """The texts for some examples with these keys and texts, the best first, the same alone as together."""
        found: list[list[Written]] = [[] for _ in keys]
        width = max(self.config.beam, self.telling.samples)
        lengths: Rows = x.lengths_B.numpy()
        for batch in by_length(lengths, max(1, TOGETHER_TEXTS // width), max(1, TOGETHER_TOKENS // width)):
            part = x.take(torch.from_numpy(batch))
            own = [keys[place] for place in batch.tolist()]
            for place, samples in zip(batch.tolist(), self._samples(part, own), strict=True):
                found[place] = [self._written(sample) for sample in samples]
            if self.telling.nats:
                self._add_nats(part, batch, found)
            if self.telling.align or self.telling.copy_unknown:
                for row, place in enumerate(batch.tolist()):
                    example = part.rows(slice(row, row + 1))
                    found[place] = [self._looked(example, keys[place], texts[place], one) for one in found[place]]
        return found

    def _samples(self, x: ExampleInput, keys: Sequence[Key]) -> list[list[Sample]]:
        config, count = self.config, self.telling.samples
        stepper = WritingStepper(self.model, x, keys, self._barred)
        if config.beam > 1 or (count > 1 and not config.draws):
            search = GenerateConfig(
                beam=max(config.beam, count), length_penalty=config.length_penalty, max_tokens=self.most
            )
            prompts = [Sample(list(key), seam=self._seam) for key in keys]
            if self._constraint is None:
                return beam_search_together(stepper, prompts, count, search, self._text)
            steering = Steering(search, stepper.begin_id, self._constraint)
            return [beam_search(stepper, one, count, search, steering, text_of=self._text) for one in prompts]
        draw = GenerateConfig(
            max_tokens=self.most,
            greedy=not config.draws,
            temperature=config.temperature or 1.0,
            top_k=config.top_k,
            top_p=config.top_p,
            min_p=config.min_p,
            seed=config.seed,
            batch_size=len(keys) * count,
        )
        rows = [Sample(list(key), copy, seam=self._seam) for key in keys for copy in range(count)]
        for _ in generate(stepper, rows, draw, Steering(draw, stepper.begin_id, self._constraint)):
            pass
        return [rows[start : start + count] for start in range(0, len(rows), count)]

    def _text(self, tokens: Sequence[int]) -> str:
        return self.vocabularies.target.decode(tokens)

    def _written(self, sample: Sample) -> Written:
        return Written(self._text(sample.tokens), tuple(sample.tokens), sample.finished != "length")

    def _add_nats(self, x: ExampleInput, batch: Rows, found: list[list[Written]]) -> None:
        """Add to each text its nats, as `seqtool eval` has them."""
        texts = [one.tokens for place in batch.tolist() for one in found[place]]
        rows = np.repeat(np.arange(len(batch)), [len(found[place]) for place in batch.tolist()])
        starts = np.cumsum([0, *map(len, texts)])
        ids = np.array([token for tokens in texts for token in tokens], np.int64)
        pairs = PairSet(arrays_of(x).some(rows), starts, ids, self.model.begin_id)
        nats_N = pair_nats(self.model, pairs, np.arange(len(texts)))
        assert nats_N is not None
        nats = iter(nats_N.tolist())
        for place in batch.tolist():
            found[place] = [one._replace(nats=next(nats)) for one in found[place]]
            if self.config.draws:  # which come in no order; a search has one of its own
                found[place].sort(key=lambda one: one.nats or 0.0)

    def _looked(self, x: ExampleInput, key: Key, text: str, one: Written) -> Written:
        """A text with its alignment, and unknown words replaced, as asked."""
        source = self.vocabularies.source
        assert source is not None
        looks_TS = self.looks(x, one.tokens).mean((0, 1))
        target = self.vocabularies.target
        if self.telling.copy_unknown:
            of_word = words_of(source, key)
            words = words_in(source, key, text)
            parts = []
            for place, token in enumerate(one.tokens):
                looked_at = -1
                if token == target.unknown_id and max(of_word, default=-1) >= 0:
                    ((looked_at, _),) = alignment(looks_TS[place : place + 1], of_word, [0])
                known = 0 <= looked_at < len(words)
                parts.append(words[looked_at] if known else target.token_in_line(token))
            one = one._replace(text=" ".join(parts))
        if self.telling.align:
            pairs = alignment(looks_TS, units_of(source, key), units_of(target, one.tokens))
            one = one._replace(alignment=pairs)
        return one

    @torch.inference_mode()
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
    if max(source, default=-1) < 0 or max(target, default=-1) < 0:
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
    """The unit of each token, from 0: of pieces and words the word between spaces, -1 for spaces; else the token."""
    if vocabulary.type in ("char", "byte"):
        return list(range(len(ids)))
    return words_of(vocabulary, ids)


def words_of(vocabulary: Vocabulary, ids: Sequence[int]) -> list[int]:
    """The word between spaces that each token belongs to, from 0; -1 for spaces."""
    words, word, inside = [], -1, False
    if vocabulary.type == "word":
        for index in ids:
            word += (is_word := index not in vocabulary.newline_ids)
            words.append(word if is_word else -1)
        return words
    for index in ids:
        text = vocabulary.token_strings[index]
        if not text.strip():
            words.append(-1)
            inside = False
            continue
        if not inside or text[:1].isspace():
            word += 1
        words.append(word)
        inside = not text[-1:].isspace()
    return words


def words_in(vocabulary: Vocabulary, ids: Sequence[int], text: str) -> list[str]:
    """The words that `words_of` numbers: as they stand in the `text` where an id may be any unknown one."""
    if vocabulary.type == "word":
        return text.split()
    parts: list[list[int]] = []
    for index, word in zip(ids, words_of(vocabulary, ids), strict=True):
        if word == len(parts):
            parts.append([])
        if word >= 0:
            parts[word].append(index)
    return [vocabulary.decode(part).strip() for part in parts]
