"""What every channel with a vendor promises about its webhook: who is believed, what is kept, what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.errors import StoreUnavailable
from tests.channel_contract import BODY_LIMIT, NOWHERE, WITH_VENDOR, WITH_WEBHOOK, Delivery
from tests.channel_doubles import MemoryInbox

STRANGERS = [None, "guess", "", "s3crét", "A" * 10_000]


class Unreadable:
    """The adapter, with a decoder that must not be reached."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def decode(self, body: bytes) -> Any:
        raise AssertionError("an unproven body was parsed")

    decode_opened = decode


class Desk:
    """One channel's routes over one account, called in process."""

    def __init__(self, name: str) -> None:
        self.channel, self.vendor = WITH_VENDOR[name]
        self.name, self.inbox = name, MemoryInbox()
        self.adapter = self.channel.build(NOWHERE)

    async def post(self, given: bytes | Delivery, *, adapter: Any = None) -> int:
        """HTTP status; a payload is delivered as the vendor would."""
        assert self.vendor.routes is not None
        given = given if isinstance(given, Delivery) else self.vendor.deliver(given)
        routes = self.vendor.routes({"main": adapter or self.adapter}, self.inbox, BODY_LIMIT)
        headers = {"Content-Type": self.vendor.media_type, **given.headers}
        written = {name: value.encode("utf-8") for name, value in headers.items()}
        transport = httpx.ASGITransport(Starlette(routes=list(routes)))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            path = f"/channels/{self.name}/main"
            response = await client.post(path, content=given.body, headers=written, params=dict(given.query))
        return response.status_code


@pytest.fixture(params=WITH_WEBHOOK)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    desk = Desk(str(request.param))
    yield desk
    await desk.adapter.close()


def a_message(desk: Desk) -> bytes:
    """A payload with a readable message in it."""
    return next(body for body in desk.channel.payloads if any(found.message for found in desk.adapter.decode(body)))


def in_clear(desk: Desk) -> list[bytes]:
    """Payloads without an envelope: `deliver` puts them into one."""
    return [body for body in desk.channel.payloads if b"<Encrypt>" not in body]


async def test_every_genuine_payload_is_stored_once_however_often_it_comes(desk: Desk) -> None:
    for body in in_clear(desk):
        expected = {received.dedupe_key for received in desk.adapter.decode(body)}
        assert await desk.post(body) == 200
        count = len(desk.inbox.rows)
        assert await desk.post(body) == 200
        assert len(desk.inbox.rows) == count
        assert expected <= set(desk.inbox.keys)


async def test_what_was_stored_decodes_again_to_the_same(desk: Desk) -> None:
    """A parked or stored payload is replayed from its raw bytes."""
    for body in in_clear(desk):
        for received in desk.adapter.decode(body):
            again = [(item.dedupe_key, item.message is None) for item in desk.adapter.decode(received.raw)]
            assert (received.dedupe_key, received.message is None) in again


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_body_nobody_proved_is_refused_before_it_is_parsed(desk: Desk, stranger: str | None) -> None:
    genuine = desk.vendor.deliver(a_message(desk))
    for forged in forgeries(genuine, stranger):
        assert await desk.post(forged, adapter=Unreadable(desk.adapter)) in {401, 403}

    assert desk.inbox.rows == []


def forgeries(genuine: Delivery, stranger: str | None) -> list[Delivery]:
    """All of the proof replaced, and each piece of it by itself (None: left out)."""
    proof = {**genuine.headers, **genuine.query}
    pieces = [set(proof), *({name} for name in proof)]

    def without(given: Mapping[str, str], names: set[str]) -> dict[str, str]:
        changed = {name: stranger if name in names else value for name, value in given.items()}
        return {name: value for name, value in changed.items() if value is not None}

    return [Delivery(genuine.body, without(genuine.headers, names), without(genuine.query, names)) for names in pieces]


async def test_a_proof_does_not_cover_another_body(desk: Desk) -> None:
    """Not where the proof is a shared secret: there nothing depends on the body."""
    genuine, another = desk.vendor.deliver(a_message(desk)), desk.vendor.deliver(b"another")
    if (genuine.headers, genuine.query) == (another.headers, another.query):
        return
    await desk.post(genuine)
    stored = list(desk.inbox.rows)

    for body in (another.body, genuine.body.replace(b"1", b"2")):
        forged = Delivery(body, genuine.headers, genuine.query)
        assert await desk.post(forged, adapter=Unreadable(desk.adapter)) in {401, 403}
    assert desk.inbox.rows == stored


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
    genuine = desk.vendor.deliver(a_message(desk))
    long = Delivery(b" " * (BODY_LIMIT + 1), genuine.headers, genuine.query)

    assert await desk.post(long, adapter=Unreadable(desk.adapter)) == 413


async def test_an_account_nobody_configured_is_not_there(desk: Desk) -> None:
    assert desk.vendor.routes is not None
    routes = desk.vendor.routes({}, desk.inbox, BODY_LIMIT)
    transport = httpx.ASGITransport(Starlette(routes=list(routes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        response = await client.post(f"/channels/{desk.name}/main", content=b"{}")

    assert response.status_code == 404
