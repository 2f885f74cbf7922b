"""A customer's files for those who may ask for them: links, copies, and the proof that erased ones are gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.errors import InputError, NotFound, ServiceError
from bot.types import CustomerId
from crm_sync.erasure import erase_customer
from crm_sync.media import rows
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.store import SqlStore


def with_links(files: Sequence[Mapping[str, Any]], library: SqlMediaLibrary, *, key: str) -> list[dict[str, Any]]:
    """The files, each with a signed `link` (empty when its bytes are not kept); `key` names the column to sign."""
    return [{**file, "link": library.link(file[key]) if file["state"] == "stored" else ""} for file in files]


async def save_files(
    files: Sequence[Mapping[str, Any]], library: SqlMediaLibrary, folder: Path
) -> list[dict[str, Any]]:
    """Copies lie in `folder`, readable by this user alone; `saved_as` names each, empty when it is not kept any more.

    Raises: InputError when a copy is there already or the folder cannot be written, ServiceUnavailable.
    """
    saved: list[dict[str, Any]] = []
    for file in files:
        try:
            found, content = await library.read(file["key"])
        except NotFound:
            saved.append({**file, "saved_as": ""})
            continue
        name = f"{file['id']}-{found.file_name or found.mime.replace('/', '.')}"
        await asyncio.to_thread(_write_new, folder / name, content)
        saved.append({**file, "saved_as": name})
    return saved


def _write_new(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError as exc:
        raise InputError(f"{path} is there already; choose an empty folder") from exc
    except OSError as exc:
        raise InputError(f"{path.parent} cannot be written: {exc.strerror}") from exc


async def erase_with_files(store: SqlStore, library: SqlMediaLibrary, customer_id: CustomerId) -> dict[str, Any]:
    """The person is erased from every table and their files from the media store; a receipt that names both.

    Files that the media store cannot delete now are `waiting`: housekeeping deletes them as soon as it can.
    Raises: CustomerNotFound, StoreUnavailable.
    """
    keys = await store.database.run(lambda conn: rows.kept_of(conn, customer_id), read=True)
    receipt = await erase_customer(store.database, customer_id)
    try:
        await library.purge()
    except ServiceError as error:
        receipt["media_store_error"] = str(error)
    waiting = await store.database.run(lambda conn: rows.still_kept(conn, keys), read=True)
    return {**receipt, "media_store": {"deleted": len(keys) - waiting, "waiting": waiting}}
