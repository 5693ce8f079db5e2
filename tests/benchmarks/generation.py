"""Tokens per second of generation, beside peers of the same size, all in one run on this machine:

    python tests/benchmarks/generation.py --nanogpt PATH --llama PYTHON

PATH is a checkout of nanoGPT; PYTHON an interpreter that has llama-cpp-python and gguf. Without them only seqtool and a plain
torch loop are measured. The models have random weights: what a token costs does not depend on them. Each row is measured in
processes of their own, in turn; what is printed are medians of --rounds.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from machine import ROOT, machine, spread

SYMBOLS = 65  # as Tiny Shakespeare has characters
CONTEXT = 256
TRANSFORMERS = {"transformer 4 x 128": (4, 4, 128), "transformer 6 x 384": (6, 6, 384)}  # layers, heads, width
LSTMS = {"lstm 1 x 256": (1, 256), "lstm 2 x 512": (2, 512)}
STACKS = {"mingru 1 x 256": (1, 256), "gdn 1 x 256": (1, 256)}
TEMPERATURE = 0.8


REPEATS = 3


def rate(generate: Callable[[int], object], tokens: int, streams: int, repeats: int = REPEATS) -> float:
    """Tokens per second of all streams together, the median of a few times after a warm-up."""
    generate(20)
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        generate(tokens)
        rates.append(tokens * streams / (time.perf_counter() - began))
    return statistics.median(rates)


def ours(name: str, streams: int, tokens: int, precision: str) -> float:
    from seqtool.generation.generating import Sample, generate
    from seqtool.models.decoding.stepper import ModelStepper
    from seqtool.models.language_model import build_model
    from seqtool.settings.generation import GenerateConfig
    from seqtool.settings.model import ModelConfig, Symbols

    if name in LSTMS:
        layers, hidden = LSTMS[name]
        config = ModelConfig(model="lstm", layers=layers, hidden=hidden, tied=True)
    elif name in STACKS:
        layers, hidden = STACKS[name]
        config = ModelConfig(model=name.split()[0], layers=layers, hidden=hidden, signed=True, feedforward="swiglu")
    else:
        layers, heads, hidden = TRANSFORMERS[name]
        config = ModelConfig(model="transformer", layers=layers, heads=heads, hidden=hidden, context=CONTEXT, stem=1)
    counts = dict.fromkeys(range(SYMBOLS + 1), 1)
    model = build_model(config, Symbols(SYMBOLS + 1, SYMBOLS, SYMBOLS + 1, 10**6), counts).eval()
    model.head.bias.data[SYMBOLS] = -100.0  # no text ends before its last token
    stepper = ModelStepper(model, precision)

    def write(count: int) -> None:
        samples = [Sample([number % SYMBOLS]) for number in range(streams)]
        settings = GenerateConfig(max_tokens=count, temperature=TEMPERATURE, batch_size=streams)
        for _ in generate(stepper, samples, settings):
            pass
        assert all(len(one.tokens) == count for one in samples)

    return rate(write, tokens, streams)


def plain_torch(name: str, streams: int, tokens: int) -> float:
    """nn.LSTM one token at a time, and torch.multinomial."""
    import torch

    layers, hidden = LSTMS[name]
    embedding, output = torch.nn.Embedding(SYMBOLS, hidden), torch.nn.Linear(hidden, SYMBOLS)
    lstm = torch.nn.LSTM(hidden, hidden, layers, batch_first=True)

    @torch.no_grad()
    def write(count: int) -> list[list[int]]:
        ids, state, written = torch.zeros(streams, 1, dtype=torch.long), None, []
        for _ in range(count):
            features, state = lstm(embedding(ids), state)
            ids = torch.multinomial((output(features[:, -1]) / TEMPERATURE).softmax(-1), 1)
            written.append(ids)
        return torch.cat(written, 1).tolist()

    return rate(write, tokens, streams)


def nanogpt(name: str, streams: int, tokens: int, path: str) -> float:
    """nanoGPT's own model.generate."""
    sys.path.insert(0, path)
    import torch
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    layers, heads, width = TRANSFORMERS[name]
    settings = GPTConfig(
        block_size=CONTEXT, vocab_size=SYMBOLS, n_layer=layers, n_head=heads, n_embd=width, dropout=0.0, bias=False
    )
    model = GPT(settings).eval()
    ids = torch.zeros(streams, 1, dtype=torch.long)

    @torch.no_grad()
    def write(count: int) -> list[list[int]]:
        return model.generate(ids, count, temperature=TEMPERATURE, top_k=None).tolist()

    return rate(write, tokens, streams, repeats=1)


LLAMA = """
import json, sys, tempfile, time
import gguf, llama_cpp, numpy as np
layers, heads, width, symbols, context, tokens, threads, temperature = json.loads(sys.argv[1])
inner = round(8 * width / 3 / 32) * 32
path = tempfile.mktemp(suffix=".gguf")
draws = np.random.default_rng(0)
writer = gguf.GGUFWriter(path, "llama")
writer.add_context_length(context); writer.add_embedding_length(width); writer.add_block_count(layers)
writer.add_feed_forward_length(inner); writer.add_head_count(heads); writer.add_head_count_kv(heads)
writer.add_layer_norm_rms_eps(1e-5); writer.add_rope_dimension_count(width // heads); writer.add_vocab_size(symbols)
writer.add_tokenizer_model("llama")
pieces = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{b:02X}>".encode() for b in range(symbols - 3)]
writer.add_token_list(pieces); writer.add_token_scores([0.0] * symbols); writer.add_token_types([2, 3, 3] + [6] * (symbols - 3))
writer.add_bos_token_id(1); writer.add_eos_token_id(2); writer.add_unk_token_id(0)
def put(name, *shape): writer.add_tensor(name, (0.02 * draws.standard_normal(shape)).astype(np.float32))
put("token_embd.weight", symbols, width); put("output.weight", symbols, width)
writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
for i in range(layers):
    for part in ("attn_norm", "ffn_norm"): writer.add_tensor(f"blk.{i}.{part}.weight", np.ones(width, np.float32))
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"): put(f"blk.{i}.{part}.weight", width, width)
    put(f"blk.{i}.ffn_gate.weight", inner, width); put(f"blk.{i}.ffn_up.weight", inner, width); put(f"blk.{i}.ffn_down.weight", width, inner)
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
model = llama_cpp.Llama(path, n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False, n_gpu_layers=0,
                        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
def write(count):
    made = 0
    for token in model.generate([1, 5], temp=temperature, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0, reset=True):
        made += 1
        if made == count: return
write(20)
count = min(tokens, context - 10)
rates = []
for _ in range(max(1, tokens // count)):
    began = time.perf_counter(); write(count); rates.append(count / (time.perf_counter() - began))
print(json.dumps(sorted(rates)[len(rates) // 2]))
"""


def llama(name: str, tokens: int, python: str, threads: int) -> float:
    """llama.cpp with fp32 weights and cache, a llama of as many parameters."""
    layers, heads, width = TRANSFORMERS[name]
    request = json.dumps([layers, heads, width, SYMBOLS + 1, CONTEXT, tokens, threads, TEMPERATURE])
    result = subprocess.run([python, "-c", LLAMA, request], capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


def in_a_process(who: str, name: str, streams: int, tokens: int, more: str = "") -> float:
    """One of the above, measured in a process of its own."""
    words = [sys.executable, __file__, "--measure", who, name, str(streams), str(tokens), more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GOMP_SPINCOUNT": "1000"}
    result = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return float(result.stdout.splitlines()[-1])


def measure(who: str, name: str, streams: str, tokens: str, more: str) -> float:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    if who == "seqtool":
        return ours(name, int(streams), int(tokens), more)
    if who == "nanogpt":
        return nanogpt(name, int(streams), int(tokens), more)
    return plain_torch(name, int(streams), int(tokens))


def measured(name: str, streams: int, given: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Whom to measure on one model, and how."""
    tokens = CONTEXT - 10  # llama.cpp's are within the context as well
    measures: dict[str, Callable[[], float]] = {
        f"seqtool {precision}": functools.partial(in_a_process, "seqtool", name, streams, tokens, precision)
        for precision in given.precisions.split(",")
    }
    if name in LSTMS:
        measures["plain torch"] = functools.partial(in_a_process, "torch", name, streams, tokens)
    elif name in TRANSFORMERS and given.nanogpt:
        # It reads all the text again for each token: half of its context on average.
        measures["nanoGPT"] = functools.partial(in_a_process, "nanogpt", name, streams, CONTEXT // 2, given.nanogpt)
    if name in TRANSFORMERS and streams == 1 and given.llama:
        measures["llama.cpp fp32"] = functools.partial(llama, name, 700, given.llama, os.cpu_count() or 1)
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", metavar="PATH")
    parser.add_argument("--llama", metavar="PYTHON")
    parser.add_argument("--models", default="", help="only those with this in their name, as lstm or 6 x 384")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", default="fp32", help="of seqtool's weights, as fp32,bf16,int8")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(measure(*given.measure))
        return
    print(machine())
    print(f"{'model':<22}{'streams':>8}  {'who':<16}{'tokens/s':>30}  seqtool's ratio (fp32)")
    for name in (name for name in [*LSTMS, *STACKS, *TRANSFORMERS] if given.models in name):
        for streams in (1, 32 if name in TRANSFORMERS else 64):
            measures = measured(name, streams, given)
            found: dict[str, list[float]] = {who: [] for who in measures}
            for _ in range(given.rounds):
                for who, run in measures.items():
                    found[who].append(run())
            own = statistics.median(found["seqtool fp32"]) if "seqtool fp32" in found else float("nan")
            for who, rates in found.items():
                ratio = "" if who.startswith("seqtool") else f"{own / statistics.median(rates):.1f}x"
                print(f"{name:<22}{streams:>8}  {who:<16}{spread(rates, ',.0f'):>30}  {ratio}", flush=True)


if __name__ == "__main__":
    main()
