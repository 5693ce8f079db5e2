"""`seqtool generate`: generate text with a trained model."""

from __future__ import annotations

import dataclasses
import functools
import json as json_module
import math
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from seqtool.cli.console import note, write
from seqtool.cli.options import (
    Device,
    Errors,
    Json,
    JsonlField,
    Quiet,
    RunPath,
    as_text,
    chosen,
    refuse_unused,
    text_of,
    with_settings,
)
from seqtool.errors import UsageError
from seqtool.settings.checking import check_generation_effect, checked
from seqtool.settings.fields import Panel
from seqtool.settings.generation import GenerateConfig
from seqtool.settings.scoring import CacheConfig
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.generation.generating import Sample
    from seqtool.generation.healing import Healing
    from seqtool.generation.steering import Steering
    from seqtool.models.predictor import Stepper
    from seqtool.runs.loading import Run
    from seqtool.text.decoding import Seam
    from seqtool.text.vocabulary import Vocabulary

EXAMPLES = ("seqtool generate novel.run --prompt 'It was' --temperature 0.7 -n 3",)
FIRST = ("--prompt", "--samples", "--max-tokens", "--temperature", "--stop")
MOST_FAVOUR = 1000.0  # nats


@with_settings(GenerateConfig, CacheConfig)
def command(
    run: RunPath,
    source: Annotated[
        Optional[str], typer.Argument(metavar="[-]", help="- reads prompts from standard input, one a line.")
    ] = None,
    *,
    prompt: Annotated[
        Optional[str],
        typer.Option("--prompt", metavar="TEXT", help="Text to continue.", rich_help_panel=Panel.DATA),
    ] = None,
    prompts: Annotated[
        Optional[str],
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Read prompts from a file, one a line.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            "-n",
            "--samples",
            metavar="N",
            min=1,
            max=1_000_000,
            help="Number of texts for each prompt.",
            rich_help_panel=Panel.SAMPLING,
        ),
    ] = 1,
    stop: Annotated[
        Optional[list[str]],
        typer.Option(
            "--stop", metavar="TEXT", help="Stop before this text; may be repeated.", rich_help_panel=Panel.LENGTH
        ),
    ] = None,
    keep_stop: Annotated[
        bool,
        typer.Option("--keep-stop", help="Stop after the --stop text, and write it.", rich_help_panel=Panel.LENGTH),
    ] = False,
    ban: Annotated[
        Optional[list[str]],
        typer.Option(
            "--ban",
            metavar="TEXT",
            help="Never write this text, whatever tokens spell it; may be repeated.",
            rich_help_panel=Panel.CONSTRAINTS,
        ),
    ] = None,
    favour: Annotated[
        Optional[list[str]],
        typer.Option(
            "--favour",
            metavar="TEXT=B",
            help="Add B nats to a text's log probability for each occurrence of TEXT; negative B for fewer; may be "
            "repeated.",
            rich_help_panel=Panel.CONSTRAINTS,
        ),
    ] = None,
    escapes: Annotated[
        bool,
        typer.Option(
            "--escapes/--no-escapes",
            help="In --prompt, --stop, --ban and --favour, interpret \\n, \\r, \\t, \\xNN (a byte), \\uNNNN, "
            "\\UNNNNNNNN and \\\\ (a backslash); prompts in files are taken as they are.",
            rich_help_panel=Panel.DATA,
        ),
    ] = True,
    adapt_to: Annotated[
        Optional[list[str]],
        typer.Option(
            "--adapt-to",
            metavar="TEXT",
            help="Learn from a text before writing, as eval --adapt does; may be repeated. The run stays as it is.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    jsonl_field: JsonlField = "",
    echo: Annotated[
        bool,
        typer.Option("--echo/--no-echo", help="Write the prompt before the text.", rich_help_panel=Panel.PROGRESS),
    ] = True,
    errors: Errors = "strict",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    settings: dict[str, Any],
) -> None:
    """Generate text with a trained model; each text is written as it is generated.

    A text depends on the seed, on its prompt, and on its number among the prompt's -n texts, not on what is generated
    beside it. --constrain takes a regular expression of Python's re, which every text after its prompt matches.
    """
    chosen(errors, ERROR_HANDLERS, "--errors")
    refuse_unused({"--jsonl-field": bool(jsonl_field and not adapt_to)}, "--adapt-to alone reads texts; leave that out")
    words = _Words(
        prompt=text_of(as_text(prompt or "") if errors == "replace" else prompt or "", "--prompt", escapes=escapes),
        stops=[text_of(text, "--stop", escapes=escapes) for text in stop or ()],
        bans=[text_of(text, "--ban", escapes=escapes) for text in ban or ()],
        favours=[_favour(text, escapes) for text in favour or ()],
    )
    cache = checked(CacheConfig(**{name: settings.pop(name) for name in list(settings) if name.startswith("cache")}))
    given = set(settings)
    _check_sources(source, prompt, prompts, errors, heal="heal" in given)
    _check_words(words, given, keep_stop)
    config = _checked_config(settings, json)

    from seqtool.models.device import choose_device
    from seqtool.runs.loading import load_run

    loaded = load_run(run, choose_device(device))
    if adapt_to:
        from seqtool.scoring.adaptation import adapted_model
        from seqtool.text.documents import TextSource

        document = str(loaded.config.data.get("document", "file"))
        read = TextSource(adapt_to, errors=errors, document=document, field=jsonl_field)
        loaded = dataclasses.replace(loaded, model=adapted_model(loaded, read))
    if cache.cache:
        from seqtool.scoring.adaptation import cached

        loaded = dataclasses.replace(loaded, model=cached(loaded.model, cache))
    job = _Job(
        loaded,
        loaded.model.stepper(config.precision, barred=-1 if config.allow_unk else loaded.vocabulary.unknown_id),
        config,
        _steering(loaded.vocabulary, config, config.constrain if "constrain" in given else None, words),
        _healing(loaded.vocabulary, config, given) if words.prompt or source or prompts else None,
        words.stops,
        keep_stop,
        samples,
    )
    lines = _prompt_lines(prompts or "-", errors) if source or prompts else iter([[words.prompt]])
    note(f"seed {config.seed}", quiet or config.greedy or config.beam > 0 or "seed" in given)
    _write_texts(job, lines, echo, json, quiet)


def _checked_config(settings: dict[str, Any], json: bool) -> GenerateConfig:
    """The settings, with a random seed if none is given; UsageError for what is wrong or has no effect."""
    config = GenerateConfig(**{"seed": secrets.randbelow(2**32), **settings})
    if config.alternatives and not json:
        raise UsageError("--alternatives are shown by --json: give it too")
    config = checked(config)
    if problems := check_generation_effect(config, set(settings)):
        raise UsageError("; ".join(problems))
    return config


def _write_texts(job: _Job, lines: Iterator[list[str]], echo: bool, json: bool, quiet: bool) -> None:
    """Write the texts of the prompts in `lines` as they are generated, and note once if a limit cut one."""
    config, vocabulary = job.config, job.run.vocabulary
    told = quiet or job.run.model.context is None
    told_of_beam = quiet or not (config.beam and config.until_end)
    for texts in lines:
        requests = [_request(vocabulary, text) for text in texts]
        if not told and (beyond := _beyond_context(job.run, requests, config)):
            note(beyond)
            told = True
        for made in _made(job, requests):
            if not json:
                _print(made, echo, divided=job.copies > 1)
            elif made.ends:
                record = _record(vocabulary, made, config.seed, echo)
                write(json_module.dumps(record, ensure_ascii=False) + "\n", flush=True)
            if not told_of_beam and made.sample.finished == "length":
                note("--until-end: the likeliest text that --beam finds does not end within 4,096 tokens")
                told_of_beam = True


class _Words(NamedTuple):
    """The texts that options give."""

    prompt: str
    stops: list[str]
    bans: list[str]
    favours: list[tuple[str, float]]


class _Job(NamedTuple):
    """What to generate for each prompt."""

    run: Run
    stepper: Stepper
    config: GenerateConfig
    steering: Steering
    healing: Healing | None
    stops: list[str]
    keep_stop: bool
    copies: int


class _Request(NamedTuple):
    """A prompt, its ids, and how generated text joins it."""

    text: str
    ids: list[int]
    seam: Seam


def _request(vocabulary: Vocabulary, text: str) -> _Request:
    ids = vocabulary.encode(text).tolist()
    return _Request(text, ids, vocabulary.seam(text, ids))


def _favour(argument: str, escapes: bool) -> tuple[str, float]:
    """The text and the nats of TEXT=B."""
    text, equals, number = argument.rpartition("=")
    try:
        nats = float(number)
    except ValueError:
        nats = math.nan
    if not equals or not text or not 0 < abs(nats) <= MOST_FAVOUR:
        raise UsageError(
            f"--favour {argument!r}: write TEXT=B, where B is a number of nats up to {MOST_FAVOUR:g}, not 0"
        )
    return text_of(text, "--favour", escapes=escapes), nats


def _check_sources(source: str | None, prompt: str | None, prompts: str | None, errors: str, heal: bool) -> None:
    if source not in (None, "-"):
        raise UsageError(
            f"{source!r}: prompts are read from standard input as -, from --prompts FILE, or given with --prompt"
        )
    given = [name for name, value in (("-", source), ("--prompt", prompt), ("--prompts", prompts)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"give {' or '.join(given)}, not both")
    if errors != "strict" and not given:
        raise UsageError(f"--errors {errors} is for a prompt: there is none to read")
    if heal and not given:
        raise UsageError("--heal and --no-heal are for a prompt: there is none")


def _check_words(words: _Words, given: set[str], keep_stop: bool) -> None:
    for flag, texts in (("--stop", words.stops), ("--ban", words.bans)):
        if not all(texts):
            raise UsageError(f"{flag} needs some text")
    if words.stops and "constrain" in given:
        raise UsageError("--stop could end a text before it matches --constrain: let the expression end it")
    if keep_stop and not words.stops:
        raise UsageError("--keep-stop shows the text of a --stop: give one")
    if "until_end" in given and "max_tokens" in given:
        raise UsageError("--until-end and --max-tokens each say when to end: give one of them")


def _beyond_context(run: Run, requests: list[_Request], config: GenerateConfig) -> str:
    """A note if a prompt, or the text after it, is longer than the model's context; else empty."""
    from seqtool.generation.steering import most_tokens

    context = run.model.context or 0
    longest = 1 + max(len(request.ids) for request in requests)
    if longest > context:
        return f"a prompt is longer than the model's context of {context} tokens: only its end is read"
    if longest + most_tokens(config) > context:
        return f"beyond its context of {context} tokens the model continues from the newest half of them"
    return ""


def _token_rows(vocabulary: Vocabulary, allow_unk: bool) -> list[bytes]:
    """The bytes that each id adds to a text; empty for ids that are never written."""
    rows = list(vocabulary.token_strings)
    if not allow_unk and vocabulary.unknown_id >= 0:
        rows[vocabulary.unknown_id] = b""
    return rows


def _steering(vocabulary: Vocabulary, config: GenerateConfig, pattern: str | None, words: _Words) -> Steering:
    from seqtool.generation.constraint import Constraint, TokenBytes
    from seqtool.generation.favour import Favour
    from seqtool.generation.steering import Steering

    constraint, favours = None, []
    if pattern is not None or words.bans or words.favours:
        spacing = "lines" if vocabulary.type == "word" else "kept" if vocabulary.keeps_spaces else "first"
        tokens = TokenBytes(_token_rows(vocabulary, config.allow_unk), spacing)
        if pattern is not None or words.bans:
            constraint = Constraint(pattern, tokens, words.bans)
        favours = [Favour(text, nats, tokens) for text, nats in words.favours]
    return Steering(config, vocabulary.begin_id, constraint, favours)


def _healing(vocabulary: Vocabulary, config: GenerateConfig, given: set[str]) -> Healing | None:
    """Token healing, or None if it is turned off or the vocabulary has no use for it."""
    from seqtool.generation.healing import Healing

    healing = Healing(_token_rows(vocabulary, allow_unk=False)) if vocabulary.keeps_spaces else None
    if healing is None or not healing.possible:
        if "heal" in given:
            raise UsageError(
                "--heal and --no-heal are for vocabularies of pieces of words: "
                f"in this run's, of type {vocabulary.type}, no token goes on where a prompt ends; leave it out"
            )
        return None
    return healing if config.heal else None


def _prompt_lines(path: str, errors: str) -> Iterator[list[str]]:
    """The lines of a file or standard input, in lists of lines that arrived together."""
    from seqtool.text.documents import TextSource, lines_of

    held: list[str] = []  # the parts of an incomplete line
    for block in TextSource([path], errors=errors).blocks():
        lines = []
        for line in lines_of(block.text):
            held.append(line)
            if line.endswith("\n"):
                lines.append("".join(held)[:-1].removesuffix("\r"))
                held = []
        if lines:
            yield lines
    if held:
        yield ["".join(held)]


def _print(made: _Made, echo: bool, divided: bool) -> None:
    """Write the new text of a sample, after the prompt if it is the first, and end the last with a newline."""
    prompt = made.sample.prompt_text if echo else ""
    write(prompt + made.new if made.begins else made.new, flush=True)
    if made.ends:
        newline = "" if (prompt + made.text).endswith("\n") else "\n"
        write(newline + ("---\n" if divided and sys.stdout.isatty() else ""), flush=True)


class _Made(NamedTuple):
    """A sample, its text so far, the new part of it, and whether that is the sample's first or last."""

    sample: Sample
    text: str
    new: str
    begins: bool
    ends: bool


def _batches(job: _Job, requests: list[_Request]) -> Iterator[list[Sample]]:
    """The samples of the prompts in batches, each again whenever it has grown; a beam may give fewer than `copies`."""
    from seqtool.generation.beam import beam_search
    from seqtool.generation.generating import Sample, generate
    from seqtool.generation.writing import stop_finder, written_text

    samples = (
        Sample(request.ids, copy, request.text, request.seam)
        for request in requests
        for copy in range(1 if job.config.beam else job.copies)
    )
    if not job.config.beam:
        yield from generate(job.stepper, samples, job.config, job.steering, job.healing)
        return
    vocabulary = job.run.vocabulary
    for one in samples:
        if job.healing is not None and job.config.max_tokens:
            job.healing.heal(job.stepper, [one], [], job.config, job.steering)
        stopped = stop_finder(vocabulary, job.stops, one.seam, job.config.min_tokens)
        spelled = functools.partial(written_text, vocabulary)
        yield beam_search(job.stepper, one, job.copies, job.config, job.steering, stopped, spelled)


def _made(job: _Job, requests: list[_Request]) -> Iterator[_Made]:
    """The samples in order: each is given as it grows once those before it have ended."""
    from seqtool.generation.writing import Writer

    batch: list[Sample] = []
    writers: list[Writer] = []
    shown, begins = 0, True  # the index in the batch of the sample being written
    for grown in _batches(job, requests):
        if grown is not batch:
            batch, shown = grown, 0
            writers = [
                Writer(job.run.vocabulary.decoder(one.seam), job.stops, job.keep_stop, job.config.min_tokens)
                for one in grown
            ]
        for one, writer in zip(batch[shown:], writers[shown:], strict=True):
            writer.read(one)
        while shown < len(batch):
            one, writer = batch[shown], writers[shown]
            ends = bool(one.finished)
            yield _Made(one, writer.text, writer.take(), begins, ends)
            begins = ends
            if not ends:
                break
            shown += 1


def _record(vocabulary: Vocabulary, made: _Made, seed: int, echo: bool) -> dict[str, Any]:
    """The JSON object of a sample."""
    one = made.sample
    written = [
        {"token": vocabulary.token_text(token), "id": token, "log_p": -nats}
        for token, nats in zip(one.tokens, one.token_nats, strict=True)
    ]
    for place, likeliest in zip(written, one.alternatives, strict=False):
        place["alternatives"] = [
            {"token": vocabulary.token_text(token), "id": token, "log_p": log_p}
            for token, log_p in likeliest
            if log_p > -math.inf  # that is, unless it is forbidden
        ]
    return {
        **({"prompt": one.prompt_text} if echo else {}),
        "text": made.text,
        "tokens": len(one.tokens),
        "nats": one.nats,
        "stopped_by": one.finished,
        "seed": seed,
        "written": written,
    }
