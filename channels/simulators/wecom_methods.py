"""The calls of qyapi.weixin.qq.com that Frontdesk makes, answered as strictly as the vendor does."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from channels.simulators.faults import FaultPlan
from channels.simulators.wecom_world import (
    BOT,
    CLOSED,
    MSGID,
    NEW,
    NOTICE_TOKEN_S,
    PER_H,
    PER_MIN,
    POOL,
    RETENTION_S,
    SERVICER,
    WELCOME_S,
    WINDOW_QUOTA,
    WINDOW_S,
    Company,
    Fields,
    Logged,
    Session,
    Shown,
)

MAX_TEXT_BYTES: Final = 2048
# Which states a session may be moved to by a call (document 94698, table of states).
TRANSITIONS: Final[Mapping[int, frozenset[int]]] = {
    NEW: frozenset({BOT, POOL, SERVICER}),
    BOT: frozenset({POOL, SERVICER}),
    POOL: frozenset({SERVICER}),
    SERVICER: frozenset({SERVICER, CLOSED}),
    CLOSED: frozenset(),
}
UPLOAD_LIMITS: Final = {"image": 10_000_000, "voice": 2_000_000, "video": 10_000_000, "file": 20_000_000}
TOKEN_LIVES_S: Final = 7200
_WORDED: Final = frozenset({"text", "markdown", "msgmenu", "template_card"})
WITHOUT_TOKEN_PER_MIN: Final = 12  # our guess at "a strict limit" (document 94670)


class Refused(Exception):
    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errmsg)
        self.errcode, self.errmsg = errcode, errmsg


@dataclass(slots=True)
class Credentials:
    corp_id: str
    secret: str
    is_ip_allowed: bool = True


class Methods:
    """Every method takes the query and the JSON body and gives the fields of its answer. Raises: Refused."""

    def __init__(self, company: Company, credentials: Credentials, faults: FaultPlan) -> None:
        self.company, self.credentials, self._faults = company, credentials, faults
        self._tokens: dict[str, float] = {}  # access token -> when it ends
        self._checked: dict[str, float] = {}  # hash of a message with enable_duplicate_check -> until when
        self._without_token: deque[float] = deque()
        self.by_path: dict[str, Callable[[Fields, Fields], Fields]] = {
            "message/send": self._message_send,
            "agent/get": self._agent,
            "kf/sync_msg": self._sync,
            "kf/send_msg": self._kf_send,
            "kf/send_msg_on_event": self._on_event,
            "kf/service_state/get": self._state,
            "kf/service_state/trans": self._trans,
            "kf/account/list": self._accounts,
            "kf/customer/batchget": self._customers,
        }

    def end_tokens(self) -> None:
        """Every access token is over, as when somebody changes the secret or it was fetched elsewhere."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def gettoken(self, query: Fields) -> Fields:
        self._check_ip()
        if query.get("corpid") != self.credentials.corp_id:
            raise Refused(40013, "invalid corpid")
        if query.get("corpsecret") != self.credentials.secret:
            raise Refused(40001, "invalid credential")
        now = self.company.now()
        for token, until in self._tokens.items():  # asked again, the same one comes back
            if until > now:
                return {"access_token": token, "expires_in": int(until - now)}
        token = secrets.token_urlsafe(48)
        self._tokens[token] = now + TOKEN_LIVES_S
        return {"access_token": token, "expires_in": TOKEN_LIVES_S}

    def admit(self, query: Fields) -> None:
        """The call carries an access token that is good. Raises: Refused."""
        self._check_ip()
        token = query.get("access_token", "")
        if not token:
            raise Refused(41001, "access_token missing")
        until = self._tokens.get(token)
        if until is None:
            raise Refused(40014, "invalid access_token")
        if until <= self.company.now():
            raise Refused(42001, "access_token expired")

    def _check_ip(self) -> None:
        if not self.credentials.is_ip_allowed:
            raise Refused(60020, "not allow to access from your ip")

    # --- the application ------------------------------------------------------------------------------------

    def _agent(self, query: Fields, body: Fields) -> Fields:
        if str(query.get("agentid")) != str(self.company.agent_id):
            raise Refused(301002, "no permission to access this agent")
        return {"agentid": self.company.agent_id, "name": "Frontdesk", "close": 0}

    def _message_send(self, query: Fields, body: Fields) -> Fields:
        if body.get("agentid") != self.company.agent_id:
            raise Refused(40056, "invalid agentid")
        shown = _shown(body)
        wanted = [name for name in str(body.get("touser") or "").split("|") if name]
        known = [name for name in wanted if name in self.company.members]
        if not known:
            raise Refused(81013, "user & party & tag all invalid")
        msgid = secrets.token_hex(12)
        is_repeated = self._is_repeated(body)
        for name in known:
            outcome = "repeated" if is_repeated else "ok" if self._is_within_limits(name) else "dropped"
            if outcome == "ok":
                self.company.member(name).chat.append(Shown("bot", shown.text, shown.kind, shown.buttons, shown.msgid))
            self._note("message/send", outcome, name, shown, msgid)
        invalid = "|".join(name for name in wanted if name not in known)
        return {"invaliduser": invalid, "msgid": msgid}

    def _is_repeated(self, body: Fields) -> bool:
        """The same message within the interval, for senders who asked to be checked."""
        if body.get("enable_duplicate_check") != 1:
            return False
        interval = body.get("duplicate_check_interval", 1800)
        if not isinstance(interval, int) or not 1 <= interval <= 4 * 3600:
            raise Refused(40058, "invalid duplicate_check_interval")
        key = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
        now = self.company.now()
        if self._checked.get(key, 0.0) > now:
            return True
        self._checked[key] = now + interval
        return False

    def _is_within_limits(self, userid: str) -> bool:
        sent, now = self.company.member(userid).sent_at, self.company.now()
        while sent and sent[0] <= now - 3600:
            sent.popleft()
        if len(sent) >= PER_H or sum(at > now - 60 for at in sent) >= PER_MIN:
            return False
        sent.append(now)
        return True

    # --- 微信客服: reading --------------------------------------------------------------------------------------

    def _sync(self, query: Fields, body: Fields) -> Fields:
        open_kfid = body.get("open_kfid", "")
        if open_kfid and open_kfid not in self.company.kf_accounts:
            raise Refused(95000, "invalid open_kfid")
        self._check_notice(body.get("token", ""))
        limit = body.get("limit", 1000)
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise Refused(40058, "limit out of range")
        after = _position(body.get("cursor", ""))
        oldest = self.company.now() - RETENTION_S
        waiting = [
            logged
            for logged in self.company.log
            if logged.number > after and logged.at >= oldest and open_kfid in {"", logged.open_kfid}
        ]
        if waiting and self._faults.for_updates("empty_page"):
            return _page([], _cursor(after), has_more=True)
        page = waiting[:limit]
        if self._faults.for_updates("duplicate_update") and page:
            page = [page[0], *page]
        if len(page) > 1 and self._faults.for_updates("reorder_updates"):
            page = page[::-1]
        if page:
            msgids = [logged.item["msgid"] for logged in page]
            self.company.ledger.add("page", self.company.now(), open_kfid=open_kfid, msgids=msgids)
        position = max((logged.number for logged in page), default=after)
        return _page(page, _cursor(position), has_more=len(waiting) > limit)

    def _check_notice(self, token: str) -> None:
        now = self.company.now()
        if token:
            if now - self.company.notices.get(token, -1e12) > NOTICE_TOKEN_S:
                raise Refused(95007, "invalid msg token")
            return
        while self._without_token and self._without_token[0] <= now - 60:
            self._without_token.popleft()
        if len(self._without_token) >= WITHOUT_TOKEN_PER_MIN:
            raise Refused(45009, "api freq out of limit")
        self._without_token.append(now)

    def _accounts(self, query: Fields, body: Fields) -> Fields:
        found = [{"open_kfid": key, "name": name, "avatar": ""} for key, name in self.company.kf_accounts.items()]
        return {"account_list": found}

    def _customers(self, query: Fields, body: Fields) -> Fields:
        wanted = body.get("external_userid_list")
        if not isinstance(wanted, list) or not 1 <= len(wanted) <= 100:
            raise Refused(40058, "external_userid_list: 1 to 100")
        known = [name for name in wanted if name in self.company.names]
        found = [{"external_userid": key, "nickname": self.company.names[key], "gender": 0} for key in known]
        return {"customer_list": found, "invalid_external_userid": [name for name in wanted if name not in known]}

    # --- 微信客服: sending --------------------------------------------------------------------------------------

    def _kf_send(self, query: Fields, body: Fields) -> Fields:
        session, open_kfid, customer = self._session(body, customer="touser")
        shown, msgid = _shown(body), self._msgid(body, open_kfid)
        if session.state not in {NEW, BOT}:
            raise Refused(95018, "send msg session status invalid")
        if self.company.now() - session.wrote_at > WINDOW_S:
            raise Refused(95002, "send msg out of time limit")
        if session.sent >= WINDOW_QUOTA:
            raise Refused(95001, "send msg count limit")
        session.sent += 1
        self.company.msgids.add((open_kfid, msgid))
        if customer in self.company.refusing:
            self._note("kf/send_msg", "refused by the customer", customer, shown, msgid)
            failed = {"event_type": "msg_send_fail", "fail_msgid": msgid, "fail_type": 10}
            self.company.log_event(open_kfid, customer, failed)
            return {"msgid": msgid}
        session.chat.append(Shown("bot", shown.text, shown.kind, shown.buttons, msgid))
        self._note("kf/send_msg", "ok", customer, shown, msgid)
        return {"msgid": msgid}

    def _msgid(self, body: Fields, open_kfid: str) -> str:
        """Ours, if it is one and new for this account (document 96427: a used one is an error)."""
        msgid = body.get("msgid") or secrets.token_hex(16)
        if not isinstance(msgid, str) or not MSGID.fullmatch(msgid):
            raise Refused(40058, "msgid exceed max length")
        if (open_kfid, msgid) in self.company.msgids:
            raise Refused(40058, "msgid duplicated")  # the code is our guess, that it is an error is not
        return msgid

    def _on_event(self, query: Fields, body: Fields) -> Fields:
        code = self.company.codes.get(str(body.get("code", "")))
        now = self.company.now()
        if code is None or code.is_used or code.until < now:
            raise Refused(40058, "invalid code")  # that it is an error is documented, the number is our guess
        session = self.company.session(code.open_kfid, code.customer)
        if code.state is not None and code.state != session.state:
            raise Refused(95018, "send msg session status invalid")
        if body.get("msgtype") not in {"text", "msgmenu"}:
            raise Refused(40008, "invalid message type")
        shown, msgid = _shown(body), self._msgid(body, code.open_kfid)
        code.is_used, session.welcomed_at = True, now
        self.company.msgids.add((code.open_kfid, msgid))
        session.chat.append(Shown("bot", shown.text, shown.kind, shown.buttons, msgid))
        self._note("kf/send_msg_on_event", "ok", code.customer, shown, msgid)
        return {"msgid": msgid}

    # --- 微信客服: whose session it is --------------------------------------------------------------------------

    def _state(self, query: Fields, body: Fields) -> Fields:
        session, *_ = self._session(body)
        return {"service_state": session.state, "servicer_userid": session.servicer}

    def _trans(self, query: Fields, body: Fields) -> Fields:
        session, open_kfid, customer = self._session(body)
        wanted, servicer = body.get("service_state"), str(body.get("servicer_userid") or "")
        if wanted not in TRANSITIONS[session.state]:
            raise Refused(95016, "not allow to change to this service state")
        if wanted == SERVICER and servicer not in self.company.servicers:
            raise Refused(95014, "user is not a servicer")
        if wanted == SERVICER and not self.company.servicers[servicer]:
            raise Refused(95019, "servicer has stopped or paused taking sessions")
        session.state, session.servicer = wanted, servicer if wanted == SERVICER else ""
        self.company.ledger.add(
            "trans", self.company.now(), chat_id=customer, open_kfid=open_kfid, state=wanted, servicer=servicer
        )
        self.company.pulse.beat()
        if wanted == BOT:
            return {}
        lasts_s = WELCOME_S if wanted == CLOSED else WINDOW_S
        return {"msg_code": self.company.new_code(open_kfid, customer, wanted, lasts_s)}

    def _session(self, body: Fields, customer: str = "external_userid") -> tuple[Session, str, str]:
        open_kfid, name = body.get("open_kfid"), body.get(customer)
        if open_kfid not in self.company.kf_accounts:
            raise Refused(95000, "invalid open_kfid")
        if not isinstance(name, str) or name not in self.company.names:
            raise Refused(40096, "invalid external userid")
        return self.company.session(open_kfid, name), open_kfid, name

    # --- files ----------------------------------------------------------------------------------------------

    def upload(self, kind: str, content: bytes, mime: str, name: str) -> Fields:
        if kind not in UPLOAD_LIMITS:
            raise Refused(40005, "invalid type")
        if not 5 < len(content) <= UPLOAD_LIMITS[kind]:
            raise Refused(40006, "invalid file size")
        media_id, now = f"3{secrets.token_urlsafe(40)}", self.company.now()
        self.company.media[media_id] = (content, mime, name, now)
        return {"type": kind, "media_id": media_id, "created_at": str(int(now))}

    def file(self, media_id: str) -> tuple[bytes, str, str]:
        """Content, MIME type and name. Raises: Refused for one that is unknown or older than three days."""
        found = self.company.media.get(media_id)
        if found is None or self.company.now() - found[3] > RETENTION_S:
            raise Refused(40007, "invalid media_id")
        return found[:3]

    def _note(self, method: str, outcome: str, chat_id: str, shown: Shown, msgid: str) -> None:
        # `ok`: it arrived, as crm_sync/ledgers.py counts. A greeting answers an event and is in nobody's outbox.
        is_sent = outcome == "ok" and method != "kf/send_msg_on_event"
        fields = {"method": method, "outcome": outcome, "ok": is_sent, "chat_id": chat_id}
        words = shown.text if shown.kind in _WORDED else ""
        self.company.ledger.add("send", self.company.now(), **fields, text=words, msgtype=shown.kind, msgid=msgid)
        self.company.pulse.beat()


def _shown(body: Fields) -> Shown:
    """What the other side will see. Raises: Refused for what the vendor does not take."""
    kind = str(body.get("msgtype", ""))
    inner = body.get(kind)
    if not isinstance(inner, dict):
        raise Refused(40008, "invalid message type")
    match kind:
        case "text" | "markdown":
            return Shown("bot", _cut(_filled(inner, "content")), kind)
        case "image" | "voice" | "video" | "file":
            return Shown("bot", f"[{kind}]", kind, msgid=_filled(inner, "media_id"))
        case "link":
            _filled(inner, "thumb_media_id")
            return Shown("bot", f"{_filled(inner, 'title')}\n{inner.get('desc', '')}\n{_filled(inner, 'url')}", kind)
        case "news":
            return Shown("bot", _articles(inner), kind)
        case "msgmenu":
            return _menu(inner)
        case "template_card":
            return _card(inner)
        case _:
            raise Refused(40008, "invalid message type")


def _filled(inner: Fields, name: str) -> str:
    found = inner.get(name)
    if not isinstance(found, str) or not found.strip():
        raise Refused(44004, f"empty {name}")
    return found


def _cut(text: str) -> str:
    """Longer texts lose their end without a word (document 90236)."""
    return text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _articles(inner: Fields) -> str:
    articles = inner.get("articles")
    if not isinstance(articles, list) or not 1 <= len(articles) <= 8:
        raise Refused(40058, "articles: 1 to 8")
    lines = [f"{_filled(one, 'title')}\n{one.get('description', '')}\n{_filled(one, 'url')}" for one in articles]
    return "\n".join(lines)


def _menu(inner: Fields) -> Shown:
    entries = inner.get("list", [])
    head = str(inner.get("head_content") or "")
    if not isinstance(entries, list) or len(entries) > 10:
        raise Refused(95008, "msgmenu list size is out of limit")
    if len(head.encode()) > 1024 or not (head or entries):
        raise Refused(40058, "invalid head_content")
    clicks = [entry.get("click", {}) for entry in entries if entry.get("type") == "click"]
    for click in clicks:
        if not 1 <= len(str(click.get("id", "")).encode()) <= 64 or not 1 <= len(click["content"].encode()) <= 128:
            raise Refused(40058, "invalid click")
    return Shown("bot", head, "msgmenu", [{"id": click["id"], "content": click["content"]} for click in clicks])


def _card(inner: Fields) -> Shown:
    if inner.get("card_type") != "button_interaction":
        raise Refused(40058, "only button_interaction is known here")
    buttons = inner.get("button_list")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 6:
        raise Refused(40058, "button_list: 1 to 6")
    task = _filled(inner, "task_id")
    words = [str(inner.get("main_title", {}).get("title", "")), str(inner.get("sub_title_text", ""))]
    shown = [{"id": _filled(button, "key"), "content": _filled(button, "text")} for button in buttons]
    return Shown("bot", "\n".join(part for part in words if part), "template_card", shown, task)


def _cursor(position: int) -> str:
    return f"4gw7{position:012x}" if position else ""


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(cursor.removeprefix("4gw7"), 16)
    except ValueError:
        raise Refused(40058, "invalid cursor") from None


def _page(page: list[Logged], cursor: str, *, has_more: bool) -> Fields:
    return {"next_cursor": cursor, "has_more": int(has_more), "msg_list": [logged.item for logged in page]}
