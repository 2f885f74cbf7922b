"""Sites hear of their tasks, by e-mail or in a chat of theirs: with the link they work with, and again in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from sqlalchemy import Connection

from bot.business_time import say_time
from bot.errors import Misconfigured, RecipientUnreachable, ServiceError
from bot.service.sites import name_of
from bot.service_types import Notice
from bot.types import CreateTask, Language
from config.settings import Settings
from crm_sync import site_messages
from crm_sync.cases import By, case_event
from crm_sync.site_links import SiteLinks
from crm_sync.site_messages import SiteMessage
from crm_sync.store import SqlStore
from crm_sync.tasks import put_task
from crm_sync.timers import MAX_ATTEMPTS, Timer
from desk.rules import rules_of
from frontdesk.mail import SERVICE, SmtpMailer

if TYPE_CHECKING:
    from frontdesk.scheduler import Context

log = structlog.get_logger()

NOT_REACHED: Final = "site_not_reached"  # kind of the task staff get
_SOON: Final = timedelta(minutes=1)  # a reminder that would be due this soon after the deadline moved is sent now
_SUBJECT: Final[dict[str, dict[Language, str]]] = {
    "offer": {"zh": "服务任务 {number}：{site}", "en": "Service task {number}: {site}"},
    "remind": {"zh": "提醒：服务任务 {number}", "en": "Reminder: service task {number}"},
}
_MAIL: Final[dict[str, dict[Language, str]]] = {
    "offer": {
        "zh": "您好，\n\n{site}有一项新的服务任务 {number}，请在{time}前处理。\n\n打开下面的链接可以看到客户的情况，"
        "接手、汇报进展或转出，无需账号：\n{link}\n\n这封邮件由系统发出。链接只供{site}使用，请不要转发。\n",
        "en": "Hello,\n\nthere is a new service task for {site}: {number}, to be done by {time}.\n\nThe link shows what"
        " it is about; take it, report on it or pass it on there. No account is needed:\n{link}\n\nThis message was"
        " sent by our system. The link is meant for {site} only; please do not forward it.\n",
    },
    "remind": {
        "zh": "您好，\n\n{site}的服务任务 {number} 还没有办结，时限是{time}。\n\n{link}\n",
        "en": "Hello,\n\nservice task {number} of {site} is still open; it is to be done by {time}.\n\n{link}\n",
    },
}


class SendsMail(Protocol):
    async def send(self, to: str, subject: str, words: str) -> None:
        """The mail server has taken the message. Raises: ServiceError."""
        ...


class SiteMessenger:
    """Does timers of kind `site_messages.KIND`. Without a mail server a site with only an e-mail is for staff."""

    def __init__(self, keys: Sequence[bytes], settings: Settings, mailer: SendsMail | None = None) -> None:
        base_url = settings.own_url
        self._links = SiteLinks(keys, base_url=base_url)
        self._mailer = mailer or (SmtpMailer(settings.mail) if settings.mail.host else None)

    async def deliver(self, store: SqlStore, timer: Timer, context: Context) -> datetime | None:
        """The site was told, or staff know that it was not; when to remind it instead, if its deadline has moved.

        Raises: ServiceError while another try may help.
        """
        message = await store.database.run(lambda conn: site_messages.message_of(conn, timer.details), read=True)
        if message is None:
            return None
        step = str(timer.details["step"])
        if step == "remind":
            at = message.deadline - timedelta(hours=float(timer.details["hours"]))
            if at > context.now + _SOON:
                return at
        try:
            await self._send(store, message, step, context)
        except ServiceError as error:
            lasting = isinstance(error, RecipientUnreachable | Misconfigured)
            if not lasting and timer.attempts + 1 < MAX_ATTEMPTS:
                raise
            log.warning("site_not_told", task_id=message.task_id, way=message.way, error=type(error).__name__)
            reason = error.reason or type(error).__name__
            await store.database.run(partial(_note_failed, message=message, reason=reason, now=context.now))
            return None
        await store.database.run(partial(_note_sent, message=message, step=step, context=context))
        return None

    async def _send(self, store: SqlStore, message: SiteMessage, step: str, context: Context) -> None:
        link = self._links.link(message.task_id, message.serial, message.expires_at)
        if message.way == "chat":
            key = f"site:{message.task_id}:{message.serial}:{step}:{message.deadline.isoformat()}"
            notice = _notice(message, step, link, context)
            tell = partial(site_messages.tell_chat, message=message, notice=notice, key=key, now=context.now)
            if not await store.database.run(tell):
                raise RecipientUnreachable("chat", "the contact has not written to us there, or has blocked us")
            return
        if self._mailer is None:
            raise Misconfigured(SERVICE, "no mail server is configured")
        language = _language(message, context)
        args = _args(message, link, context, language)
        words, subject = _MAIL[step][language], _SUBJECT[step][language]
        await self._mailer.send(message.address, subject.format(**args), words.format(**args))


def _language(message: SiteMessage, context: Context) -> Language:
    """The first of the site's languages that we write, else the business's own."""
    spoken: tuple[Language, ...] = tuple(lang for lang in ("zh", "en") if lang in message.languages)
    return spoken[0] if spoken else context.assistant.languages[0]


def _args(message: SiteMessage, link: str, context: Context, language: Language) -> dict[str, str]:
    timezone = message.timezone or context.assistant.hours.timezone
    return {
        "number": message.number,
        "site": name_of(message.site_names, language, message.site_key),
        "time": say_time(message.deadline, context.now, timezone, language),
        "link": link,
    }


def _notice(message: SiteMessage, step: str, link: str, context: Context) -> Notice:
    zh, en = (_args(message, link, context, language) for language in ("zh", "en"))
    args = {name: zh[name] if zh[name] == en[name] else f"@zh:{zh[name]}|@en:{en[name]}" for name in zh}
    return Notice("utter_site_task" if step == "offer" else "utter_site_task_reminder", args, is_vital=True)


def _note_sent(conn: Connection, message: SiteMessage, step: str, context: Context) -> None:
    """The history of the case says that the site was told; reminders are planned as the rules say."""
    now = context.now
    line = f"{message.site_key}: {message.way}"
    case_event(conn, message.case_id, "site_told", By("system", now), words=line, is_internal=True)
    if step == "offer":
        for hours in rules_of(conn, message, context.policy).routing.remind_hours:
            at = message.deadline - timedelta(hours=hours)
            if at > now + _SOON:
                site_messages.plan_reminder(conn, message, hours, at, now)


def _note_failed(conn: Connection, message: SiteMessage, reason: str, now: datetime) -> None:
    """Staff have a task to reach the site another way; the history of the case says why."""
    line = f"{message.site_key}: {message.way}: {reason}"
    case_event(conn, message.case_id, "site_not_told", By("system", now), words=line, is_internal=True)
    task = CreateTask(
        NOT_REACHED,
        f"site {message.site_key} did not get its link for case {message.number} ({message.way}: {reason}):"
        " ring them up, or ask another one",
        assignee=message.team,
        case_number=message.number,
    )
    put_task(conn, task, message.customer_id, now, conversation_id=message.conversation_id, case_id=message.case_id)
