"""`seqtool embed train`: learn vectors from text."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from seqtool.checking import checked
from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import DocumentBreak, Errors, Force, Json, Quiet, chosen, with_settings
from seqtool.cli.signals import stop_flag
from seqtool.config import (
    DOCUMENT_BREAKS,
    ERROR_HANDLERS,
    NORMALIZATIONS,
    VOCABULARY_TYPES,
    EmbedConfig,
    VocabularyConfig,
)
from seqtool.errors import StoppedError, UsageError

NAME = "train"
EXAMPLE = "seqtool embed train novel.txt -o novel.vectors"


@with_settings(EmbedConfig)
def command(
    data: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Text files, - for standard input, or a store.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="VECTORS", help="The file of vectors to make.")],
    *,
    vocab: Annotated[Optional[Path], typer.Option("--vocab", metavar="FILE", help="A vocabulary made before.")] = None,
    vocab_type: Annotated[
        Optional[str],
        typer.Option("--vocab-type", metavar="|".join(VOCABULARY_TYPES), help="Vocabulary to learn. \\[word]"),
    ] = None,
    vocab_size: Annotated[
        Optional[int], typer.Option("--vocab-size", help="Its size. \\[by the text, words 1,000,000 at most]")
    ] = None,
    min_count: Annotated[
        Optional[int],
        typer.Option("--min-count", help="What is rarer gets no vector. \\[1 to 5, by the text's length]"),
    ] = None,
    lowercase: Annotated[bool, typer.Option("--lowercase/--keep-case", help="Fold to lower case.")] = False,
    normalize: Annotated[
        str, typer.Option("--normalize", metavar="|".join(NORMALIZATIONS), help="Unicode normalisation.")
    ] = "none",
    errors: Errors = "strict",
    document: DocumentBreak = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where learning -o was stopped.")] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Learn a vector for each word of a text: from what stands near it. Windows do not reach across documents.

    skipgram and cbow predict words from their neighbours (word2vec; with --subword fastText), glove and svd factorise
    counts of neighbours, one-hot is what all this is better than. Ctrl-C and SIGTERM leave a checkpoint to
    --resume from.
    """
    from seqtool.embeddings.learning import checkpoint_of, learn_vectors, resolved
    from seqtool.embeddings.text import read_corpus
    from seqtool.embeddings.vectors import write_vectors
    from seqtool.files import refuse_file, remove_strays

    chosen(errors, ERROR_HANDLERS, "--errors")
    chosen(document or "file", DOCUMENT_BREAKS, "--document")
    if settings.get("method") == "one-hot" and "dim" in settings:
        raise UsageError("--dim: a one-hot vector has a number for each token; leave it out, or choose another method")
    config = checked(EmbedConfig(**settings))
    if min_count is not None and min_count < 1:
        raise UsageError(f"--min-count {min_count}: at least 1")
    kind = checked(
        VocabularyConfig(type=vocab_type or "word", size=vocab_size or 0, normalize=normalize, lowercase=lowercase)
    )
    if vocab is not None and (vocab_type or vocab_size or lowercase or normalize != "none"):
        raise UsageError("--vocab is a whole vocabulary: leave --vocab-type, -size, --lowercase and --normalize out")
    if str(output) == "-":
        raise UsageError("-o -: vectors are read by memory map and cannot go to standard output; name a file")
    refuse_file(output, force, data)
    checkpoint = checkpoint_of(output)
    if not resume and not force:
        _refuse_begun(checkpoint)
    device = _device(config)
    meter = Meter("bytes", 0, quiet)
    vocabulary, corpus, input_sha256 = read_corpus(
        data, vocab, kind, min_count, errors, document or "file", config.seed, progress=meter
    )
    meter.close()
    config = resolved(config, len(corpus.ids))
    note(
        f"{config.method} on {device}: {len(corpus.word_ids):,} tokens get vectors, {len(corpus.ids):,} tokens to read",
        quiet,
    )
    meter = Meter("counts" if config.method == "glove" else "tokens", 0, quiet)

    def report(progress: Any, lr: float) -> None:
        meter.total = progress.total
        said = "" if progress.mean_loss is None else f"  loss {progress.mean_loss:.4f}"
        meter(progress.position, f"{said}  lr {lr:.4f}")

    with stop_flag() as stopped:
        vectors, progress = learn_vectors(
            corpus,
            vocabulary,
            input_sha256,
            config,
            device,
            checkpoint,
            resume=resume,
            report=report,
            stopped=lambda: stopped() != 0,
        )
        meter.close()
        number = stopped()
    if vectors is None:
        said = [word for word in sys.argv[1:] if word not in ("--force", "--resume")]
        raise StoppedError(number, f"stopped; go on with: {shlex.join(['seqtool', *said, '--resume'])}")
    write_vectors(output, vectors)
    checkpoint.unlink(missing_ok=True)
    remove_strays(output.parent, checkpoint.name)
    write_report(
        {
            "vectors": str(output),
            "method": config.method,
            "tokens": len(vectors.tokens),
            "dim": vectors.dim,
            "passes": progress.position / len(corpus.ids) if config.method in ("skipgram", "cbow") else config.epochs,
            "seconds": progress.elapsed_s,
            "loss": progress.mean_loss,
        },
        json,
    )
    first = vectors.tokens[min(20, len(vectors.tokens) - 1)]
    note(f"next: seqtool embed nearest {output} {shlex.quote(first)}", quiet)
    note(f"      seqtool embed map {output} -o map.html", quiet)


def _refuse_begun(checkpoint: Path) -> None:
    if checkpoint.exists():
        raise UsageError(
            f"{checkpoint} is of a learning that was stopped: go on with --resume, or give --force to begin anew"
        )


def _device(config: EmbedConfig) -> str:
    """Where to compute. torch is asked, and takes a second to load, only where there may be more than a CPU."""
    from seqtool.embeddings.prediction import library

    counts = config.method in ("svd", "one-hot")
    if config.device == "cpu" or counts or (config.device == "auto" and library() and not _may_have_accelerator()):
        return "cpu"
    from seqtool.models.device import choose_device

    return str(choose_device(config.device))


def _may_have_accelerator() -> bool:
    return sys.platform == "darwin" or Path("/dev/nvidiactl").exists()
