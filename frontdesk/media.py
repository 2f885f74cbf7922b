"""The media library of a deployment, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.ports import Clock, MediaStore
from config.settings import Settings
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.links import MediaLinks
from crm_sync.media.stores import open_media_store
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from frontdesk.faults import no_fault


def build_media(
    settings: Settings,
    store: SqlStore,
    keys: Sequence[bytes],
    bytes_store: MediaStore | None = None,
    *,
    clock: Clock | None = None,
    fault: Callable[[str], None] = no_fault,
) -> SqlMediaLibrary:
    """The library on this store, with its folder or bucket. Raises: Misconfigured."""
    section = settings.media
    links = MediaLinks(keys, base_url=settings.public_url, lasts_s=section.link_hours * 3600)
    kept_in = bytes_store or open_media_store(section)
    return SqlMediaLibrary(store.database, kept_in, links, section, clock or SystemClock(), fault=fault)
