"""Somebody who writes to our account on the LINE stand-in, and what their phone shows."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels.simulators.line import LineSimulator

Fields = dict[str, Any]
REPLY_TOKEN_S = 60.0
PIXEL = base64.b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")  # the smallest picture there is


@dataclass
class LineCustomer:
    """A person with our account among their friends; `chat` is what their phone shows, oldest first.

    What they do gives the HTTP status that our webhook answered with.
    """

    simulator: LineSimulator
    user_id: str
    chat: list[Fields] = field(default_factory=list)  # message objects with `by`: customer or account
    has_blocked: bool = False

    @property
    def received(self) -> list[Fields]:
        return [message for message in self.chat if message["by"] == "account"]

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.received if message["type"] == "text"]

    @property
    def said(self) -> list[str]:
        """Ids of their own messages."""
        return [message["id"] for message in self.chat if message["by"] == "customer"]

    async def say(self, text: str) -> int:
        return await self.send_message("text", text=text, quoteToken="q")

    async def send_image(self) -> int:
        status = await self.send_message("image", contentProvider={"type": "line"}, quoteToken="q")
        self.simulator.contents[self.said[-1]] = (PIXEL, "image/gif")
        return status

    async def send_location(self, latitude: float, longitude: float) -> int:
        return await self.send_message("location", latitude=latitude, longitude=longitude)

    async def send_message(self, kind: str, **content: Any) -> int:
        message = {"type": kind, "id": self.simulator.next_id(), **content}
        self.chat.append({**message, "by": "customer"})
        return await self.send("message", message=message)

    async def press(self, label: str) -> int:
        """The newest quick reply of this label. Raises: LookupError."""
        for shown in reversed(self.received):
            for item in shown.get("quickReply", {}).get("items", ()):
                action = item["action"]
                if action["label"] == label and action["type"] == "postback":
                    self.chat.append({"type": "text", "text": label, "id": self.simulator.next_id(), "by": "customer"})
                    return await self.send("postback", postback={"data": action["data"]})
        raise LookupError(f"no button {label!r}")

    async def unsend(self) -> int:
        """Their last message is taken back. Raises: LookupError."""
        if not self.said:
            raise LookupError("nothing was said yet")
        message_id = self.said[-1]
        self.chat = [message for message in self.chat if message.get("id") != message_id]
        return await self.send("unsend", unsend={"messageId": message_id})

    async def follow(self) -> int:
        was_blocked, self.has_blocked = self.has_blocked, False
        return await self.send("follow", follow={"isUnblocked": was_blocked})

    async def block(self) -> int:
        self.has_blocked = True
        return await self.send("unfollow")

    async def send(self, kind: str, **fields: Any) -> int:
        return await self.simulator.deliver([self.event(kind, **fields)])

    def event(self, kind: str, **fields: Any) -> Fields:
        """As LINE would build it, not delivered yet."""
        sim, token = self.simulator, uuid.uuid4().hex
        can_answer = kind not in {"unfollow", "unsend"}
        if can_answer:
            sim.reply_tokens[token] = (self.user_id, sim.now() + REPLY_TOKEN_S)
        return {
            "type": kind,
            "mode": "active",
            "timestamp": int(sim.now() * 1000),
            "source": {"type": "user", "userId": self.user_id},
            "webhookEventId": f"01SIM{uuid.uuid4().hex[:21].upper()}",
            "deliveryContext": {"isRedelivery": False},
            **({"replyToken": token} if can_answer else {}),
            **fields,
        }

    async def until(self, is_true: Callable[[], bool], timeout_s: float) -> bool:
        """True as soon as `is_true`; looked at again whenever something arrives."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_true():
                    self.simulator.arrived.clear()
                    await self.simulator.arrived.wait()
        except TimeoutError:
            return False
        return True
