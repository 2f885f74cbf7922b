"""What broadcasts brought: compared with those held out, with the harm beside it, and each recipient as a line."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bot.ports import Clock
from bot.reach.document import read_broadcast
from bot.reach.states import HOLDOUT
from bot.reach.types import Broadcast
from bot.reach.uplift import Interval, Side, Uplift, uplift
from crm_sync import broadcast_effect as effect
from crm_sync import broadcasts as rows
from crm_sync.broadcast_effect import ArmSums, Reckoned, Sums
from crm_sync.broadcasts import Stored
from crm_sync.database import Database
from desk.actors import Actor
from desk.audit import record

FRESH: Final = timedelta(minutes=10)  # a reckoning that is younger is shown as it is
EXPORT_PAGE: Final = 2000
COLUMNS: Final = (
    "customer_id", "occasion", "step", "channel", "account", "arm", "value_class", "state", "reason", "sent_at",
    "delivered_at", "read_at", "clicked_at", "replied_at", "left_at", "complained_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One variant (or all of them, as "") against those held out. Amounts in minor units.

    `withdrawn`, `complaints`: the share of people who took consent back or complained, less that of those held out.
    None where there is nobody to compare with.
    """

    arm: str
    sums: ArmSums
    uplift: Uplift | None
    withdrawn: Interval | None
    complaints: Interval | None

    @property
    def differs(self) -> bool:
        """Whether it did something, as far as can be told."""
        return self.uplift is not None and self.uplift.share.is_clear

    @property
    def per_1000_minor(self) -> float | None:
        """What it brought for each thousand people, beyond what they would have spent anyway."""
        return None if self.uplift is None else self.uplift.amount.estimate * 1000


@dataclass(frozen=True, slots=True)
class Results:
    """`share`: of the window that is over; 1 when no more can come. `cost_minor`: of all that was sent."""

    at: datetime
    share: float
    currency: str
    whole: Compared
    variants: tuple[Compared, ...]
    held_out: ArmSums
    links: tuple[tuple[str, str, int, int], ...]  # name, address, people, times
    cost_minor: int

    @property
    def brought_minor(self) -> Interval | None:
        """Revenue there would not have been."""
        if self.whole.uplift is None:
            return None
        people, amount = self.whole.sums.people, self.whole.uplift.amount
        return Interval(amount.estimate * people, amount.low * people, amount.high * people)

    @property
    def returned(self) -> float | None:
        """What came back of each unit spent on it, less the unit itself; None without cost or comparison."""
        brought = self.brought_minor
        return (brought.estimate - self.cost_minor) / self.cost_minor if brought and self.cost_minor else None


@dataclass(frozen=True, slots=True)
class Line:
    """One broadcast of the comparison over several."""

    name: str
    title: str
    results: Results


class ResultDesk:
    """Each method raises NotPermitted, NotFound."""

    def __init__(self, database: Database, clock: Clock, timezone: Callable[[], tzinfo]) -> None:
        self._database, self._clock, self._timezone = database, clock, timezone

    async def results(self, actor: Actor, name: str) -> Results:
        """As reckoned in the last minutes, else anew: a range at a time, so that nobody waits for the store."""
        actor.require("broadcasts.read")
        return await self.reckon(await self._database.run(lambda conn: rows.named(conn, name), read=True))

    async def compare(self, actor: Actor, names: Sequence[str]) -> list[Line]:
        """Several side by side, in the order given."""
        actor.require("broadcasts.read")
        lines = []
        for name in names:
            stored = await self._database.run(partial(_named, name), read=True)
            lines.append(Line(name, stored.document.get("title", ""), await self.reckon(stored)))
        return lines

    async def reckon(self, stored: Stored, *, fresh: timedelta = FRESH) -> Results:
        """The results of a broadcast, reckoned anew unless that was done within `fresh`."""
        now, broadcast = self._clock.now(), read_broadcast(stored.document, self._timezone())
        before = await self._database.run(lambda conn: effect.kept(conn, stored.id), read=True)
        if before is not None and (before[1] >= 1 or now - before[2] < fresh):
            document, share, at = before
            sums = _sums_of(document)
        else:
            sums, share, at = await self._sum(stored, broadcast, now), _share_over(stored, broadcast, now), now
            kept = {"sums": [[*key, asdict(each)] for key, each in sorted(sums.items())]}
            await self._database.run(lambda conn: effect.keep(conn, stored.id, kept, share, now))
        links = await self._database.run(lambda conn: effect.clicks_of(conn, stored.id), read=True)
        return _results(broadcast, sums, share, at, links)

    async def _sum(self, stored: Stored, broadcast: Broadcast, now: datetime) -> Sums:
        steps = broadcast.plan.steps
        of = Reckoned(stored.id, broadcast.effect, steps[0].name if steps else "")
        sums: Sums = {}
        after: int | None = 0
        while after is not None:
            some, after = await self._database.run(partial(_range, of, after, now), read=True)
            for key, each in some.items():
                sums.setdefault(key, ArmSums()).add(each)
            await asyncio.sleep(0)
        return sums

    async def export(self, actor: Actor, name: str) -> AsyncIterator[str]:
        """CSV with a line for each recipient, in pieces. Times are ISO, in UTC; people are their ids."""
        actor.require("reports.export")
        actor.require("broadcasts.read")
        now = self._clock.now()

        def begin(conn: Connection) -> int:
            stored = rows.named(conn, name)
            record(conn, actor, "broadcast.export", f"broadcast:{stored.id}", {}, now=now)
            return stored.id

        return self._lines(await self._database.run(begin))

    async def _lines(self, broadcast_id: int) -> AsyncIterator[str]:
        yield ",".join(COLUMNS) + "\r\n"
        after = (0, 0)
        while found := await self._database.run(partial(_page, broadcast_id, after), read=True):
            after = (found[-1].customer_id, found[-1].id)
            text = io.StringIO()
            csv.writer(text).writerows([_cell(value) for value in row[1:]] for row in found)
            yield text.getvalue()


def _named(name: str, conn: Connection) -> Stored:
    return rows.named(conn, name)


def _range(of: Reckoned, after: int, now: datetime, conn: Connection) -> tuple[Sums, int | None]:
    return effect.sum_range(conn, of, after, now)


def _page(broadcast_id: int, after: tuple[int, int], conn: Connection) -> list[Any]:
    return effect.recipients_page(conn, broadcast_id, after, EXPORT_PAGE)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _sums_of(document: Mapping[str, Any]) -> Sums:
    return {(arm, stratum): ArmSums(**values) for arm, stratum, values in document["sums"]}


def _share_over(stored: Stored, broadcast: Broadcast, now: datetime) -> float:
    """How much of the time in which something may still come is over."""
    if stored.ended_at is None:
        return 0.0
    return min(1.0, max(0.0, (now - stored.ended_at) / broadcast.effect.window))


def _results(
    broadcast: Broadcast, sums: Sums, share: float, at: datetime, links: Sequence[tuple[str, str, int, int]]
) -> Results:
    control = {stratum: each for (arm, stratum), each in sums.items() if arm == HOLDOUT}
    arms = [variant.name for variant in broadcast.content.variants]
    whole: dict[str, ArmSums] = {}
    for (arm, stratum), each in sums.items():
        if arm in arms:
            whole.setdefault(stratum, ArmSums()).add(each)
    of_arms = [{stratum: each for (arm, stratum), each in sums.items() if arm == name} for name in arms]
    everybody = _compared("", whole, control)
    return Results(
        at,
        share,
        broadcast.effect.currency,
        everybody,
        tuple(_compared(name, mine, control) for name, mine in zip(arms, of_arms, strict=True)),
        _total(control),
        tuple(links),
        broadcast.effect.cost_minor * everybody.sums.sent,
    )


def _compared(arm: str, treated: Mapping[str, ArmSums], control: Mapping[str, ArmSums]) -> Compared:
    def against(count: Callable[[ArmSums], int]) -> Interval | None:
        found = uplift(
            {name: Side(each.people, count(each)) for name, each in treated.items()},
            {name: Side(each.people, count(each)) for name, each in control.items()},
        )
        return found.share if found else None

    sides = [{name: each.side for name, each in arms.items()} for arms in (treated, control)]
    return Compared(
        arm,
        _total(treated),
        uplift(*sides),
        against(lambda each: each.withdrew),
        against(lambda each: each.complained),
    )


def _total(sums: Mapping[str, ArmSums]) -> ArmSums:
    found = ArmSums()
    for each in sums.values():
        found.add(each)
    return found
