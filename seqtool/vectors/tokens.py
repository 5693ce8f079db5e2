"""The tokens of a file of vectors, looked up by binary search in the file, so that a million load as fast as ten.

A table of tokens is three arrays: the tokens' UTF-8 bytes one after the other, where each ends, and their order by
these bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError


@dataclass(frozen=True)
class TokenTable:
    """V distinct tokens: `text` (bytes,) uint8, `ends` (V,) int64, `order` (V,) uint32."""

    text: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    order: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, tokens: Sequence[str]) -> TokenTable:
        """Make a table; InputError when a token occurs twice."""
        encoded = [token.encode("utf-8", "surrogatepass") for token in tokens]
        order = np.array(sorted(range(len(encoded)), key=encoded.__getitem__), dtype=np.uint32)
        for before, after in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
            if encoded[before] == encoded[after]:
                raise InputError(f"the token {tokens[after]!r} occurs twice: each needs one vector")
        ends = np.cumsum([len(token) for token in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends, order)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        return self._bytes(index).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def find(self, token: str) -> int | None:
        """The row of a token; None where it is not in the table."""
        wanted = token.encode("utf-8", "surrogatepass")
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(int(self.order[middle])) < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self) or self._bytes(row := int(self.order[low])) != wanted:
            return None
        return row

    def is_sound(self) -> bool:
        """Whether the arrays are consistent, so that no look-up leaves them."""
        if not (len(self.order) == len(self.ends) > int(self.order.max(initial=0))):
            return False
        if not 0 <= int(self.ends.min()) <= int(self.ends.max()) <= len(self.text):
            return False
        lengths = np.diff(self.ends, prepend=0)
        each_once = np.bincount(self.order, minlength=len(self)) == 1
        return bool((lengths >= 0).all() and each_once.all() and int(self.ends[-1]) == len(self.text))

    def _bytes(self, index: int) -> bytes:
        start = int(self.ends[index - 1]) if index else 0
        return self.text[start : int(self.ends[index])].tobytes()
