"""Decoding a stream of ids into text, from the beginning of a text or after a prompt."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqtool.text.tables import ByteTable, LineJoiner

if TYPE_CHECKING:
    from seqtool.text.vocabulary import Vocabulary


class Seam(NamedTuple):
    """How the text of generated tokens joins the prompt's, where tokens carry the spaces between words."""

    first: bytes = b""
    """Bytes to write first: the space that the prompt's tokens have after its last word and its text has not."""
    drop_space: bool = False
    """Whether to drop the space before the first word: the prompt is empty or ends with white space."""
    skip: int = 0
    """How many bytes of the first token are part of the prompt."""


class TextDecoder:
    """Decodes a stream of ids: a character is written once all of its bytes have arrived."""

    def __init__(self, vocabulary: Vocabulary, seam: Seam) -> None:
        self._vocabulary = vocabulary
        self._table: ByteTable | LineJoiner = vocabulary.token_table
        if vocabulary.begins_with_space or seam.drop_space:
            every_line = vocabulary.begins_with_space and vocabulary.has_newline and not vocabulary.prefixes_text
            newline = vocabulary.newline_ids[0] if every_line else -1
            self._table = LineJoiner(vocabulary.token_table, newline, inside_line=not seam.drop_space)
        self._space = seam.first  # held back after a word, because the last word of a line has none
        self._skip = seam.skip
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """The characters that the next ids complete."""
        return self._utf8.decode(self.feed_bytes(ids))

    def feed_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the next ids, which may end inside a character."""
        array = np.asarray(ids if isinstance(ids, (np.ndarray, list)) else list(ids), dtype=np.int64)
        self._vocabulary.check(array)
        data = self._space + self._table.join(array)
        self._space = b""
        if self._vocabulary.ends_with_space:
            data = data.replace(b" \n", b"\n")
            self._space = b" " if data.endswith(b" ") else b""
            data = data.removesuffix(b" ")
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        return data[skipped:]

    def unfinished(self, ids: Sequence[int]) -> int:
        """How many of the `ids` fed last consist only of bytes of an incomplete character."""
        count, left = 0, len(self._utf8.getstate()[0])
        while left and count < len(ids) and (size := self._vocabulary.token_table.lengths[ids[-1 - count]]) <= left:
            count, left = count + 1, left - size
        return count

    def finish(self) -> str:
        """The rest of the text: U+FFFD for an incomplete character."""
        return self._utf8.decode(b"", True)
