"""E-mail over SMTP, in a thread so that nothing else waits for it: conversations to visitors, tasks to sites."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from bot.errors import Misconfigured, RecipientUnreachable, ServiceError, ServiceUnavailable
from config.settings import MailSettings

SERVICE = "mail"
COVER = "您的对话记录见附件。\n\nYour conversation is attached.\n"


class SmtpMailer:
    """Implements `channels.web.extras.TranscriptMailer`."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send_transcript(self, to: str, subject: str, page: bytes) -> None:
        """The mail server has taken the message with `page` (HTML in UTF-8) attached.

        Raises: RecipientUnreachable when it does not take the address, Misconfigured for our credentials,
        ServiceUnavailable.
        """
        message = self._message(to, subject, COVER)
        message.add_attachment(page, maintype="text", subtype="html", filename="conversation.html")
        await asyncio.to_thread(self._with_server, lambda server: server.send_message(message))

    async def send(self, to: str, subject: str, words: str) -> None:
        """The mail server has taken the message. Raises: as `send_transcript`."""
        message = self._message(to, subject, words)
        await asyncio.to_thread(self._with_server, lambda server: server.send_message(message))

    def _message(self, to: str, subject: str, words: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._settings.sender, to, " ".join(subject.split())
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="frontdesk.invalid")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        message.set_content(words)
        return message

    async def check(self) -> None:
        """The server answers and takes our credentials. Raises: ServiceError."""
        await asyncio.to_thread(self._with_server, lambda server: server.noop())

    def _with_server(self, work: Callable[[smtplib.SMTP], object]) -> None:
        with _translated(), self._connect() as server:
            if self._settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self._settings.username:
                password = self._settings.password
                server.login(self._settings.username, password.get_secret_value() if password else "")
            work(server)

    def _connect(self) -> smtplib.SMTP:
        host, port, timeout_s = self._settings.host, self._settings.port, self._settings.timeout_s
        if self._settings.security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, timeout=timeout_s)


@contextmanager
def _translated() -> Iterator[None]:
    """smtplib's errors as ours, without their texts: those quote addresses."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused:
        raise RecipientUnreachable(SERVICE, "the mail server does not take this address") from None
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError, smtplib.SMTPSenderRefused) as exc:
        raise Misconfigured(SERVICE, f"the mail server refuses us ({type(exc).__name__})") from None
    except (smtplib.SMTPException, OSError) as exc:
        raise _unavailable(exc) from None


def _unavailable(error: Exception) -> ServiceError:
    return ServiceUnavailable(SERVICE, type(error).__name__, happened="unknown")
