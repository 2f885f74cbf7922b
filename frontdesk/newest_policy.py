"""The rules that hold now, for whoever works beside a running desk: those changed in the store, else the file's."""

from __future__ import annotations

from pathlib import Path

from bot.service.policy import ServicePolicy, read_policy
from crm_sync import policies
from crm_sync.database import Database
from frontdesk.assistant_service import read_policy_of, with_hours
from frontdesk.assistant_settings import read_settings


async def newest_policy(database: Database, folder: Path) -> ServicePolicy:
    """Raises: AssistantInvalid."""
    stored = await database.run(lambda conn: policies.newest(conn, folder.resolve().name), read=True)
    if stored is None:
        return read_policy_of(folder)
    hours = read_settings(folder).hours
    return with_hours(read_policy(stored.document, version=stored.version), stored.document, hours)
