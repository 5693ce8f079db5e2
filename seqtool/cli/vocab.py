"""`seqtool vocab`: learn a vocabulary."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import Meter, note, write_bytes, write_report
from seqtool.cli.options import (
    DocumentBreak,
    Errors,
    Force,
    Json,
    JsonlField,
    Quiet,
    Texts,
    chosen,
    document_break,
    refuse_unused,
    with_settings,
)
from seqtool.settings.checking import checked
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import ERROR_HANDLERS, LEARNED_BY, VocabularyConfig

if TYPE_CHECKING:
    from seqtool.text.documents import TextSource
    from seqtool.text.vocabulary import Vocabulary

EXAMPLES = ("seqtool vocab novel.txt -o novel.model --type bpe --size 2000",)
FIRST = ("--output", "--type", "--size")
REPORT_CHARACTERS = 8 << 20


@with_settings(VocabularyConfig)
def command(
    texts: Texts,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="SentencePiece model to write; - is standard output.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ],
    *,
    jsonl_field: JsonlField = "",
    errors: Errors = "strict",
    document: DocumentBreak = None,
    force: Force = False,
    seed: Annotated[
        Optional[int],
        typer.Option(
            "--seed",
            metavar="N",
            help="bpe, unigram: seed of the sample that is drawn from a very long text.",
            show_default="0",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Learn a vocabulary from text: a standard SentencePiece model.

    All types but word are lossless: they keep white space and spell unseen characters in bytes.
    """
    from seqtool.files.writing import atomic_writer, refuse_file
    from seqtool.text.documents import TextSource
    from seqtool.text.learning import about_unknown, learn_vocabulary

    config = checked(VocabularyConfig(**settings))
    to_stdout = str(output) == "-"
    _check_unused(config, "min_count" in settings, seed, force and to_stdout, json and to_stdout)
    chosen(errors, ERROR_HANDLERS, "--errors")
    document = document_break(document or "file")
    if not to_stdout:
        refuse_file(output, force, texts)
    source = TextSource(texts, errors=errors, document=document, rereadable=True, field=jsonl_field)
    source.progress = meter = Meter("bytes", source.size(), quiet)
    vocabulary = learn_vocabulary(source, config, seed or 0)
    meter.close()
    source.progress = None
    text_bytes, sample_bytes = (vocabulary.metadata[name] for name in ("text_bytes", "sample_bytes"))
    if sample_bytes < text_bytes:
        note(f"learned from a sample: {sample_bytes:,} of {text_bytes:,} bytes, drawn with --seed {seed or 0}", quiet)
    if said := about_unknown(vocabulary, config):
        note(said, quiet)
    measured = _measured(vocabulary, source)
    if to_stdout:
        write_bytes(vocabulary.model)
        return
    with atomic_writer(output) as stream:
        stream.write(vocabulary.model)
    about = {"file": str(output), "type": config.type, "size": vocabulary.size, "learned_from_bytes": sample_bytes}
    write_report({**about, **measured}, json)
    note(f"next: seqtool encode {shlex.quote(str(texts[0]))} --vocab {shlex.quote(str(output))}", quiet)


def _check_unused(config: VocabularyConfig, min_count: bool, seed: int | None, force: bool, json: bool) -> None:
    """UsageError for flags that were given and have no effect; `force` and `json` are those given with -o -."""
    from seqtool.text.learning import SAMPLE_BYTES

    for flag, given, types in (
        ("--min-count", min_count, LEARNED_BY["min_count"]),
        ("--seed", seed is not None, tuple(SAMPLE_BYTES)),
    ):
        if config.type not in types:
            refuse_unused({flag: given}, f"it is for --type {' and '.join(types)}, not {config.type}; leave it out")
    refuse_unused({"--force": force, "--json": json}, "-o - writes the model and no report; leave it out")


def _measured(vocabulary: Vocabulary, source: TextSource) -> dict[str, Any]:
    """Characters per token and the share of unknown tokens, measured on the first REPORT_CHARACTERS of the text."""
    from seqtool.text.blocks import encodable

    characters = tokens = unknowns = 0
    for block in encodable(vocabulary, source.blocks()):
        ids = vocabulary.encode(block.text, block.starts_document)
        characters, tokens = characters + len(block.text), tokens + len(ids)
        unknowns += int((ids == vocabulary.unknown_id).sum())
        if characters >= REPORT_CHARACTERS:
            break
    return {
        "characters_per_token": characters / max(tokens, 1),
        "unknown_share": unknowns / max(tokens, 1),
        "measured_on_characters": characters,
    }
