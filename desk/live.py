"""Telling open consoles that something changed. Hints only: whoever listens reads again, and sweeps as well."""

from __future__ import annotations

from typing import Any

from bot.ports import TOPIC_DESK, Signals


def tell(signals: Signals, conversation_id: int, kind: str, **more: Any) -> None:
    """Consoles that show the conversation hear of it."""
    signals.publish(TOPIC_DESK, {"conversation_id": conversation_id, "kind": kind, **more})
