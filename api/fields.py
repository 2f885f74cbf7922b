"""Types of what comes in: every number fits the store, every text has an end, and none holds what cannot be stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

BIGGEST: Final = 2**63 - 1
LONGEST_TEXT: Final = 20_000  # characters of one text
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def _storable(text: Any) -> Any:
    if isinstance(text, str) and ("\0" in text or any("\ud800" <= char <= "\udfff" for char in text)):
        raise PydanticCustomError("characters", "holds a NUL or half of a surrogate pair")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        there = moment.astimezone(UTC)
    except OverflowError as exc:
        raise PydanticCustomError("time_range", "is out of range") from exc
    if not _FIRST_YEAR <= there.year <= _LAST_YEAR:
        raise PydanticCustomError("time_range", "lies before 1970 or after 2200")
    return there


def _written(value: Any) -> Any:
    if isinstance(value, int | float):
        raise PydanticCustomError("time_form", "write a time as 2026-03-02T10:00:00+08:00")
    return value


_Storable = BeforeValidator(_storable)
Id = Annotated[int, Field(ge=1, le=BIGGEST)]
Name = Annotated[str, _Storable, Field(min_length=1, max_length=200)]
MaybeName = Annotated[str, _Storable, Field(max_length=200)]
Words = Annotated[str, _Storable, Field(min_length=1, max_length=4000)]
MaybeWords = Annotated[str, _Storable, Field(max_length=4000)]
LongText = Annotated[str, _Storable, Field(min_length=1, max_length=LONGEST_TEXT)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]


class Given(BaseModel):
    """A body: what it does not name is refused, so that nothing is set by accident or by guessing."""

    model_config = ConfigDict(extra="forbid", strict=False, str_strip_whitespace=False)


class Shown(BaseModel):
    """Part of an answer, read from an object of the desk."""

    model_config = ConfigDict(from_attributes=True)
