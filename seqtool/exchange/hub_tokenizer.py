"""A vocabulary as a tokenizer of Hugging Face's: tokenizer.json and tokenizer_config.json.

Spaces are spaces in its pieces, not U+2581, so that one in the text is spelled in bytes, as here; nothing is normalized
or split before. `<s>` stands before every text, and is never read in one: no special token is among the added ones of
tokenizer.json, and the configuration says the same to transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqtool.exchange.pieces import merges, text_pieces
from seqtool.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def hub_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer; its ids are the vocabulary's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors

    pieces = {index: vocabulary.piece(index) for index in range(vocabulary.size)} | text_pieces(vocabulary)
    ids = {piece: index for index, piece in pieces.items()}
    unknown, begin = vocabulary.piece(vocabulary.unknown_id), vocabulary.piece(vocabulary.begin_id)
    tokenizer = Tokenizer(models.BPE(ids, merges(vocabulary), unk_token=unknown, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A",
        pair=f"{begin} $A {begin}:1 $B:1",
        special_tokens=[(begin, vocabulary.begin_id)],
    )
    tokenizer.add_tokens([AddedToken(symbol, normalized=False) for symbol in vocabulary.symbols])
    return tokenizer


def tokenizer_config(vocabulary: Vocabulary, context: int) -> dict[str, Any]:
    """What transformers reads beside it."""
    begin = vocabulary.piece(vocabulary.begin_id)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": begin,
        "unk_token": vocabulary.piece(vocabulary.unknown_id),
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "model_input_names": ["input_ids", "attention_mask"],
    }
