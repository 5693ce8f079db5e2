"""Models that other programs saved give the same logits here; what is damaged or unknown is refused in a sentence."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqtool.errors import SeqtoolError
from seqtool.exchange.foreign_vocabulary import as_its_program_reads
from seqtool.exchange.importing import ImportedRun, import_model, is_model, read_vocabulary, write_imported
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import load_run
from tests.exchange import foreign
from tests.files.test_plain_tensors import spoiled

pytest.importorskip("transformers")

SPOILED, SPOILED_SLOW = 50, 1000
INDEXED = "parts/model.safetensors.index.json"
IDS = torch.randint(0, foreign.SYMBOLS, (2, 30), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a model of each format, and what transformers computes of IDS by each."""
    folder = tmp_path_factory.mktemp("foreign")
    foreign.vocabulary(folder)
    models = {"llama": foreign.llama(folder / "llama"), "gpt2": foreign.gpt2(folder / "gpt2")}
    biased = {"attention_bias": True, "rope_theta": 300.0}
    models["biased"] = foreign.llama(folder / "biased", **biased)
    models["qwen2"] = foreign.qwen2(folder / "qwen2")
    models["near"] = foreign.llama(folder / "near", rms_norm_eps=1e-5, rope_theta=10000.0)
    eighths = foreign.llama(folder / "int8", rms_norm_eps=1e-5, rope_theta=10000.0)
    foreign.llama2_c(folder / "l2.bin", eighths, 2)
    foreign.rounded(eighths, 16)
    models["l2.bin"] = eighths
    for version in (0, 1):
        foreign.llama2_c(folder / f"l{version}.bin", models["near"], version)
        models[f"l{version}.bin"] = models["near"]
    foreign.llm_c(folder / "g.bin", models["gpt2"])
    models["g.bin"] = models["gpt2"]
    with torch.no_grad():
        return folder, {name: model(IDS).logits for name, model in models.items()}


def model_of(run: ImportedRun) -> LanguageModel:
    model = LanguageModel(run.config.model, run.config.symbols)
    model.load_state_dict(run.tensors)
    return model.eval()


@pytest.mark.parametrize("name", ["llama", "gpt2", "near", "biased", "qwen2", "l0.bin", "l1.bin", "l2.bin", "g.bin"])
def test_logits_are_the_same_and_so_is_a_token_at_a_time(made: tuple[Path, dict[str, Any]], name: str, tmp_path: Path):
    folder, logits = made
    run = import_model(folder / name, foreign.vocabulary(tmp_path))
    with torch.no_grad():
        found = model_of(run)(IDS)[0]
        assert (found - logits[name]).abs().max() < 1e-4
        assert logits[name].abs().max() > 1
        write_imported(tmp_path, run)
        loaded = load_run(tmp_path, torch.device("cpu"))
        assert torch.equal(loaded.model(IDS)[0], found)
        stepper, ids = loaded.model.stepper(), IDS[:1]
        steps = [stepper.begin([ids[0, :3].tolist()]), *(stepper.step(ids[:, at]).clone() for at in range(3, 30))]
        whole = loaded.model(torch.cat([torch.full((1, 1), stepper.begin_id), ids], 1))[0][0, 3:]
        assert (torch.cat(steps) - whole.log_softmax(-1)).abs().max() < 1e-3


def test_the_vocabulary_is_what_is_given_or_lies_beside(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    shutil.copyfile(made[0] / "l0.bin", tmp_path / "m.bin")
    with pytest.raises(SeqtoolError, match=r"m\.bin has no vocabulary in it, nor one beside it \(tokenizer\.model,"):
        import_model(tmp_path / "m.bin", None)
    symbols = foreign.vocabulary(tmp_path, foreign.SYMBOLS - 1)  # and </s>
    foreign.llama2_c_vocabulary(tmp_path / "tokenizer.bin", symbols)
    run = import_model(tmp_path / "m.bin", None)
    assert run.vocabulary.size == foreign.SYMBOLS
    assert as_its_program_reads(read_vocabulary(tmp_path / "tokenizer.bin")).sha256 == run.vocabulary.sha256
    shutil.copyfile(tmp_path / "v.model", tmp_path / "tokenizer.model")
    with pytest.raises(SeqtoolError, match=r"tokenizer\.model has 269 pieces"):
        import_model(tmp_path / "m.bin", None)


def test_what_would_be_computed_otherwise_is_refused_by_name(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    folder, _ = made
    vocabulary = foreign.vocabulary(tmp_path)
    for kind, change, told in (
        ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0}}, "scales positions"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling scales positions ('linear')"),
        ("llama", {"attention_bias": True}, "lacks model.layers.0.self_attn.k_proj.bias"),
        ("llama", {"attention_bias": 1}, "attention_bias is 1"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window is True"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types is a list"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("llama", {"head_dim": 16}, "head_dim is 16"),
        ("llama", {"sliding_window": 16}, "'sliding_window' is 16, of which seqtool knows nothing"),
        ("llama", {"model_type": "mixtral"}, "is of the model type 'mixtral'"),
        ("llama", {"vocab_size": 271}, "has 270 pieces and the model of"),
        ("llama", {"hidden_size": -1}, "hidden_size is -1, where a size is expected"),
        ("llama", {"num_hidden_layers": 3}, "lacks model.layers.2."),
        ("llama", {"num_hidden_layers": 1}, "has model.layers.1."),
        ("llama", {"intermediate_size": 1 << 20}, "where the configuration says"),
        ("gpt2", {"activation_function": "silu"}, "activation_function is 'silu'"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
    ):
        shutil.copytree(folder / kind, other := tmp_path / "other", dirs_exist_ok=True)
        content = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(SeqtoolError) as caught:
            import_model(other, vocabulary)
        assert told in str(caught.value), (told, str(caught.value))
        shutil.rmtree(other)


def test_a_pickle_is_refused_always(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    vocabulary = foreign.vocabulary(tmp_path)
    for name, data in (("a.bin", pickle.dumps({"a": 1})), ("b.pt", b"?"), ("pytorch_model.bin", pickle.dumps([1]))):
        (tmp_path / name).write_bytes(data)
        assert is_model(tmp_path / name)
        with pytest.raises(SeqtoolError, match="is a pickle, which may run any program"):
            import_model(tmp_path / name, vocabulary)
    shutil.copytree(made[0] / "llama", other := tmp_path / "other")
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    with pytest.raises(SeqtoolError, match="is a pickle"):
        import_model(other, vocabulary)


def test_weights_in_several_files_and_in_half_precision(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    folder, logits = made
    shutil.copytree(folder / "gpt2", other := tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    (other / "model.safetensors").unlink()
    places = {}
    for number, name in enumerate(sorted(tensors)):
        places[name.removeprefix("transformer.")] = f"part-{number % 2}.safetensors"
    for file in set(places.values()):
        held = {
            name: tensors.get(f"transformer.{name}", tensors.get(name)) for name, at in places.items() if at == file
        }
        save_file({name: tensor.half() for name, tensor in held.items() if tensor is not None}, other / file)
    (other / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    vocabulary = foreign.vocabulary(tmp_path)
    with torch.no_grad():
        found = model_of(import_model(other, vocabulary))(IDS)[0]
    assert (found - logits["gpt2"]).abs().max() < 0.1
    for file in (
        "../part-1.safetensors",
        str(other / "part-1.safetensors"),
        "..",
        "",
        "part-1.safetensors/",
        "a\0",
        "\ud800",
    ):
        held_apart = {"weight_map": {**places, "wte.weight": file}}
        (other / "model.safetensors.index.json").write_text(json.dumps(held_apart))
        with pytest.raises(SeqtoolError, match=r"index\.json names .*, which is no file beside it"):
            import_model(other, vocabulary)
    (other / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (other / "part-1.safetensors").unlink()
    with pytest.raises(SeqtoolError, match=r"part-1\.safetensors is missing"):
        import_model(other, vocabulary)


def in_parts(folder: Path, other: Path) -> None:
    """Copy a model's directory, its weights in two files with an index."""
    other.mkdir()
    shutil.copyfile(folder / "config.json", other / "config.json")
    tensors = load_file(folder / "model.safetensors")
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        save_file({name: tensor for name, tensor in tensors.items() if places[name] == file}, other / file)
    (other / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def refuse_spoiled(folder: Path, place: Path, times: int) -> None:
    """Spoil a file of each kind so often: each is read, or refused in one sentence."""
    vocabulary = foreign.vocabulary(place)
    shutil.copytree(folder / "llama", place / "llama")
    in_parts(folder / "llama", place / "parts")
    for name in (INDEXED, "llama/model.safetensors", "llama/config.json", "l0.bin", "l1.bin", "l2.bin", "g.bin"):
        data = (place / name if name == INDEXED else folder / name).read_bytes()
        drawn, told = random.Random(name), list[str]()
        for _ in range(times):
            (place / name).write_bytes(spoiled(data, drawn))
            try:
                import_model((place / name).parent if "/" in name else place / name, vocabulary)
            except SeqtoolError as error:
                told.append(str(error))
        assert len(told) > times / 5, name
        assert not any("\n" in one for one in told)
        (place / name).write_bytes(data)


def test_damaged_files_are_refused_in_a_sentence(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    refuse_spoiled(made[0], tmp_path, SPOILED)


@pytest.mark.slow
def test_many_damaged_files_are_refused_in_a_sentence(made: tuple[Path, dict[str, Any]], tmp_path: Path):
    refuse_spoiled(made[0], tmp_path, SPOILED_SLOW)
