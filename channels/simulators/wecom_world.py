"""WeCom's side of the stand-in: a company, its members, its 微信客服 accounts and the customers who write to them.

What the vendor's documents leave open is marked "our guess" and kept strict, so that relying on luck shows in tests.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from channels.simulators.ledger import Ledger
from channels.simulators.telegram_world import Pulse

Fields = dict[str, Any]

DAY_S: Final = 86400.0
RETENTION_S: Final = 3 * DAY_S  # sync_msg reaches back 3 days; media are kept as long (documents 94670, 90253)
NOTICE_TOKEN_S: Final = 600.0  # the token of a callback (document 94670)
WINDOW_S, WINDOW_QUOTA = 2 * DAY_S, 5  # document 96427
WELCOME_S: Final = 20.0  # document 96428
PER_MIN, PER_H = 30, 1000  # per member, silently dropped above (document 90454 "访问频率限制")
NEW, BOT, POOL, SERVICER, CLOSED = range(5)  # session states (document 94698)
MSGID: Final = re.compile(r"[0-9a-zA-Z_-]{1,32}")


@dataclass(slots=True)
class Shown:
    """A message as the person on the other side sees it."""

    by: str  # bot | customer | member | servicer
    text: str
    kind: str = "text"
    buttons: list[Fields] = field(default_factory=list)  # {"id", "content"}
    msgid: str = ""

    def as_json(self) -> Fields:
        return {"by": self.by, "text": self.text, "kind": self.kind, "buttons": self.buttons, "msgid": self.msgid}


@dataclass(slots=True)
class Member:
    """A member of the company, who uses the application."""

    userid: str
    chat: list[Shown] = field(default_factory=list)
    sent_at: deque[float] = field(default_factory=deque)

    @property
    def received(self) -> list[Shown]:
        return [shown for shown in self.chat if shown.by == "bot"]


@dataclass(slots=True)
class Session:
    """One customer's talk with one 微信客服 account."""

    state: int = CLOSED
    servicer: str = ""
    wrote_at: float = -1e12
    sent: int = 0  # since the customer wrote
    welcomed_at: float = -1e12
    chat: list[Shown] = field(default_factory=list)

    @property
    def received(self) -> list[Shown]:
        return [shown for shown in self.chat if shown.by in {"bot", "servicer"}]


@dataclass(slots=True)
class EventCode:
    """Good for one send_msg_on_event."""

    open_kfid: str
    customer: str
    state: int | None  # only while the session is in this state; None: any
    until: float
    is_used: bool = False


@dataclass(slots=True)
class Logged:
    """One entry that sync_msg gives."""

    number: int
    at: float
    open_kfid: str
    item: Fields


class Company:
    """Everything the vendor knows; methods named after what people do."""

    def __init__(self, corp_id: str, agent_id: int, ledger: Ledger, now: Callable[[], float]) -> None:
        self.corp_id, self.agent_id, self.ledger, self.now = corp_id, agent_id, ledger, now
        self.pulse = Pulse()
        self.members: dict[str, Member] = {}
        self.servicers: dict[str, bool] = {}  # userid -> takes sessions now
        self.kf_accounts: dict[str, str] = {}  # open_kfid -> name
        self.names: dict[str, str] = {}  # external_userid -> nickname
        self.refusing: set[str] = set()
        self.sessions: dict[tuple[str, str], Session] = {}
        self.log: list[Logged] = []
        self.notices: dict[str, float] = {}  # token of a callback -> when given
        self.codes: dict[str, EventCode] = {}
        self.msgids: set[tuple[str, str]] = set()
        self.media: dict[str, tuple[bytes, str, str, float]] = {}  # content, mime, file name, since
        self.on_callback: Callable[[Fields], None] = lambda fields: None
        self._numbers = itertools.count(1)
        self._message_ids = itertools.count(7_000_000_000_000_001)

    # --- people ---------------------------------------------------------------------------------------------

    def member(self, userid: str) -> Member:
        """The member with this id, who may use the application from now on."""
        return self.members.setdefault(userid, Member(userid))

    def add_kf(self, open_kfid: str, name: str = "客服") -> None:
        self.kf_accounts[open_kfid] = name

    def session(self, open_kfid: str, customer: str) -> Session:
        """The talk, which is over once nobody has written for 48 h."""
        if open_kfid not in self.kf_accounts:
            raise KeyError(f"no 微信客服 account {open_kfid}")
        self.names.setdefault(customer, f"顾客{len(self.names) + 1}")
        found = self.sessions.setdefault((open_kfid, customer), Session())
        if found.state != CLOSED and self.now() - found.wrote_at > WINDOW_S:
            found.state, found.servicer = CLOSED, ""
        return found

    # --- a member and the application -----------------------------------------------------------------------

    def say(self, userid: str, text: str) -> str:
        """The member writes to the application; the message's id."""
        self.member(userid).chat.append(Shown("member", text))
        return self.send_raw(userid, MsgType="text", Content=text)

    def send_raw(self, userid: str, **fields: Any) -> str:
        """Any message or event of a member, with WeCom's frame around it."""
        message_id = str(next(self._message_ids))
        frame: Fields = {"ToUserName": self.corp_id, "FromUserName": userid, "CreateTime": int(self.now())}
        if fields.get("MsgType") != "event":
            frame["MsgId"] = int(message_id)
        self.pulse.beat()
        self.on_callback({**frame, **fields, "AgentID": self.agent_id})
        return message_id

    def event(self, userid: str, event: str, key: str = "") -> None:
        self.send_raw(userid, MsgType="event", Event=event, EventKey=key)

    def press_card(self, userid: str, label: str) -> None:
        """The member presses a button of the newest card."""
        cards = [shown for shown in self.member(userid).received if shown.buttons]
        button = next(button for button in cards[-1].buttons if button["content"] == label)
        self.send_raw(
            userid,
            MsgType="event",
            Event="template_card_event",
            EventKey=button["id"],
            TaskId=cards[-1].msgid,
            CardType="button_interaction",
            ResponseCode=secrets.token_hex(8),
        )

    def contact(self, change: str, userid: str, external: str, state: str = "") -> None:
        """add_external_contact, del_follow_user …"""
        fields: Fields = {"Event": "change_external_contact", "ChangeType": change, "UserID": userid}
        self.send_raw("sys", MsgType="event", **fields, ExternalUserID=external, State=state)

    # --- a customer and 微信客服 --------------------------------------------------------------------------------

    def enter(self, open_kfid: str, customer: str, scene: str = "", scene_param: str = "") -> str:
        """The customer opens the chat; the welcome code, if there is one."""
        session, now = self.session(open_kfid, customer), self.now()
        event = {"event_type": "enter_session", "scene": scene, "scene_param": scene_param}
        code = ""
        if now - session.welcomed_at > WINDOW_S and now - session.wrote_at > WINDOW_S:
            code = self.new_code(open_kfid, customer, None, WELCOME_S)
            event["welcome_code"] = code
        self.log_event(open_kfid, customer, event)
        return code

    def write(self, open_kfid: str, customer: str, kind: str = "text", **body: Any) -> str:
        """The customer writes, e.g. write("wk1", "wm1", content="hi"); the message's id."""
        session = self.session(open_kfid, customer)
        session.wrote_at, session.sent = self.now(), 0
        if session.state == CLOSED:
            session.state = NEW
        shown = str(body.get("content") or body.get("title") or f"[{kind}]")
        session.chat.append(Shown("customer", shown, kind))
        item = {"open_kfid": open_kfid, "external_userid": customer, "origin": 3, "msgtype": kind, kind: body}
        return self.log_item(open_kfid, item)

    def press(self, open_kfid: str, customer: str, label: str) -> str:
        """The customer presses an entry of the newest menu that has it."""
        for shown in reversed(self.session(open_kfid, customer).received):
            for button in shown.buttons:
                if button["content"] == label:
                    return self.write(open_kfid, customer, content=label, menu_id=button["id"])
        raise KeyError(f"no menu with {label}")

    def refuse(self, customer: str) -> None:
        """The customer takes no more messages; each one is accepted and reported as failed."""
        self.refusing.add(customer)

    # --- a colleague in the WeCom app -----------------------------------------------------------------------

    def take(self, open_kfid: str, customer: str, servicer: str) -> None:
        """The colleague takes the session, from the pool or from the bot's."""
        session = self.session(open_kfid, customer)
        change = 4 if session.state == CLOSED else 2 if session.state == SERVICER else 1
        before, session.state, session.servicer = session.servicer, SERVICER, servicer
        self.servicers.setdefault(servicer, True)
        self._changed(open_kfid, customer, change, before, servicer)

    def answer(self, open_kfid: str, customer: str, text: str) -> str:
        """The colleague who has the session writes."""
        session = self.session(open_kfid, customer)
        session.chat.append(Shown("servicer", text))
        frame = {"open_kfid": open_kfid, "external_userid": customer, "origin": 5, "servicer_userid": session.servicer}
        return self.log_item(open_kfid, {**frame, "msgtype": "text", "text": {"content": text}})

    def finish(self, open_kfid: str, customer: str) -> None:
        """The colleague ends the session."""
        session = self.session(open_kfid, customer)
        before, session.state, session.servicer = session.servicer, CLOSED, ""
        self._changed(open_kfid, customer, 3, before, "")

    def _changed(self, open_kfid: str, customer: str, change: int, before: str, after: str) -> None:
        event: Fields = {"event_type": "session_status_change", "change_type": change}
        self.log_event(
            open_kfid, customer, {**event, "old_servicer_userid": before, "new_servicer_userid": after, "msg_code": ""}
        )

    # --- what sync_msg gives --------------------------------------------------------------------------------

    def log_event(self, open_kfid: str, customer: str, event: Fields) -> str:
        where = {"open_kfid": open_kfid, "external_userid": customer}
        return self.log_item(open_kfid, {"origin": 4, "msgtype": "event", "event": {**event, **where}})

    def log_item(self, open_kfid: str, item: Fields, *, msgid: str = "") -> str:
        """`item` waits to be pulled, and a callback says so."""
        number = next(self._numbers)
        msgid = msgid or f"4W{secrets.token_hex(20)}{number}"  # longer than what we may give: 44 characters
        full = {"msgid": msgid, "send_time": int(self.now()), **item}
        self.log.append(Logged(number, self.now(), open_kfid, full))
        token = f"ENC{secrets.token_hex(16)}"
        self.notices[token] = self.now()
        notice = {"ToUserName": self.corp_id, "CreateTime": int(self.now()), "MsgType": "event"}
        self.pulse.beat()
        self.on_callback({**notice, "Event": "kf_msg_or_event", "Token": token, "OpenKfId": open_kfid})
        return msgid

    def new_code(self, open_kfid: str, customer: str, state: int | None, lasts_s: float) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = EventCode(open_kfid, customer, state, self.now() + lasts_s)
        return code
