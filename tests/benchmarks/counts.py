"""Whether n-gram models are KenLM's: lmplz and query on the same text, each order, and ARPA files in both directions.
`arpa.py` compares the files line by line.

    python -m tests.benchmarks.counts TRAIN VALID --lmplz DIRECTORY --type char --orders 2 3 4 5 6 7 [--lines]

DIRECTORY holds KenLM's lmplz and query. The text is cut into tokens by the vocabulary and handed over as words: one line
in all, in which the newline is a token (KenLM then adds one `</s>`, which is left out of what is scored), or with --lines
each line by itself, its newline being KenLM's `</s>`.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import NgramModel, text_nats
from seqtool.exchange.arpa import read_arpa, spelled, write_arpa
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.encoded import encode_text
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary


def main() -> None:
    """Print a table: nats per token by KenLM, by seqtool, the ratio, what either makes of the other's file, seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--lmplz", type=Path, required=True)
    parser.add_argument("--type", default="char")
    parser.add_argument("--min-count", type=int, default=0)
    parser.add_argument("--orders", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--prune", default="")
    parser.add_argument("--lines", action="store_true")
    asked = parser.parse_args()
    document = "line" if asked.lines else "file"
    config = VocabularyConfig(type=asked.type, min_count=asked.min_count)
    vocabulary = learn_vocabulary(TextSource([asked.train], rereadable=True), config, 0)
    texts = [
        encode_text(vocabulary, TextSource([name], document=document, rereadable=True)).ids
        for name in (asked.train, asked.valid)
    ]
    train, valid = (np.asarray(ids[0 : len(ids)]).astype(np.int64) for ids in texts)
    end_id = vocabulary.newline_ids[-1] if asked.lines else vocabulary.begin_id
    print("order  KenLM     seqtool   ratio    KenLM reads ours  seqtool reads theirs  lmplz s  seqtool s  tokens/s")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("train", "valid")]
        for file, ids in zip(files, (train, valid), strict=True):
            file.write_bytes(as_words(vocabulary, ids, asked.lines))
        counts, counting_s = NgramCounts(train, vocabulary.size, vocabulary.begin_id), 0.0
        for order in asked.orders:
            began = time.perf_counter()
            while len(counts.orders) < order:
                counts.grow()
            counting_s += time.perf_counter() - began
            began = time.perf_counter()
            pruned = tuple(map(int, asked.prune.split(","))) if asked.prune else ()
            model = estimate(counts, order, pruned)
            seconds = counting_s + time.perf_counter() - began
            began = time.perf_counter()
            nats, tokens = text_nats(model, valid)
            rate = tokens / (time.perf_counter() - began)
            theirs = Path(folder) / "theirs.arpa"
            began = time.perf_counter()
            prune = ["--prune", *map(str, pruned)] if pruned else []
            command = [asked.lmplz / "lmplz", "-o", str(order), "--discount_fallback", "-S", "1G", "-T", folder, *prune]
            with open(files[0], "rb") as text, open(theirs, "wb") as arpa:
                subprocess.run(command, stdin=text, stdout=arpa, stderr=subprocess.DEVNULL, check=True)
            lmplz_s = time.perf_counter() - began
            ours = Path(folder) / "ours.arpa"
            with open(ours, "wb") as arpa:
                pieces = [vocabulary.token(token) for token in range(vocabulary.size)]
                write_arpa(arpa, model, pieces, end_id, vocabulary.unknown_id)
            kenlm, ours_by_kenlm = (queried(asked.lmplz, arpa, files[1], asked.lines) for arpa in (theirs, ours))
            read = read_nats(theirs, files[1], asked.lines)
            print(
                f"{order:5}  {kenlm / tokens:.5f}  {nats / tokens:.5f}  {nats / kenlm:.5f}  "
                f"{ours_by_kenlm / tokens:16.5f}  {read / tokens:20.5f}  {lmplz_s:7.2f}  {seconds:9.2f}  {rate:,.0f}",
                flush=True,
            )


def as_words(vocabulary: Vocabulary, ids: np.ndarray, lines: bool) -> bytes:
    """A text as KenLM reads it: a token a word, all in one line, or each document in a line without its newline."""
    newline = vocabulary.newline_ids[-1]
    words = np.array([spelled(vocabulary.token(token)) for token in range(vocabulary.size)], dtype=object)
    words[vocabulary.unknown_id] = "\\x00unknown"  # a word that no text has: lmplz takes no <unk>
    text = ids[ids != vocabulary.begin_id]
    if not lines:
        return (" ".join(words[text]) + "\n").encode()
    parts = np.split(text, np.flatnonzero(text == newline) + 1)
    return b"".join((" ".join(words[part[part != newline]]) + "\n").encode() for part in parts if len(part))


def queried(folder: Path, arpa: Path, text: Path, lines: bool) -> float:
    """-log p of a text by KenLM's query, `</s>` only where lines end with it."""
    with open(text, "rb") as stream:
        found = subprocess.run([folder / "query", "-v", "word", arpa], stdin=stream, capture_output=True, check=True)
    log10_p = 0.0
    for word, value in re.findall(rb"(\S+)=\d+ \d+ (-?[\d.e+-]+|-inf)", found.stdout):
        if lines or word != b"</s>":
            log10_p += float(value)
    return -log10_p * math.log(10)


def read_nats(arpa: Path, text: Path, lines: bool) -> float:
    """-log p of the same words by the model that is read from an ARPA file."""
    words, model, _, _ = read_arpa(io.BytesIO(arpa.read_bytes()), str(arpa))
    ids = {word: place for place, word in enumerate(words)}
    parts = [
        [model.begin_id, *(ids.get(word, ids["<unk>"]) for word in line.split()), *([ids["</s>"]] if lines else [])]
        for line in text.read_text(encoding="utf-8").split("\n")[:-1]
    ]
    return nats_of(model, parts)


def nats_of(model: NgramModel, parts: list[list[int]]) -> float:
    """-log p of texts, each with its `<s>`."""
    return text_nats(model, np.concatenate([np.array(part) for part in parts]))[0]


if __name__ == "__main__":
    main()
