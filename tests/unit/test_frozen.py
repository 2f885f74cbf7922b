"""Values that are cheap to make are values all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.types import Identity


def test_values_of_the_same_fields_are_the_same_key() -> None:
    one, other = Identity("web", "default", "v-1"), Identity("web", "default", "v-1")
    assert (one, hash(one)) == (other, hash(other))
    assert one != Identity("web", "default", "v-2")


def test_another_value_is_made_of_one_and_the_one_stays() -> None:
    one = Identity("web", "default", "v-1")
    assert (replace(one, account="shop").account, one.account) == ("shop", "default")


def test_a_field_that_there_is_not_is_not_made_by_setting_it() -> None:
    with pytest.raises(AttributeError):
        Identity("web", "default", "v-1").name = "Wang"  # type: ignore[attr-defined]  # what is asked here
