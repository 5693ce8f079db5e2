"""`seqtool import`: models of other programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Force, Json, NewRun, Quiet

if TYPE_CHECKING:
    from seqtool.text.vocabulary import Vocabulary

EXAMPLES = (
    "seqtool import lm.arpa -o lm.run",
    "seqtool import stories110M -o stories.run",
    "seqtool import stories260K.bin --vocab tok512.bin -o stories.run",
)


def command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="DIR|FILE",
            help="A directory with config.json and model.safetensors, a .bin file of llama2.c or llm.c, or n-grams as "
            "an ARPA file, of seqtool, KenLM, SRILM, …; - is an ARPA file on standard input.",
        ),
    ],
    *,
    output: NewRun,
    vocab: Annotated[
        Optional[Path],
        typer.Option(
            "--vocab",
            metavar="FILE",
            help="The vocabulary whose pieces the ids or words are: a SentencePiece model, tokenizer.json, or "
            "llama2.c's tokenizer.bin.",
            show_default="one of these beside the model, or what an ARPA file says",
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import a model as a run, which eval, generate, info and train --from take as any other.

    Transformers of Llama's layout (rms norm, rope, swiglu; heads may share keys), Qwen2's and GPT-2's are read from
    safetensors, in one file or several, with tokenizer.model, tokenizer.json, or vocab.json and merges.txt as GPT-2 has
    them. Byte-level BPE (type byte-bpe) has the ids of its own program: a token may hold several newlines, and special
    tokens such as <|endoftext|> are never read in a text. An unknown tokenizer needs --vocab; scaled positions and
    whatever else would be computed otherwise here is refused by name, and so is a pickle, always.

    N-grams that seqtool export wrote come back with their vocabulary. The words of another program's ARPA file are a
    vocabulary of words, in which </s> is the newline that ends a line: eval --per line gives what KenLM's query gives.
    With --vocab they are its pieces, and those that FILE lacks share what it leaves to <unk>.
    """
    from seqtool.exchange.importing import is_model, read_vocabulary
    from seqtool.files.directories import built_aside, publish
    from seqtool.files.writing import refuse_directory, reserved

    refuse_directory(output, force, [file])
    with reserved(output):
        net = file != "-" and is_model(Path(file))
        vocabulary = None if net or vocab is None else read_vocabulary(vocab)
        with built_aside(output) as folder:
            about = _net(folder, file, vocab) if net else _ngrams(folder, file, vocabulary, quiet)
            publish(folder, output, force)
    write_report({"run": str(output), **about}, json)
    note(f"next: seqtool eval {shlex.quote(str(output))} TEXT", quiet)


def _net(folder: Path, file: str, vocabulary: Path | None) -> dict[str, Any]:
    """Import a transformer; what is reported of it."""
    from seqtool.exchange.importing import import_model, write_imported

    run = import_model(Path(file), vocabulary)
    write_imported(folder, run)
    model = run.config.model
    return {
        "format": run.format,
        "layers": model.layers,
        "hidden": model.hidden,
        "context": model.context,
        "parameters": run.config.parameters,
        "vocab_size": run.vocabulary.size,
        "vocabulary": run.vocabulary.type,
    }


def _ngrams(folder: Path, file: str, vocabulary: Vocabulary | None, quiet: bool) -> dict[str, Any]:
    """Import an ARPA file; what is reported of it."""
    from seqtool.exchange.arpa_runs import import_arpa
    from seqtool.files.streams import open_bytes, stream_name
    from seqtool.runs.weights import write_counts

    meter = Meter("bytes", os.path.getsize(file) if os.path.isfile(file) else 0, quiet)
    with open_bytes(file) as stream:
        run = import_arpa(stream, stream_name(file), vocabulary, meter)
    meter.close()
    write_counts(folder, run.config, run.vocabulary, run.model)
    return {
        "format": "arpa",
        "order": run.model.order,
        "ngrams": list(run.config.ngrams),
        "vocab_size": run.vocabulary.size,
        "vocabulary": run.vocabulary.type,
    }
