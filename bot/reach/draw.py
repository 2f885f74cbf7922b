"""Who is held out and who gets which variant: drawn at random, and the same again for whoever draws again.

A person's number is a permutation of the ids, so no two people of a broadcast share one. It takes nothing but whole
numbers below 2^62, which every database multiplies alike: `crm_sync/recipients.py` says the same in SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bot.reach.states import HOLDOUT

PRIME: Final = 2_147_483_647  # 2^31 - 1; x^5 is a permutation below it, since 5 does not divide PRIME - 1
SPREAD: Final = 48_271  # times an id below PRIME is below 2^47
WHOLE: Final = 1_000_000  # shares are counted in millionths
STRIDE: Final = 618_033  # next to WHOLE times the golden ratio, and prime to it: any few in a row are spread evenly


def shift_of(seed: int) -> int:
    """What a seed adds: seeds next to each other are far apart."""
    return (seed * 1_597_334_677 + 12_345) % PRIME


def number_of(seed: int, customer_id: int) -> int:
    """The number of this customer in the draw of this seed."""
    x = (customer_id % PRIME * SPREAD + shift_of(seed)) % PRIME
    square = x * x % PRIME
    return square * square % PRIME * x % PRIME


def places(holdout: float, variants: Sequence[tuple[str, float]]) -> list[tuple[str, int]]:
    """Arms in order, each with the millionth it ends before: the holdout first, then the variants by their weights.

    Raises: ValueError for shares that are none.
    """
    total = sum(weight for _, weight in variants)
    if not 0 <= holdout < 1 or total <= 0 or any(weight < 0 for _, weight in variants):
        raise ValueError("a holdout is a share below 1, and variants have weights")
    ends, end = [(HOLDOUT, round(holdout * WHOLE))], float(holdout)
    for name, weight in variants:
        end += weight / total * (1 - holdout)
        ends.append((name, round(end * WHOLE)))
    ends[-1] = (ends[-1][0], WHOLE)
    return ends


def arm_at(rank: int, start: int, ends: Sequence[tuple[str, int]]) -> str:
    """The arm of whoever is `rank`-th by number among those of the same value, where the row begins at `start`."""
    millionth = (rank % WHOLE * STRIDE + start) % WHOLE
    return next(name for name, end in ends if millionth < end)
