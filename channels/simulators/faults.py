"""What may go wrong between us and a vendor, planned call by call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

CALL_FAULTS: Final = {
    "drop_request": "the connection breaks before the call is carried out",
    "drop_answer": "the call is carried out and the connection breaks before the answer",
    "late_answer": "the call is carried out and answered after `seconds`",
    "error_500": "HTTP 500 with a JSON answer, nothing carried out",
    "error_502": "HTTP 502 with an HTML page, after the call was carried out",
    "error_503": "HTTP 503, nothing carried out",
    "rate_limited": "HTTP 429 with retry_after = `seconds`",
    "odd_answer": "HTTP 200 with a result that lacks most of its fields, after the call was carried out",
    "unreadable_answer": "HTTP 200 with a body that is no JSON, after the call was carried out",
    "unparsable": "HTTP 400 that says the message's entities cannot be parsed (Telegram), nothing carried out",
    "errcode": "HTTP 200 with the errcode `code` (Tencent's vendors), nothing carried out",
}
UPDATE_FAULTS: Final = {
    "malformed_update": "an update of the wrong shape in the middle of the next ones",
    "broken_json": "an update that is no JSON in the middle of the next ones",
    "duplicate_update": "the next update is delivered twice",
    "reorder_updates": "the next updates come last first",
    "lost_callback": "a callback never reaches us",
    "lost_reply": "our answer to a callback, with the passive reply in it, is lost: WeChat delivers again",
    "empty_page": "a page of 微信客服 messages comes empty, with more behind it",
}
_OF_SOME: Final = frozenset({"errcode", "unparsable"})  # of the call faults, those that only some vendors have


def kinds_with(*more: str) -> dict[str, str]:
    """The faults of every vendor's calls and these `more`, each with what it means."""
    known = {**CALL_FAULTS, **UPDATE_FAULTS}
    return {name: told for name, told in CALL_FAULTS.items() if name not in _OF_SOME} | {n: known[n] for n in more}


@dataclass(slots=True)
class Fault:
    """`kind` happens to the next `times` fitting calls after `after` fitting ones went well."""

    kind: str
    method: str = ""  # Bot API method, or path below /cgi-bin/; empty: any
    times: int = 1
    after: int = 0
    seconds: float = 1.0
    code: int = -1  # of an errcode

    def __post_init__(self) -> None:
        if self.kind not in CALL_FAULTS and self.kind not in UPDATE_FAULTS:
            known = ", ".join((*CALL_FAULTS, *UPDATE_FAULTS))
            raise ValueError(f"unknown fault {self.kind!r}; there are {known}")

    @classmethod
    def from_json(cls, found: Mapping[str, Any], kinds: Collection[str]) -> Fault:
        """Raises: ValueError, TypeError for an object that is no fault, or none of `kinds`, which this vendor has."""
        fault = cls(**found)
        if fault.kind not in kinds:
            raise ValueError(f"{fault.kind!r} does not happen here; there are {', '.join(kinds)}")
        numbers = (fault.seconds, fault.times, fault.after, fault.code)
        if not isinstance(fault.method, str) or not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("method is a text; seconds, times, after and code are numbers")
        return fault


class FaultPlan:
    """Faults still to come, taken in the order they were planned."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        self._planned.append(fault)

    def clear(self) -> None:
        self._planned.clear()

    def for_call(self, method: str) -> Fault | None:
        """The fault of this call, which is used up by asking."""
        return self._take(lambda fault: fault.kind in CALL_FAULTS and fault.method in {"", method})

    def for_updates(self, *kinds: str) -> Fault | None:
        return self._take(lambda fault: fault.kind in kinds)

    def _take(self, fits: Any) -> Fault | None:
        for fault in self._planned:
            if not fits(fault):
                continue
            if fault.after > 0:
                fault.after -= 1
                return None
            fault.times -= 1
            if fault.times <= 0:
                self._planned.remove(fault)
            return fault
        return None
