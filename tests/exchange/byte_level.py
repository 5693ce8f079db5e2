"""Tokenizers of byte-level BPE, as their own library trains and saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtool.exchange.byte_level_tokenizer import PATTERN_OF

TEXT = (
    "In the beginning there were 1234 words, it's said.\n\n\tAnd the end? The naïve 漢字 🙂 end!!\n  They're hers.\n"
    * 20
)
BEGIN = {"gpt-2": "<|endoftext|>", "llama-3": "<|begin_of_text|>", "qwen2": "<|endoftext|>", "smollm": "<|endoftext|>"}


def trained(splitting: str, size: int = 330, symbols: tuple[str, ...] = (), **settings: Any) -> Any:
    """A tokenizer that reads no special token in a text."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    found = tokenizers.Tokenizer(models.BPE(**settings))
    if splitting == "gpt-2":
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif splitting == "smollm":
        level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])
    else:
        split = pre_tokenizers.Split(tokenizers.Regex(PATTERN_OF[splitting]), "isolated", False)
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        found.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    if splitting == "qwen2":
        found.normalizer = normalizers.NFC()
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    found.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))  # fmt: skip
    found.add_special_tokens([BEGIN[splitting], "<|eot|>"])
    found.add_tokens([tokenizers.AddedToken(symbol, normalized=False) for symbol in symbols])
    found.encode_special_tokens = True
    return found


def saved(folder: Path, splitting: str, **settings: Any) -> Any:
    """The same, saved as `folder`/tokenizer.json."""
    found = trained(splitting, **settings)
    folder.mkdir(exist_ok=True)
    found.save(str(folder / "tokenizer.json"))
    return found
