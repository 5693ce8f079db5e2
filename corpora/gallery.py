"""Pictures of what lectures on sequence models say, each drawn from short trainings by the real commands.

    python -m corpora.gallery -o gallery.html
    python -m corpora.gallery -o gallery.html --only clipping,rates --keep

What the trainings write goes to a folder beside the page; --keep runs no command again that was run. The pictures
are in corpora/lectures/. Each makes claims with numbers: the exit code is 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from corpora.lectures.pictures import PICTURES
from seqtool.reports.gallery import gallery_page
from seqtool.runs.metrics import Metrics, read_metrics

ROOT = Path(__file__).resolve().parent.parent
PRELUDE = 'seqtool() { "$PYTHON" -m seqtool "$@"; }; python() { "$PYTHON" "$@"; }; '
DIVERGED = 4
MADE = re.compile(r"(?:-o|>|--train|--attention-map) (\$G/\S+)")  # what a command writes
THREADS = "1"  # of each command: as many commands as there are processors run at once
ABOUT = (
    "Each picture was drawn from short trainings on made-up data, by the commands below it. To run one, from the "
    "checkout: mkdir -p build/gallery; G=build/gallery. A tick says that the numbers bear the sentence out; other "
    "seeds and sizes give other numbers. Point at a picture, or focus it and use the arrow keys, for its values."
)


class Workshop:
    """A folder, named $G in commands, in which commands of a shell are run, each once."""

    def __init__(self, folder: Path, keep: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log = folder / "commands.json"
        self._done: dict[str, str] = json.loads(self._log.read_text()) if keep and self._log.exists() else {}
        self._stale, self._made = {*self._done}, set[str]()

    def run(self, *commands: str) -> list[str]:
        """What each of some commands writes to standard output; they run side by side.

        A training that diverges is none that fails; RuntimeError where a command fails.
        """
        new = [command for command in dict.fromkeys(commands) if command not in self._done or self._is_stale(command)]
        self._made |= {file for command in new for file in MADE.findall(command)}
        self._stale -= {*new}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for command, said in zip(new, [pool.submit(self._run, command) for command in new], strict=True):
                self._done[command] = said.result()
                self._log.write_text(json.dumps(self._done))
        return [self._done[command] for command in commands]

    def _is_stale(self, command: str) -> bool:
        """Whether it was kept from before, and what it reads has been made anew."""
        return command in self._stale and any(file in command.split() for file in self._made)

    def _run(self, command: str) -> str:
        begun = time.monotonic()
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        places = {"G": str(self.folder), "PYTHON": sys.executable, "PYTHONPATH": path, "OMP_NUM_THREADS": THREADS}
        done = subprocess.run(
            ["sh", "-c", PRELUDE + command], cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True
        )
        if done.returncode not in (0, DIVERGED):
            said = [f"exit code {done.returncode}", *done.stderr.split("\n")]
            raise RuntimeError(f"{command}: {[line for line in said if line][-1]}")
        print(f"{time.monotonic() - begun:6.1f} s  {command}", file=sys.stderr, flush=True)
        return done.stdout

    def metrics(self, name: str) -> Metrics:
        """What the training of this name has logged."""
        return read_metrics(self.folder / name / "metrics.jsonl")

    def page_data(self, name: str) -> Any:
        """What is drawn on a page that a command wrote."""
        page = (self.folder / name).read_text(encoding="utf-8")
        return json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])


def main() -> None:
    """Run the commands and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html")
    parser.add_argument("--only", default=",".join(PICTURES), metavar="NAME,...", help="pictures [%(default)s]")
    parser.add_argument("--keep", action="store_true", help="run no command that was run before")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in PICTURES]:
        parser.error(f"--only {unknown[0]}: choose from {', '.join(PICTURES)}")
    folder = options.output.resolve().with_suffix("")
    workshop = Workshop(folder, options.keep)
    try:
        pictures = [PICTURES[name](workshop) for name in names]
    except RuntimeError as error:
        sys.exit(f"gallery: {error}")
    options.output.write_bytes(gallery_page(pictures, "What the lectures say, in pictures", ABOUT))
    failed = [claim.text for picture in pictures for claim in picture.claims if not claim.holds]
    for text in failed:
        print(f"does not hold: {text}", file=sys.stderr)
    took = os.times()
    print(f"{took.children_user + took.children_system:.0f} s of a processor in all", file=sys.stderr)
    print(f"open {options.output} in a browser", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
