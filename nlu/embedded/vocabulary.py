"""Which features count and how much: TF-IDF over the groups of features.

In: the features of texts. Out: for all of them together the rows and values of sparse vectors. Training and serving
share this code, so that both see the same vector for the same text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from nlu.embedded.features import Features
from nlu.embedded.keys import GROUPS, Floats, Ints, Keys, KeyTable

# How much words, pieces and concepts weigh; held-out rows of BANKING77's training split, ten
# examples per intent: 0.8 to 0.9 for concepts do about equally well.
_WEIGHTS: Final = np.asarray([1.0, 1.0, 0.85])
LENGTH: Final = float(np.linalg.norm(_WEIGHTS))  # of a text that has words, pieces and concepts
_WEIGHED_TOGETHER: Final = np.asarray([0, 0, 1, 2])  # by group: stems and their pairs share one length
# Large data sets repeat themselves: what occurs once among that many texts is mostly a typing error.
_LARGE = 3000


class Vectors(NamedTuple):
    """Sparse vectors of several texts; number n has the entries `starts[n]:starts[n + 1]`."""

    rows: Ints
    values: Floats
    starts: Ints


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The known features, in the order of their keys, and the weight of each; the last of `idf` is an unknown one's."""

    table: KeyTable
    idf: Floats

    @classmethod
    def of(cls, keys: Keys, idf: Floats) -> Vocabulary:
        return cls(KeyTable(keys), idf)

    def __len__(self) -> int:
        return len(self.table)

    def vectors(self, texts: Features) -> Vectors:
        """Each group of features of a text has the length of its weight at most.

        Unknown features count into the length, so a text of mostly unknown words has small values: it says little.
        """
        rows, is_known = self.table.find(texts.key)
        part = texts.place // GROUPS
        part *= len(_WEIGHTS)
        part += _WEIGHED_TOGETHER.take(texts.place % GROUPS)
        values = self.idf.take(np.where(is_known, rows, len(self)))
        values *= 1.0 + np.log(texts.count)
        squares = np.bincount(part, values * values, minlength=len(texts) * len(_WEIGHTS))
        scales = np.tile(_WEIGHTS, len(texts)) / np.sqrt(np.maximum(squares, 1e-9))
        values *= scales.take(part)
        known = np.flatnonzero(is_known)
        return Vectors(rows.take(known), values.take(known), np.searchsorted(known, texts.starts))


def build_vocabulary(texts: Features, most: int = 1 << 30) -> Vocabulary:
    """The features of `texts`, the `most` frequent ones; of many texts only those that at least two of them have."""
    least = 2 if len(texts) > _LARGE else 1
    total = len(texts) + 1
    keys, counts = np.unique(texts.key, return_counts=True)
    if len(keys) > most:
        least = max(least, int(np.sort(counts)[-most]) + 1)  # those with the count at the border are left out
    kept = counts >= least
    weights = np.log(total / (counts[kept] + 1)) + 1
    return Vocabulary.of(keys[kept], np.append(weights, math.log(total) + 1))
