"""The one place that reads the wall clock, and a clock for playing through what takes days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SystemClock:
    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(UTC)


class MovableClock:
    """Stands still until it is moved: for conversations that are played through in no time."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Aware, UTC."""
        return self._at

    def set(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def advance(self, length: timedelta) -> None:
        self._at += length
