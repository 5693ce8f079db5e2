"""`seqtool generate`: write text."""

from __future__ import annotations

import json as json_module
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from seqtool.cli.console import note, write
from seqtool.cli.options import Device, Json, Quiet, RunPath, with_settings
from seqtool.config import GenerateConfig, checked
from seqtool.errors import UsageError

if TYPE_CHECKING:
    from seqtool.inference.constraint import Constraint
    from seqtool.inference.generation import Sample
    from seqtool.models.stepping import Stepper
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

    A sample depends on the seed, its prompt and which of the prompt's -n it is: not on the others made beside it.
    --constrain judges what is written after the prompt; it takes Python's re, and every sample matches.
    """
    if source not in (None, "-"):
        raise UsageError(f"{source!r}: prompts are read from standard input as -, or given with --prompt")
    if source and prompt is not None:
        raise UsageError("give --prompt TEXT or -, not both")
    if any(not text for text in stop or ()):
        raise UsageError("--stop needs some text")
    if settings.get("until_end") and "max_tokens" in settings:
        raise UsageError("--until-end and --max-tokens each say when to end: give one of them")
    given = set(settings)
    config = checked(GenerateConfig(**{"seed": secrets.randbelow(2**32), **settings}))

    from seqtool.models.device import choose_device
    from seqtool.models.stepping import Stepper
    from seqtool.runs import load_run

    loaded = load_run(run, choose_device(device))
    constraint = _constraint(loaded, config.constrain) if "constrain" in given else None
    stepper = Stepper(loaded.model, config.precision)
    prompts = _prompt_lines() if source else iter([[_unescaped_by_shell(prompt)]])
    note(f"seed {config.seed}", quiet or config.greedy or config.beam > 0 or "seed" in given)
    if loaded.model.context is not None and (config.until_end or config.max_tokens >= loaded.model.context):
        note(
            f"beyond its {loaded.model.context} tokens of context the model goes on from the newest half of them",
            quiet,
        )
    for texts in prompts:
        for made in _made(loaded, stepper, texts, samples, config, constraint, stop or []):
            if json:
                if made.record is not None:
                    write(json_module.dumps(made.record, ensure_ascii=False) + "\n", flush=True)
                continue
            if made.begins and echo:
                write(made.prompt, flush=True)
            write(made.text, flush=True)
            if made.record is not None:
                write("\n" + ("---\n" if samples > 1 and sys.stdout.isatty() else ""), flush=True)


def _unescaped_by_shell(prompt: str | None) -> str:
    """The prompt as text: bytes of the command line that are not UTF-8 become U+FFFD."""
    return (prompt or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _constraint(run: Run, pattern: str) -> Constraint:
    from seqtool.inference.constraint import Constraint

    vocabulary = run.vocabulary
    if not vocabulary.lossless:
        raise UsageError(
            f"--constrain needs a vocabulary that can spell any text: this run's is of type {vocabulary.type}"
        )
    tokens = [vocabulary.token_bytes(index) for index in range(vocabulary.size)]
    tokens[vocabulary.unknown_id] = b""
    return Constraint(pattern, tokens)


def _prompt_lines() -> Iterator[list[str]]:
    """The lines of standard input, those together that came together."""
    from seqtool.text.documents import TextSource, lines_of

    held: list[str] = []  # the parts of a line whose end has not come yet
    for block in TextSource(["-"]).blocks():
        lines = []
        for line in lines_of(block.text):
            held.append(line)
            if line.endswith("\n"):
                lines.append("".join(held)[:-1])
                held = []
        if lines:
            yield lines
    if held:
        yield ["".join(held)]


class _Made(NamedTuple):
    """Some new text of the next sample in order; with the last of it, its record."""

    prompt: str
    begins: bool
    text: str
    record: dict[str, Any] | None


def _made(
    run: Run,
    stepper: Stepper,
    prompts: list[str],
    copies: int,
    config: GenerateConfig,
    constraint: Constraint | None,
    stops: list[str],
) -> Iterator[_Made]:
    """The samples of the prompts, in order, each as it is made once those before it are done."""
    from seqtool.inference.beam import beam_search
    from seqtool.inference.generation import Sample, generate
    from seqtool.inference.writing import Writer, stop_finder

    texts = [prompt for prompt in prompts for _ in range(copies)]
    ids = [run.vocabulary.encode(prompt).tolist() for prompt in prompts]
    batches: Iterator[list[Sample]]
    if config.beam:
        stopped = stop_finder(run.vocabulary, stops)
        batches = (beam_search(stepper, prompt, copies, config, constraint, stopped) for prompt in ids)
    else:
        samples = [Sample(prompt, copy) for prompt in ids for copy in range(copies)]
        batches = generate(stepper, samples, config, constraint)
    writers: dict[int, Writer] = {}  # by sample, of the batch at hand
    first = shown = 0  # the first sample of the batch; the next one to show
    begins = True
    for batch in batches:
        for number, one in enumerate(batch, start=first):
            if number not in writers and number >= shown:
                writers[number] = Writer(run.vocabulary, stops)
            if number in writers:
                writers[number].read(one)
        while shown < first + len(batch):
            one, writer = batch[shown - first], writers[shown]
            record = _record(texts[shown], one, writer.text, config.seed) if one.finished else None
            yield _Made(texts[shown], begins, writer.take(), record)
            begins = record is not None
            if record is None:
                break
            del writers[shown]
            shown += 1
        if shown == first + len(batch):
            first = shown


def _record(prompt: str, one: Sample, text: str, seed: int) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "text": text,
        "tokens": len(one.tokens),
        "nats": one.nats,
        "stopped_by": one.finished,
        "seed": seed,
    }
