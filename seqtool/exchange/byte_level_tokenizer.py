"""Tokenizers of byte-level BPE as vocabularies: tokenizer.json, or GPT-2's older vocab.json and merges.txt.

Special tokens are not read in a text, as nowhere here; other added ones are symbols, which are never split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.errors import InputError
from seqtool.files.writing import provenance, read_small_file
from seqtool.settings.vocabulary import MAX_SYMBOLS, MAX_VOCABULARY
from seqtool.text.byte_level import MAX_JSON_BYTES, byte_level_model, read_bounded_json
from seqtool.text.vocabulary import Vocabulary

OLD_PAIR = ("vocab.json", "merges.txt")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
OF_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4 = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
SPLITTING_OF = {
    GPT2: "gpt-2",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": "gpt-2",
    OF_WORDS % r"\p{N}{1,3}": "llama-3",
    GPT4: "llama-3",
    OF_WORDS % r"\p{N}": "qwen2",
}
"""The patterns that are known, as other programs spell them; some spell the same one in two ways."""
PATTERN_OF = {"gpt-2": GPT2, "llama-3": OF_WORDS % r"\p{N}{1,3}", "qwen2": OF_WORDS % r"\p{N}"}
"""How each is written for other programs."""
DIGITS, OF_DIGITS = "Digits", "smollm"  # a step before GPT-2's pattern, and the name of both
BEGINNINGS = ("<|begin_of_text|>", "<|endoftext|>", "<|end_of_text|>", "<s>", "<bos>")
UNUSED = "<|unused_{}|>"
PADDING = 1 << 16  # symbols that a model may have more than its tokenizer
OLD_CLASSES = (None, "GPT2Tokenizer", "GPT2TokenizerFast")
MEND = "give a vocabulary of the same ids with --vocab"


class Added(NamedTuple):
    """A token that was added to the pieces."""

    id: int
    content: str
    special: bool


class Tokenizer(NamedTuple):
    """What a tokenizer's files say."""

    ids: dict[str, int]
    pairs: list[tuple[str, str]]
    added: list[Added]
    splitting: str
    normalize: str
    ignore_merges: bool


def is_byte_level(told: Any) -> bool:
    """Whether a tokenizer.json is of byte-level BPE."""
    model = told.get("model") if isinstance(told, dict) else None
    steps = _steps(told, "pre_tokenizer", "pretokenizers") if isinstance(model, dict) else []
    return any(isinstance(step, dict) and step.get("type") == "ByteLevel" for step in steps)


def read_byte_level(told: Mapping[str, Any], path: Path, size: int = 0) -> Vocabulary:
    """The vocabulary of a tokenizer.json; InputError where it does what no such vocabulary here does.

    `size` is how many symbols the model beside it has: more than the tokenizer's are unused ones.
    """
    try:
        found = _of_json(told, path)
        return _vocabulary(found, path, size)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _damaged(path) from error


def has_old_pair(folder: Path) -> bool:
    """Whether a directory has GPT-2's older pair of files."""
    return all((folder / name).is_file() for name in OLD_PAIR)


def read_old_pair(folder: Path, size: int = 0) -> Vocabulary:
    """The vocabulary of vocab.json and merges.txt, as GPT-2 has them; `size` is as in `read_byte_level`."""
    path = folder / "vocab.json"
    told = _beside(folder, "tokenizer_config.json")
    kind = told.get("tokenizer_class")
    if kind not in OLD_CLASSES or told.get("add_prefix_space"):
        what = f"of the class {str(kind)[:40]}" if kind not in OLD_CLASSES else "one that puts a space before a text"
        raise InputError(f"{folder}: its tokenizer is {what}: get its tokenizer.json, or {MEND}")
    try:
        ids = dict(read_bounded_json(read_small_file(path, MAX_JSON_BYTES), str(path)))
        lines = read_small_file(folder / "merges.txt", MAX_JSON_BYTES).decode().split("\n")
        pairs = [_pair(line) for line in lines if line.strip() and not line.startswith("#version")]
        extra = _beside(folder, "added_tokens.json")
        special = [ids[name] for name in BEGINNINGS if name in ids]
        added = [Added(index, piece, True) for piece, index in ids.items() if index in special]
        added += [Added(index, piece, piece.startswith("<|")) for piece, index in extra.items()]
        return _vocabulary(Tokenizer(ids, pairs, added, "gpt-2", "none", False), path, size)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is no whole tokenizer of byte-level BPE: get it anew, or {MEND}")


def _refused(path: Path, what: str) -> InputError:
    return InputError(f"{path} {what[:200]}, as no vocabulary here does: {MEND}")


def _beside(folder: Path, name: str) -> dict[str, Any]:
    """A small file of JSON in a directory; empty where there is none."""
    path = folder / name
    if not path.is_file():
        return {}
    try:
        found = read_bounded_json(read_small_file(path, MAX_JSON_BYTES), str(path))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: get it anew, or {MEND}") from error
    return found if isinstance(found, dict) else {}


def _pair(pair: Any) -> tuple[str, str]:
    """Two pieces that are merged, which files of different age write differently."""
    left, right = pair.split(" ") if isinstance(pair, str) else pair
    return left, right


def _steps(told: Mapping[str, Any], name: str, inner: str) -> list[Any]:
    """The steps of a part of a tokenizer, which may be one, a sequence or none."""
    part = told.get(name)
    if part is None:
        return []
    steps = part.get(inner, [part]) if isinstance(part, dict) else part
    return steps if isinstance(steps, list) else [steps]


def _of_json(told: Mapping[str, Any], path: Path) -> Tokenizer:
    model = told["model"]
    if model.get("type", "BPE") != "BPE":
        raise _refused(path, f"is of the kind {model['type']}")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(key):
            raise _refused(path, f"has {key} {str(model[key])[:40]!r}")
    added = []
    normalize = _normalize(told, path)
    for one in told.get("added_tokens") or []:
        token = Added(one["id"], one["content"], bool(one.get("special")))
        if not token.special:
            for key in ("lstrip", "rstrip", "single_word"):
                if one.get(key):
                    raise _refused(path, f"takes more than itself for the token {token.content[:40]!r} ({key})")
            if normalize != "none" and one.get("normalized", True):
                raise _refused(path, f"looks for the token {token.content[:40]!r} in normalized text")
        added.append(token)
    pairs = [_pair(pair) for pair in model["merges"]]
    ignore_merges = model.get("ignore_merges") or False
    return Tokenizer(dict(model["vocab"]), pairs, added, _splitting(told, path), normalize, bool(ignore_merges))


def _normalize(told: Mapping[str, Any], path: Path) -> str:
    steps = _steps(told, "normalizer", "normalizers")
    kinds = [str(step["type"]) for step in steps]
    if kinds not in ([], ["NFC"]):
        raise _refused(path, f"normalizes text by {' and '.join(kinds)[:80]}")
    return "nfc" if kinds else "none"


def _splitting(told: Mapping[str, Any], path: Path) -> str:
    """The name of the pattern that text is split by; InputError for one that is not known."""
    pattern: str | None = None
    digits = False
    steps = _steps(told, "pre_tokenizer", "pretokenizers")
    for place, step in enumerate(steps):
        kind = str(step["type"])
        if kind == "ByteLevel" and place == len(steps) - 1:
            if step.get("add_prefix_space", True):
                raise _refused(path, "puts a space before every text (add_prefix_space)")
            if not step.get("use_regex", True):
                continue
            if pattern is not None:
                raise _refused(path, "splits text by two patterns")
            pattern = GPT2
        elif kind == DIGITS and place == 0 and step.get("individual_digits"):
            digits = True
        elif kind == "Split" and pattern is None and not digits:
            spelled, how = step["pattern"], (step["behavior"], bool(step.get("invert")))
            pattern = spelled.get("Regex", spelled.get("String"))
            if how not in (("Isolated", False), ("Removed", True)) or "Regex" not in spelled:
                raise _refused(path, f"splits text at {str(pattern)[:80]!r} ({how[0]})")
        else:
            raise _refused(path, f"splits text by {kind[:40]}")
    if pattern not in SPLITTING_OF:
        raise _refused(path, f"splits text by the pattern {str(pattern)[:120]!r}")
    return OF_DIGITS if digits else SPLITTING_OF[pattern]


def _vocabulary(found: Tokenizer, path: Path, size: int) -> Vocabulary:
    """The vocabulary that a tokenizer is; ValueError and so on where parts are missing or of another kind."""
    pieces = _pieces(found, path)
    special = {one.id for one in found.added if one.special}
    symbols = {one.id for one in found.added} - special
    if len(symbols) > MAX_SYMBOLS:
        raise _refused(path, f"has {len(symbols):,} added tokens that are not special")
    unused = range(len(pieces), size if size - len(pieces) <= PADDING else len(pieces))
    pieces += [UNUSED.format(index) for index in unused]
    begin_id = _begin_id(pieces, special, path)
    pairs = [(found.ids[left], found.ids[right]) for left, right in found.pairs]
    model = byte_level_model(
        pieces,
        pairs,
        splitting=found.splitting,
        begin_id=begin_id,
        special=[*special, *unused],
        symbols=symbols - {begin_id},
        ignore_merges=found.ignore_merges,
        normalize=found.normalize,
        made_by=provenance(),
    )
    return Vocabulary(model, str(path))


def _pieces(found: Tokenizer, path: Path) -> list[str]:
    """The pieces by their ids; InputError where an id is missing or there twice."""
    known: dict[int, str] = {}
    added = [(one.content, one.id) for one in found.added]
    for piece, index in (*found.ids.items(), *added):
        if type(index) is not int or type(piece) is not str or not 0 <= index < MAX_VOCABULARY:
            raise ValueError("ids that are no numbers")
        if known.setdefault(index, piece) != piece:
            raise InputError(f"{path} has the id {index} twice: get it anew, or {MEND}")
    if not known or len(known) > MAX_VOCABULARY or max(known) != len(known) - 1:
        raise InputError(f"{path} leaves out ids: get it anew, or {MEND}")
    return [known[index] for index in range(len(known))]


def _begin_id(pieces: list[str], special: Iterable[int], path: Path) -> int:
    """The token that begins a text, by the files beside it: config.json's id, a name, or what other models call it."""
    special, folder = set(special), path.parent
    told = _beside(folder, "config.json").get("bos_token_id")
    if type(told) is int and told in special:
        return told
    named = _beside(folder, "tokenizer_config.json").get("bos_token")
    named = named.get("content") if isinstance(named, dict) else named
    for name in (named, *BEGINNINGS):
        if isinstance(name, str) and name in pieces:
            return pieces.index(name)
    raise InputError(
        f"{path} names no token that begins a text, such as {BEGINNINGS[0]}: say it in config.json (bos_token_id), "
        f"or {MEND}"
    )
