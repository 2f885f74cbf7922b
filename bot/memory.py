"""What a dialogue remembers between turns: a JSON document with a version number, read without trust.

Anything unreadable (an older or newer form, a corrupted row) is an empty memory, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from bot.flows import SlotValue
from bot.frozen import value

VERSION = 1
MAX_FRAMES = 5  # flows interrupted by flows; the oldest is dropped beyond
MAX_LATER = 3  # requests of one message waiting for their turn
MAX_OFFERED = 100  # as many as any channel shows at once
MAX_MEDIA = 10
MAX_TEXT = 2000  # characters of one remembered value; the message itself is stored in full elsewhere


@dataclass
class Frame:
    """A running flow. `asked` is the slot whose question is open; `given` the slots the customer gave in this flow."""

    flow: str
    version: str
    step: str
    slots: dict[str, SlotValue] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    asked: str = ""
    tries: int = 0
    is_called: bool = False
    is_patient: bool = False  # begun by a notice: its question waits for days, since nobody was there when it was put

    def to_json(self) -> dict[str, Any]:
        return {
            "flow": self.flow, "version": self.version, "step": self.step, "slots": dict(self.slots),
            "given": list(self.given), "asked": self.asked, "tries": self.tries, "called": self.is_called,
            **({"patient": True} if self.is_patient else {}),
        }  # fmt: skip


@value
class Offered:
    """A button the customer saw last; its place in the list is the number that may be typed."""

    label: str
    value: str


@dataclass
class Memory:
    """`question` is one of the dialogue's own (cancel, resume, person); `shared` slots outlive their flow."""

    stack: list[Frame] = field(default_factory=list)
    frozen: list[Frame] = field(default_factory=list)  # flows put aside while a person is awaited
    shared: dict[str, SlotValue] = field(default_factory=dict)
    offered: list[Offered] = field(default_factory=list)
    question: str = ""
    held: SlotValue = None  # the value that came for a stale flow, while we ask whether to resume it
    later: list[dict[str, Any]] = field(default_factory=list)
    unclear: dict[str, Any] = field(default_factory=dict)  # the message before, when it was asked what it is about
    fallbacks: int = 0
    queued: int = 0  # messages since the customer began to wait for a person
    media: list[dict[str, str]] = field(default_factory=list)
    start: str = ""  # payload of the link the customer came through
    album: str = ""  # the messages sent as one that were answered last
    article: str = ""  # id of the article that was the last answer
    at: datetime | None = None

    @property
    def top(self) -> Frame | None:
        return self.stack[-1] if self.stack else None

    def to_json(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "stack": [frame.to_json() for frame in self.stack],
            "frozen": [frame.to_json() for frame in self.frozen],
            "shared": dict(self.shared),
            "offered": [[offer.label, offer.value] for offer in self.offered],
            "question": self.question,
            "held": self.held,
            "later": list(self.later),
            "unclear": dict(self.unclear),
            "fallbacks": self.fallbacks,
            "queued": self.queued,
            "media": list(self.media),
            "start": self.start,
            **({"album": self.album} if self.album else {}),
            **({"article": self.article} if self.article else {}),
            "at": self.at.isoformat() if self.at else "",
        }


def recall(document: Any) -> Memory:
    """The memory in a stored document; an empty one when it cannot be read as this version."""
    memory = Memory()
    if not isinstance(document, Mapping) or document.get("v") != VERSION:
        return memory
    for name, read in _READERS.items():
        if stored := document.get(name):  # of most conversations nearly all is empty
            setattr(memory, name, read(stored))
    memory.held = _value(document.get("held"))  # False is a value
    return memory


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return min(value, 1_000_000) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _value(value: Any) -> SlotValue:
    return value if isinstance(value, str | bool | int | float) else None


def _slots(value: Any) -> dict[str, SlotValue]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): _value(item) for name, item in value.items()}


def _frames(value: Any) -> list[Frame]:
    found = []
    for item in _list(value)[-MAX_FRAMES:]:
        if isinstance(item, Mapping) and _text(item.get("flow")) and _text(item.get("step")):
            found.append(
                Frame(
                    flow=_text(item.get("flow")),
                    version=_text(item.get("version")),
                    step=_text(item.get("step")),
                    slots=_slots(item.get("slots")),
                    given=[name for name in _list(item.get("given")) if isinstance(name, str)],
                    asked=_text(item.get("asked")),
                    tries=_count(item.get("tries")),
                    is_called=item.get("called") is True,
                    is_patient=item.get("patient") is True,
                )
            )
    return found


def _offers(value: Any) -> list[Offered]:
    return [Offered(*pair) for pair in _list(value) if _is_pair(pair)][:MAX_OFFERED]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, str) for each in value)


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [dict(item) for item in _list(value) if isinstance(item, Mapping)]


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "stack": _frames,
    "frozen": _frames,
    "shared": _slots,
    "offered": _offers,
    "question": _text,
    "later": lambda value: _mappings(value)[:MAX_LATER],
    "unclear": lambda value: dict(value) if isinstance(value, Mapping) else {},
    "fallbacks": _count,
    "queued": _count,
    "media": lambda value: [{str(key): str(each) for key, each in item.items()} for item in _mappings(value)][
        -MAX_MEDIA:
    ],
    "start": lambda value: _text(value)[:MAX_TEXT],
    "album": lambda value: _text(value)[:MAX_TEXT],
    "article": lambda value: _text(value)[:MAX_TEXT],
    "at": _moment,
}
