"""Everything a stand-in vendor saw, in order; optionally in a file that outlives the process under test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

Entry = Mapping[str, Any]


class Ledger:
    """Entries are plain JSON objects with `n` (from 1), `at` (ISO 8601, UTC) and `kind`."""

    def __init__(self, file: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file: BinaryIO | None = file.open("ab") if file else None

    def add(self, kind: str, at_unix_s: float, **fields: Any) -> None:
        at = datetime.fromtimestamp(at_unix_s, UTC).isoformat(timespec="microseconds")
        entry = {"n": len(self._entries) + 1, "at": at, "kind": kind, **fields}
        self._entries.append(entry)
        if self._file:
            self._file.write(orjson.dumps(entry) + b"\n")
            self._file.flush()

    def entries(self, kind: str = "", **having: Any) -> list[Entry]:
        """Entries of this kind (all kinds when empty) whose fields have these values."""
        return [
            entry
            for entry in self._entries
            if (not kind or entry["kind"] == kind) and all(entry.get(name) == value for name, value in having.items())
        ]

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
