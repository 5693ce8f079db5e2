"""`seqtool info`: what an artifact is and what made it, or what this machine computes with."""

from __future__ import annotations

import dataclasses
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from seqtool.cli.console import write_report
from seqtool.cli.options import Json
from seqtool.errors import InputError, UsageError

PARTS_OF_RUN = ("config.json", "vocab.model", "model.safetensors", "metrics.jsonl", "checkpoint")
PARTS_OF_STORE = ("store.json", "vocab.model", "ids-*.safetensors")
HEAD_BYTES = 1 << 16
VOCABULARY_BEGINS = b"\n"  # the field tag of a SentencePiece model's first piece
BYTE_LEVEL_BEGINS = b'{"format":"seqtool byte-level bpe'
VOCABULARY_HOLDS = b"<unk>\x15"  # a piece and the field tag of its score
WEIGHTS_BEGIN = b'{"'
HEADER_BYTES = 64
HEADER_BEGINS = b"{"  # a safetensors header, after eight bytes of its length
EXAMPLES = ("seqtool info runs/novel-lstm",)


def command(
    path: Annotated[
        Optional[Path], typer.Argument(metavar="PATH", help="A run, a token store, a vocabulary or vectors.")
    ] = None,
    *,
    machine: Annotated[
        bool, typer.Option("--machine", help="Describe this machine instead: torch and the parts in C.")
    ] = False,
    json: Json = False,
) -> None:
    """Describe a run, a token store, a vocabulary or vectors: what it is, and what made it."""
    if path is None and not machine:
        raise UsageError("missing argument 'PATH': name what to describe, or give --machine")
    if path is None:
        write_machine(json)
    elif machine:
        raise UsageError(f"--machine describes this machine, not {path}: give one of them")
    else:
        write_report(describe_artifact(path), json)


def write_machine(as_json: bool) -> None:
    """Write what this machine computes with: the processor, torch, and the state of each part in C."""
    import torch

    from seqtool.bench.machine import device_name
    from seqtool.native import loading

    parts, threads = loading.describe(), torch.get_num_threads()
    report = {"kind": "machine", "name": device_name(torch.device("cpu")), "torch": str(torch.__version__)}
    in_c: dict[str, Any] = {f"{name}.c": str(part) for name, part in parts.items()}
    if as_json:
        in_c = {"parts": {name: dataclasses.asdict(part) for name, part in parts.items()}}
    write_report({**report, "threads": threads, **in_c}, as_json)


def describe_artifact(path: Path) -> dict[str, Any]:
    """What `path` is, as a flat report; InputError if seqtool did not make it."""
    if str(path) == "-":
        raise InputError("info describes files and directories, not standard input: name one")
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name")
    if (path / "config.json").is_file():
        return _run_report(path)
    if (path / "store.json").is_file():
        from seqtool.text.store import open_store

        return {"kind": "token store", "path": str(path), **open_store(path).description}
    from seqtool.exchange.arpa import is_arpa

    if path.is_file() and is_arpa(_head(path)):
        raise InputError(
            f"{path} is an ARPA file: make a run of it with seqtool import {shlex.quote(str(path))} -o RUN"
        )
    if path.is_file() and (report := _file_report(path)):
        return report
    if whole := whole_of(path):
        raise InputError(f"{path} is a part of {whole}: name that")
    if path.is_dir():
        raise InputError(f"{path} is neither a run nor a token store: it has no config.json and no store.json")
    if not _head(path):
        raise InputError(f"{path} is empty: there is nothing to describe")
    raise InputError(
        f"{path} is neither a vocabulary, vectors, a store nor a run of seqtool; bring vectors of another program in "
        f"with seqtool embed import {shlex.quote(str(path))} -o VECTORS"
    )


def _run_report(path: Path) -> dict[str, Any]:
    from seqtool.runs.config import WEIGHTS, is_mixture, read_config
    from seqtool.runs.mixtures import read_mixture

    if is_mixture(path):
        mixture = read_mixture(path)
        return {"kind": "run", "path": str(path), "model": mixture.name, **dataclasses.asdict(mixture)}
    config = read_config(path)
    return {
        "kind": "run",
        "path": str(path),
        **({} if config.shape is None else {"task": config.task["name"]}),
        **config.model.told(),
        "vocab_size": config.symbols.size,
        **({"ngrams": list(config.ngrams)} if config.ngrams else {"parameters": config.parameters}),
        "weights": (path / WEIGHTS).is_file(),
        "vocabulary_sha256": config.vocabulary_sha256,
        "training": {"seed": config.training.seed} if config.ngrams else dataclasses.asdict(config.training),
        **({} if config.shape is None else {"answers": config.task, "shape": dataclasses.asdict(config.shape)}),
        "data": config.data,
        "made_by": config.made_by,
    }


def _file_report(path: Path) -> dict[str, Any]:
    """The report of a file of vectors, a vocabulary or an embedding checkpoint; empty for any other file."""
    from seqtool.embeddings.learning import CHECKPOINT_FORMAT
    from seqtool.vectors.vectors import is_vectors, read_vectors

    if is_vectors(path):
        vectors = read_vectors(path)
        sizes = {"tokens": len(vectors.tokens), "dim": vectors.dim, "ngram_rows": len(vectors.ngrams_BD)}
        return {"kind": "vectors", "path": str(path), **sizes, "vocabulary": bool(vectors.model), **vectors.metadata}
    head = _head(path)
    if head.startswith((VOCABULARY_BEGINS, BYTE_LEVEL_BEGINS)):
        from seqtool.text.vocabulary import load_vocabulary

        return {"path": str(path), **load_vocabulary(path).describe()}
    if head[8:].startswith(HEADER_BEGINS) and CHECKPOINT_FORMAT.encode() in head:
        return {"kind": "embedding checkpoint", "path": str(path), "bytes": path.stat().st_size}
    return {}


def kind_of(path: Path) -> str:
    """The kind of an artifact other than a run, for a message where something else is expected; else empty."""
    if (path / "store.json").is_file():
        return "a token store"
    if not path.is_file():
        return f"a part of {whole}" if path.is_dir() and (whole := whole_of(path)) else ""
    from seqtool.vectors.vectors import is_vectors

    head = _head(path)
    of_pieces = head.startswith(VOCABULARY_BEGINS) and VOCABULARY_HOLDS in head[:HEADER_BYTES]
    if of_pieces or head.startswith(BYTE_LEVEL_BEGINS):
        return "a vocabulary"
    if is_vectors(path):
        return "a file of vectors"
    return "a file of weights" if head[5:8] == bytes(3) and head[8:].startswith(WEIGHTS_BEGIN) else ""


def whole_of(path: Path) -> str:
    """The run or token store that a path is a part of; else empty."""
    inside = path.parent.name == "checkpoint"
    folder, part = (path.parent.parent, "checkpoint") if inside else (path.parent, path.name)
    if (folder / "config.json").is_file() and part in PARTS_OF_RUN:
        return f"the run {folder}"
    if (folder / "store.json").is_file() and any(fnmatch(part, name) for name in PARTS_OF_STORE):
        return f"the token store {folder}"
    return ""


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
