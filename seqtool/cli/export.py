"""`seqtool export`: models for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Force, Json, Quiet, RunPath, format_of, option_of
from seqtool.errors import UsageError

EXAMPLES = (
    "seqtool export counts.run -o counts.arpa",
    "seqtool export llama.run --to huggingface -o llama-hf",
    "seqtool export llama.run -o llama.gguf",
    "seqtool export lstm.run -o lstm.onnx",
    "seqtool export counts.run --to arpa -o - | gzip > counts.gz",
)
MODEL_FORMATS = ("arpa", "huggingface", "gguf", "onnx")
SUFFIXES = {".arpa": "arpa", ".gguf": "gguf", ".onnx": "onnx"}
PACKAGES = {"huggingface": ("tokenizers", "huggingface"), "gguf": ("gguf", "gguf"), "onnx": ("onnx", "onnx")}
"""The package that a format needs, and the extra of seqtool that brings it."""


def command(
    run: RunPath,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE|DIR", help="What to write; - is standard output, for arpa."),
    ],
    to: Annotated[
        Optional[str],
        option_of(MODEL_FORMATS, "--to", help="Format to write.", default="by the name: .arpa, .gguf, .onnx"),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    r"""Write a model for other programs, exactly, or say which setting cannot be.

    arpa: n-grams as KenLM, SRILM and speech recognisers read them. A word of the file is a token's piece, as seqtool
    encode --pieces shows it; of a vocabulary of words it is the word. A space is \x20, and so on for what separates
    fields; a backslash that would begin such an escape is two. </s> is the newline where documents are lines, or else
    the end of a document. Comments before the model, lines that begin with #, hold the vocabulary, by which seqtool
    import brings the same run back; other programs skip them.

    huggingface: a directory that transformers loads, with tokenizer and model card. What train --layout llama makes is
    a LlamaForCausalLM; other transformers with --stem 1 --no-output-bias --softmax all are GPT2LMHeadModel (learned or
    sinusoidal positions) or GPTNeoXForCausalLM (rope), with any biases, --norm-epsilon and --rope-base: so what seqtool
    import read goes back. Vocabularies of type bpe, char, byte and byte-bpe.

    gguf: a file for llama.cpp, of what train --layout llama makes (with --output-bias a qwen2), or of GPT2LMHeadModel's
    settings with --feedforward gelu-tanh a gpt2. What is otherwise there, such as how texts that have a U+2581 are
    split, is printed and stands in the file's description.

    onnx: any net as a graph of one step, for any number of texts side by side: ids and states in, logits and the states
    after out. The file's metadata, JSON by the name seqtool, say how a text begins.
    """
    kind = format_of(output, to, MODEL_FORMATS, SUFFIXES, "--to")
    if kind == "arpa":
        _write_arpa(run, output, force, json, quiet)
        return
    check_package(kind)
    if kind == "huggingface":
        report = {"directory": str(output), "format": kind, **_write_directory(run, output, force)}
    else:
        report = {"file": str(output), "format": kind, **_write_file(run, output, kind, force)}
    for told in report.pop("differs", ()):
        note(told, quiet)
    write_report(report, json)
    if kind == "huggingface":
        note(f"next: how to load it stands in {output / 'README.md'}", quiet)


def check_package(kind: str) -> None:
    """UsageError, with how to install it, when the package that a format needs is not there."""
    import importlib.util

    package, extra = PACKAGES[kind]
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"--to {kind} needs the package {package}: pip install 'seqtool[{extra}]'")


def _write_arpa(run: Path, output: Path, force: bool, json: bool, quiet: bool) -> None:
    to_stdout = str(output) == "-"
    if to_stdout and json:
        raise UsageError("--json: standard output has the model and no report; leave it out, or name a file with -o")

    from seqtool.exchange.arpa_runs import counted_run, export_arpa
    from seqtool.files.writing import atomic_writer, refuse_file

    if not to_stdout:
        refuse_file(output, force, [str(run)])
    counted = counted_run(run)
    meter = Meter("n-grams", sum(counted.config.ngrams), quiet or (to_stdout and sys.stdout.isatty()))
    if to_stdout:
        export_arpa(sys.stdout.buffer, counted, meter)
        meter.close()
        return
    with atomic_writer(output) as stream:
        sizes = export_arpa(stream, counted, meter)
    meter.close()
    write_report({"file": str(output), "format": "arpa", "order": len(sizes), "ngrams": list(sizes)}, json)


def _write_directory(run: Path, output: Path, force: bool) -> dict[str, Any]:
    """The run as a directory, whole or not at all."""
    import torch

    from seqtool.exchange.huggingface import export_huggingface, layout_of
    from seqtool.files.directories import built_aside, publish
    from seqtool.files.writing import refuse_directory, reserved
    from seqtool.runs.loading import load_run

    refuse_directory(output, force, [str(run)])
    loaded = load_run(run, torch.device("cpu"))
    layout_of(loaded)
    with reserved(output), built_aside(output) as folder:
        report = export_huggingface(folder, loaded)
        publish(folder, output, force)
    return report


def _write_file(run: Path, output: Path, kind: str, force: bool) -> dict[str, Any]:
    """The run as a file that a library writes, whole or not at all."""
    import torch

    from seqtool.exchange.gguf_model import gguf_layout, write_gguf
    from seqtool.exchange.onnx_model import check_net, write_onnx
    from seqtool.files.directories import file_built_aside
    from seqtool.files.writing import refuse_file
    from seqtool.runs.loading import load_run

    if str(output) == "-":
        raise UsageError(f"-o -: {kind} goes to a file, not to standard output; name one")
    refuse_file(output, force, [str(run)])
    loaded = load_run(run, torch.device("cpu"))
    write = write_gguf if kind == "gguf" else write_onnx
    (gguf_layout if kind == "gguf" else check_net)(loaded)
    with file_built_aside(output) as file:
        return write(file, loaded)
