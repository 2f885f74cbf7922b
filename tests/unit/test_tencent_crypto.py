"""Callbacks of WeChat and WeCom: what is believed, what opens, and that nothing else gets through or crashes."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Misconfigured, PayloadInvalid, SignatureInvalid
from channels.tencent.crypto import (
    Envelope,
    NonceMemory,
    check_signature,
    check_time,
    encrypted_parts,
    proven_part,
    signature,
)
from channels.tencent.xml import read_xml

GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def envelope() -> Envelope:
    return Envelope("wechat", KEY, "wx1")


@pytest.mark.parametrize("vendor", ["wechat", "wecom"])
def test_encrypted_bodies_of_other_sdks_open_with_their_keys(vendor: str) -> None:
    keys = sorted((GIVEN / vendor).glob("*.key.json"))
    if not keys:
        pytest.skip("FRONTDESK_TEST_DATA does not name a folder with payloads/ in it")
    for path in keys:
        key = json.loads(path.read_text())
        encrypted = read_xml(Path(str(path).removesuffix(".key.json")).read_bytes())["Encrypt"]
        query = key["query"]
        check_signature(query["msg_signature"], key["token"], query["timestamp"], query["nonce"], encrypted)
        fields = read_xml(Envelope(vendor, key["encoding_aes_key"], key["app_or_corp_id"]).open(encrypted))
        assert fields["FromUserName"]
        assert key["expect"].items() <= fields.items()


@given(st.binary(max_size=300))
def test_what_was_sealed_opens_to_the_same_bytes(words: bytes) -> None:
    envelope = Envelope("wechat", KEY, "wx1")
    assert envelope.open(envelope.seal(words)) == words


def test_sealing_twice_gives_different_bytes(envelope: Envelope) -> None:
    assert envelope.seal(b"same") != envelope.seal(b"same")


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode())))
def test_whatever_is_not_ours_is_only_ever_unreadable(encrypted: str) -> None:
    with pytest.raises(PayloadInvalid):
        Envelope("wechat", KEY, "wx1").open(encrypted)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_never_opens_as_something_longer_or_for_somebody_else(place: int, change: int) -> None:
    envelope = Envelope("wechat", KEY, "wx1")
    sealed = bytearray(base64.b64decode(envelope.seal(b"<xml>hello</xml>")))
    sealed[place % len(sealed)] ^= change
    try:
        opened = envelope.open(base64.b64encode(sealed).decode())
    except PayloadInvalid:
        return
    assert len(opened) == len(b"<xml>hello</xml>")  # AES-CBC garbles a block; the signature is what forbids it


def test_a_message_for_another_account_does_not_open(envelope: Envelope) -> None:
    with pytest.raises(PayloadInvalid, match="another account"):
        envelope.open(Envelope("wechat", KEY, "wx2").seal(b"hello"))


def test_a_message_under_another_key_does_not_open(envelope: Envelope) -> None:
    with pytest.raises(PayloadInvalid):
        envelope.open(Envelope("wechat", KEY[::-1], "wx1").seal(b"hello"))


@pytest.mark.parametrize("sealed", ["", "====", "AAAA", "not base64!", "QUJD" * 5, "A" * 43, "汉字"])
def test_what_is_no_whole_number_of_blocks_does_not_open(envelope: Envelope, sealed: str) -> None:
    with pytest.raises(PayloadInvalid):
        envelope.open(sealed)


@pytest.mark.parametrize("key", ["", "short", KEY + "=", KEY[:-1] + "!", KEY * 2])
def test_a_key_of_the_wrong_shape_stops_the_start(key: str) -> None:
    with pytest.raises(Misconfigured, match="aes_key"):
        Envelope("wechat", key, "wx1")


def test_the_signature_does_not_depend_on_the_order_of_its_parts() -> None:
    check_signature(signature("token", "1", "nonce"), "nonce", "token", "1")


@given(st.text())
def test_any_other_signature_is_refused(given_signature: str) -> None:
    with pytest.raises(SignatureInvalid):
        check_signature(given_signature, "token", "1", "nonce")


@pytest.mark.parametrize("off_s", [-600, 0, 600])
def test_clocks_may_differ_by_ten_minutes(off_s: int) -> None:
    check_time(str(int(NOW.timestamp()) + off_s), NOW)


@pytest.mark.parametrize("stamp", ["", "-1", "1e9", "１２３", "9" * 40, str(int(NOW.timestamp()) - 601), "1414387151"])
def test_old_future_and_unreadable_timestamps_are_refused(stamp: str) -> None:
    with pytest.raises(SignatureInvalid):
        check_time(stamp, NOW)


def test_a_nonce_may_come_again_with_the_same_body_only() -> None:
    memory = NonceMemory()
    memory.check("1", "n", b"first", NOW)
    memory.check("1", "n", b"first", NOW + timedelta(seconds=15))
    memory.check("2", "n", b"other", NOW)
    with pytest.raises(SignatureInvalid, match="nonce"):
        memory.check("1", "n", b"other", NOW + timedelta(seconds=20))


def test_nonces_are_forgotten_once_their_timestamps_are_refused_anyway() -> None:
    memory = NonceMemory(tolerance_s=10)
    memory.check("1", "n", b"first", NOW)
    memory.check("1", "m", b"x", NOW + timedelta(seconds=21))
    memory.check("1", "n", b"other", NOW + timedelta(seconds=21))


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"<xml><Encrypt><![CDATA[QUJD]]></Encrypt></xml>", ["QUJD"]),
        (b"<xml><Encrypt> QU\nJD </Encrypt></xml>", ["QUJD"]),
        (b"<xml><Content><![CDATA[<Encrypt>mine]]></Content><Encrypt><![CDATA[QUJD]]></Encrypt></xml>", ["QUJD"]),
        (b"<Encrypt>QQ==</Encrypt><Encrypt>Qg==</Encrypt>", ["QQ==", "Qg=="]),
        (b"<Encrypt></Encrypt><Encrypt>no!</Encrypt><Encrypt>QUJD", []),
    ],
)
def test_encrypted_parts_are_found_by_what_they_look_like(body: bytes, parts: list[str]) -> None:
    assert encrypted_parts(body) == parts


@pytest.mark.parametrize("filling", [b" ", b"A", b"A ", b"<Encrypt>", b"<Encrypt> ", b"</Encrypt>", b"<![CDATA["])
def test_a_long_body_of_anybodys_making_is_looked_through_once(filling: bytes) -> None:
    body = b"<Encrypt>" + filling * (1_000_000 // len(filling))  # a pattern that tries all ways never comes to its end
    with pytest.raises(SignatureInvalid):
        proven_part(body, "0" * 40, "token", "1", "nonce")


def test_of_several_parts_the_signed_one_is_taken() -> None:
    body, given = b"<Encrypt>QQ==</Encrypt><Encrypt>QUJD</Encrypt>", signature("token", "1", "nonce", "QUJD")
    assert proven_part(body, given, "token", "1", "nonce") == "QUJD"
    with pytest.raises(SignatureInvalid):
        proven_part(body + body, given, "token", "1", "nonce")
