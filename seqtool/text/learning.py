"""Learning a vocabulary from text with SentencePiece, from a sample of bounded size however long the text is."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
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

# Merges and pieces hardly change beyond this, and SentencePiece holds its sample in memory: of unigram 23 times over.
SAMPLE_BYTES = {"bpe": 32 << 20, "unigram": 14 << 20}
MAX_SAMPLE_COST = 128 << 20  # with LINE_COST for each line, which is what SentencePiece needs to hold one
LINE_COST = 64
MAX_COUNTED_WORDS = 1 << 20  # distinct words held while counting; beyond, the rarer half is forgotten
MAX_DEFAULT_SIZE = {"char": 32_000, "word": 50_000}
BYTE_LEVEL_SYMBOLS = 2 + 256  # <unk>, <s> and the bytes that unseen characters fall back to
MAX_WORD_CHARACTERS = 200  # what is longer is data, not a word: <unk>
RESERVED = "\u2585"  # SentencePiece leaves out any line with this sign in it
WORD_SYMBOLS = 3  # <unk>, <s>, <eos>
LEAST_UNKNOWN, MOST_UNKNOWN = 1e-3, 0.5  # shares of a text's words: from where on <unk> is learned; and worth it


def learn_vocabulary(
    source: TextSource, config: VocabularyConfig, seed: int = 0, most_words: int = MAX_DEFAULT_SIZE["word"]
) -> Vocabulary:
    """Learn a vocabulary of the type and size in `config` from a source that can be read again; of words without a size
    `most_words` at most.

    UsageError when the text cannot fill the size, naming the largest (or smallest) that works.
    """
    sample_bytes = text_bytes = source.size()
    least = 1
    if config.type == "byte":
        only = BYTE_LEVEL_SYMBOLS + len(config.symbol_list) + 1
        _check_size(config, only, only)
        for _ in source.blocks():
            pass  # so that unreadable text is refused and its hash is known, as for every other type
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
    totals = np.zeros(CODE_POINTS, dtype=np.int64)
    symbol = symbol_pattern(config.symbol_list)
    for block in whole_symbols(source.blocks(), config.symbol_list):
        text = symbol.sub("", block.text) if symbol else block.text
        found = np.bincount(code_points(_normalized(text, config)))
        totals[: len(found)] += found
    counts = {chr(point): int(totals[point]) for point in np.flatnonzero(totals)}
    # A space is always there (SentencePiece's model of "no characters at all" does not exist); a newline, a tab and
    # U+2581 are spelled in bytes.
    counts[" "] = counts.get(" ", 0) + 1
    for character in ("\n", "\t", "\0", SPACE):
        counts.pop(character, None)
    fixed = BYTE_LEVEL_SYMBOLS + len(config.symbol_list)
    _check_size(config, fixed + 1, fixed + len(counts))
    kept = (config.size or MAX_DEFAULT_SIZE["char"]) - fixed
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    characters = ranked[:kept] if " " in ranked[:kept] else [*ranked[: kept - 1], " "]
    return _run_sentencepiece(_one_each(characters), config, model_type="char"), config.size


def _one_each(symbols: list[str]) -> Iterator[str]:
    """Each symbol on a line of its own: SentencePiece then takes every one."""
    return iter(symbols)


def _learn_words(source: TextSource, config: VocabularyConfig, most_words: int) -> tuple[bytes, int, int]:
    counts, symbols = _word_counts(source, config), config.symbol_list
    if symbols != [_normalized(one, config) for one in symbols]:
        raise UsageError("--symbols: words are folded before they are looked up; fold the symbols as well")
    fixed = WORD_SYMBOLS + len(symbols)
    least = config.min_count or _least_count(counts, (config.size or most_words) - fixed, bool(config.size))
    words = [word for word, count in counts.items() if count >= least and _can_be_a_piece(word)]
    words = sorted(set(words).difference(symbols), key=lambda word: (-counts[word], word))
    if not words and not symbols:
        raise _no_words(source.name, counts, least)
    _check_size(config, fixed + (not symbols), fixed + len(words))
    ranked = symbols + words[: max(0, (config.size or most_words) - fixed)]
    model = _run_sentencepiece(
        _one_each(ranked),
        config,
        model_type="word",
        byte_fallback=False,
        add_dummy_prefix=True,
        remove_extra_whitespaces=True,
        eos_id=2,
        eos_piece=END_OF_LINE,
    )
    return model, config.size, least


def _word_counts(source: TextSource, config: VocabularyConfig) -> Counter[str]:
    """How often each word occurs; of a text with very many, the rarest may be missing."""
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
    """How often a word must occur, where nothing is said: twice, if else no word of the text were `<unk>`.

    A model learns only from unknown words how likely one is. Once, where the `room` asked for takes rarer words, where
    other words are unknown already, and where a text would lose most of its words.
    """
    known = [count for word, count in counts.items() if _can_be_a_piece(word)]
    tokens, once = counts.total(), known.count(1)
    unknown = tokens - sum(sorted(known, reverse=True)[:room])
    if unknown > LEAST_UNKNOWN * tokens or once > MOST_UNKNOWN * tokens or (is_asked and room > len(known) - once):
        return 1
    return 2


def about_unknown(vocabulary: Vocabulary, config: VocabularyConfig) -> str:
    """What to tell of `<unk>` in a word vocabulary that was just learned without a --min-count; else nothing."""
    if config.type != "word" or config.min_count or vocabulary.metadata["min_count"] == 1:
        return ""
    return "words that occur once are <unk>, from which a model learns how likely those are; --min-count 1 keeps them"


def _no_words(name: str, counts: Counter[str], min_count: int) -> SeqtoolError:
    """Why a text has no word to learn."""
    if not counts:
        return InputError(f"{name} holds no words, only white space: give more text")
    pieces = [word for word in counts if _can_be_a_piece(word)]
    if pieces:
        return UsageError(f"no word of {name} occurs {min_count} times: lower --min-count")
    long = any(len(word) > MAX_WORD_CHARACTERS for word in counts)
    return InputError(
        f"{name} has no word of at most {MAX_WORD_CHARACTERS} characters between spaces: choose the type char or bpe"
        if long
        else f"{name} has no word that a vocabulary can hold, such as {min(counts)!r}: choose the type char or bpe"
    )


def _can_be_a_piece(word: str) -> bool:
    """Whether SentencePiece takes a word; the special symbols' names and its own reserved signs it does not."""
    return (
        word not in ("<unk>", "<s>", END_OF_LINE)
        and len(word) <= MAX_WORD_CHARACTERS
        and not any(sign in word for sign in (SPACE, RESERVED, "\0"))
    )


def _learn_subwords(sample: bytes, text_bytes: int, config: VocabularyConfig) -> tuple[bytes, int]:
    try:
        return _learn_pieces(sample.replace(RESERVED.encode(), b""), text_bytes, config)
    except _NothingToLearnError:
        return _learn_pieces(b" \n", 0, config)  # a text of what is spelled in bytes anyhow, as newlines and NUL


def _learn_pieces(sample: bytes, text_bytes: int, config: VocabularyConfig) -> tuple[bytes, int]:
    distinct = len(set(sample.decode()) - {"\n"})
    options = dict(
        model_type=config.type,
        allow_whitespace_only_pieces=True,
        # The rarest signs of a script with thousands are spelled in bytes.
        character_coverage=1.0 if distinct <= 1000 else 0.9995,
        required_chars=SPACE,  # without a piece of its own a space would be spelled as U+2581
    )
    if config.size:
        # SentencePiece names the smallest size that works, but only when the size could hold the bytes.
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
    """How many pieces longer than a character suit a text: about the square root of its bytes, 16,000 at most."""
    return min(16_000, round(math.sqrt(text_bytes)))


def _sample(source: TextSource, most_bytes: int, seed: int) -> tuple[bytes, bool]:
    """Lines of a text, cut into segments, and whether they are all: of a long text `most_bytes`, drawn by lot.

    Where there are so many short lines that they cost too much, every second one is left out, as often as needed.
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
    """The lines of a sample, one at a time: a list of them would take several times the memory."""
    return (line[:-1] for line in io.BytesIO(sample))


def _normalized(text: str, config: VocabularyConfig) -> str:
    """The text as SentencePiece will see it, for counting."""
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
            for point in range(CODE_POINTS):
                lower = chr(point).lower()
                if lower != chr(point):
                    stream.write(f"{point:X}\t{' '.join(f'{ord(letter):X}' for letter in lower)}\n")
        return {"normalization_rule_tsv": rules}
    names = {("none", False): "identity", ("nfkc", False): "nfkc", ("nfkc", True): "nfkc_cf"}
    return {"normalization_rule_name": names[config.normalize, config.lowercase]}


def _explained(message: str, config: VocabularyConfig) -> SeqtoolError:
    """SentencePiece's complaint in the user's words."""
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
