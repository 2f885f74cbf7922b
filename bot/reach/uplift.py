"""Did it help? Those who were sent to compared with those held out, within each class of value. Pure.

The draw was made within strata, so the comparison is too: shares are compared in each and weighted by how many people
of the audience are in it, which takes out what the strata differ in. Intervals are of 95 %: of shares with one success
and one failure added to each side (Agresti and Caffo 2000, spread over the strata), of amounts by their own variance.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

Z: Final = 1.959963984540054  # 97.5 % of the normal distribution
SMALLEST: Final = 5  # people of each side that a stratum of its own needs
FLOOR: Final = 0.05  # share of people a bandit leaves to each variant


@dataclass(frozen=True, slots=True)
class Side:
    """People of one arm in one stratum, `successes` of whom did it; amounts are in minor units."""

    people: int
    successes: int
    amount: float = 0.0
    amount_squares: float = 0.0

    def __add__(self, other: Side) -> Side:
        return Side(
            self.people + other.people,
            self.successes + other.successes,
            self.amount + other.amount,
            self.amount_squares + other.amount_squares,
        )


NOBODY: Final = Side(0, 0)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where it lies with 95 %."""

    estimate: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether it differs from zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Uplift:
    """The difference to those held out. `share`: of people (0.01 is one more in a hundred); `amount`: minor units a
    person. `extra`: successes there would not have been. None: nothing to compare with.
    """

    share: Interval
    amount: Interval
    extra: Interval
    treated: Side
    control: Side


def uplift(treated: Mapping[str, Side], control: Mapping[str, Side]) -> Uplift | None:
    """Both by stratum. None when nobody was sent to or nobody held out."""
    pairs = _strata(treated, control)
    all_treated, all_control = _sum(treated), _sum(control)
    if not pairs:
        return None
    whole = sum(mine.people + other.people for mine, other in pairs)
    weights = [(mine.people + other.people) / whole for mine, other in pairs]
    share = _interval(
        [_shares(mine, other, weight) for (mine, other), weight in zip(pairs, weights, strict=True)], weights
    )
    amount = _interval([_amounts(mine, other) for mine, other in pairs], weights)
    extra = Interval(*(each * all_treated.people for each in (share.estimate, share.low, share.high)))
    return Uplift(share, amount, extra, all_treated, all_control)


def _strata(treated: Mapping[str, Side], control: Mapping[str, Side]) -> list[tuple[Side, Side]]:
    """Pairs of those with enough people on both sides; the others together are one more."""
    pairs: list[tuple[Side, Side]] = []
    rest = (NOBODY, NOBODY)
    for name in sorted({*treated, *control}):
        mine, other = treated.get(name, NOBODY), control.get(name, NOBODY)
        if min(mine.people, other.people) >= SMALLEST:
            pairs.append((mine, other))
        else:
            rest = (rest[0] + mine, rest[1] + other)
    if min(rest[0].people, rest[1].people) > 0:
        pairs.append(rest)
    elif pairs and (rest[0].people or rest[1].people):
        pairs[0] = (pairs[0][0] + rest[0], pairs[0][1] + rest[1])
    return pairs


def _shares(mine: Side, other: Side, weight: float) -> tuple[float, float]:
    """Difference of shares, and its variance, with this stratum's part of one success and one failure."""
    found = []
    for side in (mine, other):
        people = side.people + 2 * weight
        share = (side.successes + weight) / people
        found.append((share, share * (1 - share) / people))
    (share, spread), (other_share, other_spread) = found
    return share - other_share, spread + other_spread


def _amounts(mine: Side, other: Side) -> tuple[float, float]:
    """Difference of means, and its variance."""
    found = []
    for side in (mine, other):
        mean = side.amount / side.people
        spread = max(side.amount_squares - side.people * mean * mean, 0.0) / max(side.people - 1, 1)
        found.append((mean, spread / side.people))
    return found[0][0] - found[1][0], found[0][1] + found[1][1]


def _interval(parts: Sequence[tuple[float, float]], weights: Sequence[float]) -> Interval:
    middle = sum(weight * value for weight, (value, _) in zip(weights, parts, strict=True))
    half = Z * sqrt(sum(weight * weight * spread for weight, (_, spread) in zip(weights, parts, strict=True)))
    return Interval(middle, middle - half, middle + half)


def _sum(sides: Mapping[str, Side]) -> Side:
    found = NOBODY
    for side in sides.values():
        found += side
    return found


def shares_of_bandit(arms: Mapping[str, Side], *, seed: int, draws: int = 4000) -> dict[str, float]:
    """What share of the next people each variant gets: how probably it is the best (Thompson 1933), FLOOR at least.

    The same numbers and seed give the same shares.
    """
    names = sorted(arms)
    if not names:
        return {}
    source = random.Random(seed)  # noqa: S311 - a draw, no secret
    wins = dict.fromkeys(names, 0)
    for _ in range(draws):
        drawn = {
            name: source.betavariate(1 + arms[name].successes, 1 + arms[name].people - arms[name].successes)
            for name in names
        }
        wins[max(names, key=drawn.__getitem__)] += 1
    floor = min(FLOOR, 1 / len(names))
    spare = 1 - floor * len(names)
    return {name: floor + spare * wins[name] / draws for name in names}
