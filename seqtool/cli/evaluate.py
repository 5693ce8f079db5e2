"""`seqtool eval`: score text."""

from __future__ import annotations

import json as json_module
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, printable, write, write_report
from seqtool.cli.options import Device, DocumentBreak, Errors, Json, Quiet, RunPath, chosen, with_settings
from seqtool.config import DOCUMENT_BREAKS, ERROR_HANDLERS, EvalConfig, checked
from seqtool.errors import InputError, UsageError

if TYPE_CHECKING:
    from seqtool.runs import Run
    from seqtool.text.documents import TextSource

NAME = "eval"
EXAMPLE = "seqtool eval novel.run chapter.txt --json"
UNITS = ("line", "token", "document")


@with_settings(EvalConfig)
def command(
    run: RunPath,
    texts: Annotated[Optional[list[str]], typer.Argument(metavar="[TEXT...]", help="Text to score. \\[-]")] = None,
    *,
    per: Annotated[
        Optional[str], typer.Option("--per", metavar="|".join(UNITS), help="A row for each, as it is read.")
    ] = None,
    carry: Annotated[bool, typer.Option("--carry", help="With --per line: score the lines as one text.")] = False,
    errors: Errors = "strict",
    document: DocumentBreak = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Score text: nats, perplexity per token, word and character, bits per character and byte.

    Every token counts once, the first included (given <s>). Bits per byte compares any two models.
    """
    config = checked(EvalConfig(**settings))
    if per is not None:
        chosen(per, UNITS, "--per")
    if carry and per != "line":
        raise UsageError("--carry goes with --per line")
    chosen(errors, ERROR_HANDLERS, "--errors")

    from seqtool.inference.scoring import check_window
    from seqtool.models.device import choose_device
    from seqtool.runs import load_run
    from seqtool.text.documents import TextSource

    loaded = load_run(run, choose_device(device))
    check_window(loaded.model, config.context, config.stride)
    document = chosen(document or str(loaded.config.data.get("document", "file")), DOCUMENT_BREAKS, "--document")
    source = TextSource(texts or ["-"], errors=errors, document=document)
    if per is None:
        write_report(report(loaded, source, config, quiet), json)
        return
    for row in _rows(loaded, source, config, per, carry):
        if json:
            write(json_module.dumps(row, ensure_ascii=False) + "\n", flush=True)
        else:
            text = printable(row["text"]) if per == "document" else row["text"].removesuffix("\n")
            shown = text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
            perplexity = math.inf if row["perplexity"] is None else row["perplexity"]
            write(f"{row['nats']:.6f}\t{row['tokens']}\t{perplexity:.4f}\t{shown}\n", flush=True)


def report(run: Run, source: TextSource, config: EvalConfig, quiet: bool) -> dict[str, Any]:
    """Score all the text of a source once; every figure comes from one total of nats."""
    from seqtool.inference.scoring import check_window, score_documents
    from seqtool.text.store import document_ids, encode_text

    encoded = encode_text(run.vocabulary, source)
    counts = encoded.counts
    context, stride = check_window(run.model, config.context, config.stride)
    began = time.perf_counter()
    nats, tokens = 0.0, 0
    meter = Meter("tokens", len(encoded.ids), quiet)
    documents = document_ids(encoded.ids, run.vocabulary.begin_id)
    for scored in score_documents(
        run.model, documents, batch_size=config.batch_size, context=config.context, stride=config.stride
    ):
        nats, tokens = nats + float(scored.nats.sum(dtype="float64")), tokens + len(scored.nats)
        meter(tokens)
    meter.close()
    seconds = time.perf_counter() - began
    unknowns = sum(int((part == run.vocabulary.unknown_id).sum()) for part in _parts(encoded.ids))
    if not tokens:
        raise InputError(f"{source.name} holds no word to score: give more text")
    bits = nats / math.log(2)
    return {
        "run": str(run.path),
        "text": source.name,
        "nats": nats,
        "tokens": tokens,
        "words": counts.words,
        "characters": counts.characters,
        "bytes": counts.bytes,
        "documents": counts.documents,
        "unknowns": unknowns,
        "nats_per_token": nats / tokens,
        "nats_per_character": nats / counts.characters,
        "perplexity_per_token": _perplexity(nats, tokens),
        "perplexity_per_word": _perplexity(nats, counts.words),
        "perplexity_per_character": _perplexity(nats, counts.characters),
        "bits_per_character": bits / counts.characters,
        "bits_per_byte": bits / counts.bytes,
        "context": context or "all the text before",
        "stride": stride or "none: the state is carried",
        "seconds": seconds,
        "tokens_per_s": tokens / max(seconds, 1e-9),
        "text_sha256": encoded.sha256,
        "vocabulary_sha256": run.vocabulary.sha256,
    }


def _perplexity(nats: float, count: int) -> float | None:
    """exp(nats / count); None where there is nothing to divide by or the number is too large to write."""
    return math.exp(nats / count) if count and nats / count < 700 else None


def _parts(ids: Any) -> Iterator[Any]:
    for start in range(0, len(ids), 1 << 20):
        yield ids[start : start + (1 << 20)]


def _rows(run: Run, source: TextSource, config: EvalConfig, per: str, carry: bool) -> Iterator[dict[str, Any]]:
    """The rows of `--per`, in input order, as the text comes."""
    from seqtool.inference.rows import score_carried_lines, score_lines, score_tokens, score_whole_documents

    score = {"token": score_tokens, "document": score_whole_documents}.get(
        per, score_carried_lines if carry else score_lines
    )
    for unit in score(run.model, run.vocabulary, source, config):
        yield {
            "nats": unit.nats,
            "tokens": unit.tokens,
            "perplexity": _perplexity(unit.nats, unit.tokens),
            "text": unit.text,
        }
