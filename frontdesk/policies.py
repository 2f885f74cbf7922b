"""The rules in force: those put into the store, else the file's; of one assistant, and of the whole desk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bot.assistant import StaffedHours
from bot.service.policy import Account, ServicePolicy, desk_policy, read_policy
from bot.service.staffed import read_policy_with
from config.settings import AccountSettings, Settings
from crm_sync import policies
from crm_sync.database import Database
from frontdesk.assistant_service import read_policy_of
from frontdesk.assistant_settings import read_settings


def accounts_of(settings: Settings) -> Iterable[tuple[str, str, AccountSettings]]:
    """Every account of every channel: channel, name, what is set for it."""
    channels: dict[str, Mapping[str, AccountSettings]] = {
        "web": settings.web_accounts(),
        "telegram": settings.channels.telegram,
        "wechat": settings.channels.wechat,
        "wecom": settings.channels.wecom,
        "kf": settings.channels.wecom,
        "line": settings.channels.line,
    }
    return ((channel, name, section) for channel, sections in channels.items() for name, section in sections.items())


def tried_policy(document: Any, folder: Path) -> ServicePolicy:
    """What the document would be as the rules of this assistant. Raises: AssistantInvalid."""
    return read_policy_with(document, read_settings(folder).hours)


async def policy_in_force(
    database: Database, folder: Path, *, seeded: ServicePolicy | None = None, hours: StaffedHours | None = None
) -> ServicePolicy:
    """The rules of the assistant in this folder; the defaults where there is no such folder.

    `seeded`, `hours`: what its files say, for whoever has read them. Raises: AssistantInvalid.
    """
    name = model_name(folder)
    stored = await database.run(lambda conn: policies.newest(conn, name), read=True)
    if stored is None:
        return seeded if seeded is not None else await asyncio.to_thread(_of_files, folder)
    hours = hours or await asyncio.to_thread(_hours, folder)
    if hours is None:
        return read_policy(stored.document, version=stored.version)
    return read_policy_with(stored.document, hours, version=stored.version)


def model_name(folder: Path) -> str:
    """Under which the store keeps what belongs to the assistant in this folder."""
    return folder.resolve().name


def _of_files(folder: Path) -> ServicePolicy:
    return read_policy_of(folder) if folder.is_dir() else ServicePolicy()


def _hours(folder: Path) -> StaffedHours | None:
    return read_settings(folder).hours if folder.is_dir() else None


async def desk_policy_in_force(database: Database, settings: Settings) -> ServicePolicy:
    """The rules of the whole desk, for whoever works beside a running one. Raises: AssistantInvalid."""
    default = await policy_in_force(database, settings.assistant)
    others: dict[Path, ServicePolicy] = {}
    by_account: dict[Account, ServicePolicy] = {}
    for channel, account, section in accounts_of(settings):
        folder = section.assistant
        if folder is not None and folder != settings.assistant:
            if folder not in others:
                others[folder] = await policy_in_force(database, folder)
            by_account[channel, account] = others[folder]
    return desk_policy(default, by_account)
