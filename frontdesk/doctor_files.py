"""What `frontdesk doctor` finds about files: where they are kept, what is waiting, who scans and who listens."""

from __future__ import annotations

import shutil

from bot.errors import BotError, FileRefused
from channels.base import Finding
from config.settings import MediaSettings
from crm_sync.media import rows
from crm_sync.media.scanning import Scanner
from crm_sync.media.stores import open_media_store
from crm_sync.store import SqlStore
from frontdesk.speech import load_speech_to_text

LEAST_FREE = 25  # files of the largest size that should still fit


async def examine_files(settings: MediaSettings, store: SqlStore | None) -> list[Finding]:
    """One finding a check. Never raises BotError."""
    findings = [await _place(settings)]
    if store is not None:
        findings.append(await _waiting(store))
    if settings.scan_command:
        findings.append(await _scanner(settings))
    if settings.speech_to_text:
        findings.append(_speech(settings))
    return findings


async def _place(settings: MediaSettings) -> Finding:
    name = "media bucket" if settings.s3_endpoint else "media folder"
    try:
        opened = open_media_store(settings)
        try:
            told = await opened.check()
        finally:
            await opened.close()
    except BotError as error:
        return Finding(
            name, True, str(error), "correct the FRONTDESK_MEDIA__ settings; files wait and are fetched later"
        )
    if not settings.s3_endpoint and shutil.disk_usage(settings.folder).free < LEAST_FREE * settings.max_bytes:
        return Finding(name, True, told, "make room on this disk, or shorten FRONTDESK_MEDIA__RETENTION_DAYS")
    return Finding(name, False, told)


async def _waiting(store: SqlStore) -> Finding:
    try:
        waiting, troubled, refused = await store.database.run(rows.counts, read=True)
    except BotError as error:
        return Finding("files", True, str(error), "frontdesk db upgrade")
    told = f"{waiting} to be fetched, {troubled} of them failed so far; {refused} refused"
    repair = "look at the files of frontdesk customer show: each says why" if troubled else ""
    return Finding("files", troubled > 0, told, repair)


async def _scanner(settings: MediaSettings) -> Finding:
    repair = "correct FRONTDESK_MEDIA__SCAN_COMMAND; no file is taken until it answers"
    try:
        await Scanner(settings.scan_command).look(b"frontdesk doctor")
    except FileRefused:
        return Finding("virus scanner", True, "calls harmless text infected", repair)
    except BotError as error:
        return Finding("virus scanner", True, str(error), repair)
    return Finding("virus scanner", False, "answers")


def _speech(settings: MediaSettings) -> Finding:
    try:
        load_speech_to_text(settings)
    except BotError as error:
        return Finding("speech to text", True, str(error), "install the package, or unset the setting")
    return Finding("speech to text", False, settings.speech_to_text)
