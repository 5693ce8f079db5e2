"""The tests' side of tests/warm.py: start commands as children of a process that has imported torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
STREAMS = ("stdin", "stdout", "stderr")


class Warm:
    """A process that forks to become a command of the package in a directory; files for streams are made in a folder."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.count = folder, 0
        path = os.pathsep.join([str(root), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "GOMP_SPINCOUNT": "1000"}
        words = [sys.executable, "-m", "tests.warm"]
        self.process = subprocess.Popen(words, stdin=-1, stdout=-1, cwd=root, env=environment, text=True)

    def ask(self, **request: object) -> str:
        """Its answer to a request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def start(
        self,
        arguments: Sequence[object],
        streams: Sequence[Path],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        memory: int = 0,
    ) -> int:
        """Start a command whose streams are these files; the number of its process."""
        told = {
            "arguments": list(map(str, arguments)),
            "streams": list(map(str, streams)),
            "cwd": str(cwd or ROOT),
            "env": dict(env or {}),
            "memory": memory if sys.platform == "linux" else 0,
        }
        return int(self.ask(start=told))

    def listen(self) -> Path:
        """The socket at which it is asked by tests/forked.py."""
        socket = self.folder / "socket"
        if not socket.exists():
            self.ask(listen=str(socket))
        return socket

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Started:
    """A command that runs, as Popen shows one: its streams are pipes, not buffered, or terminals that are given."""

    def __init__(
        self,
        warm: Warm,
        arguments: Sequence[object],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        terminals: Mapping[str, str],
    ) -> None:
        warm.count += 1
        self.warm = warm
        self.returncode: int | None = None
        pipes = {name: warm.folder / f"{name}{warm.count}" for name in STREAMS if name not in terminals}
        for pipe in pipes.values():
            os.mkfifo(pipe)
        streams = [pipes.get(name) or Path(terminals[name]) for name in STREAMS]
        self.pid = warm.start(arguments, streams, cwd, env)
        # In the order in which the command opens them, for which each waits.
        self.stdin = pipes["stdin"].open("wb", buffering=0) if "stdin" in pipes else None
        self.stdout = pipes["stdout"].open("rb", buffering=0) if "stdout" in pipes else None
        self.stderr = pipes["stderr"].open("rb", buffering=0) if "stderr" in pipes else None

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        if self.returncode is None and (code := self.warm.ask(poll=self.pid)):
            self.returncode = int(code)
        return self.returncode

    def wait(self, timeout_s: float = 240.0) -> int:
        """The exit code, when it has ended."""
        until = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"it still runs after {timeout_s:g} s")
            time.sleep(0.002)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(9)

    def close(self) -> None:
        """End it, and close its pipes."""
        self.kill()
        self.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
