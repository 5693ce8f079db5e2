"""N-gram models as ARPA files, which SRILM, KenLM and speech recognisers read and write.

Probabilities are log10, a back-off that is left out is 0, and `<s>` is a context alone. Fields are separated by spaces
and tabs, and by no other white space; what would end a field is escaped inside a token. `</s>` ends a sentence there:
here that is the newline where documents are lines, or else the `<s>` of the document that follows.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.counting import MOST_NGRAMS
from seqtool.counts.index import Int64, KeyIndex
from seqtool.counts.model import Float64, Int32, NgramModel
from seqtool.errors import InputError
from seqtool.settings.model import MAX_ORDER
from seqtool.settings.vocabulary import MAX_VOCABULARY

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
LN_10 = math.log(10)
NEVER = -99.0  # stands for log10 of 0
ROUNDING = 1e-6  # how far above 0 a log10 of a probability may lie
TO_ESCAPE = re.compile(r"[\x00-\x20\x7f\\]")
ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")
FIELD = re.compile(rb"[^ \t\r\n]+")
NGRAMS_AT_ONCE = 1 << 14


def spelled(token: str) -> str:
    """A token as one field: `\\x20` for a space, and so for other ends of a field; two backslashes for one."""
    return TO_ESCAPE.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\x{ord(match[0]):02x}", token)


def token_of(field: str) -> str:
    """The token that a field spells."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "\\", field)


def write_arpa(stream: IO[bytes], model: NgramModel, tokens: Sequence[str], end_id: int, unknown_id: int) -> None:
    """Write a model whose symbols, by id, are `tokens`; `<s>`, `</s>` and `<unk>` are named by their ids.

    `end_id` is the newline of a model of lines, or else the model's `begin_id`: that of the document that follows.
    N-grams that go on behind an end are left out, and so is another symbol that has one of these three names.
    """
    special = {model.begin_id: BEGIN, end_id: END, unknown_id: UNKNOWN}
    names = [special.get(token, spelled(name)) for token, name in enumerate(tokens)]
    has_own_name = np.array([token in special or name not in special.values() for token, name in enumerate(names)])
    symbols = np.arange(model.vocab_size)
    is_target = has_own_name & ((symbols != model.begin_id) | (end_id == model.begin_id))
    goes_on = has_own_name & (symbols != end_id)
    is_context = goes_on | (symbols == model.begin_id)
    orders = [_Written(is_target, np.empty(0, np.int64))]
    for k in range(2, model.order + 1):
        parents, last = _parents(model.firsts[k - 2]), model.tokens[k - 2]
        orders.append(_Written(is_context[parents] & is_target[last], parents))
        is_context = is_context[parents] & goes_on[last] & (last != model.begin_id)
    sizes = [int(np.count_nonzero(order.kept)) + (k == 1) for k, order in enumerate(orders, 1)]  # and `<s>` itself
    stream.write(b"\\data\\\n" + b"".join(b"ngram %d=%d\n" % (k, size) for k, size in enumerate(sizes, 1)))
    texts = names
    for k, (kept, parents) in enumerate(orders, 1):
        stream.write(b"\n\\%d-grams:\n" % k)
        backoffs = model.backoffs[k - 1] / LN_10 if k < model.order else None
        if k == 1:
            stream.write(_line(NEVER, BEGIN, None if backoffs is None else float(backoffs[model.begin_id])))
        else:
            pairs = zip(parents.tolist(), model.tokens[k - 2].tolist(), strict=True)
            texts = [f"{texts[parent]} {names[token]}" for parent, token in pairs]
        places = np.flatnonzero(kept)
        log_p = np.maximum(model.log_p[k - 1] / LN_10, NEVER)
        for start in range(0, len(places), NGRAMS_AT_ONCE):
            part = places[start : start + NGRAMS_AT_ONCE].tolist()
            own = [None if backoffs is None or (k == 1 and at == end_id) else backoffs[at] for at in part]
            stream.write(b"".join(map(_line, log_p[part], [texts[at] for at in part], own)))
        if k == 1:
            texts = [*names]
            texts[model.begin_id] = BEGIN
    stream.write(b"\n\\end\\\n")


class _Written(NamedTuple):
    """Which n-grams of an order are written, and each one's parent in the order before."""

    kept: npt.NDArray[np.bool_]
    parents: Int64


def _parents(firsts: Int32) -> Int64:
    return np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))


def _line(log_p: float, text: str, backoff: float | None) -> bytes:
    return f"{log_p:.8g}\t{text}{'' if backoff is None else f'{chr(9)}{backoff:.8g}'}\n".encode()


class ArpaModel(NamedTuple):
    """What an ARPA file holds: the symbols by id, in the file's order, and the model of them."""

    tokens: list[str]
    model: NgramModel


def read_arpa(stream: IO[bytes], name: str) -> ArpaModel:
    """Read a model; InputError, naming the line, where the file is none, cut short, or contradicts itself."""
    lines = _Lines(stream, name)
    sizes = _sizes(lines)
    tokens: list[str] = []
    ids: dict[bytes, int] = {}
    log_p: list[Float64] = []
    backoffs: list[Float64] = []
    last_tokens: list[Int32] = []
    firsts: list[Int32] = []
    indices: list[KeyIndex] = []
    for k, size in enumerate(sizes, 1):
        lines.expect(b"\\%d-grams:" % k)
        found_words, found_p, found_backoffs = array("q"), array("d"), array("d")  # memory grows with what is there
        for row in range(size):
            fields = lines.fields()
            if len(fields) not in (k + 1, k + 2):
                raise lines.error(f"has {len(fields)} fields, where a {k}-gram has {k + 1} or {k + 2}")
            if k == 1:
                if fields[1] in ids:
                    raise lines.error("names a word again")
                ids[fields[1]] = row
                tokens.append(token_of(lines.decoded(fields[1])))
            found_words.extend([lines.word(field, ids) for field in fields[1 : k + 1]])
            found_p.append(lines.number(fields[0], ROUNDING))
            found_backoffs.append(lines.number(fields[k + 1], -NEVER) if len(fields) == k + 2 else 0.0)
        rows_NK = np.frombuffer(found_words, np.int64).reshape(size, k)
        of_order, of_backoffs = np.frombuffer(found_p), np.frombuffer(found_backoffs)
        if k == 1:
            if BEGIN.encode() not in ids:
                raise InputError(f"{name} has no {BEGIN}: it is no model of texts")
            order = np.arange(size)
        else:
            parents = rows_NK[:, 0]
            for index, ids_N in zip(indices, rows_NK.T[1:-1], strict=True):
                found = index.find(np.maximum(parents, 0) * len(ids) + ids_N)
                parents = np.where(parents < 0, -1, found)
            if (parents < 0).any():
                row = int(np.flatnonzero(parents < 0)[0])
                raise InputError(
                    f"{name}: the {k}-gram {row + 1:,} goes on from one that the file lacks: write it again"
                )
            keys = parents * len(ids) + rows_NK[:, -1]
            order = np.argsort(keys)
            if (np.diff(keys[order]) == 0).any():
                raise InputError(f"{name}: a {k}-gram is there twice: write it again")
            last_tokens.append(rows_NK[order, -1].astype(np.int32))
            firsts.append(np.cumsum([0, *np.bincount(parents, minlength=sizes[k - 2])]).astype(np.int32))
            if k < len(sizes):
                indices.append(KeyIndex(keys[order], sizes[k - 2] * len(ids)))
        log_p.append(np.where(of_order[order] <= NEVER, -np.inf, of_order[order] * LN_10))
        if k < len(sizes):
            backoffs.append(of_backoffs[order] * LN_10)
    lines.expect(b"\\end\\")
    begin_id = ids[BEGIN.encode()]
    log_p[0][begin_id] = -np.inf
    return ArpaModel(tokens, NgramModel(begin_id, last_tokens, firsts, log_p, backoffs))


class _Lines:
    """The lines of a file that are not empty, one after the other."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name, self._number = stream, name, 0
        self._last, self._is_kept = b"", False

    def next(self) -> bytes:
        """The next line; InputError where there is none."""
        if self._is_kept:
            self._is_kept = False
            return self._last
        for line in self._stream:
            self._number += 1
            self._last = line.strip(b" \t\r\n")
            if self._last:
                return self._last
        raise InputError(f"{self._name} ends before \\end\\: it was cut short, or is no ARPA file")

    def again(self) -> None:
        """Have the last line read once more."""
        self._is_kept = True

    def fields(self) -> list[bytes]:
        """The fields of the next line."""
        return FIELD.findall(self.next())

    def expect(self, line: bytes) -> None:
        """Read the next line, which must be this one."""
        if self.next() != line:
            raise self.error(f"is not {line.decode()}, as the numbers in \\data\\ say")

    def error(self, what: str) -> InputError:
        """What is wrong with the line that was read last."""
        return InputError(f"{self._name}: line {self._number:,} {what}: it was edited, or is no ARPA file")

    def decoded(self, field: bytes) -> str:
        """A field as text."""
        try:
            return field.decode()
        except UnicodeDecodeError as error:
            raise self.error("is not UTF-8") from error

    def word(self, field: bytes, ids: dict[bytes, int]) -> int:
        """The id of a word."""
        if field not in ids:
            raise self.error("has a word that is no 1-gram")
        return ids[field]

    def number(self, field: bytes, most: float) -> float:
        """A finite number of at most so much."""
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if not -math.inf < value <= most:
            raise self.error(f"has {field.decode(errors='replace')[:20]!r} for a logarithm")
        return value


COUNT = re.compile(rb"ngram (\d{1,12}) ?= ?(\d{1,12})")


def _sizes(lines: _Lines) -> list[int]:
    """How many n-grams of each order the head of a file says there are; the line behind is kept to be read again."""
    while lines.next() != b"\\data\\":
        pass  # what stands before it is a comment
    sizes: list[int] = []
    while found := COUNT.fullmatch(lines.next()):
        most = MOST_NGRAMS if sizes else MAX_VOCABULARY
        if int(found[1]) != len(sizes) + 1 or len(sizes) == MAX_ORDER or int(found[2]) > most:
            raise lines.error(f"is not the number of {len(sizes) + 1}-grams, or more than there can be")
        sizes.append(int(found[2]))
    lines.again()
    if not sizes or not sizes[0]:
        raise lines.error("is where the numbers of n-grams should be")
    return sizes
