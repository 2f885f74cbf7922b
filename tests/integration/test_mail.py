"""Conversations by e-mail: what the mail server is given, and what its refusals mean."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr, ValidationError

from bot.errors import Misconfigured, RecipientUnreachable, ServiceError, ServiceUnavailable
from config.settings import MailSettings
from frontdesk.mail import SmtpMailer

PAGE = "<!doctype html><p>您好，投诉编号 C-1024-7</p>".encode()


class MailServer:
    """As much of SMTP (RFC 5321) as a client needs to hand over a message, on a loopback port."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []  # sender, recipient, message
        self.refuses_login = self.hangs_up = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        say("220 desk.example ESMTP")
        sender = recipient = ""
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    say("250-desk.example")
                    say("250 AUTH PLAIN")
                case "AUTH":
                    say("535 5.7.8 no" if self.refuses_login else "235 2.7.0 welcome")
                case "MAIL":
                    sender = rest.partition("<")[2].partition(">")[0]
                    say("250 ok")
                case "RCPT":
                    recipient = rest.partition("<")[2].partition(">")[0]
                    say("550 5.1.1 nobody@gone.example is unknown" if recipient.endswith("gone.example") else "250 ok")
                case "DATA":
                    say("354 go on")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    if self.hangs_up:
                        break
                    self.taken.append((sender, recipient, body))
                    say("250 ok")
                case "QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 ok")
        writer.close()


@pytest.fixture
def server() -> MailServer:
    return MailServer()


@pytest.fixture
async def port(server: MailServer) -> AsyncIterator[int]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def mailer(port: int, **more: object) -> SmtpMailer:
    sender = "Linden Home <chat@shop.example>"
    return SmtpMailer(MailSettings(host="127.0.0.1", port=port, security="none", sender=sender, timeout_s=5, **more))


async def test_the_conversation_arrives_as_an_attached_page(server: MailServer, port: int) -> None:
    await mailer(port).send_transcript("ann@home.example", "在线客服", PAGE)

    ((sender, recipient, body),) = server.taken
    message = email.message_from_bytes(body, policy=email.policy.default)
    assert (sender, recipient) == ("chat@shop.example", "ann@home.example")
    assert (message["Subject"], message["Auto-Submitted"]) == ("在线客服", "auto-generated")
    (page,) = message.iter_attachments()
    assert (page.get_filename(), page.get_content_type()) == ("conversation.html", "text/html")
    assert page.get_payload(decode=True) == PAGE


async def test_a_refused_address_is_not_told_on(server: MailServer, port: int) -> None:
    with pytest.raises(RecipientUnreachable) as refused:
        await mailer(port).send_transcript("nobody@gone.example", "x", PAGE)

    assert "gone.example" not in str(refused.value)
    assert server.taken == []


async def test_wrong_credentials_are_for_the_operator(server: MailServer, port: int) -> None:
    server.refuses_login = True
    with pytest.raises(Misconfigured) as refused:
        await mailer(port, username="desk", password=SecretStr("s3cret")).check()

    assert "s3cret" not in str(refused.value)


async def test_a_server_that_hangs_up_may_have_taken_it(server: MailServer, port: int) -> None:
    server.hangs_up = True
    with pytest.raises(ServiceUnavailable) as lost:
        await mailer(port).send_transcript("ann@home.example", "x", PAGE)

    assert lost.value.happened == "unknown"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_nothing_is_sent_in_clear_when_encryption_was_asked_for(
    server: MailServer, port: int, security: str
) -> None:
    settings = MailSettings(host="127.0.0.1", port=port, security=security, sender="a@b.example", timeout_s=5)
    with pytest.raises(ServiceError):
        await SmtpMailer(settings).send_transcript("ann@home.example", "x", PAGE)

    assert server.taken == []


def test_a_host_needs_a_sender() -> None:
    with pytest.raises(ValidationError, match="sender"):
        MailSettings(host="mail.example")
