"""What a vocabulary loses of a text: what decoding its ids does not restore.

Bits per byte compare models of different vocabularies only if nothing is lost: where decoding restores the text, the
nats of its ids are an upper bound on the nats of the text itself; what is lost is not counted in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from seqtool.text.blocks import encodable
from seqtool.text.documents import TextBlock
from seqtool.text.normalizing import folded
from seqtool.text.symbols import symbol_pattern
from seqtool.text.vocabulary import Vocabulary

UNKNOWN_WORDS, WHITE_SPACE, CHARACTERS = "unknown words", "white space", "characters"
FOLDED = {
    ("none", False): "",
    ("none", True): "letter case",
    ("nfc", False): "decomposed characters",
    ("nfkc", False): "compatibility characters",
    ("nfkc", True): "letter case or compatibility characters",
}
# Decoding words puts one space between them and none at the ends of a line.
OTHER_LAYOUT = re.compile(r"[^\S\n ]|[\n ] | \n")
UNKNOWN_WORD = re.compile(r"(?<!\S)<unk>(?!\S)")  # an <unk> in the text itself, which the unknown id restores


class LostText:
    """Records what a vocabulary loses of a text while the text is read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._words = vocabulary.type == "word"
        self._symbol = symbol_pattern(vocabulary.symbols)
        self._fold = _fold_of(vocabulary)
        self._layout = self._folds = self._changes = False
        self._spelled_unknowns = 0
        self._before = "\n"

    def watch(self, blocks: Iterable[TextBlock]) -> Iterator[TextBlock]:
        """Pass the text through, in blocks that can be encoded independently."""
        for block in encodable(self._vocabulary, blocks):
            self._look(block)
            yield block
        self._end_document()

    def kinds(self, unknowns: int) -> list[str]:
        """What is lost of the text that was read, whose ids contain `unknowns` unknown ids."""
        found = {
            UNKNOWN_WORDS: self._words and unknowns > self._spelled_unknowns,
            FOLDED[self._fold]: self._folds,
            WHITE_SPACE: self._layout,
            CHARACTERS: self._changes,
        }
        return [kind for kind, lost in found.items() if lost]

    def _look(self, block: TextBlock) -> None:
        text = block.text
        if block.starts_document:
            self._end_document()
        if not self._folds and FOLDED[self._fold]:
            self._folds = folded(text, *self._fold) != text
        if self._words:
            self._layout = self._layout or OTHER_LAYOUT.search(self._before + text) is not None or self._parts(text)
            self._spelled_unknowns += len(UNKNOWN_WORD.findall(text)) if "<unk>" in text else 0
            self._before = text[-1:] or self._before
        if self._vocabulary.type == "foreign" and not self._changes:
            self._changes = self._vocabulary.decode(self._vocabulary.encode(text)) != text

    def _parts(self, text: str) -> bool:
        """Whether a symbol touches a word: decoding puts a space between them."""
        matches = self._symbol.finditer(text) if self._symbol else iter(())
        sides = (
            text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1] for match in matches
        )
        return any(not side.isspace() for around in sides for side in around)

    def _end_document(self) -> None:
        self._layout = self._layout or self._before == " "
        self._before = "\n"


def lost_of_ids(vocabulary: Vocabulary, unknowns: int) -> list[str]:
    """What a vocabulary lost, or perhaps lost, of a text of which only the ids are known."""
    found = {
        UNKNOWN_WORDS: vocabulary.type == "word" and unknowns > 0,
        f"perhaps {FOLDED[_fold_of(vocabulary)]}": FOLDED[_fold_of(vocabulary)] != "",
        f"perhaps {WHITE_SPACE}": vocabulary.type == "word",
        f"perhaps {CHARACTERS}": vocabulary.type == "foreign",
    }
    return [kind for kind, lost in found.items() if lost]


def _fold_of(vocabulary: Vocabulary) -> tuple[str, bool]:
    """The normal form of a vocabulary, and whether it lower-cases."""
    if vocabulary.type == "foreign":
        return "none", False
    normalize = vocabulary.metadata.get("normalize")
    return normalize if normalize in ("nfc", "nfkc") else "none", bool(vocabulary.metadata.get("lowercase"))
