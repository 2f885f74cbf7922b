"""What every channel with a vendor promises about sending: the class of an error says what may be done about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.errors import NotFound, PayloadInvalid, RateLimited, ServiceError, ServiceUnavailable
from bot.types import Outbound
from channels.base import Examinable, FetchesMedia, Finding, ShowsTyping
from tests.channel_contract import NOWHERE, WITH_VENDOR, Vendor
from tests.channel_doubles import an_outbound
from tests.troubled_vendor import CUT, SILENCE, TroubledVendor

WORDS = "words only the customer may see"
LOST = {
    "HTTP 500": (500, b'{"message":"oops"}'),
    "HTTP 502 from a proxy": (502, b"<html>Bad Gateway</html>"),
    "HTTP 504 from a proxy": (504, b"<html>Gateway Timeout</html>"),
    "hung up": CUT,
    "silent": SILENCE,
}
ODD = {"no JSON": (200, b"<html>"), "another shape": (200, b"[7]"), "nothing": (200, b"")}
REFUSALS = [(name, refusal) for name, (_, vendor) in WITH_VENDOR.items() for refusal in vendor.refuses]


@pytest.fixture
async def world() -> AsyncIterator[TroubledVendor]:
    async with TroubledVendor() as vendor:
        yield vendor


def a_send(name: str, vendor: Vendor) -> Outbound:
    outbound = an_outbound(text=WORDS, chat="7")
    return replace(outbound, channel=name, chat_id=vendor.chat_id, attempt=1, idempotency_key="0123456789abcdef" * 2)


async def outcome(name: str, base_url: str) -> tuple[BaseException | None, str]:
    """What a send raised, and everything that could be read of it: the error, its cause, the log."""
    channel, vendor = WITH_VENDOR[name]
    adapter = channel.build(base_url)
    error: BaseException | None = None
    with capture_logs() as logs:
        try:
            await adapter.send(a_send(name, vendor))
        except ServiceError as exc:
            error = exc
        finally:
            await adapter.close()
    told = [repr(logs)]
    cause = error
    while cause is not None:
        told += [str(cause), repr(cause), repr(vars(cause))]
        cause = cause.__cause__ or cause.__context__
    return error, " ".join(told)


def leaks(told: str, vendor: Vendor) -> list[str]:
    return [secret for secret in (*vendor.secrets, WORDS) if secret in told]


@pytest.mark.parametrize("name", list(WITH_VENDOR))
async def test_an_accepted_send_gives_the_vendors_id(name: str, world: TroubledVendor) -> None:
    channel, vendor = WITH_VENDOR[name]
    adapter = channel.build(world.url)
    world.says = vendor.accepts

    receipt = await adapter.send(a_send(name, vendor))
    await adapter.close()

    assert bool(receipt.vendor_message_id) == vendor.gives_id
    assert len(world.calls) == 1
    assert WORDS.encode() in world.calls[0][1]


@pytest.mark.parametrize(("name", "refusal"), REFUSALS)
async def test_a_refusal_is_told_by_its_class(name: str, refusal: str, world: TroubledVendor) -> None:
    _, vendor = WITH_VENDOR[name]
    world.says, expected = vendor.refuses[refusal]

    error, told = await outcome(name, world.url)

    assert type(error) in ({type(None)} if expected is None else {expected, *expected.__subclasses__()})
    assert leaks(told, vendor) == []


@pytest.mark.parametrize("name", list(WITH_VENDOR))
async def test_a_rate_limit_says_how_long_to_wait(name: str, world: TroubledVendor) -> None:
    _, vendor = WITH_VENDOR[name]
    world.says = next(answer for answer, kind in vendor.refuses.values() if kind is RateLimited)

    error, _ = await outcome(name, world.url)

    assert isinstance(error, RateLimited)
    assert 0 < error.retry_after_s <= 3600


@pytest.mark.parametrize("name", list(WITH_VENDOR))
@pytest.mark.parametrize("trouble", list(LOST))
async def test_a_lost_answer_is_uncertain_and_never_taken_for_a_no(
    name: str, trouble: str, world: TroubledVendor
) -> None:
    _, vendor = WITH_VENDOR[name]
    world.says = LOST[trouble]

    error, told = await outcome(name, world.url)

    assert isinstance(error, ServiceUnavailable)
    assert error.happened == "unknown"
    assert leaks(told, vendor) == []


@pytest.mark.parametrize("name", list(WITH_VENDOR))
async def test_a_vendor_nobody_reaches_has_sent_nothing(name: str) -> None:
    error, told = await outcome(name, NOWHERE)

    assert isinstance(error, ServiceUnavailable)
    assert error.happened == "no"
    assert leaks(told, WITH_VENDOR[name][1]) == []


@pytest.mark.parametrize("name", list(WITH_VENDOR))
@pytest.mark.parametrize("oddity", list(ODD))
async def test_a_success_in_another_shape_is_sent_or_uncertain(name: str, oddity: str, world: TroubledVendor) -> None:
    world.says = ODD[oddity]

    error, _ = await outcome(name, world.url)

    assert error is None or (isinstance(error, ServiceUnavailable) and error.happened == "unknown")


TROUBLES = {**LOST, **ODD, "HTTP 401": (401, b"{}"), "HTTP 404": (404, b"{}"), "HTTP 429": (429, b"{}")}


def capable(kind: type[Any]) -> list[str]:
    return [name for name, (channel, _) in WITH_VENDOR.items() if isinstance(channel.adapter, kind)]


@pytest.mark.parametrize("name", list(WITH_VENDOR))
def test_a_channel_that_says_it_can_type_can(name: str) -> None:
    adapter = WITH_VENDOR[name][0].adapter

    assert not adapter.capabilities.can_type or isinstance(adapter, ShowsTyping)


@pytest.mark.parametrize("name", capable(ShowsTyping))
@pytest.mark.parametrize("trouble", list(TROUBLES))
async def test_typing_is_a_courtesy_that_never_fails(name: str, trouble: str, world: TroubledVendor) -> None:
    channel, vendor = WITH_VENDOR[name]
    adapter = channel.build(world.url)
    world.says = TROUBLES[trouble]

    with capture_logs() as logs:
        await adapter.send_typing(vendor.chat_id)
    await adapter.close()

    assert len(world.calls) >= 1
    assert leaks(repr(logs), vendor) == []


@pytest.mark.parametrize("name", capable(FetchesMedia))
@pytest.mark.parametrize("trouble", [*TROUBLES, "too long"])
async def test_a_file_that_cannot_be_had_is_told_by_class(name: str, trouble: str, world: TroubledVendor) -> None:
    channel, vendor = WITH_VENDOR[name]
    adapter = channel.build(world.url)
    world.says = TROUBLES.get(trouble, (200, b"x" * 2000))

    told = ""
    try:
        await adapter.fetch_media("461230966842064897", max_bytes=1000)
    except (NotFound, PayloadInvalid, ServiceError) as error:
        told = f"{error} {error!r}"
    finally:
        await adapter.close()

    assert told or trouble in ODD
    assert leaks(told, vendor) == []


@pytest.mark.parametrize("name", capable(Examinable))
@pytest.mark.parametrize("trouble", list(TROUBLES))
async def test_the_doctor_finds_and_never_fails(name: str, trouble: str, world: TroubledVendor) -> None:
    channel, vendor = WITH_VENDOR[name]
    adapter = channel.build(world.url)
    world.says = TROUBLES[trouble]

    findings = await adapter.examine(public_url="https://desk.example", repair=True)
    await adapter.close()

    assert all(isinstance(finding, Finding) and finding.check.startswith(f"{name}/main") for finding in findings)
    assert any(finding.is_broken and finding.repair for finding in findings)
    assert leaks(repr(findings), vendor) == []
