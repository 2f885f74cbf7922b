"""Which features count and how much: TF-IDF over the groups of features.

In: the features of a text. Out: row numbers and values of a sparse vector. Training and serving share this code, so
that both see the same vector for the same text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from nlu.embedded.features import Features

# How much words, pieces and concepts weigh; held-out rows of BANKING77's training split, ten
# examples per intent: 0.8 to 0.9 for concepts do about equally well.
_GROUP_WEIGHTS = (1.0, 1.0, 0.85)
# Large data sets repeat themselves: what occurs once among that many texts is mostly a typing error.
_LARGE = 3000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Per group of features: feature -> row, rows counting on from group to group; `idf` is per row."""

    groups: tuple[dict[str, int], ...]
    idf: tuple[float, ...]
    unknown_idf: float

    @classmethod
    def of(cls, groups: Sequence[Sequence[str]], idf: Sequence[float], unknown_idf: float) -> Vocabulary:
        """Rows in the order given."""
        starts = [0, *accumulate(len(group) for group in groups)]
        numbered = tuple(
            {feature: row for row, feature in enumerate(group, start)}
            for group, start in zip(groups, starts, strict=False)
        )
        return cls(numbered, tuple(idf), unknown_idf)

    def __len__(self) -> int:
        return len(self.idf)

    def vector(self, text: Features) -> tuple[list[int], list[float]]:
        """(rows, values); each group of features has the length of its weight at most."""
        rows: list[int] = []
        values: list[float] = []
        for found, group, weight in zip(text, self.groups, _GROUP_WEIGHTS, strict=True):
            values += self._weigh(found, group, weight, rows)
        return rows, values

    def familiarity(self, text: Features) -> float:
        """How much of the text's words was seen in training, by weight: 0 to 1, and 1 for a text without words."""
        known = unknown = 0.0
        for stem in text.words[: (len(text.words) + 1) // 2]:  # the rest are pairs
            row = self.groups[0].get(stem)
            if row is None:
                unknown += self.unknown_idf
            else:
                known += self.idf[row]
        return known / (known + unknown) if known + unknown else 1.0

    def _weigh(self, found: list[str], group: dict[str, int], weight: float, rows: list[int]) -> list[float]:
        """Append one group's rows to `rows` and return its TF-IDF values.

        Unknown features count into the length, so a text of mostly unknown words has small values: it says little.
        """
        values: list[float] = []
        squares = 0.0
        for feature, count in Counter(found).items():
            frequency = 1.0 if count == 1 else 1.0 + math.log(count)
            row = group.get(feature)
            if row is None:
                value = frequency * self.unknown_idf
            else:
                value = frequency * self.idf[row]
                rows.append(row)
                values.append(value)
            squares += value * value
        if not values:
            return values
        scale = weight / math.sqrt(squares)
        return [value * scale for value in values]


def build_vocabulary(texts: Sequence[Features]) -> Vocabulary:
    """The features of `texts`, sorted; of many texts only those that at least two of them have."""
    least = 2 if len(texts) > _LARGE else 1
    total = len(texts) + 1
    groups: list[list[str]] = []
    idf: list[float] = []
    for group in range(len(_GROUP_WEIGHTS)):
        counts = Counter(feature for text in texts for feature in set(text[group]))
        kept = sorted(feature for feature, count in counts.items() if count >= least)
        groups.append(kept)
        idf += [math.log(total / (counts[feature] + 1)) + 1 for feature in kept]
    return Vocabulary.of(groups, idf, unknown_idf=math.log(total) + 1)
