"""The draw of a broadcast: a permutation, the same again, and as even as its shares say."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.reach.draw import PRIME, WHOLE, arm_at, number_of, places


@given(st.integers(0, 2**31), st.integers(1, PRIME - 1000))
def test_no_two_customers_have_the_same_number(seed: int, first: int) -> None:
    numbers = [number_of(seed, first + n) for n in range(200)]
    assert len(set(numbers)) == 200
    assert numbers == [number_of(seed, first + n) for n in range(200)]


@given(st.integers(0, WHOLE - 1), st.integers(1, 400), st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_every_arm_gets_its_share_of_any_row(start: int, length: int, holdout: float) -> None:
    ends = places(holdout, [("a", 1.0), ("b", 2.0)])
    arms = Counter(arm_at(rank, start, ends) for rank in range(length))
    shares = {"holdout": holdout, "a": (1 - holdout) / 3, "b": (1 - holdout) * 2 / 3}
    assert all(abs(arms[name] - share * length) <= 4 for name, share in shares.items())


def test_seeds_hold_out_different_people() -> None:
    def first_tenth(seed: int) -> set[int]:
        return set(sorted(range(1, 1001), key=lambda customer: number_of(seed, customer))[:100])

    assert 2 <= len(first_tenth(1) & first_tenth(2)) <= 25


@pytest.mark.parametrize(("holdout", "variants"), [(1.0, [("a", 1.0)]), (0.1, []), (0.1, [("a", -1.0), ("b", 2.0)])])
def test_shares_that_are_none_are_refused(holdout: float, variants: list[tuple[str, float]]) -> None:
    with pytest.raises(ValueError, match="share below 1"):
        places(holdout, variants)
