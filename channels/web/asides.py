"""What a visitor does beside writing: telling who they are, going on elsewhere, taking the conversation along."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from bot.types import Event, Identity
from channels.web.extras import ExtrasStore, WebExtras, public_config
from channels.web.http import JSON_HEADERS, Call
from channels.web.hub import PAGE
from channels.web.tokens import Session
from channels.web.transcript import TRANSCRIPT_HEADERS, render
from channels.web.wire import (
    CHANNEL,
    MAX_EMAIL,
    MAX_NAME,
    PROFILE_EVENT,
    Refused,
    read_id,
    read_object,
    read_text_field,
    received,
)

if TYPE_CHECKING:
    from channels.web.routes import WebChat

LINK_LASTS = timedelta(minutes=15)  # as in crm_sync/links.py; an adapter cannot import it
LINKS_PER_S, LINKS_AT_ONCE = 1 / 60, 5
PAGES_PER_S, PAGES_AT_ONCE = 1 / 10, 5
MAIL_PER_S, MAILS_AT_ONCE = 1 / 600, 2
# Over all visitors: sessions cost nothing, and a desk must not be a way to send strangers mail.
ALL_MAIL_PER_S, ALL_MAILS_AT_ONCE = 1 / 60, 10
MAX_EVENTS = 5_000  # of a transcript, the newest
_EMAIL = re.compile(r"[^@\s<>]{1,64}@[^@\s<>]{1,190}\.[^@\s<>.]{2,63}\Z")
_CONFIG_HEADERS = [
    (b"cache-control", b"public, max-age=300") if name == b"cache-control" else (name, value)
    for name, value in JSON_HEADERS
]


class Asides:
    def __init__(self, chat: WebChat, extras: WebExtras) -> None:
        self._chat, self._extras = chat, extras

    async def get_config(self, call: Call) -> None:
        """What the widget of this account looks like and may offer; nothing about anybody."""
        await call.answer(200, orjson.dumps(public_config(call.settings, self._extras)), _CONFIG_HEADERS)

    async def post_profile(self, call: Call) -> None:
        """What the form before the chat says becomes an event of the conversation, and by it part of the record."""
        session = self._chat.session(call.bearer, call.account)
        body = await call.json_body()
        document = read_object(body)
        detail = {**_read_profile(document, call.settings.form), "source": "web:form"}
        event = received(body, session, read_id(document), Event(PROFILE_EVENT, detail), self._chat.clock.now())
        accepted = await self._chat.accept(event)
        await call.answer(202, orjson.dumps({"id": document["id"], "seq": accepted.seq}))

    async def post_continue(self, call: Call) -> None:
        """An address that carries the conversation to another channel, once and soon."""
        session = self._chat.session(call.bearer, call.account)
        place = read_text_field(read_object(await call.json_body()), "on", 60, required=True)
        store: ExtrasStore | None = self._extras.store
        if store is None or place not in self._extras.places(call.settings):
            raise Refused(404, "unknown_channel", "this chat cannot be continued there")
        await self._pace(f"web-continue:{call.account}:{session.user}", LINKS_PER_S, LINKS_AT_ONCE)
        token = secrets.token_urlsafe(16)
        expires_at = self._chat.clock.now() + LINK_LASTS
        url = await self._extras.links[place](token, expires_at)
        channel = place.partition("/")[0]
        await store.offer_link(Identity(CHANNEL, session.account, session.user), channel, token)
        await call.answer(200, orjson.dumps({"url": url, "expires_at": expires_at}))

    async def get_transcript(self, call: Call) -> None:
        """The visitor's own conversation as a page that can be kept and printed."""
        session = self._chat.session(call.bearer, call.account)
        await self._pace(f"web-transcript:{call.account}:{session.user}", PAGES_PER_S, PAGES_AT_ONCE)
        page = await self._transcript(session, call)
        await call.answer(200, page, TRANSCRIPT_HEADERS)

    async def post_transcript(self, call: Call) -> None:
        """The same by e-mail, where the deployment has a way to send one."""
        session = self._chat.session(call.bearer, call.account)
        email = _read_email(read_object(await call.json_body()), required=True)
        if self._extras.mailer is None:
            raise Refused(501, "email_not_set_up", "this desk sends no e-mail; the page can be saved instead")
        await self._pace(f"web-mail:{call.account}:{session.user}", MAIL_PER_S, MAILS_AT_ONCE)
        await self._pace("web-mail", ALL_MAIL_PER_S, ALL_MAILS_AT_ONCE)
        page = await self._transcript(session, call)
        await self._extras.mailer.send_transcript(email, call.settings.title or "Frontdesk", page)
        await call.answer(202, orjson.dumps({"to": email}))

    async def _transcript(self, session: Session, call: Call) -> bytes:
        conversation_id = await self._chat.conversation(session)
        events: list[dict[str, Any]] = []
        after = 0
        while page := await self._chat.events_after(conversation_id, after, PAGE):
            events = [*events, *page][-MAX_EVENTS:]
            after = page[-1]["seq"]
        zone = ZoneInfo(call.settings.timezone or self._extras.timezone)
        language = "zh" if session.language.lower().startswith("zh") else "en"
        return render(events, language, call.settings.title, zone, self._chat.clock.now())

    async def _pace(self, key: str, per_s: float, burst: int) -> None:
        if wait_s := await self._extras.tokens.take(key, per_s=per_s, burst=burst):
            raise Refused(429, "too_many", "please wait a moment", [(b"retry-after", b"%d" % max(1, round(wait_s)))])


def _read_profile(document: Mapping[str, Any], form: tuple[str, ...]) -> dict[str, Any]:
    """What was told, of what this account asks for; raises Refused 422 when something required is missing."""
    told: dict[str, Any] = {}
    for entry in form:
        name, is_required = entry.removesuffix("*"), entry.endswith("*")
        if name == "consent":
            agreed = document.get("consent", False)
            if not isinstance(agreed, bool) or (is_required and not agreed):
                raise Refused(
                    422, "invalid", "consent must be true to begin" if is_required else "consent is a boolean"
                )
            told["consent"] = agreed
        elif name == "email":
            told["email"] = _read_email(document, required=is_required)
        else:
            told[name] = read_text_field(document, name, MAX_NAME, required=is_required).strip()
    if not told:
        raise Refused(404, "no_form", "this chat asks for nothing before it begins")
    return told


def _read_email(document: Mapping[str, Any], *, required: bool) -> str:
    email = read_text_field(document, "email", MAX_EMAIL, required=required).strip()
    if email and not _EMAIL.match(email):
        raise Refused(422, "invalid", "email is not an e-mail address")
    return email
