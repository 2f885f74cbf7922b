"""Features as numbers: 48 bits that stand for a word, a pair of words, a few characters or a concept.

In: words, or arrays of hashes. Out: keys, the same in every process, and `KeyTable`, which finds the places of many
keys at once. Among 50,000 known features one in six thousand million unknown ones is taken for a known one by chance.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEMS, PAIRS, PIECES, CONCEPTS = range(4)  # the groups of features
GROUPS: Final = 4
KEY_BITS: Final = 48
KEY_MASK: Final = np.uint64((1 << KEY_BITS) - 1)
# One factor for each place of a piece or pair: odd and otherwise arbitrary.
FACTORS: Final[Keys] = np.asarray([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_SALTS: Final[Keys] = np.asarray([0, *FACTORS.tolist()], dtype=np.uint64)  # one hash, another key in each group
_SPREAD: Final = np.uint64(0xBF58476D1CE4E5B9)
_HALF, _REST = np.uint64(32), np.uint64(64 - KEY_BITS)


@functools.lru_cache(maxsize=20_000)
def hash_of(word: str) -> int:
    """64 bits that stand for a word, a name or a piece that is not Chinese."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def hashes_of_pairs(first: Keys, second: Keys) -> Keys:
    """64 bits for each pair; the order within the pair matters."""
    hashes: Keys = first * FACTORS[0] + second * FACTORS[1]
    return hashes


def keys_of(hashes: Keys, group: int) -> Keys:
    """The keys of hashes, with the group in the bits above."""
    mixed: Keys = hashes + _SALTS[group]
    mixed ^= mixed >> _HALF
    mixed *= _SPREAD
    mixed >>= _REST
    mixed |= np.uint64(group << KEY_BITS)
    return mixed


def packed_keys(hashes: list[int], group: int) -> bytes:
    """`keys_of` in the form in which many are put together at little cost."""
    return keys_of(np.asarray(hashes, dtype=np.uint64), group).tobytes()


def runs(starts: Ints, sizes: Ints) -> Ints:
    """start, start + 1, … for each start, as many as its size, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)


class KeyTable:
    """Finds keys among `keys`, which are sorted, distinct and without the bits of their group.

    `_starts` has for each value of a key's first bits where the keys that begin so are, at most a handful: walking
    through them costs a fifth of a binary search.
    """

    __slots__ = ("_padded", "_shift", "_starts", "_steps", "keys")

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        bits = min(len(keys).bit_length() + 2, 22)
        self._shift = np.uint64(KEY_BITS - bits)
        tops = (keys >> self._shift).astype(np.int64)
        sizes = np.bincount(tops, minlength=1 << bits)
        self._starts: npt.NDArray[np.int32] = (np.cumsum(sizes) - sizes).astype(np.int32)
        self._steps = max(int(sizes.max()) - 1, 0)
        self._padded: Keys = np.concatenate([keys, np.full(self._steps + 1, 1 << 63, dtype=np.uint64)])

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, asked: Keys) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The place of each key among `keys`, and whether it is there at all (if not, the place means nothing)."""
        places: Any = self._starts.take((asked >> self._shift).view(np.int64)).astype(np.int64)
        for _ in range(self._steps):
            places += self._padded.take(places) < asked
        return places, self._padded.take(places) == asked
