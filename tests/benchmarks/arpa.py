"""Whether ARPA files mean the same to the kenlm package, line by line: those written here, and those of lmplz read here.

    python -m tests.benchmarks.arpa TRAIN VALID --lmplz DIRECTORY --kenlm DIRECTORY [--order 5] [--types char word]

The first DIRECTORY holds KenLM's lmplz, the second the kenlm package for this version of Python. Each model is made by
the commands: a text in lines, each by itself, and one stream in which the newline is a token, and no `</s>` comes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqtool.exchange.arpa import spelled
from seqtool.text.vocabulary import Vocabulary, load_vocabulary
from tests.benchmarks.counts import as_words


def main() -> None:
    """Print a table: for each file the lines, the nats by either, and the largest difference of a line's log10 p."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--lmplz", type=Path, required=True)
    parser.add_argument("--kenlm", required=True)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--types", nargs="+", default=["char", "word"])
    asked = parser.parse_args()
    sys.path.append(asked.kenlm)
    print("tokens  documents  written by  lines  kenlm nats  seqtool nats  largest difference of a line, log10")
    for kind in asked.types:
        for document in ("line", "file"):
            with tempfile.TemporaryDirectory() as folder:
                for maker, arpa, run in files(Path(folder), asked, kind, document):
                    kenlm = np.array(list(scored_by_kenlm(arpa, load_vocabulary(run / "vocab.model"), asked, document)))
                    own = scored_here(run, asked.valid, document)
                    assert len(kenlm) == len(own)
                    apart = np.abs(kenlm - own).max()
                    print(
                        f"{kind:6}  {document:9}  {maker:10}  {len(own):5}  {-kenlm.sum() * math.log(10):10.2f}  "
                        f"{-own.sum() * math.log(10):12.2f}  {apart:.1e}",
                        flush=True,
                    )


def seqtool(*arguments: object) -> str:
    """What a command writes; it must succeed."""
    command = [sys.executable, "-m", "seqtool", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def files(folder: Path, asked: argparse.Namespace, kind: str, document: str) -> Iterator[tuple[str, Path, Path]]:
    """Who wrote a file, the file, and the run that it was written from or that was made from it."""
    run, ours, theirs, words = (folder / name for name in ("run", "ours.arpa", "theirs.arpa", "words"))
    model = ["--model", "ngram", "--order", asked.order, "--vocab-type", kind, "--document", document]
    seqtool("train", asked.train, "--valid", asked.valid, "-o", run, "-q", *model)
    seqtool("export", run, "-o", ours, "-q")
    yield "seqtool", ours, run
    vocabulary = load_vocabulary(run / "vocab.model")
    lines = asked.train.read_text(encoding="utf-8").splitlines(keepends=True)
    ids = [vocabulary.encode(line).astype(np.int64) for line in lines]
    begun = [np.concatenate([[vocabulary.begin_id], line]) for line in ids] if document == "line" else ids
    words.write_bytes(as_words(vocabulary, np.concatenate(begun), document == "line"))
    command = [asked.lmplz / "lmplz", "-o", str(asked.order), "--discount_fallback", "-S", "1G", "-T", folder]
    with open(words, "rb") as text, open(theirs, "wb") as arpa:
        subprocess.run(command, stdin=text, stdout=arpa, stderr=subprocess.DEVNULL, check=True)
    given = [] if kind == "word" else ["--vocab", run / "vocab.model"]
    seqtool("import", theirs, "-o", folder / "theirs", "-q", *given)
    yield "lmplz", theirs, folder / "theirs"


def scored_here(run: Path, text: Path, document: str) -> np.ndarray:
    """log10 p of each line, by `eval`."""
    whole = ["--carry", "--document", "file"] if document == "file" else []
    rows = seqtool("eval", run, text, "--per", "line", "--json", "-q", *whole).splitlines()
    return np.array([-json.loads(row)["nats"] / math.log(10) for row in rows])


def scored_by_kenlm(arpa: Path, vocabulary: Vocabulary, asked: argparse.Namespace, document: str) -> Iterator[float]:
    """log10 p of each line, by the kenlm package."""
    import kenlm

    model = kenlm.Model(str(arpa))
    names = {vocabulary.unknown_id: "<unk>"}
    state, after = kenlm.State(), kenlm.State()
    model.BeginSentenceWrite(state)
    for line in asked.valid.read_text(encoding="utf-8").splitlines(keepends=True):
        ids = vocabulary.encode(line).tolist()
        words = [names.get(index) or spelled(vocabulary.token(index)) for index in ids]
        if document == "line":
            yield model.score(" ".join(words[:-1]), bos=True, eos=True)
            continue
        total = 0.0
        for word in words:
            total += model.BaseScore(state, word, after)
            state, after = after, state
        yield total


if __name__ == "__main__":
    main()
