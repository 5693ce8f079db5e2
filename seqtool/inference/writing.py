"""From generated tokens to text: characters as they complete, and stop strings that end a text before they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqtool.inference.generation import Sample
from seqtool.text.vocabulary import Vocabulary


class Writer:
    """The text of one sample. What could be the beginning of a stop string is held back until it is clear."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str]) -> None:
        self._decoder = vocabulary.decoder()
        self._stops = list(stops)
        self._read = 0
        self._held = ""
        self._done = False
        self._taken = 0
        self.text = ""

    def take(self) -> str:
        """The text that has become certain since this was last asked."""
        new, self._taken = self.text[self._taken :], len(self.text)
        return new

    def read(self, sample: Sample) -> None:
        """Read a sample's new tokens into `text`. When a stop string came, the sample's `finished` is set to `stop`,
        and it keeps the tokens up to the one that completed it.
        """
        if self._done:
            return
        new = sample.tokens[self._read :]
        self._read = len(sample.tokens)
        certain = ""
        # One token after another only where one of them may be the last.
        for number, part in enumerate([[token] for token in new] if self._stops else [new], start=1):
            more, stopped = self._certain(self._decoder.feed(part))
            certain += more
            if stopped:
                sample.cut(self._read - len(new) + number)
                sample.finished, self._done = "stop", True
                break
        if sample.finished and not self._done:
            more, _ = self._certain(self._decoder.finish())
            certain, self._done = certain + more + self._held, True
        self.text += certain

    def _certain(self, text: str) -> tuple[str, bool]:
        """What has become certain with some more text, and whether a stop string came after it."""
        held = self._held + text
        found = min((at for stop in self._stops if (at := held.find(stop)) >= 0), default=-1)
        if found >= 0:
            self._held = ""
            return held[:found], True
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep], False


def stop_finder(vocabulary: Vocabulary, stops: Sequence[str]) -> Callable[[list[int]], bool]:
    """A test whether the text of some tokens has a stop string that its last token completed."""
    # Nearly every token has a byte at least, so a stop string is in the last few tokens or nowhere.
    reach = max((len(stop.encode()) for stop in stops), default=0) + 4

    def stopped(tokens: list[int]) -> bool:
        text = vocabulary.decode(tokens[-reach:])
        return any(stop in text for stop in stops)

    return stopped if stops else lambda tokens: False


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` could begin `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
