"""`seqtool vocab`: learn a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqtool.cli.console import Meter, note, write_bytes, write_report
from seqtool.cli.options import Errors, Force, Json, Quiet, Texts, refuse_unused, with_settings
from seqtool.settings.checking import checked
from seqtool.settings.fields import Panel
from seqtool.settings.vocabulary import VocabularyConfig

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
            help="The SentencePiece model to write; - is standard output.",
            rich_help_panel=Panel.PROGRESS,
        ),
    ],
    *,
    errors: Errors = "strict",
    force: Force = False,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            help="Fixes the sample taken of a very long text.",
            rich_help_panel=Panel.DATA,
        ),
    ] = 0,
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Learn a vocabulary from text: a standard SentencePiece model.

    Lossless for every type but word: white space is kept, and unseen characters are spelled in bytes.
    """
    from seqtool.files.writing import atomic_writer, refuse_file
    from seqtool.text.documents import TextSource
    from seqtool.text.learning import about_unknown, learn_vocabulary

    config = checked(VocabularyConfig(**settings))
    if config.type != "word":
        refuse_unused(
            {"--min-count": "min_count" in settings}, f"it is for --type word, not {config.type}; leave it out"
        )
    to_stdout = str(output) == "-"
    if to_stdout:
        refuse_unused({"--force": force, "--json": json}, "-o - writes the model and no report; leave it out")
    else:
        refuse_file(output, force, texts)
    source = TextSource(texts, errors=errors, rereadable=True)
    source.progress = meter = Meter("bytes", source.size(), quiet)
    vocabulary = learn_vocabulary(source, config, seed)
    meter.close()
    source.progress = None
    text_bytes, sample_bytes = (vocabulary.metadata[name] for name in ("text_bytes", "sample_bytes"))
    if sample_bytes < text_bytes:
        note(f"learned from a sample: {sample_bytes:,} of {text_bytes:,} bytes, drawn with --seed {seed}", quiet)
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
    note(f"next: seqtool encode {texts[0]} --vocab {output}", quiet)


def _measured(vocabulary: Vocabulary, source: TextSource) -> dict[str, Any]:
    """How many characters of the text, of its first millions, a token holds, and the share of unknown tokens."""
    from seqtool.text.blocks import encodable

    characters = tokens = unknowns = 0
    for block in encodable(vocabulary, source.blocks()):
        ids = vocabulary.encode(block.text)
        characters, tokens = characters + len(block.text), tokens + len(ids)
        unknowns += int((ids == vocabulary.unknown_id).sum())
        if characters >= REPORT_CHARACTERS:
            break
    return {
        "characters_per_token": characters / max(tokens, 1),
        "unknown_share": unknowns / max(tokens, 1),
        "measured_on_characters": characters,
    }
