"""WeCom's calls to us: always encrypted, given up after 5 s, tried three times."""

from __future__ import annotations

import asyncio
import secrets
import urllib.parse
from collections.abc import Awaitable, Callable

import aiohttp

from channels.simulators.faults import FaultPlan
from channels.simulators.wecom_world import Company, Fields
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml

ANSWER_WITHIN_S = 5.0  # document 90238: then the connection is cut, and the callback repeated, three times in all
TRIES = 3


class Callbacks:
    """Delivers what `company` reports to `url`, each callback on its own: they may overtake each other."""

    def __init__(
        self,
        company: Company,
        faults: FaultPlan,
        *,
        token: str,
        aes_key: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        delay_s: float = 1.0,
    ) -> None:
        self.url = ""
        self._company, self._faults, self._token = company, faults, token
        self._envelope = Envelope("wecom simulator", aes_key, company.corp_id)
        self._sleep, self._delay_s = sleep, delay_s
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._kept_back: list[Fields] = []
        company.on_callback = self.deliver

    def deliver(self, fields: Fields) -> None:
        """The callback is on its way; without an address, or with a planned loss, it is lost."""
        is_lost = self._faults.for_updates("lost_callback") is not None
        if is_lost or not self.url:
            self._note(fields, 0, "lost" if is_lost else "no address")
            return
        if fields.get("Event") == "kf_msg_or_event":  # what it announces is doubled and reordered where it is pulled
            self._start(fields)
            return
        if self._faults.for_updates("reorder_updates"):
            self._kept_back.append(fields)  # overtaken by the next one
            return
        self._start(fields)
        if self._faults.for_updates("duplicate_update"):
            self._start(fields)
        while self._kept_back:
            self._start(self._kept_back.pop())

    async def settled(self) -> None:
        """Every callback under way is over."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def verify(self) -> bool:
        """The address answers the echo check, as when it is typed into the console."""
        words = secrets.token_hex(8)
        echo = self._envelope.seal(words.encode())
        query = {**self._signed(echo), "echostr": echo}
        try:
            async with self._open().get(f"{self.url}?{urllib.parse.urlencode(query)}") as response:
                return response.status == 200 and await response.text() == words
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False

    async def close(self) -> None:
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _start(self, fields: Fields) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(fields))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, fields: Fields) -> None:
        for attempt in range(1, TRIES + 1):
            status = await self._post(fields)
            self._note(fields, attempt, str(status or "no answer"))
            if status == 200:
                return
            if attempt < TRIES:
                await self._sleep(self._delay_s)

    async def _post(self, fields: Fields) -> int:
        sealed = self._envelope.seal(write_xml(fields))
        frame: Fields = {"ToUserName": self._company.corp_id, "Encrypt": sealed}
        if "AgentID" in fields:
            frame["AgentID"] = str(fields["AgentID"])
        address = f"{self.url}?{urllib.parse.urlencode(self._signed(sealed))}"
        try:
            async with self._open().post(
                address, data=write_xml(frame), headers={"Content-Type": "text/xml"}
            ) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    def _signed(self, sealed: str) -> dict[str, str]:
        timestamp, nonce = str(int(self._company.now())), secrets.token_hex(5)
        return {
            "msg_signature": signature(self._token, timestamp, nonce, sealed),
            "timestamp": timestamp,
            "nonce": nonce,
        }

    def _note(self, fields: Fields, attempt: int, outcome: str) -> None:
        name = str(fields.get("Event") or fields.get("MsgType") or "")
        self._company.ledger.add("delivery", self._company.now(), event=name, attempt=attempt, outcome=outcome)
        self._company.pulse.beat()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S))
        return self._session
