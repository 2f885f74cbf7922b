"""Forms whose parts can be added and taken away: fields by name, such as v0.text.en, as they were sent or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.datastructures import FormData

_LONGEST: Final = 20_000


class Fields(dict[str, list[str]]):
    """Name -> values; what is not there is ""."""

    @classmethod
    def sent(cls, form: FormData) -> Fields:
        found = cls()
        for name, value in form.multi_items():
            if isinstance(value, str):
                found.setdefault(name, []).append(value.replace("\r\n", "\n")[:_LONGEST])
        return found

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Fields:
        """None and "" are left out; a list is several values of one name."""
        found = cls()
        for name, value in values.items():
            if isinstance(value, list | tuple):
                found[name] = [str(each) for each in value]
            elif value is not None and value != "":
                found[name] = [str(value)]
        return found

    def text(self, name: str) -> str:
        values = self.get(name)
        return values[0].strip() if values else ""

    def all(self, name: str) -> list[str]:
        return [value for value in self.get(name, ()) if value]

    def count(self, stem: str, key: str, most: int) -> int:
        """How many parts there are: v0.name, v1.name … are two of stem "v" and key "name"."""
        return next((n for n in range(most) if f"{stem}{n}.{key}" not in self), most)

    def under(self, prefix: str) -> Iterable[str]:
        return [name for name in self if name.startswith(prefix)]

    def without(self, stem: str, index: int) -> Fields:
        """The part is gone, those behind it move up."""
        found = Fields()
        pattern = re.compile(rf"{re.escape(stem)}(\d+)(\..*)")
        for name, values in self.items():
            match = pattern.fullmatch(name)
            if match is None or int(match[1]) < index:
                found[name] = values
            elif int(match[1]) > index:
                found[f"{stem}{int(match[1]) - 1}{match[2]}"] = values
        return found
