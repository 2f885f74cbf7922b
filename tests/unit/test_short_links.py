"""Our own addresses for links of broadcasts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.reach.short_links import MAX_TOKEN, ShortLink, sign, verified

NOW, BEFORE = b"the key of today, long enough", b"the key of yesterday"


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**32 - 1))
def test_a_token_stands_for_one_persons_link(recipient: int, link: int) -> None:
    token = sign(ShortLink(recipient, link), [NOW])
    assert verified(token, [NOW]) == (recipient, link)
    assert len(token) <= MAX_TOKEN


def test_tokens_of_the_key_before_still_lead_on() -> None:
    assert verified(sign(ShortLink(7, 1), [BEFORE]), [NOW, BEFORE]) == (7, 1)
    assert verified(sign(ShortLink(7, 1), [BEFORE]), [NOW]) is None


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_what_we_never_gave_out_is_nothing(token: str) -> None:
    assert verified(token, [NOW]) is None


@given(st.integers(0, 22), st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=127))
def test_a_changed_character_is_not_believed(place: int, letter: str) -> None:
    token = sign(ShortLink(70_000, 3), [NOW])
    changed = token[:place] + letter + token[place + 1 :]
    assert verified(changed, [NOW]) in {None, (70_000, 3)}
    if changed[:-1] != token[:-1]:
        assert verified(changed, [NOW]) is None
