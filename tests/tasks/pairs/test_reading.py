"""From pairs to arrays: vocabularies of both sides, what is left out and why."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from seqtool.errors import InputError, UsageError
from seqtool.runs.config import TARGET_VOCABULARY
from seqtool.tasks.pairs.reading import PairReader, Vocabularies, pair_arrays, vocabularies_for
from seqtool.tasks.pairs.sources import open_pairs
from tests.tasks.pairs.pairs import parallel
from tests.tasks.pairs.test_sources import request_of, write


def learned(folder: Path, source: str = "", target: str = "", **asked: str) -> Vocabularies:
    files = parallel(folder, "train", 60)
    types = {name: kind for name, kind in {"source_type": source, "target_type": target}.items() if kind}
    request, examples = request_of(files[0], target=files[1], **types, **asked)
    opened = open_pairs(request, examples)
    return vocabularies_for(request, opened.files, opened.columns, examples, {"type": "bpe"}, seed=0)


def test_pieces_are_shared_and_all_else_is_not(tmp_path: Path):
    both = learned(tmp_path)
    assert both.shared
    assert both.target.type == "bpe"
    apart = learned(tmp_path, vocabularies="separate")
    assert not apart.shared
    words = learned(tmp_path, "char", "word")
    assert (words.source.type, words.target.type, words.shared) == ("char", "word", False)
    assert words.target.decode(words.target.encode("das rot Hund.").tolist()) == "das rot Hund."
    assert learned(tmp_path, "char", "char", vocabularies="shared").shared
    with pytest.raises(UsageError, match="one of char and word there cannot be"):
        learned(tmp_path, "char", "word", vocabularies="shared")


def test_a_vocabulary_that_is_named_has_no_types_to_learn(tmp_path: Path):
    files = parallel(tmp_path, "train", 60)
    for name, value in {"target_type": "char", "source_type": "word", "vocabularies": "separate"}.items():
        request, examples = request_of(files[0], target=files[1], **{name: value})
        opened = open_pairs(request, examples)
        named = dataclasses.replace(request, vocab=tmp_path / "v.model")
        with pytest.raises(
            UsageError, match=f"--{name.replace('_', '-')}: --vocab .*v.model is the vocabulary of both"
        ):
            vocabularies_for(named, opened.files, opened.columns, examples, {}, seed=0)


def test_the_run_to_begin_with_has_its_own(tmp_path: Path):
    files, both = parallel(tmp_path, "train", 60), learned(tmp_path)
    (tmp_path / "vocab.model").write_bytes(both.target.model)
    for given, told in (
        ({"target_type": "bpe", "source_type": "bpe", "vocabularies": "shared"}, ""),
        (
            {"target_type": "word"},
            "--target-type word: --from .* brings a vocabulary of type bpe, which its weights need",
        ),
        ({"source_type": "char"}, "--source-type char: --from .* brings a vocabulary of type bpe"),
        ({"vocabularies": "separate"}, "--vocabularies separate: --from .* brings one of both sides"),
    ):
        request, examples = request_of(files[0], target=files[1], **given)
        opened = open_pairs(request, examples)
        begun = dataclasses.replace(request, vocab=tmp_path / "vocab.model", from_run=tmp_path)
        if told:
            with pytest.raises(UsageError, match=told):
                vocabularies_for(begun, opened.files, opened.columns, examples, {}, seed=0)
        else:
            assert vocabularies_for(begun, opened.files, opened.columns, examples, {}, seed=0).shared
    (tmp_path / TARGET_VOCABULARY).write_bytes(learned(tmp_path, "char", "word").target.model)
    request, examples = request_of(files[0], target=files[1], vocabularies="shared")
    begun = dataclasses.replace(request, vocab=tmp_path / "vocab.model", from_run=tmp_path)
    with pytest.raises(UsageError, match=r"--vocabularies shared: --from .* brings two"):
        vocabularies_for(begun, opened.files, opened.columns, examples, {}, seed=0)


def test_what_cannot_be_learned_from_is_left_out_and_counted(tmp_path: Path):
    source = write(tmp_path / "a", "one two\n\nthree\nfour\nfive six seven\nfour\n")
    target = write(tmp_path / "b", "eins zwei\nleer\n \nvier\nfünf sechs sieben\nvier\n")
    request, examples = request_of(source, target=target, source_type="word", target_type="word")
    opened = open_pairs(request, examples)
    vocabularies = vocabularies_for(request, opened.files, opened.columns, examples, {"min_count": 1}, seed=0)

    def arrays(most: int, files: object = opened.files, errors: str = "strict") -> object:
        reader = PairReader(opened.columns, opened.files.sources[0].columns, vocabularies, most, "a")
        encoded: list[int] = []
        ids = reader.rows.ids
        reader.rows.ids = lambda rows: (encoded.extend(row.number for row in rows), ids(rows))[1]
        found = pair_arrays(files, reader, errors)
        assert len(encoded) == len({*encoded})  # each text once
        return found

    found = arrays(2)
    assert (found.empty, found.long, found.broken, found.left_out) == (2, 1, 0, 3)
    assert len(found.pairs) == 3
    assert found.commonest == "vier"
    taken = found.pairs.take(found.pairs.source.lengths_N.argsort()[::-1][:1])
    assert vocabularies.source.decode(taken.x.ids_BTK[0, 1:, 0].tolist()) == "one two"
    assert vocabularies.target.decode(taken.targets_BT[0, :-1].tolist()) == "eins zwei"
    assert arrays(9).long == 0
    assert arrays(9).sha256 != found.sha256
    (bad := tmp_path / "c").write_bytes(target.read_bytes().replace(b"vier", b"\xff", 1))
    broken = open_pairs(
        dataclasses.replace(request, errors="replace", files=[], examples={}),
        dataclasses.replace(examples, target=str(bad)),
    )
    assert arrays(9, broken.files, "replace").broken == 1
    with pytest.raises(InputError, match="not valid UTF-8"):
        arrays(9, open_pairs(request, dataclasses.replace(examples, target=str(bad))).files)
