"""Every method of the desk that acts for somebody of the staff, found in the code, and called with something likely."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import desk
from bot.edited_texts import EditedText
from crm_sync.database import Database
from desk.actors import Actor
from desk.booking import Booking
from desk.broadcast_preflight import PreflightDesk
from desk.case_opening import NewCase
from desk.customers import RecordChange
from desk.paging import write_cursor
from desk.report_types import Drill, ReportQuery
from desk.segments import SegmentDesk
from desk.sites import SiteFields
from desk.wording import ArticleText
from frontdesk.signals import LocalSignals
from tests.broadcast_steps import DOCUMENT, decisions
from tests.library import SampleLibrary
from tests.staff import policy
from tests.staff_steps import an_outside
from tests.store_steps import SECRET_KEYS, START, SetClock

PLAIN: Mapping[Any, Any] = {
    int: 1,
    str: "words",
    Any: "words",
    bool: True,
    bytes: b"x",
    datetime: START + timedelta(hours=1),
    EditedText: EditedText("words"),
}
# What a parameter of this name is given, where its type says too little.
LIKELY: Mapping[str, Any] = {
    "assistant": "shop",
    "language": "en",
    "channel": "narrow",
    "number": "C-1024-7",
    "query": ReportQuery(date(2026, 11, 1), date(2026, 11, 8)),
    "drill": Drill("case", "opened"),
    "draft": ArticleText("Title", "Answer"),
    "remedy": "replaced",
    "cause": "defect",
    "severity": 2,
    "until": START + timedelta(hours=1),
    "send_at": START + timedelta(hours=1),
    "state": "online",
    "since": START - timedelta(days=1),
    "now": START,
    "screen": "inbox",
    "wanted": {"list": "all"},
    "subject": "case:1",
    "permissions": ("cases.read",),
    "role": "viewer",
    "cursor": "",
    "newest": write_cursor("1:1", 0, 0),
    "seen": 0,
    "document": DOCUMENT,
    "definition": {"field": "language", "is": "zh"},
    "file": Path("nowhere.csv"),
}
# Parameters that have a default and are given all the same, because the method asks for one of them.
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "CaseDesk.assign": {"owner": "li"},
    "CaseDesk.explain": {"cause": "defect"},
    "CaseOpening.open": {"wanted": NewCase("complaint", "it is late")},
    "AccountDesk.add": {"role": "viewer"},
    "HandoffDesk.transfer": {"team": "service"},
    "AudienceDesk.snapshot": {"where": {"all": []}},
    "KnowledgeDesk.publish": {"seen": {"en": 0}},
    "CustomerDesk.change": {"wanted": RecordChange({"name": "Ann"})},
    "SiteDesk.put": {"wanted": SiteFields({"en": "Baoding Road"})},
    "BookingDesk.book": {"wanted": Booking()},
}


class SameWords:
    """Implements `desk.helping.Translator` for readers of every language."""

    async def translate(self, text: str, *, to: str) -> str:
        return text


def found() -> Iterator[tuple[str, type | None, Callable[..., Any]]]:
    """(name as in desk.actions, its class or None, the function) of each."""
    for module_info in pkgutil.iter_modules([str(Path(desk.__file__).parent)]):
        module = importlib.import_module(f"desk.{module_info.name}")
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
                continue
            if inspect.isclass(thing):
                for method_name, method in vars(thing).items():
                    if inspect.isfunction(method) and not method_name.startswith("_") and _acts(method):
                        yield f"{name}.{method_name}", thing, method
            elif inspect.isfunction(thing) and _acts(thing) and "database" in inspect.signature(thing).parameters:
                yield f"{module_info.name}.{name}", None, thing


def _acts(function: Callable[..., Any]) -> bool:
    return any(parameter.annotation == "Actor" for parameter in inspect.signature(function).parameters.values())


def service(kind: type, database: Database) -> Any:
    """The service on this store, with stand-ins for what is outside."""
    clock = SetClock()
    parts = {
        "database": database,
        "policy": policy,
        "clock": clock,
        "signals": LocalSignals(),
        "outside": an_outside(clock, library=None),
        "library": SampleLibrary(),
        "assistant": "shop",
        "timezone": lambda: "Asia/Shanghai",
        "keys": SECRET_KEYS,
        "translator": SameWords(),
        "link": lambda offered: f"https://desk.example/site/{offered.task_id}",
        "knowledge": lambda channel, account: None,  # an empty store has no conversation that asks
    }
    parts["decisions"] = decisions
    parts["segments"] = SegmentDesk(database, policy, clock, lambda: "Asia/Shanghai")
    parts["zone"] = ZoneInfo("Asia/Shanghai")
    parts["preflights"] = PreflightDesk(database, an_outside(clock, library=None), decisions)
    parameters = list(inspect.signature(kind).parameters.values())
    needed = {each.name for each in parameters if each.default is inspect.Parameter.empty} | {"translator"}
    return kind(**{each.name: parts[each.name] for each in parameters if each.name in needed})


async def call(name: str, kind: type | None, function: Callable[..., Any], database: Database, actor: Actor) -> None:
    """The method is asked to act for this actor."""
    hints = typing.get_type_hints(function)
    values: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        given = GIVEN.get(name, {})
        if parameter.name == "self" or (
            parameter.default is not inspect.Parameter.empty and parameter.name not in given
        ):
            continue
        values[parameter.name] = (
            given[parameter.name] if parameter.name in given else _likely(parameter.name, hints[parameter.name])
        )
    values |= {name: value for name, value in (("actor", actor), ("database", database)) if name in values}
    bound = function if kind is None else getattr(service(kind, database), function.__name__)
    answer = bound(**values)
    if inspect.isawaitable(answer):
        await answer


def _likely(name: str, hint: Any) -> Any:
    if hint in (Actor, Database):
        return None  # filled in by who calls
    if name in LIKELY and not (name == "seen" and hint is not int):
        return LIKELY[name]
    if hint in PLAIN:
        return PLAIN[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return _likely(name, inner[0])
    if isinstance(origin, type) and inner:
        return {"name": PLAIN[inner[1]]} if issubclass(origin, Mapping) else (PLAIN[inner[0]],)
    return hint()  # a dataclass with defaults
