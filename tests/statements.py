"""SQL compiled once per process: each test opens a store of its own, and compiling its statements took longer than
running them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

KEPT = 2_000  # the whole code base has fewer


class _Statements(LRUCache[Any, Any]):
    """Compiled statements by the name of the dialect: engines of one process set their dialects up alike."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_by_name(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_by_name(key), value)


def _by_name(key: Any) -> Any:
    dialect, *rest = key
    return (dialect.name, *rest)


_STATEMENTS = _Statements(KEPT)


def share_compiled_statements() -> None:
    """From now on an engine finds what an earlier one of this process has compiled."""
    if not event.contains(Engine, "engine_connect", _share):
        event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_STATEMENTS)
