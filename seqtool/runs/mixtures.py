"""What a mixture of runs is: its weights or gates, and which runs it has in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqtool.errors import InputError
from seqtool.files.writing import atomic_writer, canonical_sha256, read_json, write_json
from seqtool.runs.config import CONFIG, MAX_TOKENS, MIXTURE_FORMAT, VOCABULARY
from seqtool.settings.vocabulary import is_document_break
from seqtool.text.vocabulary import Vocabulary

MAX_PARTS = 16
WEIGHTS_SUM = 1e-6  # by which weights may miss 1


@dataclass(frozen=True)
class MixtureConfig:
    """What the `config.json` of a mixture says."""

    weights: tuple[float, ...]
    """Of each part, in order; they sum to 1. With gates, theirs is the first, or there is none at all."""
    parts: tuple[str, ...]
    """The SHA-256 of each part's configuration."""
    models: tuple[str, ...]
    """What kind of model each part is."""
    parameters: int
    """Of all parts together."""
    vocabulary_sha256: str
    data: dict[str, Any]
    """The text that the weights were learned from, and how it falls into documents."""
    made_by: dict[str, Any]
    gates_tokens: int = 0
    """How many tokens its gates have read; 0 where it is linear."""

    @property
    def gated(self) -> bool:
        """Whether it has gates."""
        return self.gates_tokens > 0

    @property
    def name(self) -> str:
        """What kind of model it is."""
        return "gated" if self.gated else "mixture"

    @property
    def parts_sha256(self) -> str:
        """Identifies the parts that gates belong to, and their vocabulary."""
        return canonical_sha256([list(self.parts), self.vocabulary_sha256])


def write_mixture(path: Path, config: MixtureConfig, vocabulary: Vocabulary) -> None:
    """Write what a mixture has beside its parts into the directory `path`."""
    with atomic_writer(path / VOCABULARY) as stream:
        stream.write(vocabulary.model)
    told = asdict(config)
    if not config.gated:
        del told["gates_tokens"]
    write_json(path / CONFIG, {"format": MIXTURE_FORMAT, **told})


def read_mixture(path: Path) -> MixtureConfig:
    """Read and check the configuration of a mixture; InputError when it is not what `write_mixture` leaves."""
    file = path / CONFIG
    content = read_json(file)
    try:
        config = MixtureConfig(
            weights=tuple(content["weights"]),
            parts=tuple(content["parts"]),
            models=tuple(content["models"]),
            parameters=content["parameters"],
            vocabulary_sha256=content["vocabulary_sha256"],
            data=content["data"],
            made_by=content["made_by"],
            gates_tokens=content.get("gates_tokens", 0),
        )
    except KeyError as error:
        raise InputError(f"{file} lacks {error}: it was cut short or edited; mix again") from error
    except TypeError as error:
        raise InputError(f"{file} holds a value of the wrong kind: it was edited; mix again") from error
    if not (
        1 <= len(config.parts) == len(config.models) <= MAX_PARTS
        and type(config.gates_tokens) is int
        and 0 <= config.gates_tokens <= MAX_TOKENS
        and ((config.gated and not config.weights) or _are_weights(config.weights, len(config.parts) + config.gated))
        and all(isinstance(name, str) for name in (*config.parts, *config.models))
        and type(config.parameters) is int
        and isinstance(config.data, dict)
        and is_document_break(config.data.get("document", "file"))
        and isinstance(config.made_by, dict)
    ):
        raise InputError(f"{file} holds weights, parts or data that no mixture has: it was edited; mix again")
    return config


def _are_weights(weights: tuple[Any, ...], parts: int) -> bool:
    """Whether these are weights of so many parts."""
    return (
        len(weights) == parts
        and all(type(weight) is float and 0 <= weight <= 1 for weight in weights)
        and abs(sum(weights) - 1) <= WEIGHTS_SUM
    )
