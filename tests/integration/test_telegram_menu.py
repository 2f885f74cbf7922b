"""The menu of commands: in each language, in groups only where they are answered, set only when it differs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as simulator:
        yield simulator


async def publish(telegram: TelegramSimulator, *, groups: bool = False) -> None:
    adapter = TelegramAdapter(
        "main", TelegramSettings(token=telegram.token, api_base_url=telegram.url, timeout_s=5, groups=groups)
    )
    await adapter.publish_commands()
    await adapter.close()


def menus(telegram: TelegramSimulator) -> dict[tuple[str, str], list[str]]:
    return {menu: [command["command"] for command in commands] for menu, commands in telegram.bot.commands.items()}


async def test_the_menu_is_there_in_both_languages(telegram: TelegramSimulator) -> None:
    await publish(telegram)

    assert menus(telegram) == {("default", "zh"): ["start", "help"], ("default", ""): ["start", "help"]}
    assert telegram.bot.commands["default", "zh"][1]["description"] == "我能做什么"


async def test_groups_have_a_menu_of_their_own_while_they_are_answered(telegram: TelegramSimulator) -> None:
    await publish(telegram, groups=True)
    assert menus(telegram)["all_group_chats", "zh"] == ["help"]

    await publish(telegram, groups=False)
    assert {scope for scope, _ in menus(telegram)} == {"default"}


async def test_a_menu_that_is_right_is_left_alone(telegram: TelegramSimulator) -> None:
    for _ in range(3):
        await publish(telegram, groups=True)

    assert len(telegram.ledger.entries("call", method="setMyCommands")) == 4


async def test_a_menu_somebody_changed_is_put_right(telegram: TelegramSimulator) -> None:
    await publish(telegram)
    telegram.bot.commands["default", ""][0]["description"] = "something else"

    await publish(telegram)

    assert telegram.bot.commands["default", ""][0]["description"] == "Start the conversation"


async def test_a_menu_that_cannot_be_set_stops_nothing(telegram: TelegramSimulator) -> None:
    telegram.faults.plan(Fault("error_500", "setMyCommands"))

    await publish(telegram)

    assert telegram.bot.commands == {}
