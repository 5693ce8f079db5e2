"""From generated tokens to text: characters as they complete, and stop strings that end a text before they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seqtool.inference.generation import Sample


class Decoder(Protocol):
    """Turns a stream of ids into text."""

    def feed(self, ids: Sequence[int]) -> str: ...
    def finish(self) -> str: ...


class DecoderMaker(Protocol):
    """A vocabulary: something that makes decoders."""

    def decoder(self) -> Decoder: ...


class Writer:
    """The text of one sample. What could be the beginning of a stop string is held back until it is clear."""

    def __init__(self, vocabulary: DecoderMaker, stops: Sequence[str]) -> None:
        self._decoder = vocabulary.decoder()
        self._stops = list(stops)
        self._read = 0
        self._held = ""
        self._done = False
        self.text = ""

    def read(self, sample: Sample) -> str:
        """The text that is newly certain; sets the sample's `finished` to `stop` when a stop string came."""
        if self._done:
            return ""
        held = self._held + self._decoder.feed(sample.tokens[self._read :])
        self._read = len(sample.tokens)
        if sample.finished:
            held += self._decoder.finish()
            self._done = True
        found = min((at for stop in self._stops if (at := held.find(stop)) >= 0), default=-1)
        if found >= 0:
            certain, self._held, self._done = held[:found], "", True
            sample.finished = "stop"
        elif self._done:
            certain, self._held = held, ""
        else:
            keep = max((_overlap(held, stop) for stop in self._stops), default=0)
            certain, self._held = held[: len(held) - keep], held[len(held) - keep :]
        self.text += certain
        return certain


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could begin `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
