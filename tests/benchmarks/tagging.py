"""Parts of speech of the English Web Treebank: accuracy, training time and tokens tagged per second, beside spaCy.

    python tests/benchmarks/tagging.py ../shared/data/ewt [--seeds 0,1,2] [--spacy PYTHON] [--flags "--model gru"]

DATA holds train.conllu.gz, dev.conllu and test.conllu. Each seed is one training by the real command with its defaults
(and --flags), whose weights are chosen on dev and which is judged on test. Tokens per second are those of `predict` on
test, repeated to about 500,000 tokens, and again on 1/10 of that: the difference leaves out what starting takes.

PYTHON is that of an environment with spaCy, where the same script trains spaCy's tagger (hashed embeddings of norm,
prefix, suffix and shape, 4 layers of convolution, 96 wide: its default without vectors) on the same sentences and
tokens, for as long as ours took and on as many threads, and tags the same. The table has medians over the seeds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEQTOOL = [sys.executable, "-m", "seqtool"]
TAGGED_TOKENS = 500_000
SHARE = 10

Sentence = tuple[list[str], list[str]]


def sentences(path: Path) -> Iterator[Sentence]:
    """The words and parts of speech of each sentence of a CoNLL-U file."""
    words: list[str] = []
    labels: list[str] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        cells = line.split("\t")
        if cells[0].isdecimal():
            words.append(cells[1])
            labels.append(cells[3])
        elif not line and words:
            yield words, labels
            words, labels = [], []


def seconds_of(command: list[str]) -> float:
    """How long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def ours(folder: Path, seed: int, flags: list[str]) -> dict[str, float]:
    """One training of ours, and how good and fast the tagger is."""
    run = str(folder / f"run-{seed}")
    command = [*SEQTOOL, "train", str(folder / "train.conllu"), "--target", "upos", "--seed", str(seed), *flags]
    train_s = seconds_of([*command, "--valid", str(folder / "dev.conllu"), "-o", run, "-q"])
    found: dict[str, float] = {"train_s": train_s}
    for part in ("dev", "test"):
        asked = [*SEQTOOL, "eval", run, str(folder / f"{part}.conllu"), "--json"]
        report = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
        found |= {
            f"{part}_accuracy": report["accuracy"],
            f"{part}_unseen_words_accuracy": report["unseen_words_accuracy"],
            f"{part}_baseline_accuracy": report["baseline_accuracy"],
        }
    once = sum(len(words) for words, _ in sentences(folder / "test.conllu"))
    times = max(1, TAGGED_TOKENS // once // SHARE) * SHARE
    content = (folder / "test.conllu").read_text(encoding="utf-8")
    taken = []
    for repeated in (times // SHARE, times):
        (folder / "much.conllu").write_text(content * repeated, encoding="utf-8")
        taken.append(seconds_of([*SEQTOOL, "predict", run, str(folder / "much.conllu")]))
    found["tokens_per_s"] = once * (times - times // SHARE) / (taken[1] - taken[0])
    return found


def spacy_tagger(folder: Path, seed: int, train_s: float) -> dict[str, float]:
    """A training of spaCy's tagger for so many seconds, its best weights chosen on dev; runs where spaCy is installed."""
    import spacy
    from spacy.tokens import Doc
    from spacy.training import Example

    spacy.util.fix_random_seed(seed)
    nlp = spacy.blank("en")
    tagger: Any = nlp.add_pipe("tagger")
    parts = {name: list(sentences(folder / f"{name}.conllu")) for name in ("train", "dev", "test")}
    docs = {name: [Doc(nlp.vocab, words=words) for words, _ in part] for name, part in parts.items()}

    def accuracy(part: str) -> float:
        right = total = 0
        for doc, (_, labels) in zip(nlp.pipe([doc.copy() for doc in docs[part]]), parts[part], strict=True):
            right += sum(token.tag_ == label for token, label in zip(doc, labels, strict=True))
            total += len(labels)
        return right / total

    train = [Example.from_dict(Doc(nlp.vocab, words=words), {"tags": labels}) for words, labels in parts["train"]]
    optimizer = nlp.initialize(lambda: train)
    began, best, weights = time.perf_counter(), -1.0, tagger.to_bytes()
    while time.perf_counter() - began < train_s:
        random.Random(seed).shuffle(train)
        for batch in spacy.util.minibatch(train, size=32):
            nlp.update(batch, sgd=optimizer, drop=0.1)
            if time.perf_counter() - began > train_s:
                break
        with nlp.use_params(optimizer.averages):
            if (found := accuracy("dev")) > best:
                best, weights = found, tagger.to_bytes()
    tagger.from_bytes(weights)
    once = sum(len(words) for words, _ in parts["test"])
    many = [doc.copy() for _ in range(max(1, TAGGED_TOKENS // once)) for doc in docs["test"]]
    began = time.perf_counter()
    for _ in nlp.pipe(many, batch_size=256):
        pass
    speed = sum(map(len, many)) / (time.perf_counter() - began)
    return {"train_s": train_s, "dev_accuracy": best, "test_accuracy": accuracy("test"), "tokens_per_s": speed}


def main() -> None:
    """Measure, and print a table of medians."""
    parser = argparse.ArgumentParser(description="Tagging of the English Web Treebank.")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--spacy", metavar="PYTHON", help="the Python of an environment that has spaCy")
    parser.add_argument("--flags", default="", help="more flags of `seqtool train`")
    parser.add_argument("--peer", nargs=2, metavar=("SEED", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        seed, seconds = options.peer
        print(json.dumps(spacy_tagger(options.data, int(seed), float(seconds))))
        return
    from machine import machine

    print(machine())
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.conllu").write_bytes(gzip.decompress((options.data / "train.conllu.gz").read_bytes()))
        for part in ("dev.conllu", "test.conllu"):
            (folder / part).write_bytes((options.data / part).read_bytes())
        for seed in map(int, options.seeds.split(",")):
            found = ours(folder, seed, shlex.split(options.flags))
            rows.setdefault("seqtool", []).append(found)
            print(json.dumps({"seqtool": found, "seed": seed}), file=sys.stderr, flush=True)
            if options.spacy:
                command = [options.spacy, __file__, str(folder), "--peer", str(seed), str(found["train_s"])]
                answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
                rows.setdefault("spaCy", []).append(json.loads(answer.splitlines()[-1]))
                print(json.dumps({"spaCy": rows["spaCy"][-1], "seed": seed}), file=sys.stderr, flush=True)
    for side, runs in rows.items():
        for figure in runs[0]:
            values = [run[figure] for run in runs]
            form = ".4f" if "accuracy" in figure else ",.0f"
            print(
                f"{side:8}  {figure.replace('_', ' '):32}  {statistics.median(values):{form}}"
                f" ({min(values):{form}} to {max(values):{form}})"
            )


if __name__ == "__main__":
    main()
