"""`seqtool generate`: write text."""

from __future__ import annotations

import json as json_module
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from seqtool.checking import checked
from seqtool.cli.console import note, write
from seqtool.cli.options import Device, Errors, Json, Quiet, RunPath, as_text, chosen, with_settings
from seqtool.config import ERROR_HANDLERS, GenerateConfig
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
    errors: Errors = "strict",
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
    if stop and "constrain" in settings:
        raise UsageError("--stop could end a text before it matches --constrain: let the expression end it")
    chosen(errors, ERROR_HANDLERS, "--errors")
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
    prompts = _prompt_lines(errors) if source else iter([[as_text(prompt or "")]])
    note(f"seed {config.seed}", quiet or config.greedy or config.beam > 0 or "seed" in given)
    told = quiet or loaded.model.context is None
    for texts in prompts:
        requests = [(text, loaded.vocabulary.encode(text).tolist()) for text in texts]
        if not told and (beyond := _beyond_context(loaded, requests, config)):
            note(beyond)
            told = True
        batches = _batches(loaded, stepper, requests, samples, config, constraint, stop or [])
        for made in _made(loaded, batches, stop or [], config.seed):
            if json:
                if made.record is not None:
                    write(json_module.dumps(made.record, ensure_ascii=False) + "\n", flush=True)
                continue
            if made.begins and echo:
                write(made.prompt, flush=True)
            write(made.text, flush=True)
            if made.record is not None:
                write("\n" + ("---\n" if samples > 1 and sys.stdout.isatty() else ""), flush=True)


Request = tuple[str, list[int]]
"""A prompt and its ids."""


def _beyond_context(run: Run, requests: list[Request], config: GenerateConfig) -> str:
    """What to say where a prompt, or what is written after it, is more than a transformer sees at once."""
    from seqtool.inference.generation import most_tokens

    context = run.model.context or 0
    longest = 1 + max(len(ids) for _, ids in requests)
    if longest > context:
        return f"of a prompt longer than the model's context of {context} tokens only the end is read"
    if longest + most_tokens(config) > context:
        return f"beyond its context of {context} tokens the model goes on from the newest half of them"
    return ""


def _constraint(run: Run, pattern: str) -> Constraint:
    from seqtool.inference.constraint import Constraint

    vocabulary = run.vocabulary
    if not vocabulary.spells_bytes:
        raise UsageError(
            f"--constrain needs a vocabulary that can spell any text: this run's is of type {vocabulary.type}"
        )
    tokens = [vocabulary.token_bytes(index) for index in range(vocabulary.size)]
    tokens[vocabulary.unknown_id] = b""
    return Constraint(pattern, tokens)


def _prompt_lines(errors: str) -> Iterator[list[str]]:
    """The lines of standard input, those together that came together."""
    from seqtool.text.documents import TextSource, lines_of

    held: list[str] = []  # the parts of a line whose end has not come yet
    for block in TextSource(["-"], errors=errors).blocks():
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


def _batches(
    run: Run,
    stepper: Stepper,
    requests: list[Request],
    copies: int,
    config: GenerateConfig,
    constraint: Constraint | None,
    stops: list[str],
) -> Iterator[list[Sample]]:
    """The samples of the prompts, some of them again whenever they have grown; of beams there may be fewer than
    `copies`.
    """
    from seqtool.inference.beam import beam_search
    from seqtool.inference.generation import Sample, generate
    from seqtool.inference.writing import stop_finder

    if not config.beam:
        samples = (Sample(ids, copy, text) for text, ids in requests for copy in range(copies))
        yield from generate(stepper, samples, config, constraint)
        return
    stopped = stop_finder(run.vocabulary, stops)
    for text, ids in requests:
        found = beam_search(stepper, ids, copies, config, constraint, stopped, run.vocabulary.decode)
        for one in found:
            one.prompt_text = text
        yield found


def _made(run: Run, batches: Iterator[list[Sample]], stops: list[str], seed: int) -> Iterator[_Made]:
    """The samples in order, each as it is made once those before it are done."""
    from seqtool.inference.writing import Writer

    batch: list[Sample] = []
    writers: list[Writer] = []
    shown, begins = 0, True  # the sample of the batch that is being shown
    for grown in batches:
        if grown is not batch:
            batch, writers, shown = grown, [Writer(run.vocabulary, stops) for _ in grown], 0
        for one, writer in zip(batch[shown:], writers[shown:], strict=True):
            writer.read(one)
        while shown < len(batch):
            one, writer = batch[shown], writers[shown]
            record = _record(one, writer.text, seed) if one.finished else None
            yield _Made(one.prompt_text, begins, writer.take(), record)
            begins = record is not None
            if record is None:
                break
            shown += 1


def _record(one: Sample, text: str, seed: int) -> dict[str, Any]:
    return {
        "prompt": one.prompt_text,
        "text": text,
        "tokens": len(one.tokens),
        "nats": one.nats,
        "stopped_by": one.finished,
        "seed": seed,
    }
