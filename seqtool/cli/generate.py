"""`seqtool generate`: write text."""

from __future__ import annotations

import json as json_module
import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import note, write
from seqtool.cli.options import Device, Json, Quiet, RunPath, with_settings
from seqtool.config import GenerateConfig, checked
from seqtool.errors import UsageError

if TYPE_CHECKING:
    from seqtool.inference.generation import Sample
    from seqtool.runs import Run

NAME = "generate"
EXAMPLE = "seqtool generate novel.run --prompt 'It was' --temperature 0.7 -n 3"


@with_settings(GenerateConfig)
def command(
    run: RunPath,
    source: Annotated[Optional[str], typer.Argument(metavar="[-]", help="- reads a prompt from each line.")] = None,
    *,
    prompt: Annotated[Optional[str], typer.Option("--prompt", help="Text to go on from.")] = None,
    samples: Annotated[
        int, typer.Option("-n", "--samples", min=1, max=1_000_000, help="Texts to write for each prompt.")
    ] = 1,
    stop: Annotated[
        Optional[list[str]], typer.Option("--stop", metavar="TEXT", help="End before this text; may be repeated.")
    ] = None,
    echo: Annotated[bool, typer.Option("--echo/--no-echo", help="Print the prompt as well.")] = True,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Write text with a trained model, as it is made.

    The same seed gives the same text, whatever the batch size.
    """
    if source not in (None, "-"):
        raise UsageError(f"{source!r}: prompts are read from standard input as -, or given with --prompt")
    if source and prompt is not None:
        raise UsageError("give --prompt TEXT or -, not both")
    if any(not text for text in stop or ()):
        raise UsageError("--stop needs some text")
    given = set(settings)
    config = checked(GenerateConfig(**{"seed": secrets.randbelow(2**32), **settings}))

    from seqtool.models.device import choose_device
    from seqtool.runs import load_run

    loaded = load_run(run, choose_device(device))
    prompts = [line for line in _prompt_lines()] if source else [_unescaped_by_shell(prompt)]
    note(f"seed {config.seed}", quiet or config.greedy or "seed" in given)
    texts = [text for text in prompts for _ in range(samples)]
    stream = len(texts) == 1 and not json
    for written in _texts(loaded, texts, config, stop or [], stream, echo):
        if json:
            write(json_module.dumps(written, ensure_ascii=False) + "\n", flush=True)
        elif not stream:
            write((written["prompt"] if echo else "") + written["text"] + "\n", flush=True)
            if samples > 1 and sys.stdout.isatty():
                write("---\n")
    if stream:
        write("\n", flush=True)


def _unescaped_by_shell(prompt: str | None) -> str:
    """The prompt as text: bytes of the command line that are not UTF-8 become U+FFFD."""
    return (prompt or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _prompt_lines() -> Iterator[str]:
    from seqtool.text.documents import TextSource, lines_of

    held: list[str] = []  # the parts of a line whose end has not come yet
    for block in TextSource(["-"]).blocks():
        for line in lines_of(block.text):
            held.append(line)
            if line.endswith("\n"):
                yield "".join(held)[:-1]
                held = []
    if held:
        yield "".join(held)


def _texts(
    run: Run, prompts: Sequence[str], config: GenerateConfig, stops: list[str], stream: bool, echo: bool
) -> Iterator[dict[str, Any]]:
    """A record for each prompt, in order; with `stream` the text is written to stdout as it is made."""
    from seqtool.inference.generation import generate
    from seqtool.inference.writing import Writer

    ids = [run.vocabulary.encode(prompt).tolist() for prompt in prompts]
    if stream and echo:
        write(prompts[0], flush=True)
    writers: dict[int, Writer] = {}
    next_number = 0
    for batch in generate(run.model, ids, config):
        for one in batch[max(0, next_number - batch[0].number) :]:
            if one.number not in writers:
                writers[one.number] = Writer(run.vocabulary, stops)
            new = writers[one.number].read(one)
            if stream and new:
                write(new, flush=True)
        while (first := batch[0].number) <= next_number < first + len(batch) and batch[next_number - first].finished:
            one = batch[next_number - first]
            yield _record(prompts[next_number], one, writers.pop(next_number).text, config.seed)
            next_number += 1


def _record(prompt: str, one: Sample, text: str, seed: int) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "text": text,
        "tokens": len(one.tokens),
        "nats": one.nats,
        "stopped_by": one.finished,
        "seed": seed,
    }
