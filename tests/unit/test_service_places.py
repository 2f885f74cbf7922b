"""Coordinates: what can be believed, how far apart two are, and the link to a map."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.service.places import EARTH_RADIUS_M, Position, distance_m, map_link, position, position_in, wrong_with

PLACES = st.builds(
    Position,
    st.floats(-90, 90, allow_nan=False),
    st.floats(-180, 180, allow_nan=False),
)
SHANGHAI, BEIJING = Position(31.2304, 121.4737), Position(39.9042, 116.4074)


@pytest.mark.parametrize(
    ("latitude", "longitude", "reason"),
    [
        (38.874, 115.464, ""),
        ("38.874", "115.464", ""),
        (90, 180, ""),
        (-90.0, -180.0, ""),
        (0.0, 32.58, ""),
        (math.nan, 115.0, "not_a_number"),
        (38.0, math.inf, "not_a_number"),
        (None, 115.0, "not_a_number"),
        ("here", "there", "not_a_number"),
        (True, False, "not_a_number"),
        ([38.0], 115.0, "not_a_number"),
        (10**400, 1, "not_a_number"),
        (90.0001, 0.0, "out_of_range"),
        (115.464, 38.874, "out_of_range"),
        (10.0, -180.5, "out_of_range"),
        (0, 0, "suspicious"),
        (0.0001, -0.002, "suspicious"),
    ],
)
def test_coordinates_are_believed_only_where_somebody_can_be(latitude: object, longitude: object, reason: str) -> None:
    assert wrong_with(latitude, longitude) == reason
    assert (position(latitude, longitude) is None) == bool(reason)


def test_two_cities_are_as_far_apart_as_maps_say() -> None:
    assert distance_m(SHANGHAI, BEIJING) == pytest.approx(1_068_000, rel=0.005)


@given(PLACES, PLACES, PLACES)
def test_distance_is_a_distance(one: Position, other: Position, third: Position) -> None:
    assert distance_m(one, one) == 0
    assert distance_m(one, other) == distance_m(other, one)
    assert 0 <= distance_m(one, other) <= math.ceil(math.pi * EARTH_RADIUS_M)
    assert distance_m(one, third) <= distance_m(one, other) + distance_m(other, third) + 2  # metres are rounded


@given(st.floats(-90, 90, allow_nan=False))
def test_both_sides_of_the_date_line_are_neighbours(latitude: float) -> None:
    assert distance_m(Position(latitude, 179.9999), Position(latitude, -179.9999)) < 30


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("38.874000, 115.464000", Position(38.874, 115.464)),
        ("保定路 8 号 (3 楼), 保定 (38.874000, 115.464000)", Position(38.874, 115.464)),
        ("-33.9,18.4", Position(-33.9, 18.4)),
        ("somewhere (95.0, 200.0)", None),
        ("0.0, 0.0", None),
        ("二楼 (3, )", None),
        ("order 38.8, 115.4 please", None),
        ("", None),
    ],
)
def test_a_shared_place_is_read_back_from_the_answer_it_filled(words: str, found: Position | None) -> None:
    assert position_in(words) == found


def test_a_map_link_names_the_place_without_an_account() -> None:
    assert map_link(Position(38.874, 115.464)) == (
        "https://www.openstreetmap.org/?mlat=38.874000&mlon=115.464000#map=16/38.874000/115.464000"
    )
    own = map_link(Position(-1.5, 2), "保定路 & Co", template="https://maps.example/{name}?at={latitude},{longitude}")
    assert own == "https://maps.example/%E4%BF%9D%E5%AE%9A%E8%B7%AF%20%26%20Co?at=-1.500000,2.000000"
