"""How much sentences are alike: the cosine of their character 2- and 3-grams, for thousands of them at once.

In: texts. Out: pairs or nearest neighbours. Rare grams may weigh more than frequent ones. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

_SLICE = 512  # rows compared at once, so that memory stays small
_TOO_COMMON = 0.2  # grams in a larger share of the texts say nothing, and cost most of the time


def normalised(words: str) -> str:
    """Lower case, compatibility form, nothing but letters and digits."""
    folded = unicodedata.normalize("NFKC", words).casefold()
    return "".join(character for character in folded if character.isalnum())


def pairs_alike(texts: Sequence[str], least: float) -> Iterator[tuple[float, int, int]]:
    """(cosine, place, later place) of every two texts at least so much alike. 5,000 texts take below a second."""
    if len(texts) < 2:
        return
    grams = _vectors(texts)
    for start in range(0, len(texts), _SLICE):
        near = (grams[start : start + _SLICE] @ grams.T).tocoo()
        is_near = near.data >= least
        for row, column, score in zip(near.row[is_near], near.col[is_near], near.data[is_near], strict=True):
            left = start + int(row)
            if left < column:
                yield float(score), left, int(column)


@dataclass(frozen=True, slots=True)
class Kin:
    """The nearest other text of the same group and of the other groups: place (-1: none) and cosine, for each text."""

    own: npt.NDArray[np.int64]
    own_score: npt.NDArray[np.float32]
    other: npt.NDArray[np.int64]
    other_score: npt.NDArray[np.float32]


def nearest_kin(texts: Sequence[str], groups: Sequence[str]) -> Kin:
    """Whom each text is most like, inside its group and outside of it; what two texts rarely share weighs most."""
    count = len(texts)
    kin = Kin(
        np.full(count, -1, dtype=np.int64),
        np.zeros(count, dtype=np.float32),
        np.full(count, -1, dtype=np.int64),
        np.zeros(count, dtype=np.float32),
    )
    if count < 2:
        return kin
    grams, group_of = _vectors(texts, is_weighted=True), np.unique(groups, return_inverse=True)[1]
    for start in range(0, count, _SLICE):
        near = (grams[start : start + _SLICE] @ grams.T).toarray()
        rows = np.arange(near.shape[0])
        near[rows, start + rows] = -1.0  # not its own neighbour
        is_own = group_of[start : start + near.shape[0], None] == group_of[None, :]
        inside, outside = np.where(is_own, near, -1.0), np.where(is_own, -1.0, near)
        for scores, places, best in ((inside, kin.own, kin.own_score), (outside, kin.other, kin.other_score)):
            nearest = scores.argmax(axis=1)
            found = scores[rows, nearest]
            places[start : start + len(rows)] = np.where(found > 0, nearest, -1)
            best[start : start + len(rows)] = np.maximum(found, 0)
    return kin


def _vectors(texts: Sequence[str], *, is_weighted: bool = False) -> csr_matrix:
    """One unit-length row of character 2- and 3-gram counts per text."""
    vocabulary: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for row, words in enumerate(texts):
        padded = f"^{words}$"
        for size in (2, 3):
            for at in range(len(padded) - size + 1):
                rows.append(row)
                columns.append(vocabulary.setdefault(padded[at : at + size], len(vocabulary)))
    counts = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(len(texts), len(vocabulary)))
    if is_weighted:
        share = counts.getnnz(axis=0) / len(texts)
        weight = np.where((share > _TOO_COMMON) & (len(texts) > 20), 0, np.log(1 / np.maximum(share, 1e-9)))
        counts = csr_matrix(counts.multiply(weight.astype(np.float32)[None, :]))
        counts.eliminate_zeros()
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return csr_matrix(counts.multiply(1 / np.maximum(lengths, 1e-9)[:, None]))
