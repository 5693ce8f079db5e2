"""Which settings have no effect on a model or its training: what is shown of a run leaves them out."""

from __future__ import annotations

from seqtool.settings.architectures import MIXER_SETTINGS
from seqtool.settings.checking import ALSO_WITH, BELONGS_TO
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import TrainConfig


def unused(model: ModelConfig, training: TrainConfig) -> set[str]:
    """The names of the settings that have no effect under the others.

    Those of other architectures, optimizers and schedules, those of mixers that no layer has, and `embed` where the
    width of the embedding is that of the hidden layers.
    """
    chosen = {"model": model.model, "optimizer": training.optimizer, "schedule": training.schedule}
    names = {
        name
        for name, (by, choices) in BELONGS_TO.items()
        if chosen[by] not in choices and not getattr(model, ALSO_WITH.get(name, ""), 0)
    }
    if "mixers" in model.architecture.settings:
        mixers = set(model.mixer_of_layers)
        names |= {name for name, users in MIXER_SETTINGS.items() if not mixers & set(users)}
    if model.architecture.one_width:
        names.add("embed")
    return names
