"""Every flow of the sample assistant is laid out without overlaps and drawn as SVG that says what it shows."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bot.assistant import Assistant
from bot.errors import NotFound, NotPermitted
from bot.flows import END, parse_flows
from desk.actors import Actor
from desk.flow_layout import HEIGHT, WIDTH, FlowGraph
from desk.flow_pictures import START, flow_graph, flow_svg, list_flows
from tests.builders import shop

SVG = "{http://www.w3.org/2000/svg}"
ANN = Actor("ann", "operator")
FLOWS = sorted(shop().flows)


def drawn(graph: FlowGraph) -> ET.Element:
    return ET.fromstring(flow_svg(graph, "en"))


def with_flow(**flow: object) -> Assistant:
    base = shop()
    flows = {**base.flows, **parse_flows({"flows": {"test": {"description": "d", **flow}}})}
    return Assistant(**{**{name: getattr(base, name) for name in base.__dataclass_fields__}, "flows": flows})


@pytest.mark.parametrize("flow_id", FLOWS)
def test_every_step_has_a_place_of_its_own_inside_the_picture(flow_id: str) -> None:
    graph = flow_graph(ANN, shop(), flow_id, "en")
    places = [(node.x, node.y) for node in graph.nodes]
    assert {node.id for node in graph.nodes} >= {START, *shop().flows[flow_id].steps}
    for at, (x, y) in enumerate(places):
        assert 0 <= x <= graph.width - WIDTH
        assert 0 <= y <= graph.height - HEIGHT
        for other_x, other_y in places[at + 1 :]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
    assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= {node.id for node in graph.nodes}
    assert all(edge.is_back == (graph.node(edge.target).y <= graph.node(edge.source).y) for edge in graph.edges)


@pytest.mark.parametrize("flow_id", FLOWS)
def test_every_flow_is_drawn_well_formed_and_always_the_same(flow_id: str) -> None:
    graph = flow_graph(ANN, shop(), flow_id, "zh")
    assert flow_svg(graph, "zh") == flow_svg(flow_graph(ANN, shop(), flow_id, "zh"), "zh")
    root = drawn(graph)
    assert len(root.findall(f".//{SVG}rect")) == len(graph.nodes)
    assert len(list(root.findall(f"{SVG}path"))) == len(graph.edges)
    assert root.findtext(f"{SVG}title") == graph.title
    assert "→" in str(root.findtext(f"{SVG}desc"))


def test_conditions_are_on_their_way_and_what_goes_back_up_says_so() -> None:
    flow = with_flow(
        steps=[
            {"id": "ask", "collect": "order_number"},
            {
                "id": "choose",
                "noop": True,
                "next": [{"if": "slots.order_number = 'x<y'", "then": "ask"}, {"else": "END"}],
            },
        ]
    )
    graph = flow_graph(ANN, flow, "test", "en")
    ways = {(edge.source, edge.target): edge for edge in graph.edges}
    assert ways["choose", "ask"].is_back
    assert ways["choose", END].is_else
    assert "x<y" in ways["choose", "ask"].label
    shown = "\n".join("".join(text.itertext()) for text in drawn(graph).iter(f"{SVG}text"))
    assert "x<y" in shown
    assert "otherwise" in shown


def test_words_of_the_business_stay_words() -> None:
    flow = with_flow(name="<script>alert(1)</script> \x00", steps=[{"action": "utter_greet"}])
    root = drawn(flow_graph(ANN, flow, "test", "en"))
    assert not list(root.iter(f"{SVG}script"))
    assert "<script>" in str(root.findtext(f"{SVG}title"))
    themed = flow_svg(flow_graph(ANN, flow, "test", "en"), "en", {"accent": '"><script>'})
    assert not list(ET.fromstring(themed).iter(f"{SVG}script"))


def test_flows_are_listed_by_title_and_only_for_who_may_read_them() -> None:
    titles = [title for _, title in list_flows(ANN, shop(), "en")]
    assert titles == sorted(titles, key=str.casefold)
    assert len(titles) == len(FLOWS)
    with pytest.raises(NotPermitted):
        list_flows(Actor("aud", "auditor"), shop(), "en")
    with pytest.raises(NotFound):
        flow_graph(ANN, shop(), "no_such_flow", "en")
