"""Known faults and planned work: who reported them, who is told of their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update

from bot.errors import NotFound
from bot.service_types import Notice, Outage, ReportOutage, as_is
from crm_sync.notices import tell
from crm_sync.own_news import Audience, publish
from crm_sync.service_tables import assets, outage_reports, outages
from crm_sync.subjects import Subject, note

FRESH: Final = timedelta(hours=24)  # reports this old may still belong to an outage that becomes known
MOST_REPORTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class OutageLine:
    """An outage as those who run the network tell it. None and "": not known."""

    key: str
    kind: str = "outage"  # outage | planned
    area: str = ""
    latitude: float | None = None
    longitude: float | None = None
    radius_m: int | None = None
    starts_at: datetime | None = None
    expected_end_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Where a report without an outage came from."""

    id: int
    latitude: float | None
    longitude: float | None
    address: str


def open_outages(conn: Connection) -> tuple[Outage, ...]:
    """The outages that are not over, planned ones too, in the order in which they began."""
    rows = conn.execute(select(outages).where(outages.c.ended_at.is_(None)).order_by(outages.c.starts_at, outages.c.id))
    return tuple(outage_of(row) for row in rows)


def outage_of(row: Any) -> Outage:
    """The outage in a row of `outages`."""
    return Outage(
        id=row.id,
        key=row.key,
        kind=row.kind,
        area=row.area,
        starts_at=row.starts_at,
        expected_end_at=row.expected_end_at,
        latitude=row.latitude,
        longitude=row.longitude,
        radius_m=row.radius_m,
    )


# --- by the customer, in a turn -----------------------------------------------------------------------------------


def report(conn: Connection, effect: ReportOutage, subject: Subject) -> None:
    """The report is kept with the outage it belongs to; the same customer's of the same outage is renewed."""
    known = effect.outage_id
    if known is not None:
        still = and_(outages.c.id == known, outages.c.ended_at.is_(None))
        known = conn.execute(select(outages.c.id).where(still)).scalar()
    values = {
        "outage_id": known,
        "asset_id": _own_asset(conn, effect.asset_key, subject.customer_id),
        "latitude": effect.latitude,
        "longitude": effect.longitude,
        "address": effect.address,
        "note": effect.note,
        "at": subject.now,
    }
    same = and_(
        outage_reports.c.customer_id == subject.customer_id,
        outage_reports.c.at > subject.now - FRESH,
        outage_reports.c.outage_id == known if known is not None else outage_reports.c.outage_id.is_(None),
    )
    before = conn.execute(select(outage_reports.c.id).where(same).with_for_update()).first()
    if before is None:
        place = {"customer_id": subject.customer_id, "conversation_id": subject.conversation_id}
        conn.execute(insert(outage_reports), {**values, **place})
    else:
        conn.execute(update(outage_reports).where(outage_reports.c.id == before.id).values(**values))
    note(conn, subject, "outage_reported", effect.note or effect.address)


def _own_asset(conn: Connection, key: str, customer_id: int) -> int | None:
    mine = and_(assets.c.key == key, assets.c.customer_id == customer_id)
    return conn.execute(select(assets.c.id).where(mine)).scalar() if key else None


# --- by those who run the network ---------------------------------------------------------------------------------


def put_outage(
    conn: Connection,
    line: OutageLine,
    belongs: Callable[[Outage, Report], bool],
    now: datetime,
    audience: Audience | None = None,
) -> tuple[Outage, bool]:
    """The outage is known with these facts; whether it is new. Those who reported it hear of an end that has changed.

    `belongs`: whether a report without an outage is about this one. `audience`: hears of it and of a changed end.
    """
    before = conn.execute(select(outages).where(outages.c.key == line.key).with_for_update()).first()
    values = {
        "kind": line.kind,
        "area": line.area,
        "latitude": line.latitude,
        "longitude": line.longitude,
        "radius_m": line.radius_m,
        "expected_end_at": line.expected_end_at,
        "updated_at": now,
    }
    starts_at = line.starts_at or (before.starts_at if before is not None else now)
    if before is None:
        conn.execute(insert(outages), {**values, "key": line.key, "starts_at": starts_at})
    else:
        conn.execute(update(outages).where(outages.c.id == before.id).values(**values, starts_at=starts_at))
    outage = outage_of(conn.execute(select(outages).where(outages.c.key == line.key)).one())
    if before is not None and before.ended_at is not None:
        return outage, False  # over is over: a late message about it changes no report
    _adopt(conn, outage, belongs, now)
    end = outage.expected_end_at
    has_new_end = end is not None and (before is None or before.expected_end_at != end)
    # With the moment of the change: an end that is put back to what it was is told again.
    what = f"end:{int(end.timestamp())}:{int(now.timestamp())}" if end is not None else "new"
    if end is not None and has_new_end:
        args = {"area": as_is(outage.area), "end": f"@time:{end.isoformat()}"}
        _tell_reporters(conn, outage.id, Notice("utter_outage_expected", args), what, now)
    if audience is not None and (before is None or has_new_end):
        publish(conn, audience, _news(outage), f"outage:{outage.id}:{what}", now)
    return outage, before is None


def _news(outage: Outage) -> Notice:
    """What subscribers are told who may not know of it yet."""
    args = {"area": as_is(outage.area)}
    if outage.kind == "planned":
        args["start"] = f"@time:{outage.starts_at.isoformat()}"
    name = "utter_outage_planned" if outage.kind == "planned" else "utter_outage_known"
    if outage.expected_end_at is None:
        return Notice(f"{name}_open", args)
    return Notice(name, {**args, "end": f"@time:{outage.expected_end_at.isoformat()}"})


def end_outage(conn: Connection, key: str, ended_at: datetime, now: datetime, audience: Audience | None = None) -> bool:
    """It is over, and all who reported it and the audience hear so; False when it was over before. Raises: NotFound."""
    row = conn.execute(select(outages).where(outages.c.key == key).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no outage {key!r}")
    if row.ended_at is not None:
        return False
    conn.execute(update(outages).where(outages.c.id == row.id).values(ended_at=ended_at, updated_at=now))
    args = {"area": as_is(row.area), "end": f"@time:{ended_at.isoformat()}"}
    _tell_reporters(conn, row.id, Notice("utter_outage_over", args), "over", now)
    if audience is not None:
        over = "utter_outage_planned_over" if row.kind == "planned" else "utter_outage_over"
        publish(conn, audience, Notice(over, args), f"outage:{row.id}:over", now)
    return True


def _adopt(conn: Connection, outage: Outage, belongs: Callable[[Outage, Report], bool], now: datetime) -> None:
    """Reports that came before it was known are kept with it."""
    waiting = conn.execute(
        select(outage_reports)
        .where(outage_reports.c.outage_id.is_(None), outage_reports.c.at > now - FRESH)
        .order_by(outage_reports.c.id)
        .limit(MOST_REPORTS)
        .with_for_update()
    ).all()
    mine = [row.id for row in waiting if belongs(outage, Report(row.id, row.latitude, row.longitude, row.address))]
    if mine:
        conn.execute(update(outage_reports).where(outage_reports.c.id.in_(mine)).values(outage_id=outage.id))


def _tell_reporters(conn: Connection, outage_id: int, notice: Notice, what: str, now: datetime) -> None:
    rows = conn.execute(
        select(outage_reports.c.customer_id, outage_reports.c.conversation_id)
        .where(outage_reports.c.outage_id == outage_id)
        .order_by(outage_reports.c.id)
    )
    for row in rows:
        key = f"outage:{outage_id}:{what}:{row.customer_id}"  # the key of subscribers too: nobody is told twice
        tell(conn, row.customer_id, notice, now=now, key=key, conversation_id=row.conversation_id)
