"""Links sites work with: ours alone, one task each, for a limited time, through a rotation of keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SignatureInvalid
from crm_sync.media.links import LinkExpired
from crm_sync.site_links import SiteLinks, SiteToken

OLD, NEW = b"an old secret key", b"a new secret key"
NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
ENDS = NOW + timedelta(hours=72)


def _links(*keys: bytes) -> SiteLinks:
    return SiteLinks(keys or (NEW,), base_url="https://desk.example/")


def _token(links: SiteLinks, task_id: int = 7, serial: int = 2, ends: datetime = ENDS) -> str:
    return links.link(task_id, serial, ends).rsplit("/", 1)[1]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**31 - 1))
def test_a_link_names_its_task_and_serial_below_the_public_address(task_id: int, serial: int) -> None:
    link = _links().link(task_id, serial, ENDS)
    assert link.startswith("https://desk.example/site/")
    assert _links().verify(link.rsplit("/", 1)[1], NOW) == SiteToken(task_id, serial, ENDS)


def test_its_time_over_it_works_no_more() -> None:
    token = _token(_links())
    assert _links().verify(token, ENDS - timedelta(seconds=1)).task_id == 7
    with pytest.raises(LinkExpired):
        _links().verify(token, ENDS)


@given(st.integers(0, 47), st.sampled_from("ABab01-_"))
def test_a_single_changed_character_makes_it_no_link_of_ours(place: int, character: str) -> None:
    token = _token(_links())
    forged = token[:place] + character + token[place + 1 :]
    if forged == token:
        return
    with pytest.raises(SignatureInvalid):
        _links().verify(forged, NOW)


@given(st.text(max_size=80))
def test_whatever_stands_in_the_address_is_refused_without_breaking(text: str) -> None:
    with pytest.raises(SignatureInvalid):
        _links().verify(text, NOW)


def test_characters_a_decoder_passes_over_make_no_second_spelling() -> None:
    token = _token(_links())
    for odd in (token + "\n", token + "=", f" {token}", token[:10] + "." + token[10:], token.replace("A", "Ａ", 1)):
        with pytest.raises(SignatureInvalid):
            _links().verify(odd, NOW)


def test_an_older_key_still_opens_what_it_signed_and_a_dropped_one_does_not() -> None:
    token = _token(_links(OLD))
    assert _links(NEW, OLD).verify(token, NOW).task_id == 7
    with pytest.raises(SignatureInvalid):
        _links(NEW).verify(token, NOW)


def test_a_signature_for_another_purpose_is_none() -> None:
    body = base64.urlsafe_b64decode(_token(_links()))[:20]
    forged = base64.urlsafe_b64encode(body + b"\0" * 16).decode()
    with pytest.raises(SignatureInvalid):
        _links().verify(forged, NOW)


def test_without_a_key_no_link_can_be_made() -> None:
    with pytest.raises(ValueError, match="secret key"):
        SiteLinks((), base_url="")
