"""Is this bot account in working order? For `frontdesk doctor`, and `--repair` where it can be mended from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from telegram import Bot, User, WebhookInfo

from bot.errors import Misconfigured, ServiceError
from channels.base import Finding
from channels.telegram.api import BotApi
from channels.telegram.request import asked
from config.settings import TelegramSettings

RECENT: Final = timedelta(hours=1)  # a delivery that failed longer ago says nothing about now
MANY_PENDING: Final = 1000
MAX_SKEW_S: Final = 60.0  # signed links and retries are judged by our clock; the Date header tells whole seconds
SET_AGAIN: Final = "frontdesk doctor --repair sets it"
SET_DOWN: Final = "frontdesk doctor --repair takes it down, as does frontdesk run"


def webhook_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}/channels/telegram/{account}"


@dataclass(frozen=True, slots=True)
class Examiner:
    """Looks at one account. `set_webhook` and `delete_webhook` are what repairs it."""

    account: str
    settings: TelegramSettings
    allowed_updates: Sequence[str]
    bot: Bot
    api: BotApi
    set_webhook: Callable[[str], Awaitable[None]]
    delete_webhook: Callable[[], Awaitable[None]]

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """Token, clock, groups, way of delivery and backlog. What could not be asked is a finding."""
        try:
            me = await asked(self.bot.get_me())
        except Misconfigured as error:
            hint = "copy the token from @BotFather (/mybots, API Token), check API_BASE_URL"
            return (self._finding("token", str(error), hint),)
        except ServiceError as error:
            return (self._finding("token", str(error), "check that this machine reaches api_base_url, and any proxy"),)
        findings = [self._finding("token", f"@{me.username or '?'}, number {me.id}"), await self._clock()]
        if self.settings.groups:
            findings.append(self._groups(me))
        try:
            return (*findings, *await self._delivery(public_url, repair=repair))
        except ServiceError as error:
            return (*findings, self._finding("delivery", str(error), "run frontdesk doctor again"))

    def _finding(self, what: str, found: str, repair: str = "") -> Finding:
        return Finding(f"telegram/{self.account} {what}", bool(repair), found, repair)

    async def _clock(self) -> Finding:
        try:
            skew_s = await self.api.clock_skew_s()
        except ServiceError as error:
            return self._finding("clock", str(error), "run frontdesk doctor again")
        if skew_s is None:
            return self._finding("clock", "Telegram's answer names no time")
        if abs(skew_s) <= MAX_SKEW_S:
            return self._finding("clock", f"within {MAX_SKEW_S:g} s of Telegram's")
        way = "ahead of" if skew_s > 0 else "behind"
        return self._finding("clock", f"{abs(skew_s):.0f} s {way} Telegram's", "set this machine's clock (NTP)")

    def _groups(self, me: User) -> Finding:
        if me.can_join_groups is False:
            hint = "/setjoingroups at @BotFather, or GROUPS=false"
            return self._finding("groups", "the bot may not be added to groups", hint)
        if me.can_read_all_group_messages:
            # Nothing is broken: we leave alone what is not for us. But people may not expect that we are shown it.
            return self._finding("groups", "privacy is off: every group message is delivered and stored (/setprivacy)")
        return self._finding("groups", "privacy is on: only mentions, replies and commands are delivered")

    # --- delivery -------------------------------------------------------------------------------------------------

    async def _delivery(self, public_url: str, *, repair: bool) -> list[Finding]:
        webhook = await asked(self.bot.get_webhook_info())
        problem = self._problem(webhook, public_url)
        repaired = ""
        if problem and repair and not problem.needs_a_person:
            await (self.delete_webhook() if self.settings.mode == "polling" else self.set_webhook(public_url))
            repaired = f"; {problem.was}, mended now"
            webhook = await asked(self.bot.get_webhook_info())
            problem = self._problem(webhook, public_url, was_mended=True)
        found = f"{self.settings.mode}, {webhook.pending_update_count} updates waiting{_details(webhook)}{repaired}"
        findings = [self._finding("delivery", found, f"{problem.was}: {problem.hint}" if problem else "")]
        if webhook.pending_update_count > MANY_PENDING:
            hint = "is the web role running and reachable? Telegram keeps updates for 24 hours"
            findings.append(self._finding("backlog", f"{webhook.pending_update_count} updates wait at Telegram", hint))
        return findings

    def _problem(self, webhook: WebhookInfo, public_url: str, *, was_mended: bool = False) -> _Problem | None:
        if self.settings.mode == "polling":
            return _Problem("a webhook is set, so polling gets nothing", SET_DOWN) if webhook.url else None
        if not public_url:
            return _Problem("no public address", "webhook mode needs FRONTDESK_PUBLIC_URL", needs_a_person=True)
        if not webhook.url:
            return _Problem("no webhook is set", SET_AGAIN)
        if webhook.url != webhook_url(public_url, self.account):
            return _Problem("the webhook points to another address", SET_AGAIN)
        if set(webhook.allowed_updates or ()) != set(self.allowed_updates):
            return _Problem("Telegram delivers other kinds of updates than we ask for", SET_AGAIN)
        if webhook.has_custom_certificate:
            return _Problem("a self-signed certificate was uploaded for it, which we do not use", SET_AGAIN)
        failed_at = webhook.last_error_date
        if was_mended or failed_at is None or datetime.now(UTC) - failed_at >= RECENT:
            return None  # what failed before it was set again says nothing
        return _undelivered(webhook.last_error_message or "no reason given", failed_at)


@dataclass(frozen=True, slots=True)
class _Problem:
    was: str
    hint: str
    needs_a_person: bool = False


def _undelivered(reason: str, failed_at: datetime) -> _Problem:
    was = f"Telegram could not deliver at {failed_at:%Y-%m-%d %H:%M} UTC: {reason}"
    words = reason.lower()
    if "401" in words:
        return _Problem(was, f"its secret is not ours; {SET_AGAIN}")
    if "404" in words:
        return _Problem(was, "let the proxy pass POST /channels/telegram/*", needs_a_person=True)
    if "ssl" in words or "certificate" in words:
        return _Problem(was, "the certificate needs its whole chain (fullchain.pem)", needs_a_person=True)
    if "resolve" in words or "ip address" in words:
        return _Problem(was, "check the DNS entry of FRONTDESK_PUBLIC_URL, then --repair", needs_a_person=False)
    if "413" in words:
        return _Problem(was, "let the proxy pass bodies of 1 MB", needs_a_person=True)
    return _Problem(was, "is the web role running and reachable from outside?", needs_a_person=True)


def _details(webhook: WebhookInfo) -> str:
    if not webhook.url:
        return ""
    at = f" ({webhook.ip_address})" if webhook.ip_address else ""
    own = ", own certificate" if webhook.has_custom_certificate else ""
    return f", to {webhook.url}{at}{own}"
