"""N-gram models as ARPA files, which SRILM, KenLM and speech recognisers read and write.

Probabilities are log10, a back-off that is left out is 0, and `<s>` is a context alone. Fields are separated by spaces
and tabs, and by no other white space; what would end a field is escaped inside a token. `</s>` ends a sentence there:
here that is the newline where documents are lines, or else the `<s>` of the document that follows. Lines that begin
with `#`, before the model, are comments: ours hold its vocabulary.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.children import Int64, find_children, in_order
from seqtool.counts.counting import MOST_NGRAMS
from seqtool.counts.model import Float64, Int32, NgramModel
from seqtool.counts.stored import PROBABILITY
from seqtool.errors import InputError
from seqtool.settings.model import MAX_ORDER
from seqtool.settings.vocabulary import MAX_VOCABULARY

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
LN_10 = math.log(10)
NEVER = -99.0  # stands for log10 of 0
ROUNDING = PROBABILITY / LN_10  # how far above 0 a log10 of a probability may lie
# A backslash stands for itself unless what follows would make an escape of it.
TO_ESCAPE = re.compile(r"[\x00-\x20\x7f]|\\(?=[\\\x00-\x20\x7f]|x[0-9a-f]{2})")
FIELD = re.compile(rb"[^ \t\r\n]+")
NGRAMS_AT_ONCE = 1 << 14
LONGEST_LINE = 1 << 20  # bytes
MOST_EMPTY_BYTES, MOST_BESIDE_BYTES = 1 << 20, 1 << 24  # of lines that say nothing, which a stream may have without end
MARK = b"# seqtool: "  # begins a comment of ours
DATA = b"\\data\\"  # the line before the numbers of n-grams
COMMENT_BYTES = 90  # of a vocabulary, in a line
MOST_COMMENT_BYTES = 400 << 20


def spelled(token: str) -> str:
    """A token as one field: `\\x20` for a space, and so for other ends of a field; two backslashes where one escapes.

    A token that has the name of `<s>`, `</s>` or `<unk>` begins with `\\x3c`.
    """
    if token in (BEGIN, END, UNKNOWN):
        return f"\\x3c{token[1:]}"
    return TO_ESCAPE.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\x{ord(match[0]):02x}", token)


def is_arpa(head: bytes) -> bool:
    """Whether a file that begins with these bytes is one."""
    return head.startswith(MARK) or DATA in head.splitlines()


def no_progress(done: int) -> None:
    """Show nothing."""


def write_arpa(
    stream: IO[bytes],
    model: NgramModel,
    tokens: Sequence[str],
    end_id: int,
    unknown_id: int,
    vocabulary: bytes = b"",
    progress: Callable[[int], None] = no_progress,
) -> tuple[int, ...]:
    """Write a model whose symbols, by id, are `tokens`, and return how many n-grams of each order were written.

    `<s>`, `</s>` and `<unk>` are named by their ids. `end_id` is the newline of a model of lines, or else the model's
    `begin_id`: that of the document that follows. N-grams that go on behind an end are left out. `vocabulary`, the
    model's vocabulary in bytes, goes into comments before it. `progress` is called with the n-grams written so far.
    """
    special = {model.begin_id: BEGIN, end_id: END, unknown_id: UNKNOWN}
    names = [special.get(token, spelled(name)) for token, name in enumerate(tokens)]
    contexts = [*names]
    contexts[model.begin_id] = BEGIN
    kept = _kept(model, end_id)
    sizes = tuple(int(np.count_nonzero(of_order)) + (k == 1) for k, of_order in enumerate(kept, 1))  # `<s>` is beside
    for start in range(0, len(text := base64.b64encode(vocabulary)), COMMENT_BYTES):
        stream.write(MARK + text[start : start + COMMENT_BYTES] + b"\n")
    stream.write(DATA + b"\n" + b"".join(b"ngram %d=%d\n" % (k, size) for k, size in enumerate(sizes, 1)))
    done = 0
    for k, of_order in enumerate(kept, 1):
        stream.write(b"\n\\%d-grams:\n" % k)
        backoffs = model.backoffs[k - 1] if k < model.order else None
        if k == 1:
            stream.write(_line(NEVER, BEGIN, None if backoffs is None else float(backoffs[model.begin_id]) / LN_10))
        places = np.flatnonzero(of_order)
        for start in range(0, len(places), NGRAMS_AT_ONCE):
            part = places[start : start + NGRAMS_AT_ONCE]
            log_p = np.maximum(model.log_p[k - 1][part] / LN_10, NEVER).tolist()
            own: list[float | None] = [None] * len(part)
            if backoffs is not None:
                last = part if k == 1 else model.tokens[k - 2][part]
                own = np.where(last == end_id, 0.0, backoffs[part] / LN_10).tolist()  # behind an end nothing comes
            stream.write(b"".join(map(_line, log_p, _texts(model, k, part, names, contexts), own)))
            done += len(part)
            progress(done)
    stream.write(b"\n\\end\\\n")
    return sizes


def _kept(model: NgramModel, end_id: int) -> list[npt.NDArray[np.bool_]]:
    """Which n-grams of each order are written."""
    symbols = np.arange(model.vocab_size)
    is_target = (symbols != model.begin_id) | (end_id == model.begin_id)
    goes_on = (symbols != end_id) & (symbols != model.begin_id)
    is_context = goes_on | (symbols == model.begin_id)
    kept = [is_target]
    for firsts, last in zip(model.firsts, model.tokens, strict=True):
        is_begun = np.repeat(is_context, np.diff(firsts))
        kept.append(is_begun & is_target[last])
        is_context = is_begun & goes_on[last]
    return kept


def _texts(model: NgramModel, k: int, places: Int64, names: Sequence[str], contexts: Sequence[str]) -> list[str]:
    """The words of these n-grams of order k, separated by spaces."""
    if k == 1:
        return [names[at] for at in places.tolist()]
    columns: list[list[str]] = []
    for order in range(k, 1, -1):
        spelling = contexts if columns else names
        columns.insert(0, [spelling[token] for token in model.tokens[order - 2][places].tolist()])
        places = np.searchsorted(model.firsts[order - 2], places, side="right") - 1
    return list(map(" ".join, zip([contexts[at] for at in places.tolist()], *columns, strict=True)))


def _line(log_p: float, text: str, backoff: float | None) -> bytes:
    return f"{log_p:.8g}\t{text}{'' if backoff is None else f'{chr(9)}{backoff:.8g}'}\n".encode()


class ArpaModel(NamedTuple):
    """What an ARPA file holds: its words by id, in the file's order and spelling, and the model of them."""

    words: list[str]
    model: NgramModel
    vocabulary: bytes
    """The vocabulary that the file was written with; empty where it says none."""
    sha256: str


def read_arpa(stream: IO[bytes], name: str, progress: Callable[[int], None] = no_progress) -> ArpaModel:
    """Read a model; InputError, naming the line, where the file is none, cut short, or contradicts itself.

    `progress` is called with the bytes read so far.
    """
    lines = _Lines(stream, name, progress)
    sizes = _sizes(lines)
    words: list[str] = []
    ids: dict[bytes, int] = {}
    log_p: list[Float64] = []
    backoffs: list[Float64] = []
    last_tokens: list[Int32] = []
    firsts: list[Int32] = []
    for k, size in enumerate(sizes, 1):
        lines.expect(b"\\%d-grams:" % k)
        found_words, found_p, found_backoffs = array("i"), array("d"), array("d")  # memory grows with what is there
        while len(found_p) < size:
            block = lines.block(min(size - len(found_p), NGRAMS_AT_ONCE))
            if k == 1:
                words += block.words(ids)
            rows_NK, of_order, of_backoffs = block.ngrams(k, ids)
            found_words.frombytes(rows_NK.tobytes())
            found_p.frombytes(of_order.tobytes())
            found_backoffs.frombytes(of_backoffs.tobytes())
        rows_NK = np.frombuffer(found_words, np.int32).reshape(size, k)
        of_order, of_backoffs = np.frombuffer(found_p), np.frombuffer(found_backoffs)
        if k == 1:
            if BEGIN.encode() not in ids:
                raise InputError(f"{name} has no {BEGIN}: it is no model of texts")
            order = np.arange(size)
        else:
            parents = rows_NK[:, 0].astype(np.int64)
            for of_parents, children, ids_N in zip(firsts, last_tokens, rows_NK.T[1:-1], strict=True):
                found = np.flatnonzero(parents >= 0)
                parents[found] = find_children(of_parents, children, parents[found], ids_N[found])
            if (parents < 0).any():
                row = int(np.argmin(parents))
                raise InputError(
                    f"{name}: the {k}-gram {row + 1:,} goes on from one that the file lacks: write it again"
                )
            try:
                order, firsts_of_order = in_order(parents, rows_NK[:, -1], sizes[k - 2], len(ids))
            except ValueError as error:
                raise InputError(f"{name}: a {k}-gram is there twice: write it again") from error
            last_tokens.append(rows_NK[order, -1])
            firsts.append(firsts_of_order)
        log_p.append(of_order[order] * LN_10)
        if k < len(sizes):
            backoffs.append(of_backoffs[order] * LN_10)
    lines.expect(b"\\end\\")
    lines.expect_no_more()
    begin_id = ids[BEGIN.encode()]
    log_p[0][begin_id] = -np.inf
    return ArpaModel(
        words, NgramModel(begin_id, last_tokens, firsts, log_p, backoffs), lines.vocabulary(), lines.sha256()
    )


class _Lines:
    """The lines of a file that are not empty, one after the other."""

    def __init__(self, stream: IO[bytes], name: str, progress: Callable[[int], None]) -> None:
        self._stream, self._name, self._progress, self._number, self._bytes = stream, name, progress, 0, 0
        self._last, self._is_kept, self._comments = b"", False, bytearray()
        self._digest = hashlib.sha256()

    def next(self) -> bytes:
        """The next line; InputError where there is none."""
        if self._is_kept:
            self._is_kept = False
            return self._last
        began = self._bytes
        while line := self._read():
            self._number += 1
            self._last = line.strip(b" \t\r\n")
            if self._last:
                return self._last
            if self._bytes - began > MOST_EMPTY_BYTES:
                raise self.error(f"is one of more than {MOST_EMPTY_BYTES:,} bytes of empty lines")
        raise InputError(f"{self._name} ends before \\end\\: it was cut short, or is no ARPA file")

    def _read(self) -> bytes:
        try:
            line = self._stream.readline(LONGEST_LINE + 1)
        except OSError as error:
            raise InputError(f"cannot read {self._name}: {error.strerror}") from error
        if len(line) > LONGEST_LINE:
            raise InputError(f"{self._name} has a line of more than {LONGEST_LINE:,} bytes: it is no ARPA file")
        self._digest.update(line)
        self._bytes += len(line)
        if not self._number % NGRAMS_AT_ONCE:
            self._progress(self._bytes)
        return line

    def again(self) -> None:
        """Have the last line read once more."""
        self._is_kept = True

    def skip_comments(self) -> None:
        r"""Read up to `\data\`, and keep what comments of ours hold."""
        beside = 0
        while (line := self.next()) != DATA:
            if line.startswith(MARK):
                self._comments += line.removeprefix(MARK)
                if len(self._comments) > MOST_COMMENT_BYTES:
                    raise self.error("is one comment too many")
            elif (beside := beside + len(line)) > MOST_BESIDE_BYTES:
                raise self.error(f"comes after {MOST_BESIDE_BYTES:,} bytes without \\data\\")

    def vocabulary(self) -> bytes:
        """What comments of ours hold."""
        try:
            return base64.b64decode(self._comments, validate=True)
        except binascii.Error as error:
            raise InputError(f"{self._name} has a vocabulary in its comments that is damaged: remove them") from error

    def sha256(self) -> str:
        """The hash of all that was read."""
        return self._digest.hexdigest()

    def block(self, count: int) -> _Block:
        """The next lines, as many as `count` of them, of which some may be empty; InputError where there are none."""
        first, number = self.next(), self._number
        raw = [first + b"\n"]
        while len(raw) < count and (line := self._read()):
            raw.append(line)
            self._number += 1
        return _Block(raw, number, self.error)

    def expect(self, line: bytes) -> None:
        """Read the next line, which must be this one."""
        if self.next() != line:
            raise self.error(f"is not {line.decode()}, as the numbers in \\data\\ say")

    def expect_no_more(self) -> None:
        """Read what is left, which must be empty lines."""
        began = self._bytes
        while line := self._read():
            self._number += 1
            if self._bytes - began > MOST_EMPTY_BYTES:
                raise self.error(f"is one of more than {MOST_EMPTY_BYTES:,} bytes of empty lines")
            if line.strip(b" \t\r\n"):
                raise self.error("comes behind \\end\\")

    def error(self, what: str, number: int = 0) -> InputError:
        """What is wrong with a line, or else with the one that was read last."""
        return InputError(f"{self._name}: line {number or self._number:,} {what}: it was edited, or is no ARPA file")


class _Block(NamedTuple):
    """Consecutive lines, the number of the first, and what tells that one of them is wrong."""

    raw: list[bytes]
    number: int
    error: Callable[[str, int], InputError]

    def words(self, ids: dict[bytes, int]) -> list[str]:
        """The words of 1-grams, which are numbered in `ids`; InputError where one comes again."""
        found = []
        for number, fields in self._rows():
            if len(fields) < 2:
                raise self._wrong_size(fields, 1, number)
            if fields[1] in ids:
                raise self.error("names a word again", number)
            ids[fields[1]] = len(ids)
            try:
                found.append(fields[1].decode())
            except UnicodeDecodeError as error:
                raise self.error("is not UTF-8", number) from error
        return found

    def ngrams(self, k: int, ids: dict[bytes, int]) -> tuple[Int32, Float64, Float64]:
        """The words of k-grams as ids, (n-grams, k), their log p and back-offs; InputError where a line is none."""
        size = len(FIELD.findall(self.raw[0]))
        text = b"".join(self.raw)
        if size in (k + 1, k + 2) and b"\x0b" not in text and b"\x0c" not in text:
            # All at once, where all lines are alike: a field that no line has tells where each ends.
            fields = text.replace(b"\n", b" \x01 ").split()
            ends = fields[size :: size + 1]
            try:
                if len(ends) * (size + 1) == len(fields) and ends.count(b"\x01") == len(self.raw) == len(ends):
                    return self._checked([fields[at :: size + 1] for at in range(size)], k, ids)
            except (ValueError, KeyError):
                pass
        rows, numbers = [], []
        for number, fields in self._rows():
            if len(fields) not in (k + 1, k + 2):
                raise self._wrong_size(fields, k, number)
            if not all(field in ids for field in fields[1 : k + 1]):
                raise self.error("has a word that is no 1-gram", number)
            rows.append(fields if len(fields) == k + 2 else [*fields, b"0"])
            numbers.append(number)
        try:
            return self._checked(list(zip(*rows, strict=True)), k, ids)
        except ValueError:
            for row, number in zip(rows, numbers, strict=True):
                try:
                    self._checked([[field] for field in row], k, ids)
                except ValueError as error:
                    raise self.error(f"has {error} for a logarithm", number) from error
            raise

    def _rows(self) -> Iterator[tuple[int, list[bytes]]]:
        """The fields of each line that is not empty, and its number."""
        for number, line in enumerate(self.raw, self.number):
            if fields := FIELD.findall(line):
                yield number, fields

    def _wrong_size(self, fields: list[bytes], k: int, number: int) -> InputError:
        return self.error(f"has {len(fields)} fields, where a {k}-gram has {k + 1} or {k + 2}", number)

    def _checked(
        self, columns: Sequence[Sequence[bytes]], k: int, ids: dict[bytes, int]
    ) -> tuple[Int32, Float64, Float64]:
        """The columns of fields as numbers; ValueError, with the field, where one is no such logarithm."""
        words = np.array([[ids[word] for word in column] for column in columns[1 : k + 1]], np.int32)
        log_p = _logarithms(columns[0], ROUNDING)
        backoffs = _logarithms(columns[k + 1], -NEVER) if len(columns) == k + 2 else np.zeros(len(log_p))
        return words.T, log_p, backoffs


def _logarithms(fields: Sequence[bytes], most: float) -> Float64:
    """Fields as finite numbers of at most so much; ValueError, with the field, where one is none."""
    try:
        values = np.array(list(map(float, fields)))
        is_good = (values > -np.inf) & (values <= most)
    except ValueError:
        is_good = np.zeros(len(fields), bool)
    if not is_good.all():
        raise ValueError(repr(fields[int(np.argmin(is_good))].decode(errors="replace")[:20]))
    return values


COUNT = re.compile(rb"ngram (\d{1,12}) ?= ?(\d{1,12})")


def _sizes(lines: _Lines) -> list[int]:
    """How many n-grams of each order the head of a file says there are; the line behind is kept to be read again."""
    lines.skip_comments()
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
