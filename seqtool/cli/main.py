"""The program: running a command, and turning every error into one sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import MutableMapping
from typing import Annotated, NoReturn

import typer

from seqtool import __version__
from seqtool.cli.commands import COMMANDS, GROUP_SETTINGS, CommandGroup
from seqtool.cli.console import note
from seqtool.errors import SeqtoolError, StoppedError, out_of_memory

PIPE_CLOSED = 141
# How often an idle OpenMP thread checks for work before it sleeps: for about 15 microseconds, as long as a training
# leaves it idle between two operations. Threads that spin longer take cores from others: beside a second training, or
# with another program busy, a step then takes many times as long. OpenMP reads this when torch loads it.
SPINS_BEFORE_SLEEP = "1000"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seqtool {__version__}")
        raise typer.Exit()


def _seqtool(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Learn from sequences: vocabularies, language models, perplexity, generated text."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # it was closed
    let_idle_threads_sleep(os.environ)
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.suppress(AttributeError, ValueError):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # so that a closed pipe raises BrokenPipeError
    try:
        if sys.stdout is None:
            raise SeqtoolError("standard output is closed: give results somewhere to go")
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    except BaseException as error:
        if os.environ.get("SEQTOOL_DEBUG") == "1" and not isinstance(error, SystemExit):
            raise
        code = _explained(error)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to clean up
    if code == PIPE_CLOSED:
        os._exit(PIPE_CLOSED)
    _flush(code)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        os._exit(code)  # everything is written; a torch thread that outlives the interpreter would abort the process
    sys.exit(code)


def let_idle_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Set how long OpenMP's idle threads spin, unless the environment says so already."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS_BEFORE_SLEEP)


def program() -> CommandGroup:
    """The program as a group of commands, whose modules are imported when they run."""
    app = typer.Typer(name="seqtool", cls=CommandGroup, context_settings=GROUP_SETTINGS, rich_markup_mode=None)
    app.callback(epilog="A first run: seqtool train novel.txt, then what it prints.")(_seqtool)
    group = typer.main.get_command(app)
    assert isinstance(group, CommandGroup)
    return group.fill(COMMANDS)


def _run() -> int:
    """Run the chosen command without letting Typer print or exit."""
    result = program().main(prog_name="seqtool", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _explained(error: BaseException) -> int:
    """Report an error in one sentence on stderr, and return the exit code."""
    if isinstance(error, SystemExit):
        # Typer exits with 1 when the reader of a pipe has gone; ours is 141.
        return PIPE_CLOSED if isinstance(error.__context__, BrokenPipeError) else int(error.code or 0)
    if isinstance(error, StoppedError):
        if str(error):
            note(f"seqtool: {error}")
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return 128 + signal.SIGINT
    if isinstance(error, SeqtoolError):
        if os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ:
            _say(str(error))  # only once: the other processes of torchrun have the same error
        return error.exit_code
    if isinstance(error, typer.TyperException):
        _say(_mended(error))
        return 2
    if out_of_memory(error):
        smaller = "--dim or --negative" if sys.argv[1:2] == ["embed"] else "--batch-size, --hidden or --context"
        _say(f"not enough memory: choose a smaller {smaller}")
        return 1
    if isinstance(error, OSError):
        # What reads files and writes them names them; what is left has gone to stdout.
        where = f"{error.filename}: " if error.filename else "cannot write to standard output: "
        _say(f"{where}{error.strerror or error}{'' if error.filename else '; write elsewhere'}")
        return 1
    _say(f"{type(error).__name__}: {error} (this is a bug; SEQTOOL_DEBUG=1 shows where)")
    return 1


def _mended(error: typer.TyperException) -> str:
    """What is wrong with the arguments, in one sentence that names the nearest flag or --help."""
    if meant := getattr(error, "possibilities", None):  # flags like the one that does not exist
        return f"no such option {getattr(error, 'option_name', '')}: did you mean {meant[0]}?"
    message = getattr(error, "format_message", error.__str__)()
    command = getattr(getattr(error, "ctx", None), "command_path", "seqtool")
    return f"{_first_lower(message.rstrip('.'))}: see {command} --help"


def _say(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        note("seqtool: error: " + " ".join(message.split()))


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _flush(code: int) -> None:
    """Flush stdout; where it cannot be, leave at once, since the interpreter would try again and say so too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os._exit(PIPE_CLOSED)
    except OSError:
        os._exit(code or 1)  # already reported


def _stop(number: int, frame: object) -> None:
    raise StoppedError(number)
