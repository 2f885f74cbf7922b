"""The audit log: each line is marked with a key and holds the mark of the line before.

Who has only the database can neither change, remove nor insert a line unseen: the marks need a key that is not in it
(an execution option of the open store, see `Database.open`). The end of the chain is marked too, so that lines cut off
are missed. Appends wait for each other from the append to the caller's commit: a line is written last.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from bot.errors import Misconfigured
from crm_sync.columns import EPOCH, MICROSECOND, dump_json, load_json
from crm_sync.console_tables import audit_head, audit_log
from crm_sync.rows import insert_if_absent
from crm_sync.statements import Together, insert_of, prefixed

OPTION: Final = "audit_keys"
_COLUMNS: Final = ("id", "actor", "action", "object", "details", "at", "previous", "hash")
_HEAD: Final = select(audit_head).where(audit_head.c.id == 1)
_LOCKED_HEAD: Final = _HEAD.with_for_update()
_WRITE: Final = Together(
    update(audit_head)
    .where(audit_head.c.id == 1)
    .values({name: bindparam(f"to_{name}", type_=audit_head.c[name].type) for name in ("lines", "hash", "seal")}),
    insert_of(audit_log, _COLUMNS, "log_"),
)
_LOOKED_AT: Final = 200  # newest lines about a thing that are searched for somebody's last look at it


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One thing somebody did or saw. `hash`: its mark, `previous`: that of the line before."""

    id: int
    actor: str
    action: str
    object: str
    details: Mapping[str, Any]
    at: datetime
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: how many lines there are, and the mark of the last one."""

    lines: int = 0
    hash: str = ""
    seal: str = ""


def append(
    conn: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any], now: datetime
) -> AuditLine:
    """The line is the last of the chain; it is kept or not together with the caller's transaction.

    Raises: Misconfigured when the store was opened without keys.
    """
    keys = keys_of(conn)
    head = _locked_head(conn)
    kept = load_json(dump_json(dict(details)))
    line = AuditLine(head.lines + 1, actor, action, subject, kept, now, head.hash, "")
    line = replace(line, hash=_mark(keys[0], _canonical(line)))
    values = prefixed("log_", {name: getattr(line, name) for name in _COLUMNS})
    end = {"to_lines": line.id, "to_hash": line.hash, "to_seal": _mark(keys[0], f"head {line.id} {line.hash}")}
    _WRITE.change(conn, {**values, **end})
    return line


def has_looked(conn: Connection, actor: str, action: str, subject: str, since: datetime) -> bool:
    """Whether this look is in the log since then; after very many other lines about the same thing it may say no."""
    newest = (
        select(audit_log.c.actor, audit_log.c.action, audit_log.c.at)
        .where(audit_log.c.object == subject)
        .order_by(audit_log.c.id.desc())
        .limit(_LOOKED_AT)
        .subquery()
    )
    same = (newest.c.actor == actor) & (newest.c.action == action) & (newest.c.at >= since)
    return conn.execute(select(newest.c.at).where(same).limit(1)).first() is not None


def lines(
    conn: Connection,
    *,
    actor: str = "",
    subject: str = "",
    action: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[AuditLine]:
    """The newest lines first, below the id `before`. `action` ending in a dot means all that begin with it."""
    found = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    if actor:
        found = found.where(audit_log.c.actor == actor)
    if subject:
        found = found.where(audit_log.c.object == subject)
    if action:
        is_group = action.endswith(".")
        found = found.where(
            audit_log.c.action.startswith(action, autoescape=True) if is_group else audit_log.c.action == action
        )
    if since is not None:
        found = found.where(audit_log.c.at >= since)
    if until is not None:
        found = found.where(audit_log.c.at < until)
    if before is not None:
        found = found.where(audit_log.c.id < before)
    return [_line(row) for row in conn.execute(found)]


def head_of(conn: Connection) -> Head:
    """The end of the chain as the store has it, without checking it."""
    row = conn.execute(_HEAD).first()
    return Head() if row is None else Head(row.lines, row.hash, row.seal)


def after(conn: Connection, line_id: int, limit: int) -> list[AuditLine]:
    """The next lines in the order of the chain."""
    found = select(audit_log).where(audit_log.c.id > line_id).order_by(audit_log.c.id).limit(limit)
    return [_line(row) for row in conn.execute(found)]


def highest(conn: Connection) -> int:
    """The id of the last line that is there; 0 without any."""
    return int(conn.execute(select(func.coalesce(func.max(audit_log.c.id), 0))).scalar_one())


def breaks(conn: Connection, found: Sequence[AuditLine], last_id: int, last_hash: str) -> Iterator[tuple[int, str]]:
    """(line, reason) of what is wrong with lines that follow one with this id and mark; the first is what matters.

    reasons: missing, changed (its mark does not fit), moved (it follows another line), unknown_key
    """
    keys = {_key_id(key): key for key in keys_of(conn)}
    for line in found:
        if line.id != last_id + 1:
            yield last_id + 1, "missing"
        reason = _wrong(keys, line.hash, _canonical(line))
        if reason:
            yield line.id, reason
        elif line.previous != last_hash:
            yield line.id, "moved"
        last_id, last_hash = line.id, line.hash


def head_is_ours(conn: Connection, head: Head) -> str:
    """ "" when the head was written by who has a key, else the reason as `breaks` names it."""
    if head.lines == 0 and not head.hash:
        return ""
    keys = {_key_id(key): key for key in keys_of(conn)}
    return _wrong(keys, head.seal, f"head {head.lines} {head.hash}")


def _wrong(keys: Mapping[str, bytes], mark: str, text: str) -> str:
    key = keys.get(mark.partition(":")[0])
    if key is None:
        return "unknown_key"
    return "" if hmac.compare_digest(_mark(key, text).encode(), mark.encode("utf-8", "replace")) else "changed"


def keys_of(conn: Connection, what: str = "audit log") -> tuple[bytes, ...]:
    """The keys the store was opened with, the one that marks first. Raises: Misconfigured about `what` without any."""
    keys: tuple[bytes, ...] = conn.get_execution_options().get(OPTION, ())
    if not keys:
        raise Misconfigured(what, "the store was opened without the keys that mark what it keeps")
    return keys


def _locked_head(conn: Connection) -> Head:
    row = conn.execute(_LOCKED_HEAD).first()
    if row is None:
        insert_if_absent(conn, audit_head, {"id": 1, "lines": 0, "hash": "", "seal": ""}, key=("id",))
        row = conn.execute(_LOCKED_HEAD).one()
    return Head(row.lines, row.hash, row.seal)


def _canonical(line: AuditLine) -> str:
    """All of the line but its own mark, always written the same way."""
    micros = (line.at - EPOCH) // MICROSECOND
    fields = [line.id, line.actor, line.action, line.object, line.details, micros, line.previous]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _mark(key: bytes, text: str) -> str:
    return f"{_key_id(key)}:{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"id" + key).hexdigest()[:8]


def _line(row: Any) -> AuditLine:
    return AuditLine(row.id, row.actor, row.action, row.object, row.details, row.at, row.previous, row.hash)
