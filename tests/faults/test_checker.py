"""The checker is checked: break the code on purpose or damage a healthy store by hand, and it has to name the rule."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crm_sync.invariants import check
from crm_sync.store import SqlStore
from tests import services
from tests.faults.harness import ACCOUNT, stage
from tests.faults.judge import confirmed_updates, run_checker
from tests.faults.process import BROKEN

Entries = list[dict[str, Any]]
WITHIN_S = 30.0


async def rules_broken(url: str, ledger: Entries, acknowledged: Entries) -> set[str]:
    """The rules the checker names, on a store nobody works on."""
    store = await SqlStore.open(url, migrate=False)
    try:
        return {violation.rule for violation in await check(store.database, ledger, acknowledged)}
    finally:
        await store.close()


async def rules_broken_by(breaking: str, url: str, folder: Path, *, fault: str = "") -> set[str]:
    """What the checker says after people talked to a desk broken like this."""
    extra = {"FRONTDESK_BROKEN": breaking}
    async with stage(url, folder, visitors=1, texters=1, launch=BROKEN, extra=extra) as scene:
        await scene.desk.start(fault=fault)
        talking = asyncio.create_task(scene.everybody_talks())
        if fault:
            await scene.desk.until_killed(WITHIN_S)
            await scene.desk.start()
        await talking
        await scene.until_settled(WITHIN_S)
        await scene.desk.stop()
        acknowledged = [entry for visitor in scene.visitors for entry in visitor.ledger()]
        return await rules_broken(url, [dict(entry) for entry in scene.simulator.ledger.entries()], acknowledged)


@pytest.mark.parametrize(
    ("breaking", "rule", "fault"),
    [  # a desk of its own for each: everyday one; what a damaged store looks like is judged below without a process
        ("commits_turns_twice", "one turn for each message", ""),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("says_sent_without_sending", "sent means delivered", ""),
                ("sends_twice", "repeated only when marked", ""),
                ("hides_that_a_send_was_repeated", "repeated only when marked", "send.after_call"),
                ("skips_web_sequence_numbers", "web sequence without gaps", ""),
                ("handles_the_newest_message_first", "turns in order of acceptance", ""),
                ("sends_in_another_order", "delivered in order", ""),
            )
        ),
    ],
)
async def test_a_desk_with_a_broken_promise_is_found_out(
    sqlite_desk_url: str, tmp_path: Path, breaking: str, rule: str, fault: str
) -> None:
    assert rule in await rules_broken_by(breaking, sqlite_desk_url, tmp_path, fault=fault)


@pytest.mark.slow
async def test_without_the_version_check_the_done_mark_still_keeps_the_promise(
    sqlite_desk_url: str, tmp_path: Path
) -> None:
    assert await rules_broken_by("skips_the_version_check", sqlite_desk_url, tmp_path) == set()


@pytest.mark.slow
async def test_a_desk_that_acknowledges_before_the_commit_is_found_out_when_it_dies(
    sqlite_desk_url: str, tmp_path: Path
) -> None:
    extra = {"FRONTDESK_BROKEN": "acknowledges_before_the_commit"}
    async with stage(sqlite_desk_url, tmp_path, visitors=1, texters=1, launch=BROKEN, extra=extra) as scene:
        await scene.desk.start()
        await scene.everybody_talks()
        assert await scene.simulator.bot.pulse.until(
            lambda: len(confirmed_updates(scene.simulator.ledger, ACCOUNT)) == 3, WITHIN_S
        )
        assert scene.desk.process is not None
        await scene.desk.process.kill()
        code, violations = await scene.check()
        assert code == 1
        assert [violation["rule"] for violation in violations] == ["acknowledged means stored"] * 6


# --- damage by hand -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A store on which everything went well, and what the channels say about it."""

    file: Path
    ledger: Entries
    acknowledged: Entries

    def calls(self) -> list[int]:
        """Where in the ledger messages were delivered, in order."""
        return [place for place, entry in enumerate(self.ledger) if entry.get("method") == "sendMessage"]


async def _finish(url: str, folder: Path) -> tuple[Entries, Entries]:
    async with stage(url, folder, visitors=1, texters=1) as scene:
        await scene.desk.start()
        await scene.everybody_talks()
        await scene.until_everybody_is_answered()
        await scene.until_settled(WITHIN_S)
        await scene.desk.stop()
        acknowledged: Entries = [dict(entry) for visitor in scene.visitors for entry in visitor.ledger()]
        acknowledged += confirmed_updates(scene.simulator.ledger, ACCOUNT)
        return [dict(entry) for entry in scene.simulator.ledger.entries()], acknowledged


@pytest.fixture(scope="module")
def finished(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    _copy(sqlite_template, folder / "desk.db")
    ledger, acknowledged = services.apart(_finish(f"sqlite:///{folder}/desk.db", folder))
    return Finished(folder / "desk.db", ledger, acknowledged)


def _copy(source: Path, target: Path) -> None:
    reading, writing = sqlite3.connect(source), sqlite3.connect(target)
    reading.backup(writing)
    reading.close()
    writing.close()


@pytest.fixture
def damaged(finished: Finished, tmp_path: Path) -> Callable[[str], str]:
    """The finished store's address after a script was run on a copy of it."""

    def damage(script: str) -> str:
        target = tmp_path / "desk.db"
        _copy(finished.file, target)
        connection = sqlite3.connect(target)
        connection.executescript(script)
        connection.commit()
        connection.close()
        return f"sqlite:///{target}"

    return damage


FIRST = "(SELECT min(inbox_id) FROM turns)"
TELEGRAM = "(SELECT id FROM conversations WHERE channel = 'telegram')"
WEB = "(SELECT id FROM conversations WHERE channel = 'web')"
FIRST_SENT = f"(SELECT min(id) FROM outbox WHERE conversation_id = {TELEGRAM})"


async def test_a_store_on_which_all_went_well_has_no_violation(
    finished: Finished, damaged: Callable[[str], str]
) -> None:
    assert len(finished.calls()) == 3
    assert len(finished.acknowledged) == 6
    assert await rules_broken(damaged(""), finished.ledger, finished.acknowledged) == set()


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        (f"DELETE FROM turns WHERE inbox_id = {FIRST}", "one turn for each message"),
        ("DELETE FROM turns", "the version counts the turns"),
        (f"UPDATE inbox SET state = 'pending' WHERE id = {FIRST}", "no turn without its message"),
        (f"UPDATE inbox SET state = 'pending' WHERE id = {FIRST}", "nothing forgotten"),
        (f"UPDATE inbox SET state = 'pending', received_at = 1 WHERE id = {FIRST}", "handled in time"),
        (f"DELETE FROM inbox WHERE id = {FIRST}", "acknowledged means stored"),
        (f"DELETE FROM inbox WHERE id = {FIRST}", "no turn without its message"),
        (f"UPDATE turns SET conversation_id = {WEB}, version = 1000 + inbox_id", "no turn without its message"),
        ("UPDATE conversations SET version = version + 1", "the version counts the turns"),
        ("UPDATE turns SET version = 100 - version", "turns in order of acceptance"),
        ("UPDATE conversations SET web_seq = web_seq + 1", "web sequence without gaps"),
        ("DELETE FROM outbox; DELETE FROM messages WHERE seq = 2", "web sequence without gaps"),
        ("UPDATE messages SET seq = seq + 100 WHERE seq > 3", "web sequence without gaps"),
        (
            f"UPDATE outbox SET state = 'pending' WHERE id = {FIRST_SENT}",
            "first in, first out",
        ),
        ("UPDATE outbox SET sent_at = 10000000 - id", "first in, first out"),
        (f"DELETE FROM outbox WHERE conversation_id = {TELEGRAM}", "no send unknown to the store"),
    ],
)
async def test_damage_to_the_store_is_found(
    finished: Finished, damaged: Callable[[str], str], script: str, rule: str
) -> None:
    assert rule in await rules_broken(damaged(script), finished.ledger, finished.acknowledged)


async def test_a_delivery_the_vendor_never_saw_is_found(finished: Finished, damaged: Callable[[str], str]) -> None:
    ledger = [entry for place, entry in enumerate(finished.ledger) if place != finished.calls()[1]]
    assert await rules_broken(damaged(""), ledger, finished.acknowledged) == {"sent means delivered"}


async def test_a_delivery_the_vendor_saw_twice_is_found_unless_it_is_marked(
    finished: Finished, damaged: Callable[[str], str]
) -> None:
    place = finished.calls()[0]
    ledger = [*finished.ledger[: place + 1], *finished.ledger[place:]]
    assert await rules_broken(damaged(""), ledger, finished.acknowledged) == {"repeated only when marked"}
    marked = damaged(f"UPDATE outbox SET maybe_repeated = 1, attempts = 2 WHERE id = {FIRST_SENT}")
    assert await rules_broken(marked, ledger, finished.acknowledged) == set()
    three_times = [*ledger[:place], finished.ledger[place], *ledger[place:]]
    assert await rules_broken(marked, three_times, []) == {"repeated only when marked"}


async def test_deliveries_in_another_order_are_found(finished: Finished, damaged: Callable[[str], str]) -> None:
    first, second, _ = finished.calls()
    ledger = list(finished.ledger)
    ledger[first], ledger[second] = ledger[second], ledger[first]
    assert await rules_broken(damaged(""), ledger, finished.acknowledged) == {"delivered in order"}


async def test_a_delivery_nobody_asked_for_is_found(finished: Finished, damaged: Callable[[str], str]) -> None:
    ledger = [*finished.ledger, {**finished.ledger[finished.calls()[0]], "text": "somebody else's words"}]
    assert await rules_broken(damaged(""), ledger, finished.acknowledged) == {"no send unknown to the store"}


async def test_the_command_says_what_is_wrong_with_its_exit_code(
    finished: Finished, damaged: Callable[[str], str], tmp_path: Path
) -> None:
    url = damaged("UPDATE conversations SET web_seq = web_seq + 1")
    code, violations = await run_checker({"FRONTDESK_DATABASE_URL": url}, tmp_path, [], None)
    assert code == 1
    assert {violation["rule"] for violation in violations} == {"web sequence without gaps"}
