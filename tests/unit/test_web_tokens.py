"""Session tokens and the shop's signature: what is accepted, and that nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from bot.errors import SignatureInvalid
from channels.web.tokens import CLOCK_SKEW_S, Session, SessionTokens, new_visitor, sign_identity, verify_identity

NOW = 1_800_000_000
SESSION = Session("default", "v-abc", NOW + 60, "王芳", "zh-CN")


def test_a_token_gives_back_the_session_it_was_issued_for() -> None:
    tokens = SessionTokens([b"key"])

    assert tokens.verify(tokens.issue(SESSION)) == SESSION


def test_a_token_of_an_older_key_is_still_accepted_after_rotation() -> None:
    old = SessionTokens([b"old"]).issue(SESSION)

    assert SessionTokens([b"new", b"old"]).verify(old) == SESSION


def test_a_token_of_a_removed_key_is_refused() -> None:
    old = SessionTokens([b"old"]).issue(SESSION)

    with pytest.raises(SignatureInvalid):
        SessionTokens([b"new"]).verify(old)


def test_changing_any_character_makes_a_token_invalid() -> None:
    tokens = SessionTokens([b"key"])
    token = tokens.issue(SESSION)
    for position in range(0, len(token) - 1):  # the last character carries padding bits that mean nothing
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(SignatureInvalid):
            tokens.verify(token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize(
    "token",
    [
        "",
        "fd1.",
        "fd1..",
        "fd1.a.b",
        "fd2.a.b",
        "Bearer",
        "fd1." + "A" * 5000,
        "fd1.é.é",
        "\x00",
        "fd1.=.=",
        "fd1.a.b.c",
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(SignatureInvalid):
        SessionTokens([b"key"]).verify(token)


def test_a_payload_signed_with_the_bare_secret_is_refused() -> None:
    payload = base64.urlsafe_b64encode(b'["default","v-abc",9999999999,"",""]').rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(b"key", payload, "sha256")).rstrip(b"=")

    with pytest.raises(SignatureInvalid):
        SessionTokens([b"key"]).verify(f"fd1.{payload.decode()}.{signature.decode()}")


@pytest.mark.parametrize("keys", [[], [b""]])
def test_tokens_without_a_key_do_not_start(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="secret key"):
        SessionTokens(keys)


def test_the_longest_user_and_name_fit_into_a_token() -> None:
    tokens = SessionTokens([b"key"])
    session = Session("a" * 40, "u-" + "用" * 128, NOW, "名" * 100, "x" * 35)

    assert tokens.verify(tokens.issue(session)) == session


def test_visitors_get_different_ids() -> None:
    assert len({new_visitor() for _ in range(1000)}) == 1000


def test_the_signature_is_a_plain_hmac_any_language_can_compute() -> None:
    expected = hmac.new(b"shop secret", b"default\n4711\n1800000000", hashlib.sha256).hexdigest()

    assert sign_identity("shop secret", account="default", user="4711", issued_at=NOW) == expected


def _verify(**changes: object) -> None:
    signed = {"account": "default", "user": "4711", "issued_at": NOW, "name": "王芳"}
    signature = sign_identity("shop secret", **signed)  # type: ignore[arg-type]
    verify_identity(**{"secret": "shop secret", "now": NOW, "signature": signature, **signed, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("off_s", [-CLOCK_SKEW_S, 0, CLOCK_SKEW_S])
def test_a_signature_within_the_clock_window_is_accepted(off_s: int) -> None:
    _verify(now=NOW + off_s)


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "other"},
        {"user": "4712"},
        {"name": "李强"},
        {"name": ""},
        {"issued_at": NOW + 1},
        {"secret": "guess"},
        {"signature": ""},
        {"signature": "zz"},
        {"signature": "é"},
        {"signature": "00" * 32},
        {"now": NOW + CLOCK_SKEW_S + 1},
        {"now": NOW - CLOCK_SKEW_S - 1},
    ],
)
def test_a_signature_for_something_else_or_another_time_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SignatureInvalid):
        _verify(**changes)
