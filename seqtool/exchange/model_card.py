"""A model card: what a model is, what it learned from, and the figures that were measured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqtool.runs.config import METRICS, RunConfig
from seqtool.runs.metrics import read_metrics
from seqtool.text.vocabulary import Vocabulary

SIZES = ("layers", "hidden", "heads", "context")


def measured(path: Path) -> list[tuple[str, str]]:
    """What was measured in training a run, each figure with its unit: the validation whose weights were kept."""
    metrics = read_metrics(path / METRICS)
    if metrics.best is None:
        return []
    at = {name: float(column[metrics.best]) for name, column in metrics.validations.items()}
    loss = at["valid_loss"]
    return [
        ("nats per token of the validation text", f"{loss:.4f}"),
        ("perplexity per token of the validation text", f"{math.exp(min(loss, 700)):.4g}"),
        ("steps of training until then", f"{at['step']:,.0f}"),
        ("tokens read until then", f"{at['tokens']:,.0f}" if math.isfinite(at["tokens"]) else "not recorded"),
    ]


def model_card(
    path: Path,
    config: RunConfig,
    vocabulary: Vocabulary,
    header: dict[str, Any],
    how_to: str,
    differs: Sequence[str],
) -> str:
    """The card of a run in Markdown, with a `header` for sites that read one, and how to load what it describes."""
    data, made_by = config.data, config.made_by
    of_text = [(name, data[name]) for name in ("name", "sha256", "train_tokens", "valid_tokens") if name in data]
    figures = measured(path)
    sizes = {
        name: getattr(config.model, name) for name in SIZES if name in (*SIZES[:2], *config.model.architecture.settings)
    }
    lines = [
        "---",
        *(f"{name}: {json.dumps(value)}" for name, value in header.items()),
        "---",
        "",
        f"# A {config.model.model} that predicts text",
        "",
        f"{config.parameters:,} parameters: {', '.join(f'{value} {name}' for name, value in sizes.items())}. "
        f"Vocabulary: {vocabulary.type}, {vocabulary.size:,} symbols.",
        "",
        "## Use",
        "",
        *how_to.splitlines(),
        "",
        "## Figures",
        "",
        *_table("measured in training", figures),
        "",
        "## Training",
        "",
        *_table(
            "of the text", [(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in of_text]
        ),
        "",
        f"Made by {made_by.get('program', 'seqtool')} {made_by.get('version', '')}:".rstrip(),
        "",
        *(f"    {line}" for line in str(made_by.get("command", "")).splitlines()),
        "",
        *(["## What differs", "", *(f"- {line}" for line in differs), ""] if differs else []),
    ]
    return "\n".join(lines)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    if not rows:
        return ["None were recorded."]
    shown = [f"| {name} | {_cell(value)} |" for name, value in rows]
    return [f"| {title} | |", "|---|---|", *shown]


def _cell(text: str) -> str:
    """A text that ends no cell of a table."""
    return " ".join(text.replace("|", "\\|").split())
