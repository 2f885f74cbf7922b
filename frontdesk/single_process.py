"""One desk per SQLite file: a second one would take the first one's leases for those of a dead process."""

from __future__ import annotations

import os
from io import IOBase
from pathlib import Path

from bot.errors import Misconfigured


def hold_store(path: Path) -> IOBase:
    """The open lock file; the lock ends with the process, however it ends.

    Raises: Misconfigured when another process holds it or the folder may not be written to.
    """
    import fcntl  # absent on Windows, where nothing but this needs it

    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("a+")
    except OSError as error:
        raise Misconfigured(
            str(path.parent.resolve()), f"cannot be written to ({error.strerror}); run where you may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise Misconfigured(str(path), f"is in use by another frontdesk (process {holder}); stop it first") from error
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
