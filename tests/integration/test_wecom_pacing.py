"""The limits that WeCom keeps by dropping silently are kept here: its stand-in counts, and drops nothing."""

from __future__ import annotations

from channels.delivery import Sender
from channels.delivery_policy import DeliveryPolicy
from channels.pacing import LocalRateTokens
from tests.channel_doubles import MemoryOutbox, NoSignals
from tests.wecom_company import World, a_row, a_world


def sender(world: World, outbox: MemoryOutbox, tokens: LocalRateTokens, name: str) -> Sender:
    clock = world.clock
    return Sender(
        outbox,
        {("wecom", "main"): world.app},
        NoSignals(),
        tokens,
        clock,
        name=name,
        policy=DeliveryPolicy(),
        sleep=clock.sleep,
        monotonic=clock.monotonic,
        jitter=lambda: 1.0,
    )


async def test_two_senders_never_send_a_member_more_than_the_vendor_lets_through() -> None:
    async with a_world() as world:
        world.company.member("lisi")
        outbox = MemoryOutbox(world.clock, [a_row(number, f"{number}", chat="lisi") for number in range(1, 81)])
        tokens = LocalRateTokens(world.clock.monotonic)
        senders = [sender(world, outbox, tokens, name) for name in ("one", "two")]
        while len(outbox.ended) < 80:
            started = [await one.run_once() for one in senders]
            if not any(started):
                await world.clock.sleep(1.0)

        assert [shown.text for shown in world.company.member("lisi").received] == [f"{n}" for n in range(1, 81)]
        assert world.simulator.ledger.entries("send", outcome="dropped") == []
        assert world.clock.elapsed_s >= 60  # thirty a minute
