"""The one place that reads the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(UTC)
