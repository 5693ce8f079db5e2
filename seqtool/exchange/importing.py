"""Transformers of other programs as runs: directories with safetensors, and the `.bin` files of llama2.c and llm.c."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.exchange.bin_models import read_bin
from seqtool.exchange.bin_vocabulary import read_bin_vocabulary
from seqtool.exchange.byte_level_tokenizer import OLD_PAIR, has_old_pair, read_old_pair
from seqtool.exchange.foreign_config import ForeignModel, read_foreign
from seqtool.exchange.foreign_vocabulary import as_its_program_reads, find_vocabulary, read_tokenizer
from seqtool.exchange.hub_layouts import GPT2
from seqtool.exchange.layouts import our_tensors, their_tensors
from seqtool.files.plain_tensors import read_plain_tensors
from seqtool.files.tensors import TensorEntry
from seqtool.files.writing import file_sha256, read_json, sha256
from seqtool.models.language_model import LanguageModel
from seqtool.models.size import parameter_count
from seqtool.runs.config import WEIGHTS, RunConfig, is_run, new_config, write_config
from seqtool.runs.weights import write_weights
from seqtool.settings.checking import shown
from seqtool.settings.model import Symbols
from seqtool.settings.training import TrainConfig
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

CONFIG, SAFETENSORS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
VOCABULARIES = ("tokenizer.model", "tokenizer.json", "tokenizer.bin")
PICKLES = ("pytorch_model.bin", "model.bin", "consolidated.00.pth")
PICKLE_MARKS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x80\x08")
MARK_BYTES = 32
LONGEST_NAME = 256  # bytes of a file's name, and one more
LEFT_OUT = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
"""The ends of names of tensors that say nothing that was learned: masks, and angles."""
PREFIX = "transformer."  # which GPT-2's first files have not
FLOATS = ("F32", "BF16", "F16", "F64")


class ImportedRun(NamedTuple):
    """A run to be written."""

    config: RunConfig
    vocabulary: Vocabulary
    tensors: dict[str, Tensor]
    format: str


def is_model(path: Path) -> bool:
    """Whether a path is another program's net, not a file of n-grams: told by what it begins with."""
    if path.is_dir() or path.suffix == ".safetensors":
        return True
    return path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".gguf") or _begins(path).startswith(PICKLE_MARKS)


def import_model(path: Path, given: Vocabulary | Path | None) -> ImportedRun:
    """Read a model with the vocabulary that is given, in a file or read already, or that lies beside it.

    InputError, in a sentence, where it is damaged, unknown, or not what this program computes.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name")
    if path.is_file() and path.suffix == ".safetensors":
        path = path.parent
    if path.is_file():
        _refuse_others(path)
        found = read_bin(path)
        model = read_foreign(found.told, str(path))
        _check_forms({name: tuple(tensor.shape) for name, tensor in found.tensors.items()}, model, path)
        vocabulary = _read(given, model.vocab_size) or _vocabulary_beside(path, model.vocab_size)
        return _made(path, [path], model, found.tensors, as_its_program_reads(vocabulary), found.format)
    folder = path
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} has no {CONFIG}: name a directory with that, and {SAFETENSORS}")
    if is_run(folder) and str(read_json(folder / CONFIG).get("format", "")).startswith("seqtool "):
        raise InputError(f"{folder} is a run of seqtool already: eval, generate and train --from take it as it is")
    model = read_foreign(read_json(folder / CONFIG), str(folder / CONFIG))
    files = _files(folder)
    vocabulary = _read(given, model.vocab_size) or find_vocabulary(folder, model.vocab_size)
    vocabulary = as_its_program_reads(vocabulary)
    _check_size(vocabulary, model, folder)
    entries: dict[str, tuple[int, ...]] = {}
    tensors: dict[str, Tensor] = {}

    def check(found: Iterable[TensorEntry]) -> None:
        for entry in found:
            if entry.dtype not in FLOATS and not entry.name.endswith(LEFT_OUT):
                raise InputError(f"{folder}: {entry.name} is of the type {entry.dtype}: weights in floats are read")
            if entry.name in entries:
                raise InputError(f"{folder} has {entry.name} in two files: get it anew")
            entries[entry.name] = entry.shape
        if len(files) == 1:
            _check_forms(_named(entries, model), model, folder)

    for file in files:
        tensors |= read_plain_tensors(file, check)
    _check_forms(_named(entries, model), model, folder)
    return _made(path, files, model, _named(tensors, model), vocabulary, "huggingface")


def _read(given: Vocabulary | Path | None, size: int) -> Vocabulary | None:
    return read_vocabulary(given, size) if isinstance(given, Path) else given


def read_vocabulary(path: Path, size: int = 0) -> Vocabulary:
    """A vocabulary in any form that is read: tokenizer.json, vocab.json with merges.txt beside it, llama2.c's
    tokenizer.bin, or a SentencePiece model. `size` is as in `find_vocabulary`.
    """
    if path.name in OLD_PAIR and has_old_pair(path.parent):
        return read_old_pair(path.parent, size)
    if path.suffix == ".json":
        return read_tokenizer(path, size)
    return read_bin_vocabulary(path) if path.suffix == ".bin" else load_vocabulary(path)


def write_imported(folder: Path, run: ImportedRun) -> None:
    """Write a run into an empty directory."""
    write_config(folder, run.config, run.vocabulary)
    write_weights(folder / WEIGHTS, run.tensors, run.config)


def _begins(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(MARK_BYTES)
    except OSError:
        return b""


def _refuse_others(path: Path) -> None:
    """InputError for a pickle, which could run anything, and for GGUF."""
    head = _begins(path)
    if head.startswith(PICKLE_MARKS) or path.suffix in (".pt", ".pth", ".ckpt", ".pkl"):
        raise InputError(f"{path} is a pickle, which may run any program when it is read: get the model as safetensors")
    if head.startswith(b"GGUF"):
        raise InputError(f"{path} is GGUF, which is written here but not read: get the model as safetensors")


def _files(folder: Path) -> list[Path]:
    """The files of weights; InputError where there are none, or one is not in the directory."""
    if (folder / SAFETENSORS).is_file():
        return [folder / SAFETENSORS]
    if (folder / INDEX).is_file():
        places = read_json(folder / INDEX).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()) or not places:
            raise InputError(f"{folder / INDEX} names no files of weights: get it anew")
        if outside := sorted(name for name in places.values() if not _is_plain(name)):
            raise InputError(f"{folder / INDEX} names {shown(outside[0])}, which is no file beside it: get it anew")
        files = [folder / name for name in sorted(set(places.values()))]
        if missing := [file for file in files if not file.is_file()]:
            raise InputError(f"{missing[0]} is missing, which {INDEX} names: get it as well")
        return files
    if there := [name for name in PICKLES if (folder / name).is_file()]:
        raise InputError(
            f"{folder / there[0]} is a pickle, which may run any program when it is read: get the model as safetensors"
        )
    raise InputError(f"{folder} has no {SAFETENSORS}: get the model in that format")


def _is_plain(name: str) -> bool:
    """Whether a name is a file's own, without a directory before it."""
    return bool(name) and Path(name).name == name != ".." and name.isprintable() and len(name.encode()) < LONGEST_NAME


def _vocabulary_beside(path: Path, size: int) -> Vocabulary:
    for name in VOCABULARIES:
        if (path.parent / name).is_file() and path.name != name:
            return read_vocabulary(path.parent / name, size)
    if has_old_pair(path.parent):
        return read_old_pair(path.parent, size)
    raise UsageError(
        f"{path} has no vocabulary in it, nor one beside it ({', '.join(VOCABULARIES)}): give its own with --vocab"
    )


def _named(found: Mapping[str, Any], model: ForeignModel) -> dict[str, Any]:
    """What counts, by the names of the layout."""
    kept = {name: value for name, value in found.items() if not name.endswith(LEFT_OUT)}
    if model.layout is GPT2 and not any(name.startswith(PREFIX) for name in kept):
        kept = {name if name.startswith("lm_head") else f"{PREFIX}{name}": value for name, value in kept.items()}
    if model.config.tied:  # some files have it all the same
        kept.pop("lm_head.weight", None)
    return kept


def _symbols(model: ForeignModel, begin_id: int) -> Symbols:
    return Symbols(model.vocab_size, begin_id, model.vocab_size, 1)


def _check_size(vocabulary: Vocabulary, model: ForeignModel, path: Path) -> None:
    if vocabulary.size != model.vocab_size:
        raise InputError(
            f"{vocabulary.name} has {vocabulary.size:,} pieces and the model of {path} {model.vocab_size:,} symbols: "
            "give its own with --vocab"
        )


def _check_forms(found: Mapping[str, tuple[int, ...]], model: ForeignModel, path: Path) -> None:
    """InputError where weights are missing, unknown, or of other shapes than the configuration says."""
    symbols = _symbols(model, 0)
    try:
        parameter_count(model.config, symbols)
    except UsageError as error:
        raise InputError(f"{path}: {error}") from error
    with torch.device("meta"):
        blank = LanguageModel(model.config, symbols)
    own = {name: weight.detach() for name, weight in blank.named_parameters()}
    expected = {name: tuple(W.shape) for name, W in their_tensors(model.layout, model.config, own).items()}
    if missing := sorted(expected.keys() - found.keys()):
        raise InputError(f"{path} lacks {missing[0]}, of which its configuration tells: get it anew")
    if unknown := sorted(found.keys() - expected.keys()):
        raise InputError(f"{path} has {unknown[0]}, a weight of which {model.layout.architecture} knows nothing")
    for name, shape in expected.items():
        if found[name] != shape:
            told, there = ("x".join(map(str, one)) for one in (shape, found[name]))
            raise InputError(f"{path}: {name} is {there}, where the configuration says {told}: get both anew")


def _made(
    path: Path, files: list[Path], model: ForeignModel, tensors: dict[str, Tensor], vocabulary: Vocabulary, format: str
) -> ImportedRun:
    """The run of a model whose weights have the names and shapes that it needs."""
    _check_size(vocabulary, model, path)
    theirs = {name: tensor.float() for name, tensor in tensors.items()}
    for name, W in theirs.items():
        if not bool(torch.isfinite(W).all()):
            raise InputError(f"{path}: {name} has a number that is not finite; get it anew")
    ours = our_tensors(model.layout, model.config, theirs)
    ours["head.seen_ids"] = torch.arange(model.vocab_size)
    hashes = [file_sha256(file) for file in files]
    identity = hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode())  # of several files, of their hashes
    data = {"name": str(path), "imported": {"format": format, "sha256": identity}}
    training = TrainConfig(softmax="all", stateful=False, bptt=model.config.context)
    config = new_config(model.config, training, _symbols(model, vocabulary.begin_id), vocabulary, data)
    assert sum(math.prod(tensor.shape) for tensor in ours.values()) == config.numbers
    return ImportedRun(config, vocabulary, ours, format)
