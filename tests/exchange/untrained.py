"""Runs of random weights, whole on the disk, and what they write greedily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seqtool.models.language_model import LanguageModel, build_model
from seqtool.runs.config import WEIGHTS, new_config, write_config
from seqtool.runs.loading import Run
from seqtool.runs.weights import write_weights
from seqtool.settings.checking import checked
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary

LLAMA = {"norm": "rms", "position": "rope", "feedforward": "swiglu", "inner": 64}
SIZES = {"layers": 2, "hidden": 32, "heads": 4, "context": 48}
HOSTILE = [
    "", " ", "  ", " a", "   leading", "trailing   ", "in   the  middle", "\t", "\t\tif x:\r\n\t\treturn\r\n", "\r", "\n", "\n\n",
    "\0", "a\0b", "🙂", "family 👨‍👩‍👧 e\u0301", "\u2581", "a\u2581\u2581b \u2581\n\u2581", "<s>", "a <s>b</s><unk>", "<0x41>", "x<0x0A>y",
    "ababa aba bab", "aaaaaaaaaaa", "the the  the", "漢字かな", "\ufeffmark", "\x7f\x85\u2028",
]  # fmt: skip


def vocabulary_of(text: Path, kind: str, **settings: Any) -> Vocabulary:
    """A vocabulary learned from a file."""
    source = TextSource([str(text)], errors="strict", document="file", rereadable=True)
    return learn_vocabulary(source, VocabularyConfig(type=kind, **settings))


def untrained_run(path: Path, vocabulary: Vocabulary, seen: int = 0, **settings: Any) -> Run:
    """A run of a model whose weights are random and not small, so that what it says of tokens differs much."""
    config = checked(ModelConfig(**{"model": "transformer", "stem": 1, "output_bias": False, **SIZES, **settings}))
    seen = seen or vocabulary.size
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, seen, 1000)
    model = build_model(config, symbols, {index: index % 7 + 1 for index in range(seen)})
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * drawn if "norm.weight" in name else drawn * parameter.shape[-1] ** -0.5)
    data = {"name": "some | text.txt", "sha256": "0" * 64, "train_tokens": 1000, "valid_tokens": 100}
    run_config = new_config(config, TrainConfig(), symbols, vocabulary, data)
    path.mkdir()
    write_config(path, run_config, vocabulary)
    write_weights(path / WEIGHTS, model.state_dict(), run_config)
    return Run(path, run_config, vocabulary, model.eval())


@torch.inference_mode()
def greedy(model: LanguageModel, prompt: list[int], tokens: int) -> list[int]:
    """What a model writes, each token the likeliest, a token at a time."""
    stepper = model.stepper()
    log_p_BV, written = stepper.begin([prompt]), []
    for _ in range(tokens):
        written.append(int(log_p_BV[0].argmax()))
        log_p_BV = stepper.step(torch.tensor(written[-1:]))
    return written
