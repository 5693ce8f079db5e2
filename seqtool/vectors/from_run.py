"""The vectors that a language model has learned: of its input, or of its softmax layer.

Shapes: V vocabulary, S symbols that the training text has, E embedding, G gates, H hidden, K window, D numbers in a
vector.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from seqtool.errors import InputError
from seqtool.files.writing import provenance
from seqtool.models.cores.recurrent import Recurrent
from seqtool.models.cores.window import FeedForward
from seqtool.models.language_model import LanguageModel
from seqtool.runs import Run
from seqtool.vectors.tokens import Tokens
from seqtool.vectors.vectors import MAX_DIM, Vectors

INPUT, OUTPUT = "input", "output"


def vectors_of_run(run: Run, layer: str) -> Vectors:
    """A vector for each symbol that the run's training text has, in the order of ids.

    `layer` is input, the embedding, or output, the rows of the softmax's matrix. InputError when there are more numbers
    in a vector than the format of vectors takes.
    """
    model, vocabulary = run.model, run.vocabulary
    rows_SD = (model.output_weight if layer == OUTPUT else input_rows(model)[model.seen_ids]).detach().float().cpu()
    if rows_SD.shape[1] > MAX_DIM:
        raise InputError(f"{run.path}: its {layer} vectors have {rows_SD.shape[1]:,} numbers, more than {MAX_DIM:,}")
    tokens = Tokens.of([vocabulary.token(index) for index in model.seen_ids.tolist()])
    metadata = {
        "method": "run",
        "settings": {"run": str(run.path), "layer": layer, **dataclasses.asdict(run.config.model)},
        "normalize": str(vocabulary.metadata.get("normalize", "none")),
        "lowercase": bool(vocabulary.metadata.get("lowercase", False)),
        "vocabulary_type": vocabulary.type,
        "made_by": provenance(),
        "input_sha256": run.config.data.get("sha256", ""),
    }
    return Vectors(tokens, rows_SD.contiguous().numpy(), metadata, model=vocabulary.model)


def input_rows(model: LanguageModel) -> Tensor:
    """What stands for each symbol at the input, (V, D).

    The embedding; of a transformer's stem the table of the token itself. Of one-hot input the columns of the first
    weights, which are an embedding: (V, G) of a recurrent layer, (V, K H) of the window of ffn.
    """
    core = model.core
    if core.embedding is not None:
        return core.embedding.weight
    if isinstance(core, Recurrent):
        W_ih_GV, *_ = core.layers[0].weights
        return W_ih_GV.t()
    assert isinstance(core, FeedForward)
    columns_KVH = core.layers[0].weight.t().unflatten(0, (core.window, -1))
    return columns_KVH.transpose(0, 1).flatten(1)
