"""The vendors' stand-ins on a thread of this process, which is not the one that is measured."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from time import time
from typing import Any, Generic, Protocol, TypeVar

from bench.messages import follower, friend, member, reply_token
from channels.simulators.line import LineSimulator
from channels.simulators.telegram import DEFAULT_TOKEN, TelegramSimulator
from channels.simulators.wechat import WechatSimulator
from channels.simulators.wechat_world import Window
from channels.simulators.wecom import OPEN_KFID, WecomSimulator

DAY_S = 86400.0
KF_BATCH = 64  # callbacks on their way at once, as the other channels' requests in flight


class Simulator(Protocol):
    url: str

    async def start(self) -> None: ...

    async def close(self) -> None: ...


S = TypeVar("S", bound=Simulator)
T = TypeVar("T")


class StandIn(Generic[S]):
    """Started; what it counts may be read from outside, what it does is done on its thread."""

    def __init__(self, simulator: S) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.simulator = simulator
        self.do(self.simulator.start())
        self.url = self.simulator.url

    def close(self) -> None:
        self.do(self.simulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T], *, within_s: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)


class TelegramStandIn(StandIn[TelegramSimulator]):
    def __init__(self, known: Sequence[int] = ()) -> None:
        """The `known` customers have written to the bot before, so that it may write to them."""
        super().__init__(TelegramSimulator(DEFAULT_TOKEN))
        for user in known:
            self.simulator.user(user, language="en").has_started = True

    def write(self, customers: int) -> None:
        """That many customers have sent a message."""

        async def work() -> None:
            for number in range(customers):
                self.simulator.user(10_000 + number, language="en").send_text("What are your opening hours?")

        self.do(work())

    def sent(self) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self.simulator.ledger.entries("call", method="sendMessage")]


def wechat(messages: int, users: int) -> StandIn[WechatSimulator]:
    """An account whose followers may be sent as many customer-service messages as they write messages."""
    simulator = WechatSimulator(encryption="encrypted")
    for number in range(users):
        window = Window(messages, time() + DAY_S)
        simulator.account.follower(follower(number, users)).windows["message"] = window
    return StandIn(simulator)


def wecom(messages: int, users: int) -> StandIn[WecomSimulator]:
    """A company of that many members, with an application and a 微信客服 account."""
    simulator = WecomSimulator()
    for number in range(users):
        simulator.company.member(member(number, users))
    return StandIn(simulator)


def line(messages: int, users: int) -> StandIn[LineSimulator]:
    """An account whose friends' messages may be answered by reply token, as long as the burst takes."""
    simulator = LineSimulator()
    for number in range(messages):
        simulator.user(friend(number, users))
        simulator.reply_tokens[reply_token(number)] = (friend(number, users), time() + DAY_S)
    return StandIn(simulator)


def write_to_kf(stand_in: StandIn[WecomSimulator], texts: Sequence[str], messages: int, users: int) -> None:
    """All of it has been written to the 微信客服 account at once, and every callback that says so is over."""
    simulator = stand_in.simulator

    async def work() -> None:
        notices: list[dict[str, Any]] = []
        simulator.company.on_callback = notices.append
        for number in range(messages):
            simulator.company.write(OPEN_KFID, f"wm{number % users}", content=texts[number % len(texts)])
        for start in range(0, messages, KF_BATCH):
            for notice in notices[start : start + KF_BATCH]:
                simulator.callbacks.deliver(notice)
            await simulator.callbacks.settled()

    stand_in.do(work(), within_s=300.0)
