"""Links to files: ours alone, for a limited time, through a rotation of keys."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SignatureInvalid
from crm_sync.media.links import LinkExpired, MediaLinks

KEY, OTHER = "k" * 32, "K" * 32
OLD, NEW = b"an old secret key", b"a new secret key"
NOW = 1_790_000_000.0


def _links(*keys: bytes) -> MediaLinks:
    return MediaLinks(keys or (NEW,), base_url="https://desk.example/", lasts_s=3600)


def _parts(link: str) -> tuple[str, str, str]:
    asked = parse_qs(urlsplit(link).query)
    return urlsplit(link).path.rsplit("/", 1)[1], asked["expires"][0], asked["signature"][0]


def test_a_link_lies_below_the_public_address_and_works_for_its_time() -> None:
    link = _links().link(KEY, now=NOW)
    assert link.startswith(f"https://desk.example/media/{KEY}?")
    key, expires, signature = _parts(link)
    _links().verify(key, expires, signature, now=NOW + 3599)
    assert NOW + 3600 <= int(expires) <= NOW + 2 * 3600


def test_its_time_over_it_works_no_more() -> None:
    key, expires, signature = _parts(_links().link(KEY, now=NOW))
    with pytest.raises(LinkExpired):
        _links().verify(key, expires, signature, now=float(expires))


def test_links_survive_a_rotation_and_end_with_their_key() -> None:
    parts = _parts(_links(OLD).link(KEY, now=NOW))
    _links(NEW, OLD).verify(*parts, now=NOW)
    with pytest.raises(SignatureInvalid):
        _links(NEW).verify(*parts, now=NOW)


def test_a_signature_opens_one_file_until_one_moment() -> None:
    key, expires, signature = _parts(_links().link(KEY, now=NOW))
    for forged in (
        (OTHER, expires, signature),
        (key, str(int(expires) + 1), signature),
        (key, expires, signature[:-1]),
    ):
        with pytest.raises(SignatureInvalid):
            _links().verify(*forged, now=NOW)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", KEY + "/", KEY[:-1], KEY + "a", "键" * 32])
def test_what_is_no_key_of_ours_is_refused(key: str) -> None:
    with pytest.raises(SignatureInvalid):
        _links().verify(key, "1790003600", "x" * 43, now=NOW)


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=60))
def test_anything_made_up_is_refused(key: str, expires: str, signature: str) -> None:
    with pytest.raises(SignatureInvalid):
        _links().verify(key, expires, signature, now=NOW)


def test_there_is_no_unsigned_library() -> None:
    with pytest.raises(ValueError):
        MediaLinks([], base_url="", lasts_s=1)
