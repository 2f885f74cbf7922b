"""One Official Account: verify, decode, encode, send, and what travels back in WeChat's own request."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from bot.errors import (
    Misconfigured,
    NotFound,
    PayloadInvalid,
    SendRefused,
    ServiceError,
    WindowClosed,
)
from bot.ports import MediaLibrary, VendorTokens
from bot.types import Capabilities, Outbound, OutMedia, OutPart, Receipt, Received, RenderedReply
from channels.base import FetchedFile, Finding, MassWay, SendQuota, Templated
from channels.encoding import encode_reply
from channels.tencent.api import File
from channels.tencent.crypto import Envelope, NonceMemory, check_signature, check_time, proven_part
from channels.tencent.tokens import utc_now
from channels.tencent.xml import read_xml
from channels.vendor_http import VendorHttp
from channels.wechat.api import MAX_BY_TAG, MAX_MASS, MAX_TEMPORARY_S, MIN_MASS, SERVICE, WechatApi
from channels.wechat.decode import CHANNEL, Reading, decode_xml, unreadable
from channels.wechat.examine import examine
from channels.wechat.mass_tags import MassTags
from channels.wechat.replies import MAX_TEXT, Compose, compose, compose_all, reply_xml, sealed_xml
from config.settings import WechatSettings

log = structlog.get_logger()

# What mass sends an account has: its followers get four a month each, or it makes one a day.
# Source: developers.weixin.qq.com, the interface's notes and the forum's rules of mass sends (checked 2026-11).
MASS_QUOTAS = {
    "service": SendQuota("mass", 4, "month", of="person"),
    "subscription": SendQuota("mass", 1, "day"),
}
# Followers may be named with a mass send, or carry a tag; "订阅号不可用" for naming them, and for templates.
# Source: the tables of the single interfaces there (checked 2026-11).
_BY_LIST, _BY_TAG = MassWay("list", MIN_MASS, MAX_MASS), MassWay("tag", 1, MAX_BY_TAG)
MASS_WAYS = {"service": (_BY_LIST, _BY_TAG), "subscription": (_BY_TAG,)}
TEMPLATES = {"service": frozenset({"template", "subscribe"}), "subscription": frozenset({"subscribe"})}
# Interfaces whose calls of a day the vendor counts, by the kind of what they send.
COUNTED = {
    "": "/cgi-bin/message/custom/send",
    "template": "/cgi-bin/message/template/send",
    "subscribe": "/cgi-bin/message/subscribe/bizsend",
}
MAX_UPLOAD = 10_000_000  # bytes, of a picture or video
_IMAGE_HOSTS = (".qpic.cn", ".qlogo.cn", ".qq.com")  # where WeChat keeps the pictures it names by address


class WechatAdapter:
    """Implements ChannelAdapter and, of channels/base.py, everything only some channels can do; for one account."""

    channel = CHANNEL

    def __init__(
        self,
        account: str,
        settings: WechatSettings,
        *,
        tokens: VendorTokens | None = None,
        library: MediaLibrary | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`library` holds the files we send. Raises: Misconfigured for keys or an address that cannot work."""
        if settings.encryption != "plain" and settings.aes_key is None:
            raise Misconfigured(SERVICE, f"account {account!r} is {settings.encryption} and needs an AES_KEY")
        self.account, self.settings, self._library, self._now = account, settings, library, now
        self.passive_s = settings.passive_s
        self.mass_quota, self.mass_ways = MASS_QUOTAS[settings.kind], MASS_WAYS[settings.kind]
        self.capabilities = Capabilities(
            channel=CHANNEL,
            max_text=MAX_TEXT,
            length_unit="utf8",
            buttons=0,
            can_edit=False,
            can_type=self.can_send,
            idempotency_key=False,
            direct=False,
            is_windowed=True,
            passive_s=settings.passive_s,
            media=frozenset({"image", "voice", "video"}),
        )
        self.api = WechatApi(account, settings, tokens, now=now)
        self._tags = MassTags(self.api, now)
        key = settings.aes_key
        self._envelope = Envelope(SERVICE, key.get_secret_value(), settings.app_id) if key else None
        self._nonces = NonceMemory(settings.timestamp_tolerance_s)
        self._reading = Reading(account, now, has_windows=self.can_send)

    @property
    def can_send(self) -> bool:
        """Whether there are customer-service messages at all."""
        return self.settings.verified and self.settings.app_secret is not None

    @property
    def broadcast_kinds(self) -> frozenset[str]:
        """See `NamesKinds`."""
        if not self.can_send:
            return frozenset()
        return TEMPLATES[self.settings.kind] | {*(f"mass:{way.name}" for way in self.mass_ways)}

    # --- in -------------------------------------------------------------------------------------------------------

    def check_echo(self, query: Mapping[str, str]) -> str:
        """What the console's address check wants to hear. Raises: SignatureInvalid."""
        self._check_sender(query)
        return query.get("echostr", "")

    def admit(self, query: Mapping[str, str]) -> None:
        """Nothing of the body is needed to refuse this request, if it is to be refused. Raises: SignatureInvalid."""
        if self.settings.encryption == "plain" or query.get("signature"):
            self._check_sender(query)
        else:
            self._check_time(query)

    def verify(self, query: Mapping[str, str], body: bytes) -> str | None:
        """The body is WeChat's; its encrypted part, None in plain mode. Nothing was parsed. Raises: SignatureInvalid.

        A plain request's signature says nothing about its body, an encrypted one's covers what is encrypted. In
        compatible mode the copy in clear beside it is nobody's word and is not looked at.
        """
        if self.settings.encryption == "plain":
            self._nonces.check(query.get("timestamp", ""), query.get("nonce", ""), body, self._now())
            return None
        token = self.settings.token.get_secret_value()
        given, stamp, nonce = (query.get(name, "") for name in ("msg_signature", "timestamp", "nonce"))
        return proven_part(body, given, token, stamp, nonce)

    def open(self, body: bytes, encrypted: str | None) -> bytes:
        """The callback's XML in clear. Raises: PayloadInvalid."""
        if encrypted is None:
            return body
        if self._envelope is None:
            raise PayloadInvalid("there is no AES key for an encrypted message")
        return self._envelope.open(encrypted)

    def decode(self, body: bytes) -> Sequence[Received]:
        """A callback's XML, in clear or encrypted for this account. Never raises."""
        try:
            # By the parser: what a customer wrote may look like an encrypted part.
            encrypted = read_xml(body).get("Encrypt") if self._envelope is not None else None
            return decode_xml(body if encrypted is None else self.open(body, encrypted), self._reading)
        except PayloadInvalid as exc:
            return (unreadable(body, self._reading, str(exc)),)

    def decode_opened(self, xml: bytes) -> Sequence[Received]:
        """The callback's XML in clear. Never raises."""
        return decode_xml(xml, self._reading)

    def parked(self, body: bytes, reason: str) -> Received:
        """A proven callback that cannot be opened."""
        return unreadable(body, self._reading, reason)

    def _check_sender(self, query: Mapping[str, str]) -> None:
        token = self.settings.token.get_secret_value()
        check_signature(query.get("signature", ""), token, query.get("timestamp", ""), query.get("nonce", ""))
        self._check_time(query)

    def _check_time(self, query: Mapping[str, str]) -> None:
        check_time(query.get("timestamp", ""), self._now(), self.settings.timestamp_tolerance_s)

    # --- out ------------------------------------------------------------------------------------------------------

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Parts of at most 2048 bytes; buttons become a numbered list."""
        return encode_reply(reply, self.capabilities)

    def composer(self) -> Compose:
        """How rows become one passive reply. Where nothing else can leave, files travel as their words."""
        return compose if self.can_send else compose_all

    def passive_body(self, words: bytes, xml: bytes) -> bytes:
        """The answer to the callback `xml`: plain or, where the account encrypts, newly sealed."""
        fields = read_xml(xml)
        now = self._now()
        reply = reply_xml(
            words.decode(), to=fields.get("FromUserName", ""), sender=fields.get("ToUserName", ""), now=now
        )
        if self.settings.encryption == "plain" or self._envelope is None:
            return reply
        return sealed_xml(reply, self._envelope, self.settings.token.get_secret_value(), now)

    async def send(self, outbound: Outbound) -> Receipt:
        """One customer-service message left.

        Raises: WindowClosed where the account has no such messages (they wait for a passive reply), and what
        ChannelAdapter.send says.
        """
        if not self.can_send:
            raise WindowClosed(SERVICE, "this account can only answer a message the customer just sent")
        part, openid = outbound.part, outbound.chat_id
        if part.image_url:
            await self._send_file(openid, OutMedia("image", url=part.image_url))
        for file in part.media:
            await self._send_file(openid, file)
        if part.text:
            await self.api.send(openid, "text", {"content": part.text})
        return Receipt()

    async def send_template(self, outbound: Outbound, template: Templated) -> Receipt:
        """A template or subscribe message left: neither needs an open window."""
        if template.kind == "subscribe":
            await self.api.send_subscribe(outbound.chat_id, template.template_id, template.fields, page=template.url)
            return Receipt()
        key = outbound.idempotency_key
        return Receipt(
            await self.api.send_template(
                outbound.chat_id, template.template_id, template.fields, url=template.url, key=key
            )
        )

    async def gather(self, recipients: Sequence[str], key: str, way: str) -> Collection[str]:
        """Those who get a mass send by tag carry its tag. See `SendsToMany`."""
        return await self._tags.put_on(recipients, key) if way == _BY_TAG.name else ()

    async def leave_out(self, recipients: Sequence[str], key: str, way: str) -> None:
        """They do not carry it any more. See `SendsToMany`."""
        if way == _BY_TAG.name:
            await self._tags.take_off(recipients, key)

    async def send_to_many(self, recipients: Sequence[str], part: OutPart, key: str, way: str) -> str:
        """One mass send to these followers. See `SendsToMany`."""
        if way == _BY_TAG.name:
            return await self.api.mass_send_to_tag(await self._tags.number_of(key), part.text, key)
        return await self.api.mass_send_to(recipients, part.text, key)

    async def quota(self, kind: str) -> SendQuota | None:
        """What WeChat allows of this kind. See `HasQuotas`."""
        if kind == self.mass_quota.kind:
            return self.mass_quota
        if not self.can_send or kind not in COUNTED:
            return None
        left, limit = await self.api.quota_left(COUNTED[kind])
        return SendQuota(kind or "reply", limit, "day", used=max(0, limit - left)) if limit else None

    async def _send_file(self, openid: str, file: OutMedia) -> None:
        """The file itself or, where it cannot be had or WeChat does not take it, its address."""
        kind = file.kind
        if kind not in {"image", "voice", "video"}:
            raise SendRefused(SERVICE, f"WeChat takes no {kind}")
        try:
            media_id = await self.api.upload(kind, await self._bytes_of(file))
        except (SendRefused, NotFound, PayloadInvalid):
            words = "\n".join(line for line in (file.caption, file.file_name, file.url) if line)
            if not words:
                raise SendRefused(SERVICE, "the file cannot be read and has no address") from None
            await self.api.send(openid, "text", {"content": words})
            return
        await self.api.send(openid, kind, {"media_id": media_id})

    async def _bytes_of(self, file: OutMedia) -> File:
        if file.media_id and self._library is not None:
            stored, content = await self._library.read(file.media_id)
            return File(content, stored.mime, stored.file_name or f"file.{stored.mime.rpartition('/')[2]}")
        if not file.url:
            raise NotFound(f"{SERVICE}: there is no such file")
        return await self._plain_file(file.url, MAX_UPLOAD)

    async def _plain_file(self, url: str, max_bytes: int) -> File:
        http = VendorHttp(SERVICE, url, timeout_s=self.settings.timeout_s)
        try:
            answer = await http.call("GET", "", headers={}, max_bytes=max_bytes)
        finally:
            await http.close()
        if answer.status != 200:
            raise NotFound(f"{SERVICE}: HTTP {answer.status} for a file")
        mime = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return File(answer.body, mime, urllib.parse.urlsplit(url).path.rpartition("/")[2] or "file")

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """A follower's file: by media id, or by the address WeChat gave for a picture. See `FetchesMedia`."""
        if not file_id.startswith(("http://", "https://")):
            file = await self.api.download(file_id, max_bytes=max_bytes)
        elif (urllib.parse.urlsplit(file_id).hostname or "").endswith(_IMAGE_HOSTS):
            file = await self._plain_file(file_id, max_bytes)
        else:
            raise NotFound(f"{SERVICE}: the picture is not kept by WeChat")
        return FetchedFile(file.content, file.mime, file.name)

    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        """The follower sees for 15 s that an answer is coming; best effort, never raises a ServiceError."""
        if not self.can_send:
            return
        try:
            await self.api.show_typing(chat_id)
        except (ServiceError, NotFound) as exc:
            log.info("wechat_courtesy_failed", account=self.account, error=type(exc).__name__)

    async def notify_held(self, outbound: Outbound) -> None:
        """The follower is told that a reply waits for them to write, where the settings name a template for it."""
        notice = self.settings.held_notice
        if notice is None or not self.can_send:
            return
        if notice.kind == "subscribe":
            await self.api.send_subscribe(outbound.chat_id, notice.template_id, notice.fields, page=notice.url)
        else:
            key = outbound.idempotency_key
            await self.api.send_template(outbound.chat_id, notice.template_id, notice.fields, url=notice.url, key=key)

    # --- the account at WeChat ------------------------------------------------------------------------------------

    def trusts_links_of(self, keys: Sequence[bytes]) -> None:
        """From now on a scene signed with one of `keys` says who sent the follower here."""
        self._reading = replace(self._reading, link_keys=tuple(keys))

    async def opening_address(self, payload: str, expires_at: datetime) -> str:
        """A picture of a QR code that opens the account with `payload`. See `OpensWithPayload`."""
        lasts_s = int((expires_at - self._now()).total_seconds())
        code = await self.api.create_qr(payload, lasts_s=max(60, min(lasts_s, MAX_TEMPORARY_S)))
        return code.image_url

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        """See `channels.base.Examinable`."""
        return await examine(self.api, self.settings, self.account, public_url, self._now)

    async def close(self) -> None:
        await self.api.close()
