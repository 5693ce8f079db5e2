"""The vectors that a language model has learned: of its input or of its softmax layer.

Shapes: S symbols that the training text has, D numbers in a vector.
"""

from __future__ import annotations

import dataclasses

from seqtool.errors import InputError
from seqtool.files.writing import provenance
from seqtool.models.language_model import LanguageModel
from seqtool.runs.config import RunConfig
from seqtool.runs.loading import Run
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import MAX_DIM, Vectors

INPUT, OUTPUT = "input", "output"


def vectors_of_run(run: Run, layer: str) -> Vectors:
    """A vector for each symbol that the run's training text has, in the order of ids.

    `layer` is input, for the embedding, or output, for the rows of the softmax's matrix. InputError when the vectors
    have more numbers than a file of vectors can hold.
    """
    model, vocabulary = run.model, run.vocabulary
    if not isinstance(model, LanguageModel) or not isinstance(run.config, RunConfig):
        raise InputError(f"{run.path} has no vectors of its own: name a run that was trained by gradients")
    seen_ids_S = model.head.seen_ids
    rows_SD = (model.head.weight if layer == OUTPUT else model.input_rows()[seen_ids_S]).detach().float().cpu()
    if rows_SD.shape[1] > MAX_DIM:
        raise InputError(f"{run.path}: its {layer} vectors have {rows_SD.shape[1]:,} numbers, more than {MAX_DIM:,}")
    tokens = TokenTable.of([vocabulary.token(index) for index in seen_ids_S.tolist()])
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
