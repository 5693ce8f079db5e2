"""`seqtool embed`: one file for each of its commands."""

from __future__ import annotations

import typer

from seqtool.cli.embed import (
    analogy,
    evaluate,
    export,
    from_run,
    import_file,
    nearest,
    similarity,
    train,
    vectors_map,
)

app = typer.Typer(
    name="embed",
    help="Word vectors: learn them, ask them, judge them, draw them, exchange them.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

for module in (train, nearest, analogy, similarity, evaluate, from_run, export, import_file, vectors_map):
    app.command(module.NAME, epilog=f"Example: {module.EXAMPLE}")(module.command)
