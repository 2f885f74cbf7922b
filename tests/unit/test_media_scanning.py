"""The virus scanner: any program, always answered for in time, and nothing of the file is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import FileRefused, Misconfigured, ServiceUnavailable
from crm_sync.media.scanning import Scanner


def _script(folder: Path, text: str) -> str:
    path = folder / "scan"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def _seen(folder: Path) -> Path:
    """The file the scanner was given."""
    return Path((folder / "seen").read_text().strip())


async def test_a_scanner_that_never_answers_is_ended_with_all_it_started(tmp_path: Path) -> None:
    command = _script(tmp_path, f'echo "$1" > {tmp_path}/seen; sleep 1000 & wait')
    with pytest.raises(ServiceUnavailable):
        await Scanner(command, timeout_s=0.5).look(b"content")
    assert not _seen(tmp_path).exists()


@pytest.mark.parametrize(("code", "error"), [(1, FileRefused), (2, ServiceUnavailable), (126, ServiceUnavailable)])
async def test_the_file_is_gone_whatever_the_scanner_says(tmp_path: Path, code: int, error: type[Exception]) -> None:
    command = _script(tmp_path, f'echo "$1" > {tmp_path}/seen; exit {code}')
    with pytest.raises(error):
        await Scanner(command).look(b"content")
    assert not _seen(tmp_path).exists()


async def test_the_file_is_for_the_scanner_alone(tmp_path: Path) -> None:
    await Scanner(_script(tmp_path, f'stat -c %a "$1" > {tmp_path}/mode')).look(b"content")
    assert (tmp_path / "mode").read_text().strip() == "600"


def test_a_command_that_cannot_be_read_is_named() -> None:
    with pytest.raises(Misconfigured):
        Scanner("scan 'unfinished")
