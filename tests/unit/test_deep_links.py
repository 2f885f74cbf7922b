"""A link says who sent whom, cannot be made up or changed, and ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.deep_links import MAX_ID_BYTES, DeepLink, sign_link, verified_link

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEYS = (b"the key of today, long enough", b"the key of yesterday, as long")
LATER = NOW + timedelta(days=30)
ACCOUNT = "telegram/main"

IDS = st.text(min_size=1, max_size=MAX_ID_BYTES).filter(
    lambda text: text.isprintable() and len(text.encode()) <= MAX_ID_BYTES
)


@given(kind=st.sampled_from(["campaign", "customer", "continue"]), link_id=IDS, minutes=st.integers(1, 10**7))
def test_what_was_signed_is_read_back_and_fits_every_vendor(kind: str, link_id: str, minutes: int) -> None:
    link = DeepLink(kind, link_id, NOW + timedelta(minutes=minutes))  # type: ignore[arg-type]

    payload = sign_link(link, KEYS, account=ACCOUNT)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", payload)
    assert verified_link(payload, KEYS, account=ACCOUNT, now=NOW) == link


@given(data=st.data())
def test_a_changed_character_makes_it_nobodys(data: st.DataObject) -> None:
    payload = sign_link(DeepLink("campaign", "spring-2026", LATER), KEYS, account=ACCOUNT)
    at = data.draw(st.integers(0, len(payload) - 2))  # the last character also holds bits that mean nothing
    other = data.draw(st.sampled_from("ABCxyz019_-").filter(lambda char: char != payload[at]))

    assert verified_link(payload[:at] + other + payload[at + 1 :], KEYS, account=ACCOUNT, now=NOW) is None


@given(st.text(max_size=80))
def test_whatever_somebody_types_is_no_link(payload: str) -> None:
    assert verified_link(payload, KEYS, account=ACCOUNT, now=NOW) is None


def test_a_link_ends() -> None:
    payload = sign_link(DeepLink("customer", "7", NOW), KEYS, account=ACCOUNT)

    assert verified_link(payload, KEYS, account=ACCOUNT, now=NOW - timedelta(seconds=1)) is not None
    assert verified_link(payload, KEYS, account=ACCOUNT, now=NOW) is None


def test_a_link_opens_only_the_account_it_was_made_for() -> None:
    payload = sign_link(DeepLink("customer", "7", LATER), KEYS, account=ACCOUNT)

    assert verified_link(payload, KEYS, account="telegram/other", now=NOW) is None


def test_keys_can_be_rotated() -> None:
    link = DeepLink("campaign", "spring", LATER)
    before = sign_link(link, KEYS[1:], account=ACCOUNT)

    assert verified_link(before, KEYS, account=ACCOUNT, now=NOW) == link
    assert verified_link(before, KEYS[:1], account=ACCOUNT, now=NOW) is None
    assert verified_link(sign_link(link, KEYS, account=ACCOUNT), KEYS[:1], account=ACCOUNT, now=NOW) == link


@pytest.mark.parametrize("link_id", ["", "x" * 32, "长" * 11])
def test_an_id_that_does_not_fit_is_refused_when_the_link_is_made(link_id: str) -> None:
    with pytest.raises(ValueError, match="1 to 31 bytes"):
        sign_link(DeepLink("campaign", link_id, LATER), KEYS, account=ACCOUNT)


def test_an_end_that_does_not_fit_is_refused_when_the_link_is_made() -> None:
    with pytest.raises(ValueError, match="1970"):
        sign_link(DeepLink("campaign", "x", datetime(1960, 1, 1, tzinfo=UTC)), KEYS, account=ACCOUNT)
