"""Learning a vocabulary from text with SentencePiece, in bounded memory: of a long text from a random sample."""

from __future__ import annotations

import io
import itertools
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import sentencepiece

from seqtool.errors import InputError, SeqtoolError, UsageError
from seqtool.files.spools import room_for, temporary_folder
from seqtool.files.writing import provenance
from seqtool.settings.vocabulary import MAX_VOCABULARY, VocabularyConfig
from seqtool.text.blocks import whole_symbols, whole_words
from seqtool.text.documents import CODE_POINTS, TextSource, code_points, lines_of, segments_of
from seqtool.text.normalizing import SPACE, folded
from seqtool.text.sentencepiece_model import with_metadata
from seqtool.text.symbols import symbol_pattern
from seqtool.text.vocabulary import END_OF_LINE, Vocabulary

# A larger sample hardly changes the pieces, and SentencePiece holds it in memory, for unigram 23 times its size.
SAMPLE_BYTES = {"bpe": 32 << 20, "unigram": 14 << 20}
MAX_SAMPLE_COST = 128 << 20  # bytes of a sample, and LINE_COST for each of its lines
LINE_COST = 64  # bytes that SentencePiece takes to hold a line
MAX_COUNTED_WORDS = 1 << 20  # distinct words while counting; beyond that the rarer half is dropped
MAX_DEFAULT_SIZE = {"char": 32_000, "word": 50_000}
BYTE_LEVEL_SYMBOLS = 2 + 256  # <unk>, <s> and the bytes that unseen characters fall back to
MAX_WORD_CHARACTERS = 200  # a longer word is taken for data and becomes <unk>
RESERVED = "\u2585"  # SentencePiece skips every line that contains this character
WORD_SYMBOLS = 3  # <unk>, <s>, <eos>
BLOCK = 1 << 10  # code points whose case is looked at together
WORDS = VocabularyConfig(type="word")
# Shares of a text's words: with more unknown than the first a model learns <unk>; more than the second is too many.
LEAST_UNKNOWN, MOST_UNKNOWN = 1e-3, 0.5


def learn_vocabulary(
    source: TextSource, config: VocabularyConfig, seed: int = 0, most_words: int = MAX_DEFAULT_SIZE["word"]
) -> Vocabulary:
    """Learn a vocabulary of the type and size in `config` from a source that can be read more than once.

    A `word` vocabulary without a size has at most `most_words`. `seed` draws the sample of a long text. UsageError when
    the text cannot fill the size, naming the largest or smallest that works.
    """
    sample_bytes = text_bytes = source.size()
    least = 1
    if config.type == "byte":
        only = BYTE_LEVEL_SYMBOLS + len(config.symbol_list) + 1
        _check_size(config, only, only)
        for _ in source.blocks():
            pass  # refuse unreadable text and compute the hash, as for the other types
        model, size = _run_sentencepiece([SPACE], config, model_type="char"), 0
    elif config.type == "char":
        model, size = _learn_characters(source, config)
    elif config.type == "word":
        model, size, least = _learn_words(source, config, most_words)
    else:
        sample, whole = _sample(source, SAMPLE_BYTES[config.type], seed)
        model, size = _learn_subwords(sample, text_bytes, config)
        sample_bytes = text_bytes if whole else len(sample)
    metadata = {
        "type": config.type,
        "normalize": config.normalize,
        "lowercase": config.lowercase,
        "min_count": least,
        "requested_size": size,
        **({"symbols": config.symbol_list} if config.symbols else {}),
        **({"split_digits": True} if config.split_digits else {}),
        "seed": seed,
        "text_bytes": text_bytes,
        "sample_bytes": sample_bytes,
        "input_sha256": source.sha256,
        "made_by": provenance(),
    }
    return Vocabulary(with_metadata(model, metadata))


def _learn_characters(source: TextSource, config: VocabularyConfig) -> tuple[bytes, int]:
    counts = character_counts(source, config)
    counts[" "] = counts.get(" ", 0) + 1  # always a piece, because SentencePiece needs at least one
    fixed = BYTE_LEVEL_SYMBOLS + len(config.symbol_list)
    _check_size(config, fixed + 1, fixed + len(counts))
    kept = (config.size or MAX_DEFAULT_SIZE["char"]) - fixed
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    characters = ranked[:kept] if " " in ranked[:kept] else [*ranked[: kept - 1], " "]
    return _run_sentencepiece(_one_each(characters), config, model_type="char"), config.size


def character_counts(source: TextSource, config: VocabularyConfig) -> dict[str, int]:
    """How often each character occurs, but for newline, tab, NUL and U+2581, which are spelled in bytes."""
    totals = np.zeros(CODE_POINTS, dtype=np.int64)
    symbol = symbol_pattern(config.symbol_list)
    for block in whole_symbols(source.blocks(), config.symbol_list):
        text = symbol.sub("", block.text) if symbol else block.text
        found = np.bincount(code_points(_normalized(text, config)))
        totals[: len(found)] += found
    counts = {chr(point): int(totals[point]) for point in np.flatnonzero(totals)}
    for character in ("\n", "\t", "\0", SPACE):
        counts.pop(character, None)
    return counts


def _one_each(symbols: Sequence[str]) -> Iterator[str]:
    """Each symbol as a sentence of its own, so that SentencePiece takes every one as a piece."""
    return iter(symbols)


def _learn_words(source: TextSource, config: VocabularyConfig, most_words: int) -> tuple[bytes, int, int]:
    counts, symbols = word_counts(source, config), config.symbol_list
    if symbols != [_normalized(one, config) for one in symbols]:
        raise UsageError("--symbols: words are folded before they are looked up; fold the symbols as well")
    fixed = WORD_SYMBOLS + len(symbols)
    least = config.min_count or _least_count(counts, (config.size or most_words) - fixed, bool(config.size))
    words = [word for word, count in counts.items() if count >= least and can_be_a_piece(word)]
    words = sorted(set(words).difference(symbols), key=lambda word: (-counts[word], word))
    if not words and not symbols:
        raise _no_words(source.name, counts, least)
    _check_size(config, fixed + (not symbols), fixed + len(words))
    ranked = symbols + words[: max(0, (config.size or most_words) - fixed)]
    model = word_model(ranked, config)
    return model, config.size, least


def word_model(words: Sequence[str], config: VocabularyConfig = WORDS) -> bytes:
    """The serialized SentencePiece model of these words, in which a newline is END_OF_LINE."""
    return _run_sentencepiece(
        _one_each(words),
        config,
        model_type="word",
        byte_fallback=False,
        add_dummy_prefix=True,
        remove_extra_whitespaces=True,
        eos_id=2,
        eos_piece=END_OF_LINE,
    )


def word_counts(source: TextSource, config: VocabularyConfig) -> Counter[str]:
    """How often each word occurs; rare words may be missing where there are more than MAX_COUNTED_WORDS."""
    counts: Counter[str] = Counter()
    symbol = symbol_pattern(config.symbol_list)
    for block in whole_words(source.blocks()):
        words = _normalized(symbol.sub(" ", block.text) if symbol else block.text, config).split()
        if max(map(len, words), default=0) > MAX_WORD_CHARACTERS:
            words = [word[: MAX_WORD_CHARACTERS + 1] for word in words]
        counts.update(words)
        if len(counts) > MAX_COUNTED_WORDS:
            rare = np.median(np.fromiter(counts.values(), dtype=np.int64))
            counts = Counter({word: count for word, count in counts.items() if count > rare})
    return counts


def _least_count(counts: Counter[str], room: int, is_asked: bool) -> int:
    """How often a word must occur to be a piece, without --min-count: twice, so that the text has some `<unk>`.

    A model learns the probability of unknown words only from a text that has some. Once is enough where words are
    unknown anyway, where half of the text would become unknown, and where the size asked for needs the rarer words:
    `room` is the number of words that fit.
    """
    known = [count for word, count in counts.items() if can_be_a_piece(word)]
    tokens, once = counts.total(), known.count(1)
    unknown = tokens - sum(sorted(known, reverse=True)[:room])
    if unknown > LEAST_UNKNOWN * tokens or once > MOST_UNKNOWN * tokens or (is_asked and room > len(known) - once):
        return 1
    return 2


def about_unknown(vocabulary: Vocabulary, config: VocabularyConfig) -> str:
    """A note on which words are `<unk>`, for a word vocabulary just learned without --min-count; else empty."""
    if config.type != "word" or config.min_count or vocabulary.metadata["min_count"] == 1:
        return ""
    return "words that occur once are <unk>, from which a model learns how likely those are; --min-count 1 keeps them"


def _no_words(name: str, counts: Counter[str], min_count: int) -> SeqtoolError:
    """The error for a text that has no word to learn."""
    if not counts:
        return InputError(f"{name} holds no words, only white space: give more text")
    pieces = [word for word in counts if can_be_a_piece(word)]
    if pieces:
        return UsageError(f"no word of {name} occurs {min_count} times: lower --min-count")
    long = any(len(word) > MAX_WORD_CHARACTERS for word in counts)
    return InputError(
        f"{name} has no word of at most {MAX_WORD_CHARACTERS} characters between spaces: choose the type char or bpe"
        if long
        else f"{name} has no word that a vocabulary can hold, such as {min(counts)!r}: choose the type char or bpe"
    )


def can_be_a_piece(word: str) -> bool:
    """Whether SentencePiece takes a word as a piece: not the names of special symbols, nor its reserved characters."""
    return (
        word not in ("<unk>", "<s>", END_OF_LINE)
        and len(word) <= MAX_WORD_CHARACTERS
        and not any(sign in word for sign in (SPACE, RESERVED, "\0"))
    )


def _learn_subwords(sample: bytes, text_bytes: int, config: VocabularyConfig) -> tuple[bytes, int]:
    try:
        return _learn_pieces(sample.replace(RESERVED.encode(), b""), text_bytes, config)
    except _NothingToLearnError:
        return _learn_pieces(b" \n", 0, config)  # a text of nothing but characters that are spelled in bytes


def _learn_pieces(sample: bytes, text_bytes: int, config: VocabularyConfig) -> tuple[bytes, int]:
    distinct = len(set(sample.decode()) - {"\n"})
    options = dict(
        model_type=config.type,
        allow_whitespace_only_pieces=True,
        # In scripts with thousands of characters the rarest are spelled in bytes.
        character_coverage=1.0 if distinct <= 1000 else 0.9995,
        required_chars=SPACE,  # a space without a piece would be spelled in the bytes of U+2581
    )
    if config.size:
        # SentencePiece names the smallest size that works only if the size has room for the bytes.
        smallest = BYTE_LEVEL_SYMBOLS + len(config.symbol_list) + 1
        model = _run_sentencepiece(_lines(sample), config, vocab_size=max(config.size, smallest), **options)
        _check_size(config, smallest, MAX_VOCABULARY)
        return model, config.size
    size = BYTE_LEVEL_SYMBOLS + len(config.symbol_list) + distinct + default_merges(text_bytes)
    try:
        return _run_sentencepiece(_lines(sample), config, vocab_size=size, **options), 0
    except _SizeError as error:
        return _run_sentencepiece(_lines(sample), config, vocab_size=error.nearest, **options), 0


def default_merges(text_bytes: int) -> int:
    """The default number of pieces longer than a character: the square root of the text's bytes, 16,000 at most."""
    return min(16_000, round(math.sqrt(text_bytes)))


def _sample(source: TextSource, most_bytes: int, seed: int) -> tuple[bytes, bool]:
    """Lines of a text, cut into segments, and whether they are all of it: of a long text about `most_bytes`, at random.

    If many short lines exceed MAX_SAMPLE_COST, every second line is dropped, as often as needed.
    """
    chance = min(1.0, most_bytes / max(source.size(), 1))
    chooser = np.random.default_rng(seed)
    sample, lines = bytearray(), 0
    for block in source.blocks():
        segments = [part for line in lines_of(block.text) for part in segments_of(line.removesuffix("\n"))]
        if chance < 1:
            segments = list(itertools.compress(segments, chooser.random(len(segments)) < chance))
        sample += "".join(f"{segment}\n" for segment in segments).encode()
        lines += len(segments)
        if len(sample) + LINE_COST * lines > MAX_SAMPLE_COST:
            sample = bytearray().join(itertools.islice(io.BytesIO(sample), 0, None, 2))
            lines, chance = (lines + 1) // 2, chance / 2
    return bytes(sample), chance == 1


def _lines(sample: bytes) -> Iterator[bytes]:
    """The lines of a sample, one at a time: a list of them takes several times the memory."""
    return (line[:-1] for line in io.BytesIO(sample))


def _normalized(text: str, config: VocabularyConfig) -> str:
    """The text as SentencePiece will normalize it."""
    return folded(text, config.normalize, config.lowercase)


def _check_size(config: VocabularyConfig, smallest: int, largest: int) -> None:
    if config.size > largest:
        raise UsageError(
            f"a vocabulary size of {config.size} is more than the text can fill: the largest that works is {largest}"
        )
    if config.size and config.size < smallest:
        raise UsageError(f"a vocabulary size of {config.size} is too small: the smallest that works is {smallest}")


class _SizeError(UsageError):
    """SentencePiece refused a size; `nearest` is one that it takes."""

    def __init__(self, message: str, nearest: int) -> None:
        super().__init__(message)
        self.nearest = nearest


class _NothingToLearnError(InputError):
    """SentencePiece found no character in the text that could be a piece."""


def _run_sentencepiece(sentences: Iterable[str | bytes], config: VocabularyConfig, **options: Any) -> bytes:
    """Train a SentencePiece model that keeps every character, and return it serialized."""
    if options["model_type"] in ("char", "word"):
        options |= {"use_all_vocab": True, "vocab_size": 1 << 30, "hard_vocab_limit": False}
    model = io.BytesIO()
    arguments: dict[str, Any] = {
        "byte_fallback": True,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "character_coverage": 1.0,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": -1,
        "pad_id": -1,
        "max_sentence_length": 1 << 24,
        "max_sentencepiece_length": 16,
        "split_digits": config.split_digits,
        "user_defined_symbols": [] if options["model_type"] == "word" else config.symbol_list,
        "num_threads": 4,  # fixed, so that the result does not depend on the machine
        "minloglevel": 4,
    } | options
    with temporary_folder("rules") as folder:
        arguments |= _normalization(config, folder)
        try:
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=model, **arguments)
        except (RuntimeError, OSError) as error:
            raise _explained(str(error), config) from error
    return model.getvalue()


def _normalization(config: VocabularyConfig, folder: str) -> dict[str, str]:
    if config.lowercase and config.normalize == "none":
        rules = f"{folder}/lowercase.tsv"
        with room_for("rules"), open(rules, "w", encoding="ascii") as stream:
            for point in _upper_case():
                lower = chr(point).lower()
                stream.write(f"{point:X}\t{' '.join(f'{ord(letter):X}' for letter in lower)}\n")
        return {"normalization_rule_tsv": rules}
    names = {("none", False): "identity", ("nfkc", False): "nfkc", ("nfkc", True): "nfkc_cf"}
    return {"normalization_rule_name": names[config.normalize, config.lowercase]}


def _upper_case() -> Iterator[int]:
    """The code points that have a lower case; blocks without any are passed over, which takes a third of the time."""
    for first in range(0, CODE_POINTS, BLOCK):
        points = range(first, first + BLOCK)
        block = array("I", points).tobytes().decode("utf-32", "surrogatepass")
        if block.lower() != block:
            yield from (point for point in points if chr(point).lower() != chr(point))


def _explained(message: str, config: VocabularyConfig) -> SeqtoolError:
    """SentencePiece's error message in the user's terms."""
    if match := re.search(r"value <= (\d+)", message):
        largest = int(match[1])
        return _SizeError(
            f"a vocabulary size of {config.size} is more than the text can fill: the largest that works is {largest}",
            largest,
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        smallest = int(match[1])
        return _SizeError(
            f"a vocabulary size of {config.size} is too small for the text's characters: "
            f"the smallest that works is {smallest}",
            smallest,
        )
    if "empty()" in message or "all_chars_count" in message:
        return _NothingToLearnError("the text has no character that could be a piece: choose the type byte")
    return InputError(f"SentencePiece cannot learn a {config.type} vocabulary from this text: choose the type char")
