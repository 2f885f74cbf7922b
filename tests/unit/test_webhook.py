"""The shared webhook by itself: what no channel's own tests can show."""

from __future__ import annotations

import base64

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from bot.errors import PayloadInvalid, SignatureInvalid
from bot.types import Received
from channels.webhook import check_hmac, webhook_routes
from tests.channel_doubles import MemoryInbox, ScriptedAdapter


class Unable(ScriptedAdapter):
    """Reads nothing, by raising as the contract allows."""

    def decode(self, body: bytes) -> list[Received]:
        raise PayloadInvalid("not today")


def test_a_channel_that_proves_nothing_is_not_served() -> None:
    with pytest.raises(ValueError, match="proves"):
        webhook_routes("fax", {"main": ScriptedAdapter()}, MemoryInbox(), 100)


async def test_an_adapter_that_raises_has_its_payload_parked_under_its_hash() -> None:
    inbox = MemoryInbox()
    routes = webhook_routes("fax", {"main": Unable()}, inbox, 100, admit=lambda adapter, headers: None)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://x"
    ) as client:
        statuses = [
            (
                await client.post("/channels/fax/main", content=body, headers={"Content-Type": "application/json"})
            ).status_code
            for body in (b"a", b"a", b"b")
        ]

    assert statuses == [200, 200, 200]
    assert [(row.raw, row.reason) for row in inbox.rows] == [(b"a", "not today"), (b"b", "not today")]
    assert all(row.dedupe_key.startswith("sha256:") for row in inbox.rows)


def test_a_signature_known_from_elsewhere_is_taken_and_no_other() -> None:
    body = b"what do ya want for nothing?"  # RFC 4231, test case 2
    in_hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    good = base64.b64encode(bytes.fromhex(in_hex)).decode()

    check_hmac(good, SecretStr("Jefe"), body)
    for wrong in ("", in_hex, good[:-2], good.lower(), "é", "\udcff"):
        with pytest.raises(SignatureInvalid):
            check_hmac(wrong, SecretStr("Jefe"), body)
