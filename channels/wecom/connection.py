"""One account's connection to WeCom: credentials, access token, calls, and the opening of its callbacks.

Source of the numbers: developer.work.weixin.qq.com, documents 90313 and 90455 "全局错误码" (checked 2026-11 against a
public copy of the whole list, of 2023-08).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from bot.errors import Misconfigured, NotFound, RecipientUnreachable, SendRefused, ServiceUnavailable, WindowClosed
from bot.ports import MediaLibrary, VendorTokens
from bot.types import OutMedia
from channels.base import FetchedFile
from channels.tencent.api import MINUTE, Answer, File, JsonApi
from channels.tencent.crypto import Envelope
from channels.tencent.tokens import TokenService, utc_now
from config.settings import WecomSettings

SERVICE: Final = "wecom"
_TOKEN = re.compile(r"[0-9A-Za-z]{1,32}")  # as the console takes it


class SessionElsewhere(SendRefused):
    """The session is in a state in which we may not write: queued, with a colleague, or closed."""


class NoticeExpired(SendRefused):
    """The token of a callback is older than 10 minutes."""


class TransitionRefused(SendRefused):
    """The session cannot be moved to that state, or to that colleague (now)."""


class MediaGone(SendRefused):
    """The vendor no longer has the file, or never had it."""


MEANINGS: Final[Mapping[int, Any]] = {
    40003: RecipientUnreachable,
    40007: MediaGone,
    40056: "agent_id is no application of this company",
    40091: "the secret is not one of this company",
    40096: RecipientUnreachable,
    # Blocked for as long as the exceeded limit spans, mostly a minute (document 90454); asked again every minute.
    45009: MINUTE,
    45033: MINUTE,  # too many calls of one interface at once
    48002: "this application may not use this interface: grant it in the console",
    48006: "the permission was withdrawn because it was long unused: an administrator must grant it again",
    48007: "this 微信客服 account was not given to the application: 微信客服-通过API管理微信客服账号",
    50002: "the application may not see this member: widen its visible range",
    50003: "the application is switched off: switch it on under 应用管理",
    60011: "the application may not see this member or department: widen its visible range",
    60020: "this server's address is not trusted: add it under the application's 企业可信IP",
    60021: RecipientUnreachable,  # outside the application's visible range
    60111: RecipientUnreachable,
    81013: RecipientUnreachable,
    95000: "this is no open_kfid of a 微信客服 account",
    95001: WindowClosed,  # five were sent
    95002: WindowClosed,  # the customer wrote more than 48 h ago
    95003: "an unverified company may serve only so many customers: verify it in WeCom's console",
    95004: "this 微信客服 account was deleted or is another company's",
    95007: NoticeExpired,
    95011: "微信客服 is used within WeCom: the secret must be that of an application there",
    95012: "微信客服 is not used within WeCom: switch it on in WeCom's console",
    95013: WindowClosed,  # the session is over: the customer has to write first
    95014: TransitionRefused,  # takes no sessions at all, or is not active in WeCom
    95016: TransitionRefused,
    95017: "the API of 微信客服 is off: switch it on under 微信客服-API",
    95018: SessionElsewhere,  # or older than 48 h
    95019: TransitionRefused,  # takes no sessions at the moment
    95023: "the API of 微信客服 was given to another application: change it under 微信客服-API",
    301002: "agent_id is not the application of this secret",
}
# Largest files and the vendor's word for each kind (document 90253 "上传临时素材"); other forms of a kind go as files.
_UPLOADS: Final[Mapping[str, tuple[str, int, frozenset[str]]]] = {
    "image": ("image", 10_000_000, frozenset({"image/jpeg", "image/png"})),
    "voice": ("voice", 2_000_000, frozenset({"audio/amr"})),
    "audio": ("voice", 2_000_000, frozenset({"audio/amr"})),
    "video": ("video", 10_000_000, frozenset({"video/mp4"})),
}


class WecomConnection:
    """Shared by the adapters of one account."""

    def __init__(
        self,
        account: str,
        settings: WecomSettings,
        *,
        tokens: VendorTokens | None = None,
        media: MediaLibrary | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Raises: Misconfigured when a setting cannot work."""
        if settings.agent_id is None and not settings.kf:
            raise Misconfigured(f"wecom/{account}", "set AGENT_ID (an application), KF=true (微信客服), or both")
        if settings.kf_handoff == "servicer" and not settings.kf_servicer:
            raise Misconfigured(f"wecom/{account}", "KF_HANDOFF=servicer needs KF_SERVICER, the colleague's userid")
        if not _TOKEN.fullmatch(settings.token.get_secret_value()):
            raise Misconfigured(f"wecom/{account}", "TOKEN must be the 1 to 32 letters and digits of the console")
        self.account, self.settings, self.now, self.media = account, settings, now, media
        self.envelope = Envelope(f"wecom/{account}", settings.aes_key.get_secret_value(), settings.corp_id)
        self.api = JsonApi(SERVICE, settings.api_base_url, timeout_s=settings.timeout_s, meanings=MEANINGS, now=now)
        self.tokens = TokenService(f"wecom:{account}", self._fetch_token, tokens, now=now)

    async def post(self, path: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer's fields. Raises what `JsonApi.call` raises."""
        return (await self.api.call(f"/cgi-bin/{path}", payload, tokens=self.tokens)).fields

    async def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """Raises what `JsonApi.call` raises."""
        return await self.api.call(f"/cgi-bin/{path}", query=query, tokens=self.tokens)

    async def ask_token(self) -> Answer:
        """The vendor's answer to our credentials. Raises what `JsonApi.call` raises."""
        secret = self.settings.secret.get_secret_value()
        query = {"corpid": self.settings.corp_id, "corpsecret": secret}
        return await self.api.call("/cgi-bin/gettoken", query=query)

    async def _fetch_token(self, force: bool) -> tuple[str, float]:
        """`force` cannot be asked for here: the vendor gives the same token until it is over."""
        fields = (await self.ask_token()).fields
        token, lives_s = fields.get("access_token"), fields.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lives_s, int):
            raise ServiceUnavailable(SERVICE, "gettoken answered without a token", happened="no")
        return token, float(lives_s)

    # --- files --------------------------------------------------------------------------------------------------------

    async def fetch(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        """See `channels.base.FetchesMedia`."""
        query = {"media_id": file_id}
        try:
            file = await self.api.download("/cgi-bin/media/get", query=query, tokens=self.tokens, max_bytes=max_bytes)
        except MediaGone:
            raise NotFound("the file is no longer at WeCom, which keeps it for 3 days") from None
        return FetchedFile(file.content, file.mime, file.name)

    async def upload(self, file: OutMedia) -> tuple[str, str]:
        """(msgtype, media_id) of a file of ours, now at WeCom for 3 days.

        Raises: SendRefused when it is not in our media store or too large, and what `JsonApi.upload` raises.
        """
        if self.media is None or not file.media_id:
            raise SendRefused(SERVICE, "the file is not in the media store")
        try:
            stored, content = await self.media.read(file.media_id)
        except NotFound:
            raise SendRefused(SERVICE, "the file is no longer in the media store") from None
        kind, most, mimes = _UPLOADS.get(file.kind, ("file", 20_000_000, frozenset({stored.mime})))
        if stored.mime not in mimes or stored.size > most:
            kind = "file"
        if stored.size > 20_000_000:
            raise SendRefused(SERVICE, "the file is larger than the 20 MB WeCom takes")
        sent = File(content, stored.mime, stored.file_name or file.file_name or file.media_id)
        answer = await self.api.upload("/cgi-bin/media/upload", sent, query={"type": kind}, tokens=self.tokens)
        media_id = answer.fields.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise ServiceUnavailable(SERVICE, "the upload was answered without a media_id", happened="no")
        return kind, media_id

    async def close(self) -> None:
        await self.api.close()
