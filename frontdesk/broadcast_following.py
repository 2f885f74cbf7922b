"""What makes a broadcast go on by itself: events that trigger it, steps of a journey, a bandit that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from bot.reach.journey import GoOn, PutOff, first_look, what_next
from bot.reach.states import BroadcastState
from bot.reach.uplift import Side, shares_of_bandit
from crm_sync import broadcast_bandit, broadcast_events, broadcast_runs, broadcast_waits
from crm_sync.broadcast_events import Happened, Place, Watched
from crm_sync.broadcast_runs import RunRow
from crm_sync.broadcast_waits import Waiting
from crm_sync.database import Database
from crm_sync.recipient_endings import Ending
from crm_sync.recipients import write_range
from crm_sync.tables import customers
from frontdesk.broadcast_runs import Business, Run, load_run

log = structlog.get_logger()

LOOK_AGAIN: Final = timedelta(seconds=30)  # between two looks for events
TOO_LATE: Final = timedelta(days=1)  # behind its time, an event triggers nothing any more
LEARN_EVERY: Final = timedelta(minutes=1)
LEARN_FROM: Final = 100  # people of each variant before a bandit says anything


# --- triggered ------------------------------------------------------------------------------------------------------


async def take_in(database: Database, business: Business, row: RunRow, run: Run, now: datetime) -> int:
    """What happened since the last look has recipients; how many. The first look begins to watch."""
    if row.state is BroadcastState.SCHEDULED:
        await database.run(partial(_watch, row, run, now))
        return 0
    taken = 0
    place, is_last = Place(**row.events_through.get("place", {})), False
    while not is_last:
        place, is_last, some = await database.run(partial(_take_page, business, run, place, now))
        taken += some
    return taken


def _watch(row: RunRow, run: Run, now: datetime, conn: Connection) -> None:
    trigger = run.broadcast.plan.on
    assert trigger is not None  # noqa: S101 - only triggered ones come here
    place = broadcast_events.begin_at(conn, trigger.event, now.astimezone(run.zone).date())
    if broadcast_runs.watch(conn, row, now, now + LOOK_AGAIN, {"place": asdict(place)}):
        log.info("broadcast_watches", broadcast=row.id, on=trigger.event)


def _take_page(business: Business, run: Run, place: Place, now: datetime, conn: Connection) -> tuple[Place, bool, int]:
    """One page of events; where the next begins, and whether it is needed now."""
    plan, row = run.broadcast.plan, run.row
    assert plan.on is not None  # noqa: S101 - only triggered ones come here
    if plan.until is not None and now > plan.until:
        broadcast_runs.look_again(conn, row, None)
        return place, True, 0
    watched = Watched(plan.on.event, plan.on.name, row.started_at or now, run.zone)
    page = broadcast_events.happened(conn, watched, place, now)
    leaving = [(each, each.at + plan.on.after) for each in page.events]
    wanted = [(each, at) for each, at in leaving if at > now - TOO_LATE]
    taken = _write(conn, business, run, wanted, now)
    again = now if not page.is_last else now + LOOK_AGAIN
    broadcast_runs.look_again(conn, row, again, place=asdict(page.place))
    return page.place, page.is_last, taken


def _write(
    conn: Connection, business: Business, run: Run, wanted: Sequence[tuple[Happened, datetime]], now: datetime
) -> int:
    """Those of the audience among them are recipients, each at a time of their own."""
    by_occasion: dict[str, dict[int, datetime]] = {}
    for event, at in wanted:
        by_occasion.setdefault(event.occasion, {}).setdefault(event.customer_id, at)
    if not by_occasion:
        return 0
    meant = business.people(conn, run.broadcast.audience, now)
    taken = 0
    for name, times in by_occasion.items():
        ids = sorted(times)
        people = meant.where(customers.c.id.in_(ids))
        occasion = run.occasion(people, name=name, not_before=lambda zone, quiet: now)
        written = write_range(conn, occasion, ids[0] - 1, ids[-1], now)
        if written:
            taken += written
            broadcast_events.set_times(conn, run.row.id, name, partial(_leaves, run, times), now)
    return taken


def _leaves(
    run: Run, times: Mapping[int, datetime], customer_id: int, zone: str, quiet: tuple[str, str] | None
) -> datetime | None:
    return run.leave_from(times[customer_id], zone, quiet)


# --- journeys -------------------------------------------------------------------------------------------------------


def begin_waiting(conn: Connection, endings: Sequence[Ending], journeys: Mapping[int, Run]) -> None:
    """Whoever was sent a step waits for what comes next; in the transaction that stores that it was sent."""
    sent = [ending.recipient_id for ending in endings if ending.state == "sent"]
    for row in broadcast_waits.sent_steps(conn, sent, journeys):
        after = first_look(journeys[row.broadcast_id].broadcast.plan.steps, row.step)
        if after is not None:
            broadcast_waits.wait(conn, row, row.sent_at + after)


async def follow_journeys(database: Database, business: Business, now: datetime) -> int:
    """Everybody whose time has come goes on, waits longer or is through; how many that were."""
    done = 0
    while some := await database.run(partial(_follow_some, business, now)):
        done += some
        if some < broadcast_waits.PAGE:
            break
    return done


def _follow_some(business: Business, now: datetime, conn: Connection) -> int:
    found = broadcast_waits.due(conn, now)
    rows = broadcast_runs.rows_of(conn, {each.broadcast_id for each in found})
    runs = {row.id: load_run(conn, row, business) for row in rows}
    for each in found:
        _follow(conn, runs[each.broadcast_id], each, now)
    return len(found)


def _follow(conn: Connection, run: Run, one: Waiting, now: datetime) -> None:
    found = what_next(run.broadcast.plan.steps, one.step, one.answers, one.sent_at, now)
    if isinstance(found, GoOn):
        at = run.leave_from(now, one.zone, one.quiet)
        if at is not None and at > now:
            broadcast_waits.put_off(conn, one, at)  # what they do in their quiet hours counts too
        else:
            broadcast_waits.go_on(conn, one, found.step.name, at)
    elif isinstance(found, PutOff):
        broadcast_waits.put_off(conn, one, found.at)
    else:
        broadcast_waits.over(conn, one, found.outcome)


# --- a bandit -------------------------------------------------------------------------------------------------------


def learn(conn: Connection, run: Run) -> int:
    """Of those who come next, more get the variant that is followed more; how many changed theirs."""
    if run.broadcast.content.split != "bandit":
        return 0
    names = [variant.name for variant in run.broadcast.content.variants]
    seen = broadcast_bandit.clicks_by_arm(conn, run.row.id)
    arms = {name: Side(*seen.get(name, (0, 0))) for name in names}
    if any(side.people < LEARN_FROM for side in arms.values()):
        return 0
    shares = shares_of_bandit(arms, seed=run.row.seed)
    return broadcast_bandit.share_out(conn, run.row.id, run.row.seed, [(name, shares[name]) for name in names])
