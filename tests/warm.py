"""The real command in a process of its own, without importing torch each time: a server that has imported it forks.

Reads a JSON request a line on stdin and answers in a line: `start` (arguments, directory, environment, files for the three streams, how much
memory it may take) with the number of the child that became the command, `wait` and `poll` with a child's exit code; `poll` with nothing while
it runs; `listen` when a socket is there at which tests/forked.py asks for commands of a shell. It computes nothing itself, so no thread of
torch's exists when it forks.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import glob
import importlib
import io
import json
import os
import pkgutil
import re
import resource
import signal
import socket
import stat
import sys
import time
import traceback
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401  # which --compile loads, and which takes longer than the tests

import seqtool
from seqtool.cli.main import main

MOST_S = 240.0
MOST_BYTES = 1 << 16  # of a shell's request
UNFLUSHED = 120  # the interpreter's own exit code where it cannot flush its streams
LISTENING: list[int] = []


def run(request: dict[str, Any]) -> None:
    """Become the command: its streams, its directory, its arguments."""
    streams = request["streams"]
    for number in sorted(range(3), key=lambda number: stat.S_ISFIFO(os.stat(streams[number]).st_mode)):  # they wait
        os.dup2(os.open(streams[number], os.O_WRONLY if number else os.O_RDONLY), number)
    faulthandler.dump_traceback_later(MOST_S, exit=True)  # says on stderr where it hangs
    if request["memory"]:
        taken = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (taken + request["memory"],) * 2)
    os.environ.update(request["env"])
    become(request, range(3))


def run_for_shell(request: dict[str, Any], streams: list[int]) -> None:
    """Become the command of a shell, with its streams; those that are not open there are not open here."""
    for number in range(3):
        if number in request["open"]:
            os.dup2(streams[request["open"].index(number)], number)
        else:
            os.close(number)
    os.closerange(3, max(streams, default=3) + 1)
    os.environ.clear()
    os.environ.update(request["env"])
    become(request, request["open"])


def become(request: dict[str, Any], numbers: Container[int]) -> None:
    """Run the program in its directory; of its streams these are open."""
    os.chdir(request["cwd"])
    sys.argv = ["seqtool", *request["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode) if number in numbers else None for number, mode in enumerate("rww")
    )
    main()


def start(what: Callable[..., None], *arguments: Any) -> int:
    """Fork a child that becomes the command; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        what(*arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = UNFLUSHED
    os._exit(code)


def listen(path: str) -> int:
    """Fork a child that starts a command for each who connects to a socket; its number."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    child = os.fork()
    if child:
        server.close()
        return child
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whom it forks it does not wait for
    while True:
        asked = server.accept()[0]
        if not os.fork():
            break
        asked.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    server.close()
    message, streams = socket.recv_fds(asked, MOST_BYTES, 3)[:2]
    code = os.waitstatus_to_exitcode(os.waitpid(start(run_for_shell, json.loads(message), streams), 0)[1])
    asked.send(str(code).encode())
    os._exit(0)


def wait(child: int, number: int, waits: list[tuple[str, float]]) -> int:
    """The child's status; with a number, it is sent that signal once files are there, each for a while."""
    for path, delay_s in waits:
        while not glob.glob(path, include_hidden=True):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
        time.sleep(delay_s)
    if number:
        os.kill(child, number)
    return os.waitpid(child, 0)[1]


def answer(request: dict[str, Any]) -> str:
    """Do what a request asks for."""
    if "start" in request:
        return str(start(run, request["start"]))
    if "listen" in request:
        LISTENING.append(listen(request["listen"]))
        return ""
    if "wait" in request:
        return str(os.waitstatus_to_exitcode(wait(request["wait"], *(request["kill"] or (0, [])))))
    ended, status = os.waitpid(request["poll"], os.WNOHANG)
    return str(os.waitstatus_to_exitcode(status)) if ended else ""


def load() -> None:
    """Import all that commands import where they need it, so that no child has to."""
    for module in pkgutil.walk_packages(seqtool.__path__, "seqtool."):
        if "._" not in module.name:  # neither __main__ nor what is written in C
            importlib.import_module(module.name)
    sys.argv = ["seqtool", "info", "/nowhere"]
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        main()  # for what the parser of commands imports
    gc.freeze()


def serve() -> None:
    """Answer requests until stdin ends."""
    load()
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    for line in requests:
        answers.write(answer(json.loads(line)) + "\n")
        answers.flush()
    for child in LISTENING:
        os.kill(child, signal.SIGTERM)


if __name__ == "__main__":
    serve()
