"""Texts that say nearly the same, put together: by the character pairs they share. Pure, without a model."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

NEAR = 0.5  # share of pairs two texts must have in common (Dice) to be the same question
_LONGEST = 120  # characters that count; beyond them a question is a story


def grouped(texts: Sequence[str], near: float = NEAR) -> list[list[int]]:
    """Places in `texts`, one list per group, the largest first; each group's first text came first.

    A text joins the group whose first text it is nearest to. The same texts always give the same groups.
    """
    leaders: list[tuple[frozenset[str], list[int]]] = []
    by_pair: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        pairs = _pairs(text)
        shared: dict[int, int] = {}
        for pair in pairs:
            for leader in by_pair.get(pair, ()):
                shared[leader] = shared.get(leader, 0) + 1
        scored = [(2 * count / (len(pairs) + len(leaders[at][0])), -at) for at, count in shared.items()]
        score, at = max(scored, default=(0.0, 0))
        if pairs and score >= near:
            leaders[-at][1].append(place)
            continue
        for pair in pairs:
            by_pair.setdefault(pair, []).append(len(leaders))
        leaders.append((pairs, [place]))
    return sorted((group for _, group in leaders), key=lambda group: (-len(group), group[0]))


def _pairs(text: str) -> frozenset[str]:
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold()
    plain = "".join(character if character.isalnum() else " " for character in folded)
    padded = f" {' '.join(plain.split())} "
    return frozenset(padded[at : at + 2] for at in range(len(padded) - 1)) if padded.strip() else frozenset()
