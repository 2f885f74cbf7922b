"""One-time codes leave: by text message, by e-mail, or in a chat the person has with us already.

The code is made here, goes out, and is in nobody's messages, outbox or log. A try that fails makes another one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import structlog

from bot.errors import Misconfigured, RecipientUnreachable, SendRefused, ServiceUnavailable, WindowClosed
from bot.ports import Clock
from bot.rendering import render
from bot.types import ConversationId, Lane, Language, Outbound, OutboxId, RenderedReply, Reply
from channels.base import ChannelAdapter
from config.settings import CodesSettings, Settings
from crm_sync import lookup_codes
from crm_sync.lookup_codes import Parcel
from crm_sync.lookup_contacts import Contact, Ways
from crm_sync.store import SqlStore
from crm_sync.timers import Timer
from frontdesk.hook_sending import signature
from frontdesk.mail import SERVICE as MAIL
from frontdesk.mail import SmtpMailer
from frontdesk.site_messenger import SendsMail

if TYPE_CHECKING:
    from frontdesk.scheduler import Context

log = structlog.get_logger()

SMS: Final = "sms"
_LASTING: Final = (RecipientUnreachable, Misconfigured, SendRefused, WindowClosed)  # another contact may do
Adapters = Mapping[tuple[str, str], ChannelAdapter]


class SendsText(Protocol):
    async def send(self, to: str, words: str, language: Language) -> None:
        """The text message is on its way to this number (E.164). Raises: ServiceError."""
        ...


class SmsHook:
    """A service of the deployment's that sends text messages: one signed request for each."""

    def __init__(self, settings: CodesSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)

    async def send(self, to: str, words: str, language: Language) -> None:
        """Raises: RecipientUnreachable for a number it does not take (422), SendRefused, ServiceUnavailable."""
        secret = self._settings.sms_secret.get_secret_value() if self._settings.sms_secret else ""
        body = json.dumps({"to": to, "text": words, "language": language}, ensure_ascii=False).encode()
        signed = signature(secret, int(self._clock.now().timestamp()), body)
        headers = {"Content-Type": "application/json", "User-Agent": "Frontdesk", "Frontdesk-Signature": signed}
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._settings.sms_url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise ServiceUnavailable(SMS, "does not answer", happened="unknown") from exc
        if status == 422:
            raise RecipientUnreachable(SMS, "does not take the number")
        if status == 429 or status >= 500:
            raise ServiceUnavailable(SMS, f"answered {status}")
        if not 200 <= status < 300:
            raise SendRefused(SMS, f"answered {status}")


def ways_of(settings: Settings, adapters: Adapters) -> Ways:
    """By what means codes can be sent here.

    Not in chats whose free replies are counted (a code could cost the last one), nor on a website, where whoever sits
    before the screen reads it.
    """
    chats = frozenset(
        place
        for place, adapter in adapters.items()
        if not adapter.capabilities.is_windowed and not adapter.capabilities.direct
    )
    return Ways(sms=bool(settings.codes.sms_url), email=bool(settings.mail.host), chats=chats)


class CodeSender:
    """Does timers of kind `lookup_codes.KIND`."""

    def __init__(
        self, ways: Ways, adapters: Adapters, *, texter: SendsText | None = None, mailer: SendsMail | None = None
    ) -> None:
        self.ways, self._adapters, self._texter, self._mailer = ways, adapters, texter, mailer

    @classmethod
    def of(cls, settings: Settings, adapters: Adapters, clock: Clock) -> CodeSender:
        return cls(
            ways_of(settings, adapters),
            adapters,
            texter=SmsHook(settings.codes, clock) if settings.codes.sms_url else None,
            mailer=SmtpMailer(settings.mail) if settings.mail.host else None,
        )

    async def deliver(self, store: SqlStore, timer: Timer, context: Context) -> datetime | None:
        """A code is on its way to the first contact that takes it, if the number asked for has any.

        Raises: ServiceError while another try may help.
        """
        code_id = int(timer.details["code_id"])
        refused: set[Contact] = set()
        while True:
            code = f"{secrets.randbelow(1_000_000):06d}"
            prepare = partial(lookup_codes.prepare, code_id=code_id, code=code, ways=self.ways, now=context.now)
            parcel = await store.database.run(partial(prepare, refused=frozenset(refused)))
            if parcel is None:
                if refused:  # it left nowhere: nothing that anybody may have seen opens anything
                    await store.database.run(partial(lookup_codes.withdraw, code_id=code_id))
                log.info("lookup_code_not_sent", code_id=code_id)
                return None
            try:
                await self._send(parcel, code, context)
            except _LASTING as error:
                log.warning("lookup_code_refused", code_id=code_id, way=parcel.contact.way, error=type(error).__name__)
                refused.add(parcel.contact)
                continue
            log.info("lookup_code_sent", code_id=code_id, way=parcel.contact.way)
            return None

    async def _send(self, parcel: Parcel, code: str, context: Context) -> None:
        contact, assistant = parcel.contact, context.assistant
        language: Language = "en" if parcel.language == "en" else "zh"
        args = {"business": assistant.name, "code": code}
        words = render(Reply("utter_code_message", args), language, contact.channel, assistant)
        match contact.way:
            case "sms":
                if self._texter is None:
                    raise Misconfigured(SMS, "no service for text messages is configured")
                await self._texter.send(contact.address, words.text, language)
            case "email":
                if self._mailer is None:
                    raise Misconfigured(MAIL, "no mail server is configured")
                subject = render(Reply("utter_code_subject", args), language, "", assistant).text
                await self._mailer.send(contact.address, subject, words.text)
            case _:
                await self._say(contact, words)

    async def _say(self, contact: Contact, words: RenderedReply) -> None:
        """In the chat, past the outbox: what goes through it can be read by staff."""
        adapter = self._adapters.get((contact.channel, contact.account))
        if adapter is None:
            raise Misconfigured(contact.channel, "the account is not configured here")
        for part in adapter.encode(words):
            outbound = Outbound(
                outbox_id=OutboxId(0),
                conversation_id=ConversationId(contact.conversation_id),
                channel=contact.channel,
                account=contact.account,
                chat_id=contact.address,
                topic="",
                part=part,
                lane=Lane.SERVICE,
                idempotency_key=secrets.token_hex(16),
                attempt=1,
                fence=0,
            )
            await adapter.send(outbound)
