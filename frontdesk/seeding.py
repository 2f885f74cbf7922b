"""Made-up customers of an assistant, imported so that conversations can be played through with them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from bot.errors import InputError, ServiceError
from bot.types import Identity
from crm_sync.addressing import identity_key
from crm_sync.import_kinds import KINDS
from crm_sync.imported_customers import by_key
from crm_sync.imports import How, import_file
from crm_sync.store import SqlStore
from crm_sync.tables import identities
from frontdesk.assistant_service import read_policy_of

ORDER = ("sites", "customers", "assets", "orders", "visits", "dues")  # what is referred to comes first


async def seed(store: SqlStore, folder: Path, names: Sequence[str], made: Path, *, timezone: str) -> None:
    """These lists of the assistant's sample are in the store.

    They are taken from `sample/NAME.csv` where that file is, else from what `sample/make.py` writes into `made`.
    Raises: InputError for a list there is none of, or one with a wrong row.
    """
    for name in names:
        if name not in ORDER:
            raise InputError(f"seed names {name!r}; there are {', '.join(ORDER)}")
    sample = folder / "sample"
    missing = [name for name in names if not (sample / f"{name}.csv").is_file()]
    if missing and not (made / f"{missing[0]}.csv").is_file():
        await asyncio.to_thread(_make, sample / "make.py", made)
    how = How(ZoneInfo(timezone), read_policy_of(folder).record.types())
    for name in sorted(names, key=ORDER.index):
        path = next((place / f"{name}.csv" for place in (sample, made) if (place / f"{name}.csv").is_file()), None)
        if path is None:
            raise InputError(f"the sample has no {name}.csv, and make.py wrote none")
        report = await import_file(store.database, KINDS[name], path, mapping={}, how=how, author="replay")
        if report.errors:
            first = report.errors[0]
            raise InputError(f"{len(report.errors)} rows of {name}.csv are wrong; row {first.line}: {first.reason}")


def _make(script: Path, made: Path) -> None:
    if not script.is_file():
        raise InputError("there is no sample/make.py to make the seed with")
    made.mkdir(exist_ok=True)
    command = [sys.executable, str(script), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - of the assistant under test
    if done.returncode:
        raise ServiceError("sample/make.py", done.stderr.strip().rpartition("\n")[2])


async def become(store: SqlStore, key: str, identity: Identity, now: datetime) -> None:
    """Whoever writes as `identity` is the customer with this key of the seed. Raises: InputError for an unknown key."""

    def unit(conn: Connection) -> None:
        found = by_key(conn, [key]).get(key)
        if found is None:
            raise InputError(f"the seed has no customer {key!r}")
        own = identity_key(identity.channel, identity.account, identity.external_id)
        if conn.execute(select(identities.c.id).where(identities.c.key == own)).first() is None:
            conn.execute(
                insert(identities).values(
                    key=own,
                    customer_id=found,
                    channel=identity.channel,
                    account=identity.account,
                    external_id=identity.external_id,
                    created_at=now,
                )
            )

    await store.database.run(unit)
