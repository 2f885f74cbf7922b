"""The interfaces of api.weixin.qq.com that the stand-in has, as strict as the vendor is known to be."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels.simulators.wechat_world import (
    DAY_S,
    MASS_A_MONTH,
    MAX_TEXT,
    MONTH_S,
    TYPING_AFTER_S,
    TYPING_LASTS_S,
    Fields,
    Follower,
    OfficialAccount,
)

TOKEN_LIVES_S: Final = 7200.0
OVERLAP_S: Final = 300.0  # a new token is given when less is left, and the old one lives for as long
FORCED_A_DAY, FORCED_EVERY_S = 20, 30.0
CALLS_A_DAY: Final = 500_000
MASS_A_MINUTE: Final = 60
MAX_TAGS: Final = 100
MAX_FILE: Final = {"image": 10_000_000, "voice": 2_000_000, "video": 10_000_000, "thumb": 64_000}
MENU_KINDS: Final = {
    *("click", "view", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin"),
    *("location_select", "media_id", "view_limited", "article_id", "article_view_limited", "miniprogram"),
}


class Refused(Exception):
    """An errcode instead of a result; `fields` come along with it."""

    def __init__(self, errcode: int, errmsg: str, **fields: Any) -> None:
        super().__init__(errmsg)
        self.errcode, self.errmsg, self.fields = errcode, errmsg, fields


@dataclass(slots=True)
class _Token:
    value: str
    ends_at: float  # when it stops being given out
    dies_at: float


class Tokens:
    """stable_token: asked again it gives the same one; near its end a new one, and the old one lives on for a while."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._tokens: list[_Token] = []
        self._forced: list[float] = []
        self.given = 0  # calls

    def get(self, *, force: bool) -> tuple[str, int]:
        self.given += 1
        now = self._now()
        current = self._tokens[-1] if self._tokens else None
        if force and self._may_force(now):
            self._forced.append(now)
            self.end_all()
            current = None
        if current is None or current.dies_at <= now or current.ends_at - now < OVERLAP_S:
            current = _Token(f"stand-in-{secrets.token_hex(24)}", now + TOKEN_LIVES_S, now + TOKEN_LIVES_S)
            for before in self._tokens:
                before.dies_at = min(before.dies_at, now + OVERLAP_S)
            self._tokens.append(current)
        return current.value, int(current.ends_at - now)

    def is_good(self, value: str) -> bool:
        return any(token.value == value and token.dies_at > self._now() for token in self._tokens)

    def end_all(self) -> None:
        """As when the secret is set anew: every call with an old one is refused from now on."""
        for token in self._tokens:
            token.dies_at = self._now()

    def _may_force(self, now: float) -> bool:
        today = [at for at in self._forced if now - at < DAY_S]
        return len(today) < FORCED_A_DAY and (not today or now - today[-1] >= FORCED_EVERY_S)


class Methods:
    """Paths below /cgi-bin/ -> what they do. Each raises Refused with the vendor's errcode."""

    def __init__(
        self, account: OfficialAccount, app_secret: str, *, allowed: Callable[[], bool] = lambda: True
    ) -> None:
        self._account, self._secret, self._allowed = account, app_secret, allowed
        self.tokens = Tokens(account.now)
        self._mass: dict[str, tuple[int, float]] = {}  # clientmsgid -> msg_id, when
        self._mass_at: list[float] = []
        self._sent_today = 0
        self._qr = 0
        self.by_path: Mapping[str, Callable[[Fields], Fields]] = {
            "get_api_domain_ip": lambda given: {"ip_list": ["127.0.0.1"]},
            "message/custom/send": self._custom,
            "message/custom/typing": self._typing,
            "message/template/send": self._template,
            "message/subscribe/bizsend": self._subscribe,
            "message/mass/send": self._mass_to,
            "message/mass/sendall": self._mass_all,
            "menu/create": self._create_menu,
            "menu/get": self._get_menu,
            "menu/delete": self._delete_menu,
            "qrcode/create": self._create_qr,
            "tags/create": self._create_tag,
            "tags/delete": self._delete_tag,
            "tags/get": self._get_tags,
            "tags/members/batchtagging": self._tag,
            "tags/members/batchuntagging": self._untag,
            "user/tag/get": self._tagged,
            "openapi/quota/get": self._quota,
        }

    # --- who may call -----------------------------------------------------------------------------------------------

    def stable_token(self, given: Fields) -> Fields:
        self._admit_address()
        if given.get("grant_type") != "client_credential":
            raise Refused(40002, "invalid grant_type")
        if given.get("appid") != self._account.app_id:
            raise Refused(40013, "invalid appid")
        if given.get("secret") != self._secret:
            raise Refused(40125, "invalid appsecret")
        token, expires_in = self.tokens.get(force=given.get("force_refresh") is True)
        return {"access_token": token, "expires_in": expires_in}

    def admit(self, query: Mapping[str, str]) -> None:
        self._admit_address()
        token = query.get("access_token", "")
        if not token:
            raise Refused(41001, "access_token missing")
        if not self.tokens.is_good(token):
            raise Refused(40001, "invalid credential, access_token is invalid or not latest")

    def _admit_address(self) -> None:
        if not self._allowed():
            raise Refused(40164, "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist")

    # --- to one follower --------------------------------------------------------------------------------------------

    def _custom(self, given: Fields) -> Fields:
        self._need_verified()
        follower = self._follower(given.get("touser"))
        kind = given.get("msgtype")
        body = given.get(kind) if isinstance(kind, str) else None
        if kind not in {"text", "image", "voice", "video"} or not isinstance(body, dict):
            raise Refused(40008, "invalid message type")
        text = self._text(body) if kind == "text" else self._file_shown(kind, body)
        windows = self._account.open_windows(follower.openid)
        if not windows:
            raise Refused(45015, "response out of time limit or subscription is canceled")
        window = next((window for window in windows if window.left > 0), None)
        if window is None:
            raise Refused(45047, "out of response count limit")
        window.left -= 1
        self._sent_today += 1
        self._account.show(follower.openid, text, "service", kind)
        return {}

    def _typing(self, given: Fields) -> Fields:
        self._need_verified()
        follower = self._follower(given.get("touser"))
        command, now = given.get("command"), self._account.now()
        if command not in {"Typing", "CancelTyping"}:
            raise Refused(45072, "invalid command")
        if not self._account.open_windows(follower.openid) or now - follower.talked_at > TYPING_AFTER_S:
            raise Refused(45080, "need sending message to user, or recving message from user in the last 30 seconds")
        if command == "Typing" and now < follower.typing_until:
            raise Refused(45081, "you are already typing")
        follower.typing_until = now + TYPING_LASTS_S if command == "Typing" else now
        return {}

    def _template(self, given: Fields) -> Fields:
        self._need_verified()
        follower = self._follower(given.get("touser"))
        text = self._template_text(given)
        message_id = self._account.next_id()
        self._account.show(follower.openid, text, "template")
        self._account.event(follower.openid, "TEMPLATESENDJOBFINISH", MsgID=message_id, Status="success")
        return {"msgid": message_id}

    def _subscribe(self, given: Fields) -> Fields:
        follower = self._follower(given.get("touser"), must_follow=False)
        text = self._template_text(given)
        template_id = given["template_id"]
        if template_id not in follower.agreed_to:
            raise Refused(43101, "user refuse to accept the msg")
        follower.agreed_to.remove(template_id)
        self._account.show(follower.openid, text, "subscribe")
        return {}

    def _template_text(self, given: Fields) -> str:
        data = given.get("data")
        if not isinstance(given.get("template_id"), str) or not given["template_id"]:
            raise Refused(40037, "invalid template_id")
        if not isinstance(data, dict) or not data:
            raise Refused(47003, "argument invalid! data is empty")
        values = [value.get("value") if isinstance(value, dict) else None for value in data.values()]
        if not all(isinstance(value, str) and value for value in values):
            raise Refused(47003, "argument invalid! data must hold values")
        return " / ".join(f"{name}: {value['value']}" for name, value in data.items())

    # --- to many ----------------------------------------------------------------------------------------------------

    def _mass_to(self, given: Fields) -> Fields:
        if not self._account.is_service_account:  # "订阅号不可用"; the number is our guess
            raise Refused(48001, "api unauthorized")
        openids = given.get("touser")
        if not isinstance(openids, list) or not 2 <= len(openids) <= 10_000:
            raise Refused(40130, "invalid openid list size, at least two openid")
        return self._mass_send(given, [openid for openid in openids if isinstance(openid, str)])

    def _mass_all(self, given: Fields) -> Fields:
        filters = given.get("filter")
        if not isinstance(filters, dict):
            raise Refused(40035, "invalid filter")
        followers = [follower for follower in self._account.followers.values() if follower.follows]
        if not filters.get("is_to_all"):
            tag = filters.get("tag_id")
            if tag not in self._account.tags:
                raise Refused(40152, "invalid tag id")
            followers = [follower for follower in followers if tag in follower.tags]
        return self._mass_send(given, [follower.openid for follower in followers])

    def _mass_send(self, given: Fields, openids: list[str]) -> Fields:
        self._need_verified()
        body, key, now = given.get("text"), given.get("clientmsgid", ""), self._account.now()
        if given.get("msgtype") != "text" or not isinstance(body, dict):
            raise Refused(40008, "invalid message type")
        text = self._text(body)
        if len(str(key).encode()) > 64:
            raise Refused(45067, "clientmsgid size out of limit")
        message_id, at = self._mass.get(key, (0, float("-inf")))
        if now - at < 60:
            raise Refused(45066, "same clientmsgid retry too fast")
        if now - at < DAY_S:  # mass sends of the last 24 h are looked at
            raise Refused(45065, "clientmsgid exist", msg_id=message_id)
        self._mass_at = [at for at in self._mass_at if now - at < DAY_S]
        if sum(now - at < 60 for at in self._mass_at) >= MASS_A_MINUTE:
            raise Refused(45011, "api minute-quota reach limit, must slower, retry next minute")
        if not self._account.is_service_account and self._mass_at:
            raise Refused(45028, "has no masssend quota")
        message_id = self._account.next_id()
        self._mass_at.append(now)
        if key:
            self._mass[key] = (message_id, now)
        sent = [openid for openid in openids if self._take_mass(openid, now)]
        for openid in sent:
            self._account.show(openid, text, "mass")
        counts = {"TotalCount": len(openids), "FilterCount": len(sent), "SentCount": len(sent), "ErrorCount": 0}
        self._account.event("stand-in-operator", "MASSSENDJOBFINISH", MsgID=message_id, Status="send success", **counts)
        return {"msg_id": message_id, "msg_data_id": message_id}

    def _take_mass(self, openid: str, now: float) -> bool:
        """Whether it reaches this follower, who has room for it this month."""
        follower = self._account.followers.get(openid)
        if follower is None or not follower.follows:
            return False
        if self._account.is_service_account:
            while follower.mass_at and now - follower.mass_at[0] >= MONTH_S:
                follower.mass_at.popleft()
            if len(follower.mass_at) >= MASS_A_MONTH:
                return False
        follower.mass_at.append(now)
        return True

    # --- what an operator manages -----------------------------------------------------------------------------------

    def _create_menu(self, given: Fields) -> Fields:
        buttons = given.get("button")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
            raise Refused(40016, "invalid button size")
        for button in buttons:
            below = button.get("sub_button") if isinstance(button, dict) else None
            if below is not None and not (isinstance(below, list) and 1 <= len(below) <= 5):
                raise Refused(40023, "invalid sub button size")
            for item in below or [button]:
                self._check_item(item)
        self._account.menu = given
        return {}

    def _check_item(self, item: Any) -> None:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
            raise Refused(40018, "invalid button name size")
        if item.get("type") not in MENU_KINDS:
            raise Refused(40017, "invalid button type")
        if item["type"] == "view" and not str(item.get("url", "")).startswith(("http://", "https://")):
            raise Refused(40055, "invalid button url domain")
        if item["type"] == "click" and not 1 <= len(str(item.get("key", "")).encode()) <= 128:
            raise Refused(40019, "invalid button key size")

    def _get_menu(self, given: Fields) -> Fields:
        if self._account.menu is None:
            raise Refused(46003, "menu no exist")
        return {"menu": self._account.menu}

    def _delete_menu(self, given: Fields) -> Fields:
        self._account.menu = None
        return {}

    def _create_qr(self, given: Fields) -> Fields:
        self._need_verified()
        action, scene = given.get("action_name"), ((given.get("action_info") or {}).get("scene") or {})
        if action not in {"QR_STR_SCENE", "QR_LIMIT_STR_SCENE"} or not 1 <= len(str(scene.get("scene_str", ""))) <= 64:
            raise Refused(40053, "invalid action info")
        self._qr += 1
        answer: Fields = {"ticket": f"stand-in+ticket/{self._qr}==", "url": f"http://weixin.qq.com/q/standin{self._qr}"}
        if action == "QR_STR_SCENE":
            answer["expire_seconds"] = min(int(given.get("expire_seconds", 60)), 2_592_000)
        return answer

    def _create_tag(self, given: Fields) -> Fields:
        name = (given.get("tag") or {}).get("name")
        if not isinstance(name, str) or not 1 <= len(name.encode()) <= 30:
            raise Refused(45158, "tag name too long")
        if name in self._account.tags.values():
            raise Refused(45157, "tag name already exists")
        if len(self._account.tags) >= MAX_TAGS:
            raise Refused(45056, "create too many tags")
        number = max(self._account.tags, default=99) + 1
        self._account.tags[number] = name
        return {"tag": {"id": number, "name": name}}

    def _delete_tag(self, given: Fields) -> Fields:
        number = (given.get("tag") or {}).get("id")
        if not isinstance(number, int) or self._account.tags.pop(number, None) is None:
            raise Refused(45159, "invalid tag id")
        for follower in self._account.followers.values():
            follower.tags.discard(number)
        return {}

    def _get_tags(self, given: Fields) -> Fields:
        counts = {tag: sum(tag in each.tags for each in self._account.followers.values()) for tag in self._account.tags}
        return {"tags": [{"id": tag, "name": name, "count": counts[tag]} for tag, name in self._account.tags.items()]}

    def _tag(self, given: Fields) -> Fields:
        for follower in self._to_tag(given):
            follower.tags.add(given["tagid"])
        return {}

    def _untag(self, given: Fields) -> Fields:
        for follower in self._to_tag(given):
            follower.tags.discard(given["tagid"])
        return {}

    def _to_tag(self, given: Fields) -> list[Follower]:
        openids, tag = given.get("openid_list"), given.get("tagid")
        if not isinstance(openids, list) or not 1 <= len(openids) <= 50:
            raise Refused(40032, "invalid openid list size")
        if tag not in self._account.tags:
            raise Refused(45159, "invalid tag id")
        return [self._follower(openid) for openid in openids]

    def _tagged(self, given: Fields) -> Fields:
        tag, after = given.get("tagid"), given.get("next_openid") or ""
        openids = sorted(each.openid for each in self._account.followers.values() if tag in each.tags)
        page = [openid for openid in openids if openid > after][:2]  # the vendor's pages hold 10,000
        return {"count": len(page), "data": {"openid": page}, "next_openid": page[-1]} if page else {"count": 0}

    def _quota(self, given: Fields) -> Fields:
        if not str(given.get("cgi_path", "")).startswith("/cgi-bin/"):
            raise Refused(76021, "cgi_path not found")
        return {
            "quota": {
                "daily_limit": CALLS_A_DAY,
                "used": self._sent_today,
                "remain": CALLS_A_DAY - self._sent_today,
            }
        }

    # --- files ------------------------------------------------------------------------------------------------------

    def upload(self, kind: str, content: bytes, mime: str, name: str) -> Fields:
        if kind not in MAX_FILE:
            raise Refused(40004, "invalid media type")
        if not content or len(content) > MAX_FILE[kind]:
            raise Refused(40006, "invalid media size")
        if kind == "image" and not content.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM")):
            raise Refused(40005, "invalid file type")
        return {
            "type": kind,
            "media_id": self._account.keep(content, mime, name),
            "created_at": int(self._account.now()),
        }

    def file(self, media_id: str) -> tuple[bytes, str, str]:
        if media_id not in self._account.media:
            raise Refused(40007, "invalid media_id")
        return self._account.media[media_id]

    # --- what is checked everywhere ---------------------------------------------------------------------------------

    def _need_verified(self) -> None:
        if not self._account.is_verified:
            raise Refused(48001, "api unauthorized")

    def _follower(self, openid: Any, *, must_follow: bool = True) -> Follower:
        follower = self._account.followers.get(openid) if isinstance(openid, str) else None
        if follower is None:
            raise Refused(40003, "invalid openid")
        if must_follow and not follower.follows:
            raise Refused(43004, "require subscribe")
        return follower

    def _text(self, body: Fields) -> str:
        text = body.get("content")
        if not isinstance(text, str) or not text.strip():
            raise Refused(44004, "empty content")
        if len(text.encode()) > MAX_TEXT:
            raise Refused(45002, "content size out of limit")
        return text

    def _file_shown(self, kind: str, body: Fields) -> str:
        _, _, name = self.file(str(body.get("media_id", "")))
        return f"[{kind} {name}]"
