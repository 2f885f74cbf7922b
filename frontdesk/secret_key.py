"""The keys that sign tokens: from the settings, or a generated file beside an SQLite store."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bot.errors import Misconfigured
from config.settings import Settings

SHORTEST = 16  # characters; a shorter key can be guessed


def load_secret_keys(settings: Settings) -> tuple[bytes, ...]:
    """The first key signs, all of them verify. With SQLite and none set, one is generated (mode 0600) and kept.

    Raises: Misconfigured when PostgreSQL is used without a key, or a key is too short or unreadable.
    """
    keys = tuple(key.get_secret_value().encode() for key in settings.secret_key)
    if any(len(key) < SHORTEST for key in keys):
        raise Misconfigured("FRONTDESK_SECRET_KEY", f"every key needs at least {SHORTEST} characters")
    if keys:
        return keys
    path = sqlite_path(settings)
    if path is None:
        raise Misconfigured("FRONTDESK_SECRET_KEY", "must be set when the store is PostgreSQL; all roles share it")
    key_file = path.with_name(path.name + ".key")
    try:
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = key_file.read_bytes().strip()
        if len(key) < SHORTEST:
            raise Misconfigured(str(key_file), "holds no usable key; delete it to have one made") from None
        return (key,)
    except OSError as error:
        raise Misconfigured(str(key_file), f"cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_urlsafe(32).encode()
        file.write(key)
    return (key,)


def sqlite_path(settings: Settings) -> Path | None:
    """Where the SQLite file lies; None for another database."""
    url = settings.database_url.get_secret_value()
    if not url.startswith("sqlite"):
        return None
    return Path(url.split("///", 1)[1]) if "///" in url else None
