"""Runs to ARPA and back: the same vocabulary, the same nats; and other programs' files, of words or of pieces."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest

from seqtool.counts.counting import NgramCounts
from seqtool.counts.kneser_ney import estimate
from seqtool.counts.model import text_nats
from seqtool.errors import InputError
from seqtool.exchange.arpa_runs import CountedRun, counted_run, export_arpa, import_arpa
from seqtool.runs.config import new_config
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.encoded import encode_text
from seqtool.text.learning import learn_vocabulary
from seqtool.text.word_list import vocabulary_of_words
from tests.exchange.test_arpa import SMALL
from tests.text.small_byte_level import small_vocabulary

TEXT = "the cat\\x20 sat\n\nthe dog \\n sat, <s> </s> the cat\n" * 3 + "a\tdog\n\u2581the \u00a0end\n"


@pytest.fixture
def run(tmp_path, request) -> CountedRun:
    """A run of a kind of vocabulary and documents."""
    kind, document = request.param
    (tmp_path / "text").write_text(TEXT)
    source = TextSource([str(tmp_path / "text")], rereadable=True, document=document)
    learned = kind != "byte-bpe"
    vocabulary = learn_vocabulary(source, VocabularyConfig(type=kind), 0) if learned else small_vocabulary("llama-3")
    ids = encode_text(vocabulary, source).ids
    counts = NgramCounts(ids[0 : len(ids)], vocabulary.size, vocabulary.begin_id)
    counts.grow(), counts.grow()
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, vocabulary.size, len(ids))
    settings = ModelConfig(model="ngram", order=3)
    config = new_config(settings, TrainConfig(), symbols, vocabulary, {"document": document})
    return CountedRun(config, vocabulary, estimate(counts, 3))


def exported(run: CountedRun) -> bytes:
    stream = io.BytesIO()
    export_arpa(stream, run)
    return stream.getvalue()


KINDS = [(kind, document) for kind in ("char", "byte", "bpe", "unigram", "word") for document in ("file", "line")]
KINDS.append(("byte-bpe", "file"))


@pytest.mark.parametrize("run", KINDS, indirect=True, ids=map("-".join, KINDS))
def test_a_run_comes_back(run: CountedRun):
    again = import_arpa(io.BytesIO(exported(run)), "model.arpa")
    assert again.vocabulary.model == run.vocabulary.model
    assert again.config.data.get("document", "file") == run.config.data["document"]
    assert again.config.ngrams == again.model.sizes
    begin_id = run.vocabulary.begin_id
    lines = TEXT.split("\n") if run.config.data["document"] == "line" else [TEXT, "the cat", "xyz \u2603"]
    ids = np.concatenate([[begin_id, *run.vocabulary.encode(f"{line}\n")] for line in lines])
    assert text_nats(again.model, ids) == (pytest.approx(text_nats(run.model, ids)[0], rel=1e-6), len(ids) - len(lines))
    assert exported(again) == exported(run)
    if run.config.data["document"] == "line":
        contexts = again.model.no_contexts(1)
        for token in (begin_id, *run.vocabulary.encode("the\n")):
            contexts = again.model.advance(contexts, np.array([token]))
        assert again.model.next_log_p(contexts)[0].argmax() == begin_id


@pytest.mark.parametrize("run", [("char", "file"), ("word", "line")], indirect=True)
def test_all_next_symbols_have_the_probability_one(run: CountedRun):
    content = re.sub(rb"(?m)^# .*\n", b"", exported(run))
    for again in (import_arpa(io.BytesIO(exported(run)), "a"), import_arpa(io.BytesIO(content), "a", run.vocabulary)):
        contexts = again.model.no_contexts(1)
        for token in (run.vocabulary.begin_id, *run.vocabulary.encode("the cat\nxyz the")):
            contexts = again.model.advance(contexts, np.array([token]))
            assert np.exp(again.model.next_log_p(contexts)).sum() == pytest.approx(1, abs=1e-6)


def test_words_of_another_program_are_a_vocabulary():
    again = import_arpa(io.BytesIO(SMALL.replace("\u00a0", "\\x20").encode()), "small.arpa")
    assert again.vocabulary.type == "word"
    assert again.config.data["document"] == "line"
    ids = [again.vocabulary.begin_id, *again.vocabulary.encode("a\\x20b\n"), again.vocabulary.begin_id]
    assert text_nats(again.model, np.array([*ids, *again.vocabulary.encode("b\n")])) == (
        pytest.approx((0.5 + 0.75 + 0.5 + 2 + 1) * math.log(10)),
        4,
    )


def test_words_of_another_program_are_pieces_and_what_it_lacks_shares_the_unknown():
    vocabulary = vocabulary_of_words(["a", "b", "c", "d"], {})
    text = SMALL.replace("a\u00a0b", "c")
    again = import_arpa(io.BytesIO(text.encode()), "small.arpa", vocabulary)
    log_p = again.model.log_p[0] / math.log(10)
    names = {vocabulary.token(index): p for index, p in enumerate(log_p.tolist())}
    assert names == pytest.approx(
        {"<eos>": -1, "c": -0.25, "<s>": math.log10(1 - 0.1 - 10**-0.25 - 0.01)}
        | dict.fromkeys(["a", "b", "d", "<unk>"], -2 - math.log10(4))
    )
    without = text.replace("-2 <unk>\n", "").replace("1=4", "1=3")
    again = import_arpa(io.BytesIO(without.encode()), "small.arpa", vocabulary)
    assert again.model.log_p[0][vocabulary.unknown_id] / math.log(10) == pytest.approx(-100 - math.log10(4))


def test_a_newline_among_the_words_leaves_the_end_to_documents():
    vocabulary = vocabulary_of_words(["a"], {})
    text = SMALL.replace("a\u00a0b", "<eos>")
    again = import_arpa(io.BytesIO(text.encode()), "small.arpa", vocabulary)
    assert "document" not in again.config.data
    assert again.model.log_p[0][[vocabulary.begin_id, vocabulary.newline_ids[0]]].tolist() == pytest.approx(
        [-math.log(10), -0.25 * math.log(10)]
    )
    behind = text.replace("-0.75  <eos> </s>", "-0.75 </s> <eos>")
    with pytest.raises(InputError, match="go on behind </s>"):
        import_arpa(io.BytesIO(behind.encode()), "small.arpa", vocabulary)


@pytest.mark.parametrize(("old", "new", "told"), [
    ("", "", "words, such as 'a.*b', that no vocabulary of words has"),
    ("a\u00a0b", "<eos>", "no words but"),
])  # fmt: skip
def test_words_that_are_no_vocabulary_are_refused(old: str, new: str, told: str):
    with pytest.raises(InputError, match=told):
        import_arpa(io.BytesIO(SMALL.replace(old, new).encode() if old else SMALL.encode()), "small.arpa")


def test_words_that_a_vocabulary_lacks_are_refused():
    with pytest.raises(InputError, match=r"words, such as 'a.*b', that vocabulary lacks: give --vocab"):
        import_arpa(io.BytesIO(SMALL.encode()), "small.arpa", vocabulary_of_words(["b"], {}))


def test_what_counts_nothing_is_refused(small_run):
    with pytest.raises(InputError, match="counts no n-grams"):
        counted_run(small_run)


def test_a_vocabulary_without_unknowns_has_no_unknown_word():
    with pytest.raises(InputError, match=r"has words, such as '<unk>', that .* lacks"):
        import_arpa(io.BytesIO(SMALL.encode()), "small.arpa", small_vocabulary(symbols=("a\u00a0b",)))
