"""Small models that write texts, and what they read, for tests."""

from __future__ import annotations

from typing import Any

import torch

from seqtool.models.encoder_decoder import EncoderDecoder, build_encoder_decoder
from seqtool.models.example_model import ExampleInput
from seqtool.settings.examples import ExampleShape
from seqtool.settings.model import ModelConfig

SYMBOLS, BEGIN = 11, 1
LENGTHS = torch.tensor([4, 1, 9, 2, 6])
WRITERS: dict[str, dict[str, Any]] = {
    **{
        f"{model} {attention}": {"model": model, "embed": 6, "layers": 2, "attention": attention, "bidirectional": True}
        for model in ("rnn", "gru", "lstm")
        for attention in ("none", "bahdanau", "luong")
    },
    "gru luong one-way": {"model": "gru", "embed": 6, "attention": "luong"},
    **{
        f"transformer {position}": {
            "model": "transformer",
            "layers": 2,
            "heads": 2,
            "context": 32,
            "position": position,
        }
        for position in ("rope", "sinusoidal", "learned")
    },
    "transformer rotary": {"model": "transformer", "layers": 2, "heads": 2, "context": 32, "attention": "rotary"},
}
OF_TEXT = ExampleShape(tables=(SYMBOLS,), begin_id=BEGIN, target_symbols=SYMBOLS, target_begin_id=BEGIN, one_table=True)
TWO_TABLES = ExampleShape(tables=(SYMBOLS,), begin_id=BEGIN, target_symbols=7, target_begin_id=BEGIN)
OF_NUMBERS = ExampleShape(numbers=3, categories=(4,), target_symbols=SYMBOLS, target_begin_id=BEGIN)


def writer(name: str, shape: ExampleShape = OF_TEXT, **settings: Any) -> EncoderDecoder:
    """A new model that is not in training."""
    config = ModelConfig(**{"hidden": 8, "stem": 1, "dropout": 0.3, **WRITERS[name], **settings})
    return build_encoder_decoder(config, shape, seed=3).eval()


def read(shape: ExampleShape = OF_TEXT, behind: int = BEGIN) -> ExampleInput:
    """Examples of LENGTHS, filled up with `behind`."""
    draw = torch.Generator().manual_seed(0)
    rows, time = len(LENGTHS), int(LENGTHS.max())
    if not shape.tables:
        numbers = torch.randn(rows, shape.numbers, generator=draw)
        categories = torch.randint(4, (rows, len(shape.categories)), generator=draw)
        return ExampleInput(torch.ones(rows, dtype=torch.long), None, None, numbers, categories)
    inside = torch.arange(time) < LENGTHS[:, None]
    ids = torch.randint(2, SYMBOLS, (rows, time), generator=draw).where(inside, torch.tensor(behind))
    return ExampleInput(LENGTHS, ids.unsqueeze(-1))


def told(shape: ExampleShape = OF_TEXT, tokens: int = 5) -> torch.Tensor:
    """What is written, `<s>` before it, (B, T)."""
    draw = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(2, shape.target_symbols, (len(LENGTHS), tokens), generator=draw)
    ids_BT[:, 0] = BEGIN
    return ids_BT
