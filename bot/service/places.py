"""Places on the earth: coordinates that can be believed, how far apart two are, and a link that shows one on a map."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

EARTH_RADIUS_M = 6_371_009  # mean radius (IUGG)
LATITUDE, LONGITUDE = "latitude", "longitude"
# Opens without an account or an app; a business may name another one with the same placeholders.
MAP_LINK = "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}"
_NEAR_NULL = 0.01  # degrees around 0, 0 in the open sea, where devices that know nothing say they are
_PAIR = re.compile(
    r"\((-?\d{1,3}(?:\.\d+)?), ?(-?\d{1,3}(?:\.\d+)?)\)\s*$|^(-?\d{1,3}(?:\.\d+)?), ?(-?\d{1,3}(?:\.\d+)?)$"
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place on the earth in degrees (WGS 84). Made by `position`, so it can be believed."""

    latitude: float
    longitude: float


def wrong_with(latitude: Any, longitude: Any) -> str:
    """Why these coordinates cannot be believed; "" when they can.

    not_a_number; out_of_range; suspicious: so close to 0, 0 that a device without a fix said it.
    """
    values = []
    for value in (latitude, longitude):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return "not_a_number"
        try:
            values.append(float(value))
        except (ValueError, OverflowError):
            return "not_a_number"
    if not all(math.isfinite(value) for value in values):
        return "not_a_number"
    if abs(values[0]) > 90 or abs(values[1]) > 180:
        return "out_of_range"
    return "suspicious" if max(map(abs, values)) < _NEAR_NULL else ""


def position(latitude: Any, longitude: Any) -> Position | None:
    """The place with these coordinates; None when they are missing or cannot be believed."""
    return None if wrong_with(latitude, longitude) else Position(float(latitude), float(longitude))


def position_of(facts: Mapping[str, Any]) -> Position | None:
    """The place in attributes of a record that are called latitude and longitude."""
    return position(facts.get(LATITUDE), facts.get(LONGITUDE))


def position_in(words: str) -> Position | None:
    """The place in the answer to a question for one, as a shared location fills it: `name (31.23, 121.47)`."""
    match = _PAIR.search(words.strip())
    return position(match[1] or match[3], match[2] or match[4]) if match else None


def distance_m(one: Position, other: Position) -> int:
    """Metres between two places along the surface (haversine: within 0.6 % of the real earth)."""
    lat_one, lat_other = math.radians(one.latitude), math.radians(other.latitude)
    half_lat = math.sin((lat_other - lat_one) / 2)
    half_lon = math.sin(math.radians(other.longitude - one.longitude) / 2)
    chord = half_lat**2 + math.cos(lat_one) * math.cos(lat_other) * half_lon**2
    return round(2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord))))


def map_link(place: Position, name: str = "", *, template: str = MAP_LINK) -> str:
    """An address that shows the place; `template` may hold {latitude}, {longitude} and {name}."""
    return (
        template.replace("{latitude}", f"{place.latitude:.6f}")
        .replace("{longitude}", f"{place.longitude:.6f}")
        .replace("{name}", quote(name, safe=""))
    )
