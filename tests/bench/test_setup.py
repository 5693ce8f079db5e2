from __future__ import annotations

import pytest

from seqtool.bench.setup import TOKENS, make_model, make_setup
from seqtool.errors import UsageError
from seqtool.settings.defaults import Facts, resolve


def test_setups_are_what_train_would_choose_and_flags_beat_it():
    setup = make_setup({"model": "lstm"}, 100, False)
    assert (setup.model, setup.training) == resolve({"model": "lstm"}, Facts(TOKENS, 100, False))
    setup = make_setup({"model": "lstm", "hidden": 9, "batch_size": 3, "bptt": 5}, 100, False)
    assert (setup.model.hidden, setup.training.batch_size, setup.training.bptt) == (9, 3, 5)
    assert make_model(setup).symbols.seen == 99
    with pytest.raises(UsageError, match="give a number of time steps"):
        make_setup({"model": "lstm", "bptt": 1 << 20}, 100, False)
