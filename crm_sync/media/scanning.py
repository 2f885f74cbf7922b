"""The virus scanner a deployment brings: any command that takes a file's path and answers with its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import tempfile
from typing import Final

from bot.errors import FileRefused, Misconfigured, ServiceUnavailable

TIMEOUT_S: Final = 60.0
CLEAN, INFECTED = 0, 1  # as clamscan and clamdscan answer; 2 is their "could not look"


class Scanner:
    """Runs `command` with the file's path as its last argument; an empty command finds everything clean."""

    def __init__(self, command: str, *, timeout_s: float = TIMEOUT_S) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as exc:
            raise Misconfigured("FRONTDESK_MEDIA__SCAN_COMMAND", f"cannot be read: {exc}") from exc
        self._timeout_s = timeout_s

    async def look(self, content: bytes) -> None:
        """Returns when the content is clean.

        Raises: FileRefused when it is infected, ServiceUnavailable when the scanner could not say.
        """
        if not self._command:
            return
        try:
            path = await asyncio.to_thread(_write, content)
        except OSError as exc:
            raise ServiceUnavailable("virus scanner", "the file could not be handed over") from exc
        try:
            code = await self._exit_code(path)
        finally:
            await asyncio.to_thread(os.unlink, path)
        if code == INFECTED:
            raise FileRefused("infected", "the virus scanner found something")
        if code != CLEAN:
            raise ServiceUnavailable("virus scanner", f"ended with code {code}")

    async def _exit_code(self, path: str) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                path,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # so that what the command starts ends with it
            )
        except OSError as exc:
            raise ServiceUnavailable("virus scanner", "cannot be started") from exc
        try:
            async with asyncio.timeout(self._timeout_s):
                return await process.wait()
        except TimeoutError as exc:
            raise ServiceUnavailable("virus scanner", f"no answer in {self._timeout_s:g} s") from exc
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _write(content: bytes) -> str:
    descriptor, path = tempfile.mkstemp(prefix="frontdesk-scan-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        os.unlink(path)
        raise
    return path
