"""What every channel with a vendor promises about its webhook: who is believed, what is kept, what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.errors import StoreUnavailable
from tests.channel_contract import BODY_LIMIT, NOWHERE, WITH_VENDOR, WITH_WEBHOOK
from tests.channel_doubles import MemoryInbox

STRANGERS = [{}, {"x": "guess"}, {"x": ""}, {"x": "s3crét"}, {"x": "A" * 10_000}]


class Unreadable:
    """The adapter, with a decoder that must not be reached."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def decode(self, body: bytes) -> Any:
        raise AssertionError("an unproven body was parsed")


class Desk:
    """One channel's routes over one account, called in process."""

    def __init__(self, name: str) -> None:
        self.channel, self.vendor = WITH_VENDOR[name]
        self.name, self.inbox = name, MemoryInbox()
        self.adapter = self.channel.build(NOWHERE)

    async def post(self, body: bytes, headers: Mapping[str, str] | None = None, *, adapter: Any = None) -> int:
        """HTTP status; signed unless `headers` say otherwise."""
        assert self.vendor.routes is not None
        routes = self.vendor.routes({"main": adapter or self.adapter}, self.inbox, BODY_LIMIT)
        given = {"Content-Type": self.vendor.media_type, **(self.vendor.sign(body) if headers is None else headers)}
        transport = httpx.ASGITransport(Starlette(routes=list(routes)))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            response = await client.post(f"/channels/{self.name}/main", content=body, headers=given)
        return response.status_code


@pytest.fixture(params=WITH_WEBHOOK)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    desk = Desk(str(request.param))
    yield desk
    await desk.adapter.close()


def a_message(desk: Desk) -> bytes:
    """A payload with a readable message in it."""
    return next(body for body in desk.channel.payloads if any(found.message for found in desk.adapter.decode(body)))


async def test_every_genuine_payload_is_stored_once_however_often_it_comes(desk: Desk) -> None:
    for body in desk.channel.payloads:
        expected = {received.dedupe_key for received in desk.adapter.decode(body)}
        assert await desk.post(body) == 200
        count = len(desk.inbox.rows)
        assert await desk.post(body) == 200
        assert len(desk.inbox.rows) == count
        assert expected <= set(desk.inbox.keys)


async def test_what_was_stored_decodes_again_to_the_same(desk: Desk) -> None:
    """A parked or stored payload is replayed from its raw bytes."""
    for body in desk.channel.payloads:
        for received in desk.adapter.decode(body):
            again = [(item.dedupe_key, item.message is None) for item in desk.adapter.decode(received.raw)]
            assert again == [(received.dedupe_key, received.message is None)]


@pytest.mark.parametrize("stranger", range(len(STRANGERS)))
async def test_a_body_nobody_proved_is_refused_before_it_is_parsed(desk: Desk, stranger: int) -> None:
    body = a_message(desk)
    proof = {name: STRANGERS[stranger].get("x") for name in desk.vendor.sign(body)}
    headers = {name: value for name, value in proof.items() if value is not None}
    given = {name: value.encode("utf-8") for name, value in headers.items()}

    assert await desk.post(body, given, adapter=Unreadable(desk.adapter)) in {401, 403}  # type: ignore[arg-type]
    assert desk.inbox.rows == []


async def test_a_proof_does_not_cover_another_body(desk: Desk) -> None:
    """Not where the proof is a shared secret: there nothing depends on the body."""
    body = a_message(desk)
    proof = desk.vendor.sign(body)
    if proof == desk.vendor.sign(b"another"):
        return

    assert await desk.post(body + b" ", proof, adapter=Unreadable(desk.adapter)) in {401, 403}
    assert desk.inbox.rows == []


async def test_proven_bytes_nobody_can_read_are_kept_and_do_not_come_back(desk: Desk) -> None:
    for body in desk.vendor.unreadable:
        desk.inbox.rows.clear()

        assert await desk.post(body) == 200
        assert [(row.raw, row.message) for row in desk.inbox.rows] == [(body, None)]
        assert desk.inbox.rows[0].reason


async def test_a_store_that_cannot_commit_gives_503_and_the_message_comes_again(desk: Desk) -> None:
    body = a_message(desk)
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]

    assert [await desk.post(body), await desk.post(body)] == [503, 200]
    assert len(desk.inbox.rows) >= 1


async def test_what_is_too_long_is_refused(desk: Desk) -> None:
    body = b" " * (BODY_LIMIT + 1)

    assert await desk.post(body, adapter=Unreadable(desk.adapter)) == 413


async def test_an_account_nobody_configured_is_not_there(desk: Desk) -> None:
    assert desk.vendor.routes is not None
    routes = desk.vendor.routes({}, desk.inbox, BODY_LIMIT)
    transport = httpx.ASGITransport(Starlette(routes=list(routes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        response = await client.post(f"/channels/{desk.name}/main", content=b"{}")

    assert response.status_code == 404
