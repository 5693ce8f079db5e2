"""Tries the seqtool that is installed beside this interpreter: its parts in C, a training, a score, a text.

    PYTHON -I tests/installed.py

-I keeps the source tree, which may lie around it, out of sys.path.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import seqtool

ENVIRONMENT = Path(sys.prefix)


def run(*arguments: object, cwd: str) -> str:
    """What a command of the installed program writes; it must succeed."""
    command = [ENVIRONMENT / "bin" / "seqtool", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Fails where something does not work."""
    assert Path(seqtool.__file__).is_relative_to(ENVIRONMENT), f"{seqtool.__file__} is not the installed one"
    with tempfile.TemporaryDirectory() as folder:
        parts = json.loads(run("info", "--machine", "--json", cwd=folder))["parts"]
        missing = [f"{name}: {part['why_not']}" for name, part in parts.items() if not part["loaded"]]
        assert not missing, missing
        Path(folder, "text.txt").write_text("\n\n".join(topics[name] for name in sorted(topics)), encoding="utf-8")
        small = ("--hidden", 32, "--steps", 20, "--vocab-type", "char", "--seed", 1, "-q")
        run("train", "text.txt", "-o", "run", *small, cwd=folder)
        score = json.loads(run("eval", "run", "text.txt", "--json", "-q", cwd=folder))
        text = run("generate", "run", "--max-tokens", 20, "--seed", 1, "-q", cwd=folder)
        assert score["nats"] > 0, score
        assert len(text) >= 20, text
    print(
        f"{seqtool.__file__}: {len(parts)} parts in C, {score['nats'] / score['tokens']:.3f} nats/token, wrote {text!r}"
    )


if __name__ == "__main__":
    main()
