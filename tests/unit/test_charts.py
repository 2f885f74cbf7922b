"""Charts are well-formed SVG that says what it shows, escapes what people wrote, and tells no lies about sizes."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.charts import Bar, Effect, LineSeries, bar_chart, effect_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert("1")</script> & \x00\ud800 "双引号"'


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def words(root: ET.Element) -> str:
    return "\n".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))


def test_a_line_has_a_point_for_each_value_and_a_grey_one_for_the_time_before() -> None:
    days = ["03-02", "03-03", "03-04"]
    svg = line_chart(days, [LineSeries("Chats", [1, 4, 2], [2, 2, 2])], title="Volume", before_name="Week before")
    root = parsed(svg)
    before, now = root.findall(f"{SVG}polyline")
    assert len(now.attrib["points"].split()) == 3
    assert "stroke-dasharray" in before.attrib
    assert "muted" in before.attrib["stroke"]
    assert "accent" in now.attrib["stroke"]
    assert {"Chats", "Week before", *days} <= set(words(root).splitlines())
    heights = [float(point.split(",")[1]) for point in now.attrib["points"].split()]
    assert heights[1] < heights[2] < heights[0]  # higher is further up


def test_what_is_counted_has_no_halves_on_its_axis() -> None:
    for most in (1, 2, 3, 5, 7, 11, 1000):
        drawn = line_chart(
            ["Mon", "Tue"], [LineSeries("n", [0, most])], title="t", say=lambda value: f"<{value:g}>", is_whole=True
        )
        said = {float(each) for each in re.findall(r"&lt;([\d.e+]+)&gt;", drawn)}
        assert max(said) >= most
        assert all(each.is_integer() for each in said), most
        assert len(said) <= 6


def test_a_gap_is_no_line_and_a_single_value_is_a_dot() -> None:
    root = parsed(line_chart(["a", "b", "c", "d"], [LineSeries("x", [1, 2, None, 3])], title="t"))
    assert [len(line.attrib["points"].split()) for line in root.findall(f"{SVG}polyline")] == [2]
    assert len(root.findall(f"{SVG}circle")) == 1


def test_every_chart_says_in_words_what_it_shows() -> None:
    for svg in (
        line_chart(
            ["Mon", "Tue"], [LineSeries("Chats", [3, 5])], title="Volume", say=lambda value: f"{value:.0f} chats"
        ),
        bar_chart([Bar("Web", 5)], title="Volume", say=lambda value: f"{value:.0f} chats"),
        effect_chart([Effect("Web", 5, 1, 9)], title="Volume", say=lambda value: f"{value:.0f} chats"),
    ):
        root = parsed(svg)
        assert root.attrib["role"] == "img"
        assert root.findtext(f"{SVG}title") == "Volume"
        assert "5 chats" in str(root.findtext(f"{SVG}desc"))


def test_bars_begin_at_zero_and_are_as_long_as_their_value() -> None:
    root = parsed(bar_chart([Bar("Web", 10, before=5), Bar("Telegram", 5), Bar("None", 0)], title="t"))
    rects = root.findall(f"{SVG}rect")
    lengths = [float(rect.attrib["width"]) for rect in rects]
    assert lengths[0] == pytest.approx(2 * lengths[1])
    assert lengths[2] == 0
    (mark,) = root.findall(f"{SVG}line")
    start = float(rects[0].attrib["x"])
    assert float(mark.attrib["x1"]) - start == pytest.approx(lengths[1])


def test_an_effect_is_a_dot_inside_its_interval_and_the_line_of_no_effect_is_shown() -> None:
    root = parsed(effect_chart([Effect("up", 2, 1, 3), Effect("down", -2, -3, -1)], title="t"))
    none, first, _ = root.findall(f"{SVG}line")
    dot = root.findall(f"{SVG}circle")[0]
    assert float(first.attrib["x1"]) < float(dot.attrib["cx"]) < float(first.attrib["x2"])
    assert float(none.attrib["x1"]) < float(first.attrib["x1"])


def test_what_people_wrote_stays_words() -> None:
    for svg in (
        line_chart([NASTY], [LineSeries(NASTY, [1])], title=NASTY, before_name=NASTY),
        bar_chart([Bar(NASTY, 1)], title=NASTY, say=lambda value: NASTY),
        effect_chart([Effect(NASTY, 1, 0, 2)], title=NASTY),
    ):
        root = parsed(svg)
        assert not list(root.iter(f"{SVG}script"))
        assert "<script>" in str(root.findtext(f"{SVG}title"))


def test_at_most_five_colours_are_used() -> None:
    series = [LineSeries(f"s{place}", [place, place + 1], [1, 1]) for place in range(4)]
    root = parsed(line_chart(["a", "b"], series, title="t", before_name="before"))
    assert len({line.attrib["stroke"] for line in root.findall(f"{SVG}polyline")}) == 5
    with pytest.raises(ValueError, match="at most"):
        line_chart(["a", "b"], [*series, LineSeries("s5", [1, 2])], title="t")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: line_chart(["a"], [LineSeries("x", [1, 2])], title="t"),
        lambda: bar_chart([Bar("x", -1)], title="t"),
        lambda: effect_chart([Effect("x", 5, 0, 1)], title="t"),
    ],
)
def test_values_that_would_lie_are_refused(draw: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        draw()  # type: ignore[operator]


def test_nothing_to_show_is_still_a_chart() -> None:
    for svg in (line_chart([], [], title="t"), bar_chart([], title="t"), effect_chart([], title="t")):
        assert parsed(svg).findtext(f"{SVG}title") == "t"


@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 1e12)), max_size=40),
    name=st.text(max_size=30),
)
def test_any_values_and_names_give_well_formed_pictures_inside_their_frame(
    values: list[float | None], name: str
) -> None:
    root = parsed(line_chart([name] * len(values), [LineSeries(name, values)], title=name))
    for line in root.findall(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            left, top = map(float, point.split(","))
            assert 0 <= left <= 720
            assert 0 <= top <= 240
