"""WeChat's side of the stand-in: an account's followers, what each has seen, what may still be sent to each.

Numbers are the vendor's (see channels/wechat/decode.py and api.py for where they come from). What its documents leave
open is marked "our guess" and kept strict, so that relying on luck shows in tests.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from channels.simulators.ledger import Ledger
from channels.simulators.telegram_world import PICTURE, Pulse

Fields = dict[str, Any]

DAY_S: Final = 86400.0
MONTH_S: Final = 30 * DAY_S  # the vendor counts calendar months
TYPING_AFTER_S, TYPING_LASTS_S = 30.0, 15.0  # since something was said; while it shows, it cannot be shown again
WINDOWS: Final = {"message": (5, 2 * DAY_S), "follow": (3, 60.0), "menu": (3, 60.0), "scan": (3, 60.0)}
MENU_WITH_WINDOW: Final = frozenset({"CLICK", "scancode_push", "scancode_waitmsg"})
MAX_TEXT: Final = 2048  # bytes, as measured by users; that a longer passive reply counts as broken stands in one report
MASS_A_MONTH: Final = 4  # to one follower of a service account
BROKEN: Final = "该公众号提供的服务出现故障，请稍后再试"  # what a follower sees when our answer is none


@dataclass(slots=True)
class Shown:
    """A message as the follower sees it."""

    by: str  # customer | account | system
    text: str
    how: str = ""  # passive | service | template | subscribe | mass
    kind: str = "text"

    def as_json(self) -> Fields:
        return {"by": self.by, "text": self.text, "how": self.how, "kind": self.kind}


@dataclass(slots=True)
class Window:
    left: int
    closes_at: float


@dataclass(slots=True)
class Follower:
    """A WeChat user, who follows or not."""

    openid: str
    follows: bool = False
    chat: list[Shown] = field(default_factory=list)
    windows: dict[str, Window] = field(default_factory=dict)
    tags: set[int] = field(default_factory=set)
    agreed_to: list[str] = field(default_factory=list)  # subscribe-message templates, one entry for each message
    mass_at: deque[float] = field(default_factory=deque)
    talked_at: float = float("-inf")  # the last message, theirs or ours
    typing_until: float = float("-inf")

    @property
    def received(self) -> list[Shown]:
        return [shown for shown in self.chat if shown.by == "account"]


class OfficialAccount:
    """The account and everybody who has met it. `on_callback` gets the fields of whatever WeChat has to report."""

    def __init__(self, original_id: str, app_id: str, ledger: Ledger, now: Callable[[], float]) -> None:
        self.original_id, self.app_id, self.ledger, self.now = original_id, app_id, ledger, now
        self.followers: dict[str, Follower] = {}
        self.tags: dict[int, str] = {}
        self.menu: Fields | None = None
        self.media: dict[str, tuple[bytes, str, str]] = {}  # media id -> content, type, file name
        self.is_service_account = False
        self.is_verified = True
        self.pulse = Pulse()
        self.on_callback: Callable[[Fields], None] = lambda fields: None
        self._numbers = itertools.count(int(now() * 1000))

    def follower(self, openid: str) -> Follower:
        """The user with this id; follows from the first time somebody asks for them."""
        if openid not in self.followers:
            self.followers[openid] = Follower(openid, follows=True)
        return self.followers[openid]

    def next_id(self) -> int:
        return next(self._numbers)

    # --- what followers do ------------------------------------------------------------------------------------------

    def follow(self, openid: str, scene: str = "") -> None:
        follower = self.follower(openid)
        follower.follows = True
        more = {"EventKey": f"qrscene_{scene}", "Ticket": "stand-in-ticket"} if scene else {"EventKey": ""}
        self._did(follower, "follow", f"关注{f' ({scene})' if scene else ''}")
        self.event(openid, "subscribe", **more)

    def unfollow(self, openid: str) -> None:
        follower = self.follower(openid)
        follower.follows = False
        follower.windows.clear()
        self._did(follower, "", "取消关注")
        self.event(openid, "unsubscribe", EventKey="")

    def scan(self, openid: str, scene: str) -> None:
        if not self.follower(openid).follows:
            self.follow(openid, scene)
            return
        self._did(self.follower(openid), "scan", f"扫码 ({scene})")
        self.event(openid, "SCAN", EventKey=scene, Ticket="stand-in-ticket")

    def tap(self, openid: str, key: str, kind: str = "CLICK") -> None:
        """A menu item."""
        self._did(self.follower(openid), "menu" if kind in MENU_WITH_WINDOW else "", f"菜单: {key}")
        self.event(openid, kind, EventKey=key)

    def write(self, openid: str, text: str) -> int:
        return self.message(openid, "text", text, Content=text)

    def message(self, openid: str, kind: str, seen: str = "", **fields: Any) -> int:
        """A message of any kind; its MsgId. `seen` is what the chat shows of it."""
        follower = self.follower(openid)
        if not follower.follows:
            raise ValueError("only followers can write")
        self._did(follower, "message", seen or f"[{kind}]", kind)
        message_id = self.next_id()
        self._report(openid, {"MsgType": kind, **fields, "MsgId": message_id})
        return message_id

    def picture(self, openid: str) -> int:
        media_id = self.keep(PICTURE, "image/png", "picture.png")
        return self.message(openid, "image", PicUrl=f"http://mmbiz.qpic.cn/{media_id}", MediaId=media_id)

    def voice(self, openid: str, recognised: str = "") -> int:
        media_id = self.keep(b"#!AMR\n stand-in", "audio/amr", "voice.amr")
        more = {"Recognition": recognised} if recognised else {}
        return self.message(openid, "voice", recognised and f"🎤 {recognised}", MediaId=media_id, Format="amr", **more)

    def place(self, openid: str, latitude: float, longitude: float, label: str = "") -> int:
        more = {"Location_X": str(latitude), "Location_Y": str(longitude), "Scale": 16, "Label": label}
        return self.message(openid, "location", f"📍 {label}", **more)

    def agree(self, openid: str, template_id: str, *, yes: bool = True) -> None:
        """To one subscribe message of this template."""
        if yes:
            self.follower(openid).agreed_to.append(template_id)
        choice = {"TemplateId": template_id, "SubscribeStatusString": "accept" if yes else "reject", "PopupScene": 2}
        self.event(openid, "subscribe_msg_popup_event", SubscribeMsgPopupEvent={"List": [choice]})

    def event(self, openid: str, name: str, **fields: Any) -> None:
        self._report(openid, {"MsgType": "event", "Event": name, **fields})

    def _did(self, follower: Follower, window: str, seen: str, kind: str = "text") -> None:
        follower.chat.append(Shown("customer", seen, kind=kind))
        follower.talked_at = self.now()
        if window and self.is_verified:
            quota, lasts_s = WINDOWS[window]
            follower.windows[window] = Window(quota, self.now() + lasts_s)
        self.pulse.beat()

    def _report(self, openid: str, fields: Fields) -> None:
        head = {"ToUserName": self.original_id, "FromUserName": openid, "CreateTime": int(self.now())}
        self.on_callback({**head, **fields})

    # --- what followers get -----------------------------------------------------------------------------------------

    def show(self, openid: str, text: str, how: str, kind: str = "text") -> None:
        by = "account" if how else "system"
        follower = self.follower(openid)
        follower.chat.append(Shown(by, text, how, kind))
        follower.talked_at = follower.typing_until = self.now()
        self.ledger.add("shown", self.now(), chat_id=openid, text=text, how=how or "broken")
        self.pulse.beat()

    def open_windows(self, openid: str) -> list[Window]:
        """Those not over, the one that closes first in front; they may have nothing left."""
        windows = [window for window in self.follower(openid).windows.values() if window.closes_at > self.now()]
        return sorted(windows, key=lambda window: window.closes_at)

    def keep(self, content: bytes, mime: str, name: str) -> str:
        media_id = f"media-{self.next_id()}"
        self.media[media_id] = (content, mime, name)
        return media_id
