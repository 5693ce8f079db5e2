"""The real command in a process of its own, without importing torch each time: a server that has imported it forks.

Reads a JSON request a line on stdin (arguments, directory, environment, files for the three streams), runs the command in a
forked child, and answers with its exit code. It computes nothing itself, so no thread of torch's exists when it forks.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import numpy  # noqa: F401
import sentencepiece  # noqa: F401
import torch  # noqa: F401

from seqtool.cli.main import main
from seqtool.inference import generation, rows, writing  # noqa: F401
from seqtool.training import session  # noqa: F401


def run(request: dict[str, Any]) -> None:
    """Become the command: its streams, its directory, its arguments."""
    for number, (name, flags) in enumerate(
        zip(request["streams"], (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        os.dup2(os.open(name, flags), number)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    sys.argv = ["seqtool", *request["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    main()


def serve() -> None:
    """Answer requests until stdin ends."""
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    for line in requests:
        child = os.fork()
        if not child:
            code = 1
            try:
                run(json.loads(line))
            except SystemExit as error:
                code = int(error.code or 0)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


if __name__ == "__main__":
    serve()
