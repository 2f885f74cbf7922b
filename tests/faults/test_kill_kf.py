"""The process dies between storing a page of 微信客服 and moving on: given out again, a message has one turn.

What WeCom holds and what it took are its stand-in's own word; what became of it here is asked of the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from channels.simulators.wecom import OPEN_KFID, WecomSimulator
from crm_sync.columns import digest_key
from tests.faults.customers import numbers_in
from tests.faults.harness import basic_settings
from tests.faults.judge import end_leases, query, run_checker
from tests.faults.process import Desk

ACCOUNT = "main"
WITHIN_S = 60.0
CUSTOMERS = ("wm1", "wm2")
POINT = "kf.before_cursor"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("desk_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize("deaths", [(POINT,), (f"{POINT}:2",), (POINT, f"{POINT}:2", POINT)], ids=" then ".join)
async def test_what_was_pulled_before_the_death_has_one_turn_and_what_came_after_is_not_lost(
    desk_url: str, tmp_path: Path, deaths: tuple[str, ...]
) -> None:
    async with WecomSimulator(callback_delay_s=0.05) as simulator:
        company = simulator.company
        desk = Desk({**basic_settings(desk_url), **account_settings(simulator)}, tmp_path)
        written: dict[str, list[str]] = {customer: [] for customer in CUSTOMERS}

        def everybody_writes() -> None:
            for customer in CUSTOMERS:
                number = 50_001 + sum(map(len, written.values()))
                written[customer].append(str(number))
                company.write(OPEN_KFID, customer, content=f"ticket {number}")

        async def start(fault: str = "") -> None:
            await desk.start(fault)
            simulator.callbacks.url = f"{await desk.url()}/channels/wecom/{ACCOUNT}"

        async def everybody_is_answered() -> None:
            is_so = await company.pulse.until(
                lambda: all(read(simulator, customer) == written[customer] for customer in CUSTOMERS), WITHIN_S
            )
            assert is_so, {customer: read(simulator, customer) for customer in CUSTOMERS}

        for fault in deaths:
            everybody_writes()  # nobody listens: found by the first look after the start
            await start(fault)
            if fault.endswith(":2"):
                await everybody_is_answered()
                everybody_writes()  # told by a callback
            await desk.until_killed(WITHIN_S)
            simulator.callbacks.url = ""
            await end_leases(desk_url)
        everybody_writes()
        await start()
        await everybody_is_answered()
        await desk.stop()
        ledger, held = simulator.ledger.entries(), [logged.item["msgid"] for logged in company.log]

    assert {customer: read(simulator, customer) for customer in CUSTOMERS} == written
    again = [msgid for msgid, times in Counter(given_out(ledger)).items() if times > 1]
    assert again, "no page had to be given out twice: the deaths came somewhere else"
    turns = await query(
        desk_url,
        "SELECT i.dedupe, i.state, (SELECT count(*) FROM turns t WHERE t.inbox_id = i.id) FROM inbox i "
        "WHERE i.wants_turn",
    )
    assert {key for key, _, _ in turns} == {digest_key("kf", ACCOUNT, msgid) for msgid in held}
    assert {(state, count) for _, state, count in turns} == {("done", 1)}
    acknowledged = [{"channel": "kf", "account": ACCOUNT, "dedupe_key": msgid} for msgid in held]
    assert await run_checker(desk.settings, tmp_path, ledger, acknowledged) == (0, [])


def given_out(ledger: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of the messages that WeCom handed to whoever asked, in order."""
    return [msgid for entry in ledger if entry["kind"] == "page" for msgid in entry["msgids"]]


def account_settings(simulator: WecomSimulator) -> dict[str, str]:
    return {
        f"FRONTDESK_CHANNELS__WECOM__{ACCOUNT.upper()}__{name.upper()}": str(value)
        for name, value in simulator.settings().items()
    }


def read(simulator: WecomSimulator, customer: str) -> list[str]:
    """The numbers that the replies this customer has got speak of."""
    return numbers_in([shown.text for shown in simulator.company.session(OPEN_KFID, customer).received])
