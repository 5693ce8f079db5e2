"""What `nearest`, `analogy` and `similarity` share: questions from arguments, a pipe or a person, and their answers."""

from __future__ import annotations

import contextlib
import io
import json as json_module
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, Protocol

import typer

from seqtool.cli.console import in_row, note, printable, write
from seqtool.cli.options import as_text
from seqtool.errors import InputError, UsageError

if TYPE_CHECKING:
    from seqtool.vectors.neighbours import Neighbour, Query, Space

BATCH = 256
MAX_LINE_CHARACTERS = 1 << 16
MAX_ANSWERS = 100_000
PROMPT = "> "

VectorsPath = Annotated[
    Path, typer.Argument(metavar="VECTORS", help="File of vectors, made by seqtool embed train, from or import.")
]
Interactive = Annotated[
    bool, typer.Option("-i", "--interactive", help="Ask for words at a prompt, until the input ends.")
]
Count = Annotated[int, typer.Option("-n", "--count", min=1, max=MAX_ANSWERS, help="Answers to each question.")]
Words = Optional[list[str]]


class Answer(NamedTuple):
    """The answer to a question, as a JSON object and as rows of a table."""

    record: dict[str, Any]
    rows: list[tuple[str | float, ...]]


class Answerer(Protocol):
    """Answers questions in order; each is a list of queries, as many as the command takes."""

    def __call__(self, space: Space, questions: Sequence[Sequence[Query]]) -> Iterable[Answer]: ...


def ask(
    path: Path,
    words: Sequence[str],
    names: Sequence[str],
    answered: Answerer,
    interactive: bool,
    errors: str,
    json: bool,
) -> None:
    """Answer the questions in the arguments, or with `-` or `--interactive` those in the lines of standard input.

    `names` are the names of a question's parts; with a single part, every argument is a question. Of several questions
    those that cannot be answered are reported and counted.
    """
    from_stdin = list(words) == ["-"]
    if interactive and words and not from_stdin:
        raise UsageError("--interactive asks for the words: name none")
    if not (interactive or from_stdin) and (not words or (len(names) > 1 and len(words) != len(names))):
        raise UsageError(f"name {' '.join(names)}, or - to read them from standard input, or --interactive")
    if errors != "strict" and not (interactive or from_stdin):
        raise UsageError("--errors is for words read from standard input: leave it out")
    if "" in words:
        raise UsageError("an empty word has no vector: name a word")

    space = open_space(path)
    if interactive or from_stdin:
        _answer_lines(space, names, answered, interactive, errors, json)
        return
    texts = [as_text(word) for word in words]
    if len(names) > 1 or len(texts) == 1:
        _write(answered(space, [[_query(space, text) for text in texts]]), json)
    else:
        _answer_words(space, texts, answered, json)


def open_space(path: Path) -> Space:
    """The vectors of a file, ready to be queried."""
    from seqtool.vectors.neighbours import Space
    from seqtool.vectors.vectors import read_vectors

    return Space(read_vectors(path), str(path))


def neighbour_names(space: Space, neighbours: Iterable[Neighbour]) -> list[tuple[str, float]]:
    """Neighbours as tokens and cosines."""
    return [(space.vectors.tokens[row], cosine) for row, cosine in neighbours]


def _query(space: Space, text: str) -> Query:
    """The query for a text; InputError, with a word that may have been meant, for an unknown word."""
    from seqtool.vectors.neighbours import UnknownWordError
    from seqtool.vectors.spelling import mend

    try:
        return space.query(text)
    except UnknownWordError as error:
        raise InputError(f"{error}: {mend(space.vectors, error.word)}") from error


def _answer_words(space: Space, words: Sequence[str], answered: Answerer, json: bool) -> None:
    """Answer each word as a question of its own."""
    failed = 0
    for start in range(0, len(words), BATCH):
        questions = []
        for word in words[start : start + BATCH]:
            try:
                questions.append([_query(space, word)])
            except InputError as error:
                failed += 1
                note(str(error))
        _write(answered(space, questions), json)
    _tell_failed(space, failed, len(words), "words")


def _tell_failed(space: Space, failed: int, asked: int, what: str) -> None:
    """InputError, with what would help, if some questions could not be answered."""
    if failed:
        from seqtool.vectors.spelling import mend_of_unseen

        mend = mend_of_unseen(space.vectors)
        raise InputError(f"{failed:,} of {asked:,} {what} could not be answered: they are named above; {mend}")


def _answer_lines(
    space: Space, names: Sequence[str], answered: Answerer, interactive: bool, errors: str, json: bool
) -> None:
    """Answer lines as they arrive; those that cannot be answered are reported, and counted at the end of a pipe."""
    asked = failed = 0
    if interactive:
        note(f"Each line asks: {' '.join(names)}. Ctrl-D leaves.")
    for lines in _arriving_lines(errors, interactive):
        questions = []
        for number, line in lines:
            asked += 1
            try:
                parts = _parts(line, names)
                questions.append([_query(space, part) if interactive else space.query(part) for part in parts])
            except InputError as error:
                failed += 1
                note(str(error) if interactive else f"line {number}: {error}")
        _write(answered(space, questions), json, to_person=interactive)
    if not interactive:
        _tell_failed(space, failed, asked, "lines")


def _parts(line: str, names: Sequence[str]) -> list[str]:
    """The parts of a question: the whole line if it has one part, else parts separated by tabs or white space."""
    if len(names) == 1:
        return [line]
    parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
    if len(parts) != len(names) or "" in parts:
        raise InputError(f"{line!r} is not {' '.join(names)}: separate them by tabs, or by spaces")
    return parts


def _arriving_lines(errors: str, interactive: bool) -> Iterator[list[tuple[int, str]]]:
    """The lines of standard input that are not blank, with their numbers: up to BATCH that arrived together.

    With `interactive` a person is prompted for each line.
    """
    from seqtool.files.streams import chunks_of, decode_utf8, open_bytes

    name = "standard input"
    number, rest, empty = 0, "", True
    chunks = chunks_of(open_bytes("-"), name)
    if interactive:
        chunks = _typed_lines() if sys.stdin.isatty() else _prompted(chunks)
    for text in decode_utf8(chunks, name, errors):
        empty = False
        *ended, rest = (rest + text).split("\n")
        numbered = [(number + place, line.strip()) for place, line in enumerate(ended, start=1)]
        number += len(ended)
        if len(rest) > MAX_LINE_CHARACTERS:
            raise InputError(
                f"line {number + 1} of {name} is longer than {MAX_LINE_CHARACTERS:,} characters: it asks no question"
            )
        yield from _batches([(place, line) for place, line in numbered if line])
    if rest.strip():
        yield [(number + 1, rest.strip())]
    if interactive:
        note("")
    elif empty:
        raise InputError(f"{name} is empty: there is no question to answer")


def _batches(lines: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    return (lines[start : start + BATCH] for start in range(0, len(lines), BATCH))


def _prompted(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass chunks through, writing the prompt before waiting for each."""
    while True:
        print(PROMPT, end="", file=sys.stderr, flush=True)
        chunk = next(chunks, b"")
        if not chunk:
            return
        yield chunk


def _typed_lines() -> Iterator[bytes]:
    """The lines typed at a terminal, with line editing."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - input() uses it

    assert isinstance(sys.stdin, io.TextIOWrapper)
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    while True:
        try:
            with _stdout_to_stderr():
                line = input(PROMPT)
        except EOFError:
            return
        yield (line + "\n").encode("utf-8", "surrogateescape")


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect stdout to stderr while the block runs, for input(), which writes its prompt and echo to stdout."""
    sys.stdout.flush()
    stdout = sys.stdout.fileno()
    kept = os.dup(stdout)
    os.dup2(sys.stderr.fileno(), stdout)
    try:
        yield
    finally:
        os.dup2(kept, stdout)
        os.close(kept)


def _write(answers: Iterable[Answer], as_json: bool, to_person: bool = False) -> None:
    """Write answers; `to_person` escapes control characters, which may have been typed by accident."""
    for answer in answers:
        if as_json:
            write(json_module.dumps(answer.record, ensure_ascii=False) + "\n")
        for row in () if as_json else answer.rows:
            text = "\t".join(map(_cell, row)) + "\n"
            write(printable(text) if to_person else text)
    sys.stdout.flush()


def _cell(value: str | float) -> str:
    return in_row(value) if isinstance(value, str) else f"{value:.6f}"
