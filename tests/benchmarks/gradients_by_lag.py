"""How far back a loss reaches, for the lecture's recurrent nets: the norm of d loss_t / d h_{t-k} against the lag k.

    python tests/benchmarks/gradients_by_lag.py TEXT [--lags 200] [--steps 300]

Trains each net alike by the real command with --probe-gradients, and prints a table of what it recorded in
metrics.jsonl before the first step and after the last: vanishing (a tanh RNN), kept by identity initialisation (ReLU),
and kept open by gates (GRU, LSTM).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NETS = {
    "rnn tanh": ["--model", "rnn"],
    "rnn relu, identity": ["--model", "rnn", "--activation", "relu", "--init", "identity"],
    "gru": ["--model", "gru"],
    "lstm": ["--model", "lstm", "--forget-bias", "1"],
}
SHOWN = (1, 2, 5, 10, 20, 50, 100, 200)


def probes(text: Path, net: list[str], lags: int, steps: int) -> list[dict[str, object]]:
    """The lines of metrics.jsonl with gradients by lag, of one training."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--vocab-type", "char", "--hidden", "128", "--bptt", "100", "--batch-size", "16", "--lr", "1e-3"]
        command = [sys.executable, "-m", "seqtool", "train", str(text.resolve()), "-o", f"{folder}/run", "-q", *net]
        length = ["--steps", str(steps), "--eval-every", str(steps), "--probe-gradients", str(lags)]
        subprocess.run([*command, *settings, *length], check=True, cwd=ROOT, stdout=-3)
        lines = [json.loads(line) for line in Path(f"{folder}/run/metrics.jsonl").open()]
    return [line for line in lines if "gradient_by_lag" in line]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Gradients by lag of four recurrent nets.")
    parser.add_argument("text", type=Path)
    parser.add_argument("--lags", type=int, default=200)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    shown = [lag for lag in SHOWN if lag <= options.lags]
    print(f"{'mean norm of d loss_t / d h_(t-k); k =':<40}" + "".join(f"{lag:>9}" for lag in shown))
    for name, net in NETS.items():
        for probe in probes(options.text, net, options.lags, options.steps):
            norms = probe["gradient_by_lag"]
            assert isinstance(norms, list)
            label = f"{name}, after {probe['step']} steps"
            print(f"{label:<40}" + "".join(f"{norms[lag - 1]:>9.1e}" for lag in shown), flush=True)


if __name__ == "__main__":
    main()
