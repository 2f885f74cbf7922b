"""The rules in force are the store's where some were put there, else the file's, for each assistant of the desk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from config.settings import Settings
from crm_sync.store import SqlStore
from desk.policies import put_policy
from frontdesk.assistant_settings import read_settings
from frontdesk.policies import desk_policy_in_force, policy_in_force, tried_policy

ASSISTANTS = Path(__file__).parent.parent.parent / "config" / "assistants"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


async def test_each_account_has_the_rules_of_its_assistant_file_or_store(sqlite_url: str) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # of pydantic-settings
        assistant=ASSISTANTS / "auto",
        channels={"telegram": {"main": {"token": "1:a"}, "inn": {"token": "2:b", "assistant": ASSISTANTS / "hotel"}}},  # type: ignore[arg-type]
    )
    store = await SqlStore.open(sqlite_url)
    try:
        found = await desk_policy_in_force(store.database, settings)
        assert found.of(("telegram", "main")) is found
        inn = found.of(("telegram", "inn"))
        assert set(inn.cases.categories.by_key) != set(found.cases.categories.by_key)
        document = {"promises": {"first_response": 0.25}}
        await put_policy(store.database, "hotel", document, note="", author="ann", now=NOW)
        found = await desk_policy_in_force(store.database, settings)
        assert found.of(("telegram", "inn")).promises.hours["first_response"][2] == 0.25
        assert found.version == 0, "the other one's are as they were"
        assert (await policy_in_force(store.database, ASSISTANTS / "hotel")).version == 1
    finally:
        await store.close()


def test_rules_that_name_no_calendar_are_tried_in_the_hours_of_the_assistant() -> None:
    folder = ASSISTANTS / "shop"
    hours, calendar = (
        read_settings(folder).hours,
        tried_policy({"promises": {"update": 2}}, folder).calendars.get("default"),
    )
    assert (calendar.timezone, calendar.week[0]) == (hours.timezone, ((hours.opens, hours.closes),))
