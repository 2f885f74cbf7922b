"""Which features count and how much: TF-IDF over two groups, words and character pieces.

In: the features of a text. Out: row numbers and values of a sparse vector. Training and serving share this code, so
that both see the same vector for the same text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nlu.embedded.features import Features

# Large data sets repeat themselves: what occurs once among that many texts is mostly a typing error.
_LARGE = 3000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Feature -> row, words first, pieces after them; `idf` is the inverse document frequency per row."""

    words: dict[str, int]
    pieces: dict[str, int]
    idf: tuple[float, ...]
    unknown_idf: float

    def __len__(self) -> int:
        return len(self.idf)

    def vector(self, text: Features) -> tuple[list[int], list[float]]:
        """(rows, values); each group of features has length 1 at most."""
        rows: list[int] = []
        values: list[float] = []
        for found, group in ((text.words, self.words), (text.pieces, self.pieces)):
            self._weigh(found, group, rows, values)
        return rows, values

    def _weigh(self, found: list[str], group: dict[str, int], rows: list[int], values: list[float]) -> None:
        """Append one group's rows and TF-IDF values, divided by their length.

        Unknown features count into the length, so a text of mostly unknown words has small values: it says little.
        """
        weights: list[float] = []
        squares = 0.0
        for feature, count in Counter(found).items():
            frequency = 1.0 if count == 1 else 1.0 + math.log(count)
            row = group.get(feature)
            if row is None:
                weight = frequency * self.unknown_idf
            else:
                weight = frequency * self.idf[row]
                rows.append(row)
                weights.append(weight)
            squares += weight * weight
        if weights:
            scale = 1.0 / math.sqrt(squares)
            values.extend([weight * scale for weight in weights])


def build_vocabulary(texts: Sequence[Features]) -> Vocabulary:
    """The features of `texts`, sorted; of many texts only those that at least two of them have."""
    words: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for text in texts:
        words.update(set(text.words))
        pieces.update(set(text.pieces))
    least = 2 if len(texts) > _LARGE else 1
    kept_words = sorted(word for word, count in words.items() if count >= least)
    kept_pieces = sorted(piece for piece, count in pieces.items() if count >= least)
    counts = [words[word] for word in kept_words] + [pieces[piece] for piece in kept_pieces]
    total = len(texts) + 1
    return Vocabulary(
        words={word: row for row, word in enumerate(kept_words)},
        pieces={piece: row for row, piece in enumerate(kept_pieces, start=len(kept_words))},
        idf=tuple(math.log(total / (count + 1)) + 1 for count in counts),
        unknown_idf=math.log(total) + 1,
    )
