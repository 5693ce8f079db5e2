"""Models that adapt to what they read, whatever kind they are: nets go on learning, gates go on counting."""

from __future__ import annotations

from seqtool.counts.gates.gates import GOING_ON_RATE
from seqtool.errors import UsageError
from seqtool.models.cached import Cached
from seqtool.models.gated import Gated
from seqtool.models.language_model import LanguageModel
from seqtool.models.predictor import Predictor
from seqtool.runs.loading import Run
from seqtool.scoring.adapting import AdaptiveScorer
from seqtool.scoring.learning import LearningScorer
from seqtool.scoring.scorer import Scorer
from seqtool.settings.scoring import CacheConfig, EvalConfig
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import TextCounts, TextSource, counted_blocks
from seqtool.text.sequences import without_begins


def cached(model: Predictor, config: CacheConfig) -> Predictor:
    """A net with a cache of its last states; UsageError for a model that has none which it carries."""
    if not config.cache:
        return model
    if not isinstance(model, LanguageModel) or model.context is not None:
        raise UsageError("--cache is for a net that carries a state through the text: this is none; leave it out")
    return Cached(model, config.cache, config.cache_weight, config.cache_flatness)


def adaptive_scorer(model: Predictor, config: EvalConfig) -> Scorer | AdaptiveScorer | LearningScorer:
    """What scores adapted: gates that go on counting, or a net that goes on learning or looks back, or does both.

    The model stays as it is. UsageError where there is nothing that could adapt.
    """
    model = cached(model, config)
    if not config.adapt:
        return Scorer(model, batch_size=config.batch_size)
    if isinstance(model, Gated):
        gates = model.gates.copy()
        gates.rate = GOING_ON_RATE
        return LearningScorer(model, gates, context=config.context, stride=config.stride)
    return AdaptiveScorer(model, config)


def adapted_model(run: Run, source: TextSource) -> Predictor:
    """A copy of a run's model that has learned from a text, as it does when it scores that adapted."""
    scorer = adaptive_scorer(run.model, EvalConfig(adapt=True))
    assert not isinstance(scorer, Scorer)
    for ids in encode_blocks(run.vocabulary, counted_blocks(source, TextCounts())):
        scorer.score(*without_begins(ids, run.vocabulary.begin_id))
    return scorer.finish()
