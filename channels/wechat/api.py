"""WeChat's server API for one Official Account: what is sent, and what an operator manages.

Paths, fields and limits: developers.weixin.qq.com, service-account documentation (checked 2026-11; that a tagging call
takes 50 openids and `client_msg_id` 32 bytes was not found again).
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bot.errors import Misconfigured, NotFound, RecipientUnreachable, SendRefused, WindowClosed
from bot.ports import VendorTokens
from channels.tencent.api import MINUTE, QUOTA, Answer, File, JsonApi, Meanings
from channels.tencent.tokens import TokenService, utc_now
from config.settings import WechatSettings

SERVICE = "wechat"
_NOT_LISTED = "this server's address is not on the vendor's IP allow-list: add it there"
# Source: "通用错误码" and the tables of the single interfaces. Found in neither: 45028, known by its text in public
# code, and 42010, known from reports on the vendor's forum ("masssend fast, retry again").
MEANINGS: Meanings = {
    40003: RecipientUnreachable,  # no openid of this account
    40007: NotFound,  # media id unknown or over
    40125: "the secret is wrong; copy it again from the vendor's console",
    40164: _NOT_LISTED,
    40243: "the secret is frozen: unfreeze it in the vendor's console, which takes ten minutes",
    42010: MINUTE,  # one mass send right after the other
    43004: RecipientUnreachable,  # does not follow
    43019: RecipientUnreachable,  # on the account's blacklist
    45009: QUOTA,
    45011: MINUTE,
    45015: WindowClosed,  # nothing was said to us within the window
    45028: QUOTA,  # mass sends of today
    45047: WindowClosed,  # the window's messages are used up
    45056: "the account has all the tags it may have (100): take some away in the vendor's console",
    45066: MINUTE,  # the same clientmsgid again within a minute
    46003: NotFound,  # no menu
    48002: RecipientUnreachable,  # switched messages off
    49003: RecipientUnreachable,  # an openid of another account
    48004: "the interface was taken from this account; see the notices in the vendor's console",
    50002: "the account is frozen",
    61004: _NOT_LISTED,  # as newer pages have it
}
TYPING_SHOWN = 45081  # they see it already, for 15 s from the first call
CLIENTMSGID_KNOWN = 45065  # this mass send was made within 24 h; the answer names it
MAX_CLIENTMSGID = 64  # bytes, else 45067
MAX_MASS = 10_000  # openids in one mass send
MIN_MASS = 2
MAX_TAGGED = 50  # openids in one tagging call
MAX_BY_TAG = 50_000  # followers of one mass send by tag: ours, a thousand tagging calls
MAX_TEMPORARY_S = 2_592_000  # 30 days, of a temporary QR code

MediaKind = Literal["image", "voice", "video"]


@dataclass(frozen=True, slots=True)
class QrCode:
    """`url` is what the code says; `image_url` shows it as a picture."""

    ticket: str
    url: str
    lasts_s: int | None  # None: for ever

    @property
    def image_url(self) -> str:
        return f"https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket={urllib.parse.quote(self.ticket, safe='')}"


@dataclass(frozen=True, slots=True)
class Tag:
    id: int
    name: str
    count: int = 0  # followers


class WechatApi:
    """Calls of one account. Each raises what `JsonApi.call` says."""

    def __init__(
        self,
        account: str,
        settings: WechatSettings,
        tokens: VendorTokens | None,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`tokens` None: the access token stays in this process. Raises: Misconfigured for an impossible address."""
        self._settings = settings
        self.json = JsonApi(SERVICE, settings.api_base_url, timeout_s=settings.timeout_s, meanings=MEANINGS, now=now)
        self.tokens = TokenService(f"{SERVICE}:{account}", self._fetch_token, tokens, now=now)

    async def _fetch_token(self, force: bool) -> tuple[str, float]:
        """From stable_token: unlike the old interface it never ends the token that others use."""
        if self._settings.app_secret is None:
            raise Misconfigured(SERVICE, "this account has no APP_SECRET, so only passive replies are possible")
        asked = {
            "grant_type": "client_credential",
            "appid": self._settings.app_id,
            "secret": self._settings.app_secret.get_secret_value(),
            "force_refresh": force,
        }
        fields = (await self.json.call("/cgi-bin/stable_token", asked)).fields
        token, lives_s = fields.get("access_token"), fields.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lives_s, int) or isinstance(lives_s, bool):
            raise Misconfigured(SERVICE, "stable_token gave no token; check api_base_url")
        return token, float(lives_s)

    async def call(self, path: str, payload: Mapping[str, Any] | None = None, **more: Any) -> Answer:
        return await self.json.call(f"/cgi-bin/{path}", payload, tokens=self.tokens, **more)

    async def close(self) -> None:
        await self.json.close()

    # --- to one follower --------------------------------------------------------------------------------------------

    async def send(
        self, openid: str, kind: Literal["text", "image", "voice", "video"], body: Mapping[str, str]
    ) -> None:
        """One customer-service message left; it counts against the follower's window."""
        await self.call("message/custom/send", {"touser": openid, "msgtype": kind, kind: dict(body)})

    async def show_typing(self, openid: str) -> None:
        """The follower sees for 15 s that an answer is coming; possible within 30 s of the last message."""
        typing = {"touser": openid, "command": "Typing"}
        await self.call("message/custom/typing", typing, accept={TYPING_SHOWN})

    async def send_template(
        self, openid: str, template_id: str, fields: Mapping[str, str], *, url: str = "", key: str = ""
    ) -> str:
        """A template message left; its id. With `key` (32 bytes) the vendor sends it once within ten minutes."""
        message = {"touser": openid, "template_id": template_id, "data": _values(fields)}
        more = {name: value for name, value in (("url", url), ("client_msg_id", key[:32])) if value}
        return str((await self.call("message/template/send", {**message, **more})).fields.get("msgid", ""))

    async def send_subscribe(self, openid: str, template_id: str, fields: Mapping[str, str], *, page: str = "") -> None:
        """A subscribe message left: one for each time the follower agreed to its template."""
        message = {"touser": openid, "template_id": template_id, "data": _values(fields)}
        await self.call("message/subscribe/bizsend", {**message, "page": page} if page else message)

    # --- to many ----------------------------------------------------------------------------------------------------

    async def mass_send_to_tag(self, tag_id: int | None, text: str, key: str) -> str:
        """The vendor's id of this mass send to a tag's followers (None: all). The same `key` sends once within 24 h."""
        to_whom = {"is_to_all": True} if tag_id is None else {"is_to_all": False, "tag_id": tag_id}
        return await self._mass_send("message/mass/sendall", {"filter": to_whom}, text, key)

    async def mass_send_to(self, openids: Sequence[str], text: str, key: str) -> str:
        """The vendor's id of this mass send to 2 to 10,000 followers. The same `key` sends once within 24 h.

        Raises: ValueError for another number of followers; Misconfigured for a subscription account, which has only
        the other mass send.
        """
        if not MIN_MASS <= len(openids) <= MAX_MASS:
            raise ValueError(f"a mass send goes to {MIN_MASS} to {MAX_MASS} followers")
        return await self._mass_send("message/mass/send", {"touser": list(openids)}, text, key)

    async def _mass_send(self, path: str, to_whom: Mapping[str, Any], text: str, key: str) -> str:
        if not key or len(key.encode()) > MAX_CLIENTMSGID:
            raise ValueError(f"a mass send needs a key of 1 to {MAX_CLIENTMSGID} bytes")
        message = {**to_whom, "msgtype": "text", "text": {"content": text}, "clientmsgid": key}
        answer = await self.call(path, message, accept={CLIENTMSGID_KNOWN})
        found = answer.fields.get("msg_id", answer.fields.get("msgid"))  # both have been seen beside 45065
        if found is None:
            raise SendRefused(SERVICE, "the mass send was made before, but the vendor does not say under which id")
        return str(found)

    # --- menu -------------------------------------------------------------------------------------------------------

    async def menu(self) -> Mapping[str, Any]:
        """The menu as it is. Raises: NotFound when there is none."""
        found = (await self.call("menu/get")).fields.get("menu")
        return found if isinstance(found, dict) else {}

    async def create_menu(self, menu: Mapping[str, Any]) -> None:
        """Followers see this menu (within a day, or at once when they follow anew)."""
        await self.call("menu/create", menu)

    async def delete_menu(self) -> None:
        await self.call("menu/delete")

    # --- QR codes ---------------------------------------------------------------------------------------------------

    async def create_qr(self, scene: str, *, lasts_s: int | None = None) -> QrCode:
        """A code that brings `scene` (1 to 64 characters) with whoever scans it; permanent ones are 100,000 at most.

        Raises: ValueError for a scene or duration the vendor does not take.
        """
        if not 1 <= len(scene) <= 64:
            raise ValueError("a scene has 1 to 64 characters")
        if lasts_s is not None and not 1 <= lasts_s <= MAX_TEMPORARY_S:
            raise ValueError(f"a temporary code lasts 1 to {MAX_TEMPORARY_S} s")
        asked: dict[str, Any] = {
            "action_name": "QR_LIMIT_STR_SCENE" if lasts_s is None else "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        }
        if lasts_s is not None:
            asked["expire_seconds"] = lasts_s
        fields = (await self.call("qrcode/create", asked)).fields
        lasts = fields.get("expire_seconds")
        return QrCode(str(fields.get("ticket", "")), str(fields.get("url", "")), lasts if lasts_s else None)

    # --- tags -------------------------------------------------------------------------------------------------------

    async def create_tag(self, name: str) -> Tag:
        fields = (await self.call("tags/create", {"tag": {"name": name}})).fields.get("tag", {})
        return Tag(int(fields["id"]), str(fields["name"]))

    async def tags(self) -> list[Tag]:
        found = (await self.call("tags/get")).fields.get("tags", [])
        return [Tag(int(tag["id"]), str(tag["name"]), int(tag.get("count", 0))) for tag in found]

    async def tag_followers(self, tag_id: int, openids: Sequence[str]) -> None:
        """All of them carry the tag; 50 a call."""
        for start in range(0, len(openids), MAX_TAGGED):
            batch = list(openids[start : start + MAX_TAGGED])
            await self.call("tags/members/batchtagging", {"openid_list": batch, "tagid": tag_id})

    async def untag_followers(self, tag_id: int, openids: Sequence[str]) -> None:
        """None of them carries the tag; 50 a call."""
        for start in range(0, len(openids), MAX_TAGGED):
            batch = list(openids[start : start + MAX_TAGGED])
            await self.call("tags/members/batchuntagging", {"openid_list": batch, "tagid": tag_id})

    async def delete_tag(self, tag_id: int) -> None:
        """Nobody carries it any more."""
        await self.call("tags/delete", {"tag": {"id": tag_id}})

    async def followers_of(self, tag_id: int) -> list[str]:
        """The openids of all who carry the tag."""
        openids: list[str] = []
        after = ""
        while True:
            fields = (await self.call("user/tag/get", {"tagid": tag_id, "next_openid": after})).fields
            page = (fields.get("data") or {}).get("openid") or []
            openids += page
            following = fields.get("next_openid") or ""
            if not page or not following or following == after:
                return openids
            after = following

    # --- files ------------------------------------------------------------------------------------------------------

    async def upload(self, kind: MediaKind, file: File) -> str:
        """The vendor's media id, good for three days."""
        answer = await self.json.upload("/cgi-bin/media/upload", file, query={"type": kind}, tokens=self.tokens)
        found = answer.fields.get("media_id")
        if not isinstance(found, str):
            raise SendRefused(SERVICE, "the upload gave no media id")
        return found

    async def download(self, media_id: str, *, max_bytes: int) -> File:
        """A follower's file. Raises: NotFound after three days, PayloadInvalid when it is longer than `max_bytes`."""
        query = {"media_id": media_id}
        return await self.json.download("/cgi-bin/media/get", query=query, tokens=self.tokens, max_bytes=max_bytes)

    # --- what is left -----------------------------------------------------------------------------------------------

    async def quota_left(self, path: str) -> tuple[int, int]:
        """(left, limit) of today's calls to `path`, e.g. /cgi-bin/message/custom/send."""
        found = (await self.call("openapi/quota/get", {"cgi_path": path})).fields.get("quota") or {}
        return int(found.get("remain", 0)), int(found.get("daily_limit", 0))


def _values(fields: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"value": value} for name, value in fields.items()}
