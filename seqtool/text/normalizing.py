"""Unicode normalization and lower-casing exactly as SentencePiece does them, without running it, and NFC."""

from __future__ import annotations

import unicodedata

SPACE = "\u2581"  # how SentencePiece writes a space


def folded(text: str, normalize: str, lowercase: bool) -> str:
    """The text in the normal form `normalize` (none, nfc or nfkc), lower-cased if asked for.

    Each character is folded without its context: a capital sigma never becomes a final sigma.
    """
    if text.isascii():
        return text.lower() if lowercase else text
    if normalize == "nfc":
        return unicodedata.normalize("NFC", text)
    if normalize == "nfkc":
        text = unicodedata.normalize("NFKC", text)
        return unicodedata.normalize("NFKC", "".join(map(_case_folded, text))) if lowercase else text
    return "".join(map(str.lower, text)) if lowercase else text


def _case_folded(character: str) -> str:
    """Unicode's simple case folding: one character for one."""
    return next((one for one in (character.casefold(), character.lower()) if len(one) == 1), character)
