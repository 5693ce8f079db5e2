"""`seqtool embed train`: learn vectors from text."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, note, write_report
from seqtool.cli.options import Errors, Force, Json, Quiet, chosen, document_break, option_of, with_settings
from seqtool.cli.signals import stop_flag
from seqtool.errors import StoppedError, UsageError
from seqtool.settings.checking import check_embedding_uses, checked
from seqtool.settings.embedding import METHODS_WITHOUT_STEPS, EmbedConfig
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import (
    ERROR_HANDLERS,
    NORMALIZATIONS,
    SHOWN_DOCUMENT_BREAKS,
    VOCABULARY_TYPES,
    VocabularyConfig,
)

FIRST = ("--output", "--method", "--dim", "--window", "--time")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seqtool.embeddings.corpus import Corpus
    from seqtool.embeddings.jobs import EmbeddingProgress
    from seqtool.text.vocabulary import Vocabulary
    from seqtool.vectors.vectors import Vectors

EXAMPLES = ("seqtool embed train novel.txt -o novel.vectors",)


@with_settings(EmbedConfig)
def command(
    data: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Text files, - for standard input, or a token store.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="VECTORS",
            help="File of vectors to write.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ],
    *,
    vocab: Annotated[
        Optional[Path],
        typer.Option(
            "--vocab",
            metavar="FILE",
            help="Use this vocabulary instead of learning one.",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = None,
    vocab_type: Annotated[
        Optional[str],
        option_of(
            VOCABULARY_TYPES,
            "--vocab-type",
            help="Type of the vocabulary to learn from the text; words are separated by white space.",
            panel=Panel.VOCABULARY,
            default="word",
        ),
    ] = None,
    vocab_size: Annotated[
        Optional[int],
        typer.Option(
            "--vocab-size",
            metavar="N",
            help="Size of the vocabulary to learn.",
            show_default="by the text, words 1,000,000 at most",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = None,
    min_count: Annotated[
        Optional[int],
        typer.Option(
            "--min-count",
            metavar="N",
            help="Words that occur fewer times get no vector.",
            show_default="1 to 5, by the text's length; 1 with --vocab or a store",
            rich_help_panel=Panel.VOCABULARY,
        ),
    ] = None,
    lowercase: Annotated[
        bool,
        typer.Option(
            "--lowercase/--keep-case", help="Lower-case the text, or keep its case.", rich_help_panel=Panel.VOCABULARY
        ),
    ] = False,
    normalize: Annotated[
        str, option_of(NORMALIZATIONS, "--normalize", help="Unicode normalisation of the text.", panel=Panel.VOCABULARY)
    ] = "none",
    errors: Errors = "strict",
    document: Annotated[
        Optional[str],
        option_of(
            SHOWN_DOCUMENT_BREAKS,
            "--document",
            help="What separates documents, at which windows end.",
            panel=Panel.DATA,
            default="line",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue exactly where learning -o stopped.", rich_help_panel=Panel.CHECKPOINTS),
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Learn a vector for each word of a text from its context: the words near it in the same line, or --document.

    skipgram and cbow predict words from their neighbours (word2vec; with --subword, fastText), glove and svd factorise
    counts of co-occurrences, and one-hot is a baseline. Ctrl-C and SIGTERM leave a checkpoint for --resume, except with
    svd and one-hot, which have no steps.
    """
    chosen(errors, ERROR_HANDLERS, "--errors")
    document_break(document or "line")
    config = _checked_settings(settings, vocab_size)
    kind = checked(
        VocabularyConfig(type=vocab_type or "word", size=vocab_size or 0, normalize=normalize, lowercase=lowercase)
    )
    of_vocabulary = bool(vocab_type or vocab_size or lowercase or normalize != "none")
    _check_unused(vocab, data[0], of_vocabulary, errors)
    _check_flags(config, document, min_count, output, resume)

    from seqtool.embeddings.words import read_corpus

    read = functools.partial(read_corpus, data, vocab, kind, min_count, errors, document, config.seed)
    inputs = [*data, *([str(vocab)] if vocab else [])]
    with _reserved(output, force, inputs, resume):
        vectors, progress = _learned(read, config, output, resume, quiet)
        _write(vectors, output)
    _report(vectors, progress, config.method, output, json, quiet)


@contextlib.contextmanager
def _reserved(output: Path, force: bool, inputs: list[str], resume: bool) -> Iterator[None]:
    """Reserve the place of the result while the block runs; UsageError when something is there that must stay."""
    from seqtool.embeddings.learning import checkpoint_of, refuse_checkpoint
    from seqtool.files.writing import refuse_file, reserved

    refuse_file(output, force, inputs)
    with reserved(output):
        refuse_file(output, force, inputs)  # another process may have written it just now
        if (checkpoint := checkpoint_of(output)).exists() and not resume:
            refuse_checkpoint(checkpoint, force)
        yield


def _write(vectors: Vectors, output: Path) -> None:
    """Write the vectors, and remove their checkpoint and what killed processes left."""
    from seqtool.embeddings.learning import checkpoint_of
    from seqtool.files.writing import remove_strays
    from seqtool.vectors.vectors import write_vectors

    write_vectors(output, vectors)
    checkpoint = checkpoint_of(output)
    checkpoint.unlink(missing_ok=True)
    for name in (output.name, checkpoint.name):
        remove_strays(output.parent, name)


def _check_flags(config: EmbedConfig, document: str | None, min_count: int | None, output: Path, resume: bool) -> None:
    """UsageError for flags that are wrong or have no effect on the method."""
    if document is not None and config.method == "one-hot":
        raise UsageError("--document says where windows end, and --method one-hot has none: leave it out")
    if min_count is not None and min_count < 1:
        raise UsageError(f"--min-count {min_count}: at least 1")
    if str(output) == "-":
        raise UsageError("-o -: vectors are read by memory map and cannot go to standard output; name a file")
    if resume and config.method in METHODS_WITHOUT_STEPS:
        raise UsageError(f"--method {config.method} is learned at once and leaves nothing to --resume: leave it out")


def _checked_settings(settings: dict[str, Any], vocab_size: int | None) -> EmbedConfig:
    """The settings of the method; UsageError for what is wrong whatever the text is."""
    for name in ("epochs", "time", "lr", "x_max"):
        if settings.get(name) == 0:
            raise UsageError(f"--{name.replace('_', '-')} 0: leave it out, or give more")
    if vocab_size is not None and vocab_size < 1:
        raise UsageError(f"--vocab-size {vocab_size}: at least 1")
    if settings.get("method") == "one-hot" and "dim" in settings:
        raise UsageError("--dim: a one-hot vector has a number for each token; leave it out, or choose another method")
    config = checked(EmbedConfig(**settings))
    check_embedding_uses(settings)
    return config


def _check_unused(vocab: Path | None, first: str, of_vocabulary: bool, errors: str) -> None:
    """UsageError for flags that have no effect with a given vocabulary, or with a token store as the `first` data."""
    from seqtool.text.store import is_store

    whole = "--vocab" if vocab is not None else first if is_store(Path(first)) else ""
    if whole and of_vocabulary:
        raise UsageError(
            f"{whole} has a whole vocabulary: leave --vocab-type, --vocab-size, --lowercase and --normalize out"
        )
    if whole and whole != "--vocab" and errors != "strict":
        raise UsageError(f"--errors: {whole} holds no text to decode; leave it out")


def _report(vectors: Vectors, progress: EmbeddingProgress, method: str, output: Path, json: bool, quiet: bool) -> None:
    """Report what was learned, and what to run next."""
    write_report(
        {
            "vectors": str(output),
            "method": method,
            "tokens": len(vectors.tokens),
            "dim": vectors.dim,
            "passes": progress.passes or None,
            "seconds": progress.elapsed_s,
            "loss": progress.mean_loss,
        },
        json,
    )
    first = vectors.tokens[min(20, len(vectors.tokens) - 1)]
    place = shlex.quote(str(output))
    note(f"next: seqtool embed nearest {place} {shlex.quote(first)}", quiet)
    note(f"      seqtool embed map {place} -o map.html", quiet)


def _learned(
    read: Callable[..., tuple[Vocabulary, Corpus, str]], config: EmbedConfig, output: Path, resume: bool, quiet: bool
) -> tuple[Vectors, EmbeddingProgress]:
    """Learn vectors from what `read` gives, showing the progress; StoppedError when a signal ended it."""
    from seqtool.embeddings.learning import checkpoint_of, learn_vectors, resolved

    device, checkpoint = _device(config), checkpoint_of(output)
    meter = Meter("bytes", 0, quiet)
    vocabulary, corpus, input_sha256 = read(progress=meter)
    meter.close()
    config = resolved(config, len(corpus.ids))
    note(
        f"{config.method} on {device}: {len(corpus.word_ids):,} tokens get vectors, {len(corpus.ids):,} tokens to read",
        quiet,
    )
    meter = Meter("counts" if config.method == "glove" else "tokens", 0, quiet)

    def report(progress: Any, lr: float) -> None:
        meter.total = progress.total
        loss = "" if progress.mean_loss is None else f"  loss {progress.mean_loss:.4f}"
        meter(progress.position, f"{loss}  lr {lr:.4f}")

    has_steps = config.method not in METHODS_WITHOUT_STEPS
    with stop_flag() if has_steps else contextlib.nullcontext(lambda: 0) as stopped:
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
        raise StoppedError(number, _stopped(checkpoint))
    return vectors, progress


def _stopped(checkpoint: Path) -> str:
    """What learning that a signal stopped has left, and how to continue it."""
    if not checkpoint.exists():
        return "stopped before anything was learned"
    words = [word for word in sys.argv[1:] if word not in ("--force", "--resume")]
    return f"stopped; go on with: {shlex.join(['seqtool', *words, '--resume'])}"


def _device(config: EmbedConfig) -> str:
    """The device to compute on. torch, which takes a second to load, is asked only if there may be an accelerator."""
    from seqtool.embeddings.skipgram import skipgram_library

    if config.device == "cpu" or config.method in METHODS_WITHOUT_STEPS:
        return "cpu"
    if config.device == "auto" and skipgram_library() and not _may_have_accelerator():
        return "cpu"
    from seqtool.models.device import choose_device

    return str(choose_device(config.device))


def _may_have_accelerator() -> bool:
    return sys.platform == "darwin" or Path("/dev/nvidiactl").exists()
