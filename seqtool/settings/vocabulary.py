"""How text is read and a vocabulary learned from it."""

from __future__ import annotations

from dataclasses import dataclass

from seqtool.settings.fields import MAX_COUNT, Panel, setting

VOCABULARY_TYPES = ("bpe", "unigram", "char", "byte", "word")  # that are learned here
BYTE_LEVEL = "byte-bpe"  # the type of GPT-2's and Llama 3's vocabularies, which are read
DOCUMENT_BREAKS = ("file", "blank-line", "line")
DOCUMENT_AT = "at:"  # before a text that separates documents
SHOWN_DOCUMENT_BREAKS = (*DOCUMENT_BREAKS, f"{DOCUMENT_AT}TEXT")
NORMALIZATIONS = ("none", "nfkc")
ERROR_HANDLERS = ("strict", "replace")
MAX_VOCABULARY = 10_000_000
MAX_SYMBOLS = 1000  # that a vocabulary keeps whole
LONGEST_SYMBOL = 100  # characters


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """How a vocabulary is learned."""

    type: str = setting(
        "bpe",
        "Unit of the vocabulary: subwords (bpe, unigram), characters, bytes or words.",
        panel=Panel.VOCABULARY,
        choices=VOCABULARY_TYPES,
    )
    size: int = setting(
        0,
        "Number of entries, special symbols included.",
        panel=Panel.VOCABULARY,
        low=0,
        high=MAX_VOCABULARY,
        shown_default="by the text",
    )
    normalize: str = setting(
        "none", "Unicode normalisation of the text.", panel=Panel.VOCABULARY, choices=NORMALIZATIONS
    )
    lowercase: bool = setting(
        False, "Lower-case the text, or keep its case.", panel=Panel.VOCABULARY, flag="--lowercase/--keep-case"
    )
    min_count: int = setting(
        0,
        "word: words that occur fewer times become <unk>.",
        panel=Panel.VOCABULARY,
        low=0,
        high=MAX_COUNT,
        shown_default="2, so that <unk> is learned; 1 where it is anyway",
    )
    symbols: str = setting(
        "",
        "Strings that are always one token, such as <sep>, separated by commas.",
        panel=Panel.VOCABULARY,
        metavar="SYMBOL,...",
    )
    split_digits: bool = setting(
        False, "bpe, unigram: make every digit a token of its own.", panel=Panel.VOCABULARY, flag="--split-digits"
    )

    @property
    def symbol_list(self) -> list[str]:
        """The symbols that are never split."""
        return self.symbols.split(",") if self.symbols else []


LEARNED_BY = {"min_count": ("word",), "split_digits": ("bpe", "unigram")}
"""The types of vocabulary that a setting of VocabularyConfig has an effect on, where these are not all."""


def is_document_break(value: object) -> bool:
    """Whether a value says what separates documents: one of DOCUMENT_BREAKS, or `at:` and a text."""
    if not isinstance(value, str) or not value.startswith(DOCUMENT_AT):
        return value in DOCUMENT_BREAKS
    return value != DOCUMENT_AT and value.encode(errors="ignore").decode() == value
