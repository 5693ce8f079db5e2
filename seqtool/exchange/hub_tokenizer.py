"""A vocabulary as a tokenizer of Hugging Face's: tokenizer.json and tokenizer_config.json.

Spaces are spaces in its pieces, not U+2581, so that one in the text is spelled in bytes, as here; nothing is normalized
or split before, but in byte-level BPE, which is written as it was read. `<s>` stands before every text, and is never
read in one: no special token is among the added ones of tokenizer.json, and the configuration says the same to
transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqtool.exchange.byte_level_tokenizer import OF_DIGITS, PATTERN_OF
from seqtool.exchange.pieces import merged_pieces, merges, text_pieces
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def hub_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer; its ids are the vocabulary's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    if vocabulary.type == BYTE_LEVEL:
        return _byte_level(vocabulary)
    pieces = {index: vocabulary.piece(index) for index in range(vocabulary.size)} | text_pieces(vocabulary)
    ids = {piece: index for index, piece in pieces.items()}
    unknown = vocabulary.piece(vocabulary.unknown_id)
    tokenizer = Tokenizer(models.BPE(ids, merges(vocabulary), unk_token=unknown, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = _begins(vocabulary)
    tokenizer.add_tokens([AddedToken(symbol, normalized=False) for symbol in vocabulary.symbols])
    return tokenizer


def _byte_level(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer of byte-level BPE."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    told = vocabulary.metadata
    ids = {vocabulary.piece(index): index for index in range(vocabulary.size)}
    tokenizer = Tokenizer(models.BPE(ids, merged_pieces(vocabulary), ignore_merges=told["ignore_merges"]))
    if told["normalize"] == "nfc":
        tokenizer.normalizer = normalizers.NFC()
    of_digits = told["splitting"] == OF_DIGITS
    split = (
        pre_tokenizers.Digits(individual_digits=True)
        if of_digits
        else pre_tokenizers.Split(Regex(PATTERN_OF[told["splitting"]]), "isolated", invert=False)
    )
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=of_digits)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = _begins(vocabulary)
    tokenizer.add_tokens([AddedToken(symbol, normalized=False) for symbol in vocabulary.symbols])
    return tokenizer


def _begins(vocabulary: Vocabulary) -> Any:
    """What puts the beginning of a text before it."""
    from tokenizers import processors

    begin = vocabulary.piece(vocabulary.begin_id)
    return processors.TemplateProcessing(
        single=f"{begin} $A",
        pair=f"{begin} $A {begin}:1 $B:1",
        special_tokens=[(begin, vocabulary.begin_id)],
    )


def tokenizer_config(vocabulary: Vocabulary, context: int) -> dict[str, Any]:
    """What transformers reads beside it."""
    begin = vocabulary.piece(vocabulary.begin_id)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": begin,
        **({"unk_token": vocabulary.piece(vocabulary.unknown_id)} if vocabulary.unknown_id >= 0 else {}),
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "model_input_names": ["input_ids", "attention_mask"],
    }
