"""From generated tokens to text: characters once they are complete, and stop strings, which end it unseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqtool.generation.generating import Sample
from seqtool.text.decoding import Seam, TextDecoder
from seqtool.text.vocabulary import Vocabulary


class Writer:
    """The text of one sample. What may be the beginning of a stop string is held back until that is decided.

    A stop string that ends before `min_tokens` tokens is ordinary text; with `keep_stop` the one that ends the text is
    part of it. A character that is incomplete at the end of the text is left out, with its tokens.
    """

    def __init__(
        self, decoder: TextDecoder, stops: Sequence[str], keep_stop: bool = False, min_tokens: int = 0
    ) -> None:
        self._decoder = decoder
        self._stops, self._keep_stop, self._min_tokens = list(stops), keep_stop, min_tokens
        self._read = 0
        self._held = ""
        self._done = False
        self._taken = 0
        self.text = ""

    def take(self) -> str:
        """The text that has become certain since the last call."""
        new, self._taken = self.text[self._taken :], len(self.text)
        return new

    def read(self, sample: Sample) -> None:
        """Add the text of a sample's new tokens to `text`.

        A stop string sets the sample's `finished` to `stop` and cuts its tokens behind the one that completed it.
        """
        if self._done:
            return
        new, before = sample.tokens[self._read :], self._read
        self._read = len(sample.tokens)
        # Token by token only if a stop string may make one of them the last.
        for number, part in enumerate([[token] for token in new] if self._stops else [new], start=before + 1):
            self._held += self._decoder.feed(part)
            if self._stopped(may_stop=number >= self._min_tokens):
                sample.cut(number)
                sample.finished, self._done = "stop", True
                return
        if sample.finished:
            sample.cut(len(sample.tokens) - self._decoder.unfinished(sample.tokens))
            self.text, self._done = self.text + self._held, True

    def _stopped(self, may_stop: bool) -> bool:
        """Move what has become certain from the held text to `text`; whether a stop string has ended the text."""
        while found := first_stop(self._held, self._stops):
            begin, end = found
            shown = end if self._keep_stop or not may_stop else begin
            self.text, self._held = self.text + self._held[:shown], self._held[end:]
            if may_stop:
                return True
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        certain = len(self._held) - keep
        self.text, self._held = self.text + self._held[:certain], self._held[certain:]
        return False


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where the first stop string in a text begins and ends; None if there is none."""
    return min(((at, at + len(stop)) for stop in stops if (at := text.find(stop)) >= 0), default=None)


def stop_finder(
    vocabulary: Vocabulary, stops: Sequence[str], seam: Seam, min_tokens: int = 0
) -> Callable[[list[int]], bool]:
    """A function that says whether the last of some tokens behind a prompt, at least `min_tokens`, completes a stop
    string.
    """
    # Nearly every token has at least one byte, so the last few tokens hold a stop string whole.
    reach = max((len(stop.encode()) for stop in stops), default=0) + 4

    def stopped(tokens: list[int]) -> bool:
        if len(tokens) < min_tokens:
            return False
        decoder = vocabulary.decoder(seam if len(tokens) <= reach else Seam())
        before, last = decoder.feed(tokens[-reach:-1]), decoder.feed(tokens[-1:])
        return any((before + last).find(stop, max(0, len(before) - len(stop) + 1)) >= 0 for stop in stops)

    return stopped if stops else lambda tokens: False


def written_text(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """The text of tokens, without a character that is incomplete at their end."""
    return vocabulary.decoder().feed(tokens)


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
