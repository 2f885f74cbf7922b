"""`appointment`: who comes today, and whether they came."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from config.settings import Settings
from crm_sync.appointments import AppointmentLine, on_day
from crm_sync.store import SqlStore
from desk.appointments import finish
from frontdesk.commands.output import print_json, print_table, say
from frontdesk.commands.record_view import local_time
from frontdesk.commands.records import with_store
from frontdesk.policies import desk_policy_in_force

app = typer.Typer(help="Appointments at sites.", no_args_is_help=True)
JsonFlag = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Number = Annotated[int, typer.Argument(help="Number of the appointment, as in the list.")]
By = Annotated[str, typer.Option("--as", help="Who says so.")]


@app.command("list")
def appointment_list(
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Left out: today.")] = None,
    site: Annotated[str, typer.Option(help="Key of a site; left out: all.")] = "",
    json_: JsonFlag = False,
) -> None:
    """The appointments of a day, in order."""
    zone = ZoneInfo(Settings().timezone)
    wanted: date = day.date() if day else datetime.now(zone).date()
    first = datetime.combine(wanted, datetime.min.time(), zone)
    last = datetime.combine(wanted + timedelta(days=1), datetime.min.time(), zone)

    async def work(store: SqlStore) -> list[AppointmentLine]:
        return await store.database.run(lambda conn: on_day(conn, first, last, site), read=True)

    found = with_store(work)
    if json_:
        print_json(found)
    elif not found:
        say(f"No appointments on {wanted}.")
    else:
        rows = (
            (
                line.id,
                local_time(line.starts_at, zone),
                line.site,
                line.service,
                line.customer_id,
                line.state,
                line.wishes,
            )
            for line in found
        )
        print_table(str(wanted), ("number", "at", "site", "service", "customer", "state", "wishes"), rows)


@app.command("done")
def appointment_done(number: Number, author: By = "admin") -> None:
    """The customer came; they are asked later how satisfied they are."""
    _finish(number, "done", author)


@app.command("missed")
def appointment_missed(number: Number, author: By = "admin") -> None:
    """The customer did not come; they are told, and can book again."""
    _finish(number, "missed", author)


def _finish(number: int, state: Literal["done", "missed"], author: str) -> None:
    settings = Settings()

    async def work(store: SqlStore) -> None:
        now, policy = datetime.now(UTC), await desk_policy_in_force(store.database, settings)
        unit = partial(finish, appointment_id=number, state=state, by=author, policy=policy, now=now)
        await store.database.run(unit)

    with_store(work)
    say(f"Appointment {number} is {state}.")
