"""A run as a directory that transformers loads: config.json, weights, tokenizer, and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtool.exchange.hub_layouts import HUB_LAYOUTS
from seqtool.exchange.hub_tokenizer import hub_tokenizer, tokenizer_config
from seqtool.exchange.layouts import ForeignLayout, fitting_layout, net_of, their_tensors, with_positions
from seqtool.exchange.model_card import model_card
from seqtool.exchange.pieces import check_pieces, read_otherwise
from seqtool.files.tensors import write_plain_tensors
from seqtool.files.writing import atomic_writer, write_json
from seqtool.models.language_model import LanguageModel
from seqtool.runs.config import RunConfig
from seqtool.runs.loading import Run

FORMAT = "huggingface"
HOW_TO = """\
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
    ids = tokenizer("Once", return_tensors="pt").input_ids  # begins with <s>, as every text here does
    print(tokenizer.decode(model.generate(ids, max_new_tokens=50)[0], skip_special_tokens=True))
"""


def layout_of(run: Run) -> ForeignLayout:
    """The layout that a run is written in; UsageError where none has its settings or its vocabulary exactly."""
    net = net_of(run)
    layout = fitting_layout(net.config, net.symbols.seen == net.symbols.size, HUB_LAYOUTS)
    check_pieces(run.vocabulary, FORMAT)
    return layout


def export_huggingface(folder: Path, run: Run) -> dict[str, Any]:
    """Write a run's model into an empty directory; what was written. UsageError as `layout_of` has it."""
    layout = layout_of(run)
    model, vocabulary, config = run.model, run.vocabulary, run.config
    assert isinstance(model, LanguageModel)
    assert isinstance(config, RunConfig)
    ours = with_positions(model.config, dict(model.named_parameters()))
    tensors = their_tensors(layout, model.config, ours)
    special = {"bos_token_id": vocabulary.begin_id, "eos_token_id": vocabulary.begin_id}
    told = {
        "architectures": [layout.architecture],
        "model_type": layout.name,
        "vocab_size": vocabulary.size,
        **layout.says(model.config),
        **special,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    write_json(folder / "config.json", told)
    write_json(folder / "generation_config.json", special)
    write_plain_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    with atomic_writer(folder / "tokenizer.json") as stream:
        stream.write(hub_tokenizer(vocabulary).to_str(pretty=True).encode())
    write_json(folder / "tokenizer_config.json", tokenizer_config(vocabulary, model.config.context))
    header = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    differs = [
        f"Of more than {model.config.context:,} tokens, `<s>` among them, only the last are to be given: no position "
        "beyond was learned.",
        *read_otherwise(vocabulary),
    ]
    with atomic_writer(folder / "README.md") as stream:
        stream.write(model_card(run.path, config, vocabulary, header, HOW_TO, differs).encode())
    return {"architecture": layout.architecture, "tensors": len(tensors), "vocab_size": vocabulary.size}
