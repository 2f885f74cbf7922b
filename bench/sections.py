"""What a part of the suite hands back: rows of numbers with what they are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

TEXTS = (
    "你好，我的订单 2391 还没到，能帮我查一下吗？",
    "Hello, where is my order 2391? It should have arrived on Friday.",
    "请问你们周末几点开门",
    "I would like to return the kettle, it leaks.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `limit` with `at_most`/`at_least` says what it is held against; None: for comparison only."""

    what: str
    value: float | None
    unit: str
    limit: float | None = None
    kind: Literal["at_most", "at_least"] = "at_most"
    note: str = ""

    @property
    def holds(self) -> bool | None:
        if self.limit is None or self.value is None:
            return None
        return self.value <= self.limit if self.kind == "at_most" else self.value >= self.limit


@dataclass(slots=True)
class Section:
    """`skipped` says why nothing was measured and how to get it measured."""

    name: str
    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    skipped: str = ""

    def add(self, what: str, value: float | None, unit: str, **more: Any) -> None:
        self.rows.append(Row(what, value, unit, **more))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "rows": [{**asdict(row), "holds": row.holds} for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where and how long to measure. `template` is a folder with a store whose model is trained."""

    work: Path
    template: Path
    repeats: int
    seconds: float
    quick: bool
    say: Callable[[str], None]
