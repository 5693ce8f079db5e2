"""Word vectors: speed and quality of skip-gram and CBOW beside gensim's, and a million vectors asked and loaded.

    python tests/benchmarks/word_vectors.py [--gensim PYTHON] [--text FILE --valid FILE] [--rounds 3] [--words 300000]

PYTHON is an interpreter that has gensim. Both learn with the same settings (100 numbers, window 5, 5 noise words,
5 passes, words that occur 5 times, subsampling 1e-3, a line a sentence) on the same text with all threads, in turn. Printed
for each, medians of the rounds: words of the text a second, in learning alone; the held-out loss in nats, over the pairs
(or windows) of --valid with noise words drawn anew, the same for both; the accuracy in the analogies that
corpora/capitals.py plants, in vectors of its text; how many of the ten nearest words are the same in both, and in two
of gensim's with different seeds. Then how a gensim file loads here and ours there, with equal neighbours, and for
1,000,000 x 100 the time of one query after loading and of a whole process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import ROOT, machine, spread

from seqtool.embeddings.corpus import Chunk
from seqtool.embeddings.jobs import EmbeddingProgress, NegativeSamplingJob
from seqtool.embeddings.windows import make_window_sampler
from seqtool.embeddings.words import read_corpus
from seqtool.settings.embedding import EmbedConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.vectors.neighbours import Space
from seqtool.vectors.reading_judgements import read_judgements
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, read_vectors, write_vectors

DIM, WINDOW, NEGATIVE, EPOCHS, MIN_COUNT, SUBSAMPLE = 100, 5, 5, 5, 5, 1e-3
RATES = {"skipgram": 0.025, "cbow": 0.05}
COMPARED_WORDS, NEAREST = 3000, 10
GENSIM = """
import logging, os, sys, time, numpy
from gensim.models import Word2Vec
text, method, seed, rate, out = sys.argv[1:]
sentences = [[word for word in line.split() if word != "<unk>"] + ["<eos>"] for line in open(text, encoding="utf-8")]
model = Word2Vec(vector_size=100, window=5, negative=5, sg=int(method == "skipgram"), min_count=5, sample=1e-3,
                 epochs=5, alpha=float(rate), workers=os.cpu_count(), seed=int(seed))
model.build_vocab(sentences)
began = time.perf_counter()
model.train(sentences, total_examples=model.corpus_count, epochs=5)
print(time.perf_counter() - began, sum(map(len, sentences)) * 5)
numpy.savez(out, input=model.wv.vectors, output=model.syn1neg)
open(out + ".words", "w", encoding="utf-8").write("\\n".join(model.wv.index_to_key))
model.wv.save_word2vec_format(out + ".bin", binary=True)
"""
GENSIM_READS = """
import sys
from gensim.models import KeyedVectors
path, *words = sys.argv[1:]
vectors = KeyedVectors.load_word2vec_format(path, binary=path.endswith(".bin"))
for word in words:
    print(" ".join(found for found, _ in vectors.most_similar(word, topn=10)))
"""


class Learned(NamedTuple):
    """What one learning gave: words (V,), both tables (V, D), and words of text a second."""

    words: list[str]
    input: np.ndarray
    output: np.ndarray
    words_per_s: float


def by_seqtool(text: Path, method: str, seed: int) -> Learned:
    """Learn with seqtool; the time is that of learning alone."""
    vocabulary, corpus, _ = read_corpus(
        [str(text)], None, VocabularyConfig(type="word"), MIN_COUNT, "strict", "line", 0
    )
    config = EmbedConfig(
        method=method, dim=DIM, window=WINDOW, negative=NEGATIVE, subsample=SUBSAMPLE, lr=RATES[method], seed=seed
    )
    tokens = [vocabulary.token(index) for index in corpus.word_ids.tolist()]
    began = time.perf_counter()
    job = NegativeSamplingJob(corpus, tokens, config, "cpu", None)
    progress, total = EmbeddingProgress(), EPOCHS * job.length
    while progress.position < total:
        job.advance(progress, job.rate(progress.position / total))
    spent_s = time.perf_counter() - began
    documents = int((np.asarray(corpus.ids[:]) == corpus.begin_id).sum())
    arrays = job.arrays()
    return Learned(tokens, arrays["input"], arrays["output"], (len(corpus.ids) - documents) * EPOCHS / spent_s)


def by_gensim(python: str, text: Path, method: str, seed: int, folder: Path) -> Learned:
    """Learn with gensim; the time is that of its train() alone."""
    out = str(folder / "gensim.npz")
    command = [python, "-c", GENSIM, text, method, seed, RATES[method], out]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    printed = subprocess.run(list(map(str, command)), capture_output=True, check=True, env=environment).stdout.split()
    arrays = np.load(out)
    words = Path(out + ".words").read_text(encoding="utf-8").split("\n")
    return Learned(words, arrays["input"], arrays["output"], float(printed[1]) / float(printed[0]))


def held_out_loss(learned: Learned, valid: Path, method: str, counts: dict[str, int]) -> float:
    """Nats per prediction of a text that was not learned from, with K noise words each; the draws are the same for all."""
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    numbers = {word: number for number, word in enumerate(frequent)}
    rows_of = {word: row for row, word in enumerate(learned.words)}
    rows = [rows_of[word] for word in frequent]
    input, output = learned.input[rows], learned.output[rows]
    words, documents = [], []
    for number, line in enumerate(valid.read_text(encoding="utf-8").splitlines()):
        found = [numbers[word] for word in [*line.split(), "<eos>"] if word in numbers]
        words += found
        documents += [number] * len(found)
    sampler = make_window_sampler(np.array([counts[word] for word in frequent]), WINDOW, SUBSAMPLE, 0.75)
    drawn = sampler.windows(Chunk(np.array(words, np.int32), np.array(documents)), [99])
    drawn_noise = sampler.noise(len(drawn.words), NEGATIVE, [99])
    nats = predictions = 0.0
    for at, centre in enumerate(drawn.words.tolist()):
        near = [at + d for d in range(-int(drawn.left[at]), int(drawn.right[at]) + 1) if d]
        if not near:
            continue
        x = input[drawn.words[near]]
        x = x if method == "skipgram" else x.mean(0, keepdims=True)
        noise = drawn_noise[at][drawn_noise[at] != centre]
        nats += np.logaddexp(0, -(x @ output[centre])).sum() + np.logaddexp(0, x @ output[noise].T).sum()
        predictions += len(x)
    return nats / predictions


def space_of(learned: Learned) -> Space:
    """Vectors to ask."""
    return Space(
        Vectors(TokenTable.of(learned.words), learned.input, {"method": "", "normalize": "none", "lowercase": False})
    )


def neighbours(learned: Learned, words: list[str]) -> list[set[str]]:
    """The ten nearest among the words, of each."""
    rows_of = {word: row for row, word in enumerate(learned.words)}
    rows = [rows_of[word] for word in words]
    units = learned.input[rows] / np.linalg.norm(learned.input[rows], axis=1, keepdims=True)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -2)
    return [{words[i] for i in row} for row in np.argpartition(-cosines, NEAREST)[:, :NEAREST]]


def overlap(a: list[set[str]], b: list[set[str]]) -> float:
    """The share of neighbours that both have."""
    return float(np.mean([len(x & y) / NEAREST for x, y in zip(a, b, strict=True)]))


def counted(text: Path) -> dict[str, int]:
    """How often each word of a text occurs that occurs often enough; <unk> is none."""
    counts: dict[str, int] = {}
    for line in text.read_text(encoding="utf-8").splitlines():
        for word in [*line.split(), "<eos>"]:
            counts[word] = counts.get(word, 0) + 1
    counts.pop("<unk>", None)
    return {word: count for word, count in counts.items() if count >= MIN_COUNT}


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """The tables of speed and quality."""
    text, questions = folder / "capitals.txt", folder / "questions.txt"
    made = ["--words", str(arguments.words), "--train", str(text), "--questions", str(questions)]
    subprocess.run([sys.executable, ROOT / "corpora" / "capitals.py", *made], check=True)
    texts = {"planted": text, **({"given": arguments.text} if arguments.text else {})}
    for method in ("skipgram", "cbow"):
        for name, path in texts.items():
            found: dict[str, list[Learned]] = {}
            for seed in range(1, arguments.rounds + 1):
                found.setdefault("seqtool", []).append(by_seqtool(path, method, seed))
                if arguments.gensim:
                    found.setdefault("gensim", []).append(by_gensim(arguments.gensim, path, method, seed, folder))
            print(f"\n{method}, {name} text, {len(found['seqtool'][0].words):,} words with vectors")
            for maker, all_learned in found.items():
                print(f"  {maker:<8} words/s {spread([one.words_per_s for one in all_learned], ',.0f')}")
                if name == "planted":
                    judged = [read_judgements(str(questions)).judge(space_of(one)) for one in all_learned]
                    print(f"  {maker:<8} analogies right {spread([one['accuracy'] for one in judged], '.3f')}")
                elif arguments.valid:
                    losses = [held_out_loss(one, arguments.valid, method, counted(path)) for one in all_learned]
                    print(f"  {maker:<8} held-out nats {spread(losses, '.4f')}")
            if "gensim" in found:
                ours, theirs = (
                    statistics.median(one.words_per_s for one in found[maker]) for maker in ("seqtool", "gensim")
                )
                print(f"  ratio    words/s {ours / theirs:.2f}")
                words = found["gensim"][0].words[:COMPARED_WORDS]
                sets = {maker: [neighbours(one, words) for one in found[maker]] for maker in found}
                print(f"  overlap  ours and gensim's {overlap(sets['seqtool'][0], sets['gensim'][0]):.3f}", end="")
                if arguments.rounds > 1:
                    print(f", two of gensim's {overlap(*sets['gensim'][:2]):.3f}", end="")
                    print(f", two of ours {overlap(*sets['seqtool'][:2]):.3f}", end="")
                print()


def exchange(python: str, folder: Path) -> None:
    """Neighbours of the same vectors there and here, both ways."""
    theirs, ours = folder / "gensim.npz.bin", folder / "ours.vec"
    seqtool = [sys.executable, "-m", "seqtool", "embed"]
    subprocess.run([*seqtool, "import", theirs, "-o", ours, "--force", "-q"], check=True, cwd=ROOT)
    words = Path(folder / "gensim.npz.words").read_text(encoding="utf-8").split("\n")[10:60]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def in_gensim(path: Path) -> list[list[str]]:
        command = [python, "-c", GENSIM_READS, path, *words]
        printed = subprocess.run(list(map(str, command)), capture_output=True, check=True, env=environment).stdout
        return [line.split() for line in printed.decode().splitlines()]

    asked = subprocess.run([*seqtool, "nearest", ours, *words], capture_output=True, check=True, cwd=ROOT).stdout
    rows = [line.split("\t")[1] for line in asked.decode().splitlines()]
    here = [rows[start : start + NEAREST] for start in range(0, len(rows), NEAREST)]
    same = [here == in_gensim(theirs)]
    for name, form in (("out.bin", "word2vec-binary"), ("out.txt", "word2vec")):
        out = folder / name
        subprocess.run([*seqtool, "export", ours, "-o", out, "--format", form, "--force", "-q"], check=True, cwd=ROOT)
        same.append(here == in_gensim(out))
    print(f"\nneighbours of {len(words)} words equal in gensim and here: gensim's file read here {same[0]}, ", end="")
    print(f"our binary read there {same[1]}, our text {same[2]}")


def a_million(folder: Path, rounds: int) -> None:
    """Loading and asking 1,000,000 x 100."""
    path = folder / "million.vec"
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1_000_000, DIM), np.float32)
    metadata: dict[str, Any] = {"method": "", "normalize": "none", "lowercase": False}
    write_vectors(path, Vectors(TokenTable.of([f"w{number}" for number in range(len(vectors))]), vectors, metadata))
    loads, firsts, queries, processes, starts = [], [], [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        space = Space(read_vectors(path))
        loads.append(time.perf_counter() - began)
        for word in range(21):
            began = time.perf_counter()
            asked = space.query(f"w{word * 999}")
            space.nearest([asked.unit_D], [asked.rows], 10)
            (queries if word else firsts).append((time.perf_counter() - began) * 1000)
        for spent, command in (
            (processes, ["-m", "seqtool", "embed", "nearest", str(path), "w5"]),
            (starts, ["-m", "seqtool", "embed", "nearest", "--help"]),
        ):
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
            spent.append(time.perf_counter() - began)
    print(f"\n1,000,000 x {DIM}: load, every byte checked, {spread(loads, '.3f')} s")
    print(f"  a query {spread(queries, '.1f')} ms, the first one {spread(firsts, '.1f')} ms")
    print(f"  the process of one query {spread(processes, '.3f')} s, of --help {spread(starts, '.3f')} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gensim", metavar="PYTHON", help="an interpreter that has gensim")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--valid", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=300_000, help="of the text with planted relations")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare(arguments, folder)
        if arguments.gensim:
            exchange(arguments.gensim, folder)
        a_million(folder, arguments.rounds)


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command does
    main()
