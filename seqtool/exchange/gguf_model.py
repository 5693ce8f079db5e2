"""A run as a GGUF file for llama.cpp: Llama's architecture, Qwen2's where symbols have output biases, or GPT-2's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtool.errors import UsageError
from seqtool.exchange.gguf_layouts import GGUF_LAYOUTS
from seqtool.exchange.layouts import ForeignLayout, fitting_layout, net_of, their_tensors, with_positions
from seqtool.exchange.model_card import measured
from seqtool.exchange.pieces import check_pieces, merged_pieces, read_otherwise
from seqtool.files.writing import provenance
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import Run
from seqtool.settings.vocabulary import BYTE_LEVEL
from seqtool.text.vocabulary import Vocabulary

FORMAT = "gguf"
PATTERNS = {"gpt-2": "gpt-2", "smollm": "smollm", "llama-3": "llama-bpe", "qwen2": "qwen2"}
"""The patterns that byte-level BPE splits text by, by llama.cpp's names."""
WHOLE_UNITS = "llama-3"  # of which llama.cpp takes a unit that is a piece as that, and merges nothing in it


def gguf_layout(run: Run) -> ForeignLayout:
    """The architecture that a run is written as; UsageError where none has its settings or its vocabulary exactly."""
    net = net_of(run)
    layout = fitting_layout(net.config, net.symbols.seen == net.symbols.size, GGUF_LAYOUTS)
    check_pieces(run.vocabulary, FORMAT)
    _check_merges(run.vocabulary)
    return layout


def _check_merges(vocabulary: Vocabulary) -> None:
    """UsageError where llama.cpp, which has `ignore_merges` with one pattern only, would merge otherwise."""
    if vocabulary.type == BYTE_LEVEL:
        told = vocabulary.metadata
        if told["ignore_merges"] != (told["splitting"] == WHOLE_UNITS) and (unreached := vocabulary.unreached()):
            how = "does not ignore" if told["ignore_merges"] else "ignores"
            raise UsageError(
                f"--to {FORMAT}: llama.cpp {how} the merges of a piece such as {vocabulary.piece(unreached[0])!r} "
                "where text is split by this vocabulary's pattern: export it --to huggingface"
            )


def split_otherwise(vocabulary: Vocabulary) -> list[str]:
    """Which texts llama.cpp splits otherwise than the vocabulary, in sentences.

    It would take a piece `<s>` for the symbol, but no piece of ours has both letters and other signs.
    """
    if vocabulary.type == BYTE_LEVEL:
        return read_otherwise(vocabulary)
    told = ["A U+2581 in a text is read as a space, which that sign stands for there.", *read_otherwise(vocabulary)]
    if overlapping := _overlapping(list(vocabulary.symbols)):
        told.append(f"Where the symbols {' and '.join(overlapping)} overlap, the longer is taken, not the first.")
    return told


def _overlapping(symbols: list[str]) -> tuple[str, str] | None:
    """Two symbols of which the second can begin inside the first and end after it."""
    for first in symbols:
        for second in symbols:
            if any(first.endswith(second[:length]) for length in range(1, min(len(first), len(second)))):
                return first, second
    return None


def write_gguf(path: Path, run: Run) -> dict[str, Any]:
    """Write a run's model as the file `path`; what was written. UsageError as `gguf_layout` has it."""
    import gguf

    layout, model, vocabulary = gguf_layout(run), run.model, run.vocabulary
    assert isinstance(model, LanguageModel)
    config = model.config
    differs = [*layout.differs, *split_otherwise(vocabulary)]
    writer = gguf.GGUFWriter(path, layout.architecture)
    writer.add_name(run.path.resolve().name)
    figures = "; ".join(f"{name} {value}" for name, value in measured(run.path))
    writer.add_description(" ".join([*([f"Measured in training: {figures}."] if figures else []), *differs]))
    writer.add_string("seqtool.made_by", provenance()["command"])
    for name, value in layout.says(config).items():
        add = writer.add_uint32 if isinstance(value, int) else writer.add_float32
        add(f"{layout.architecture}.{name}", value)
    writer.add_vocab_size(vocabulary.size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer, vocabulary)
    tensors = their_tensors(layout, config, with_positions(config, dict(model.named_parameters())))
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {
        "architecture": layout.architecture,
        "tensors": len(tensors),
        "vocab_size": vocabulary.size,
        "differs": differs,
    }


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """SentencePiece's pieces, scores and types; `<s>` begins every text and ends a document; nothing is prefixed."""
    import gguf

    if vocabulary.type == BYTE_LEVEL:
        _add_byte_level(writer, vocabulary)
        return
    scores, symbols = vocabulary.scores(), set(vocabulary.symbols.values())
    pieces = [vocabulary.piece(index) for index in range(vocabulary.size)]
    kinds = []
    for index, piece in enumerate(pieces):
        if index in symbols:
            kinds.append(gguf.TokenType.USER_DEFINED)
        elif piece in scores:
            kinds.append(gguf.TokenType.NORMAL)
        elif index == vocabulary.unknown_id:
            kinds.append(gguf.TokenType.UNKNOWN)
        elif len(vocabulary.token_strings[index]) == 1:
            kinds.append(gguf.TokenType.BYTE)
        else:
            kinds.append(gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_scores([scores.get(piece, 0.0) for piece in pieces])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(vocabulary.unknown_id)
    _add_beginning(writer, vocabulary)
    writer.add_add_space_prefix(False)


def _add_byte_level(writer: Any, vocabulary: Vocabulary) -> None:
    """The pieces and merges of byte-level BPE, and the name that its pattern has in llama.cpp."""
    import gguf

    symbols = set(vocabulary.symbols.values())
    kinds = []
    for index in range(vocabulary.size):
        if index in symbols:
            kinds.append(gguf.TokenType.USER_DEFINED)
        else:
            kinds.append(gguf.TokenType.NORMAL if vocabulary.token_strings[index] else gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PATTERNS[vocabulary.metadata["splitting"]])
    writer.add_token_list([vocabulary.piece(index) for index in range(vocabulary.size)])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merged_pieces(vocabulary)])
    _add_beginning(writer, vocabulary)


def _add_beginning(writer: Any, vocabulary: Vocabulary) -> None:
    """The token that begins every text and ends a document."""
    writer.add_bos_token_id(vocabulary.begin_id)
    writer.add_eos_token_id(vocabulary.begin_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
