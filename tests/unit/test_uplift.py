"""Whether a broadcast helped: estimates, intervals and what they cover."""

from __future__ import annotations

import random
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.reach.uplift import FLOOR, Side, shares_of_bandit, uplift

STRATA = {"A": (0.2, 0.10), "B": (0.3, 0.05), "C": (0.5, 0.02)}  # part of the people, share that buys anyway


def _bought(source: random.Random, people: int, share: float) -> int:
    """Of so many people, those who bought: a normal draw is as good for hundreds, and quick."""
    if people * share < 30:
        return sum(source.random() < share for _ in range(people))
    return max(0, min(people, round(source.gauss(people * share, sqrt(people * share * (1 - share))))))


def _campaign(source: random.Random, people: int, effect: float) -> tuple[dict[str, Side], dict[str, Side]]:
    treated, control = {}, {}
    for name, (part, base) in STRATA.items():
        count = round(people * part)
        held_out = count // 10
        treated[name] = Side(count - held_out, _bought(source, count - held_out, base + effect))
        control[name] = Side(held_out, _bought(source, held_out, base))
    return treated, control


@pytest.mark.parametrize("people", [2_000, 20_000])
@pytest.mark.parametrize("effect", [0.0, 0.01, 0.03])
def test_the_interval_covers_the_truth_in_95_of_100_campaigns(people: int, effect: float) -> None:
    source = random.Random(f"{people} {effect}")
    covered = 0
    for _ in range(1000):
        found = uplift(*_campaign(source, people, effect))
        assert found is not None
        covered += found.share.low <= effect <= found.share.high
    assert 930 <= covered <= 970


def test_amounts_are_covered_as_well() -> None:
    source, covered = random.Random(3), 0
    for _ in range(1000):
        sides = []
        for people, mean in ((900, 110.0), (300, 100.0)):
            amounts = [source.gauss(mean, 40) for _ in range(people)]
            sides.append({"": Side(people, 0, sum(amounts), sum(each * each for each in amounts))})
        found = uplift(*sides)
        assert found is not None
        covered += found.amount.low <= 10 <= found.amount.high
    assert 930 <= covered <= 970


def test_a_campaign_without_effect_is_not_called_one() -> None:
    found = uplift({"": Side(9000, 450)}, {"": Side(1000, 50)})
    assert found is not None
    assert not found.share.is_clear
    assert abs(found.share.estimate) < 0.001


def test_a_clear_one_is_counted_in_people() -> None:
    found = uplift({"": Side(9000, 900)}, {"": Side(1000, 50)})
    assert found is not None
    assert found.share.is_clear
    assert found.extra.estimate == pytest.approx(450, rel=0.05)


def test_strata_that_differ_do_not_blur_the_comparison() -> None:
    treated = {"A": Side(900, 450), "B": Side(9000, 90)}
    control = {"A": Side(100, 40), "B": Side(1000, 5)}
    apart, mixed = uplift(treated, control), uplift({"": Side(9900, 540)}, {"": Side(1100, 45)})
    assert apart is not None
    assert mixed is not None
    assert apart.share.high - apart.share.low < mixed.share.high - mixed.share.low


@pytest.mark.parametrize(("treated", "control"), [({}, {}), ({"A": Side(5, 1)}, {}), ({}, {"A": Side(5, 1)})])
def test_without_anybody_to_compare_with_nothing_is_said(treated: dict[str, Side], control: dict[str, Side]) -> None:
    assert uplift(treated, control) is None


_side = st.integers(0, 2000).flatmap(lambda people: st.builds(Side, st.just(people), st.integers(0, people)))
_sides = st.dictionaries(st.sampled_from("ABC"), _side, max_size=3)


@given(_sides, _sides)
def test_whatever_the_numbers_the_estimate_lies_in_its_interval(
    treated: dict[str, Side], control: dict[str, Side]
) -> None:
    found = uplift(treated, control)
    if found is None:
        return
    assert -1 <= found.share.estimate <= 1
    assert found.share.low <= found.share.estimate <= found.share.high
    assert found.treated.people == sum(side.people for side in treated.values())


@given(_sides)
def test_whoever_compares_something_with_itself_finds_nothing(sides: dict[str, Side]) -> None:
    found = uplift(sides, sides)
    assert found is None or not found.share.is_clear


# --- bandit ---------------------------------------------------------------------------------------------------------


def test_the_better_variant_gets_more_and_the_other_keeps_a_little() -> None:
    shares = shares_of_bandit({"a": Side(1000, 100), "b": Side(1000, 50)}, seed=1)
    assert shares["a"] > 0.9
    assert shares["b"] >= FLOOR
    assert sum(shares.values()) == pytest.approx(1)


def test_before_anybody_answered_all_are_alike() -> None:
    shares = shares_of_bandit({name: Side(0, 0) for name in "abc"}, seed=1)
    assert all(share == pytest.approx(1 / 3, abs=0.04) for share in shares.values())


def test_the_same_numbers_give_the_same_shares() -> None:
    arms = {"a": Side(100, 10), "b": Side(100, 11)}
    assert shares_of_bandit(arms, seed=7) == shares_of_bandit(arms, seed=7)
    assert shares_of_bandit({}, seed=7) == {}
