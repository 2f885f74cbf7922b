"""The flow language: what parses, what is refused (with file and line), and that the published schema says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bot.errors import AssistantInvalid
from bot.flow_checks import check_flows
from bot.flows import END, Flow, parse_flows
from config.settings import SAMPLE_ASSISTANT
from frontdesk.yaml_lines import parse_yaml, read_yaml

SCHEMA = json.loads((Path(__file__).parents[2] / "config" / "flows.schema.json").read_text("utf-8"))


def flows_of(source: str) -> dict[str, Flow]:
    flows = parse_flows(parse_yaml(source.encode(), name="flows.yml"))
    check_flows(
        flows,
        intents={"order_status", "complaint"},
        slots={"order_number", "wish", "since"},
        responses={"utter_ask_order_number", "utter_ask_wish", "utter_ask_since", "utter_hello", "utter_wrong"},
        actions={"action_look"},
    )
    return flows


def flow_with(steps: str, head: str = "") -> str:
    return f"flows:\n  one:\n    description: a flow\n{head}    steps:\n{steps}"


def test_a_flow_keeps_its_steps_in_order_and_falls_through_to_the_next() -> None:
    flow = flows_of(flow_with("    - collect: order_number\n    - id: look\n      action: action_look\n"))["one"]
    first, second = flow.steps.values()
    assert (first.kind, first.target, first.utter) == ("collect", "order_number", "utter_ask_order_number")
    assert first.next[0].target == "look"
    assert second.next[0].target == END


def test_the_version_changes_with_the_content_only() -> None:
    one = flows_of(flow_with("    - collect: wish\n"))["one"]
    same = flows_of("# a remark\n" + flow_with("    - collect: wish\n"))["one"]
    other = flows_of(flow_with("    - collect: since\n"))["one"]
    assert one.version == same.version
    assert one.version != other.version


@pytest.mark.parametrize(
    ("steps", "line", "reason"),
    [
        ("    - collect: wish\n      ask: hello\n", 6, "unknown key 'ask'"),
        ("    - collect: unknown\n", 5, "collects unknown slot 'unknown'"),
        ("    - collect: wish\n      utter: utter_missing\n", 5, "unknown response 'utter_missing'"),
        ("    - action: action_missing\n", 5, "unknown action 'action_missing'"),
        ("    - action: utter_missing\n", 5, "unknown action 'utter_missing'"),
        ("    - link: two\n", 5, "unknown flow 'two'"),
        ("    - call: one\n", 2, "calls or links itself in a circle"),
        ("    - collect: wish\n      next: nowhere\n", 6, "no step 'nowhere'"),
        ("    - collect: wish\n      next:\n      - if: slots.wish = 1\n        then: END\n", 6, "must end with else"),
        ("    - collect: wish\n      next:\n      - else: END\n      - else: END\n", 8, "nothing may follow else"),
        ("    - collect: wish\n      action: action_look\n", 5, "exactly one of"),
        ("    - id: END\n      noop: true\n", 5, "is no step id"),
        ("    - id: a\n      noop: true\n    - id: a\n      noop: true\n", 7, "used twice"),
        ("    - noop: true\n      next: END\n    - collect: wish\n", 7, "can never be reached"),
        ("    - id: a\n      noop: true\n    - noop: true\n      next: a\n", 5, "never ask anything"),
        (
            "    - collect: wish\n      next:\n      - if: slots.nothing\n        then: END\n      - else: END\n",
            5,
            "unknown slot",
        ),
        (
            "    - collect: wish\n      rejections:\n      - if: 'slots.wish ='\n        utter: utter_wrong\n",
            7,
            "bad condition",
        ),
        ("    - set_slots:\n      - nothing: 1\n", 5, "sets unknown slot"),
        ("    - set_slots: []\n", 5, "sets nothing"),
        ("      []\n", 4, "has no steps"),
        ("    - just words\n", 5, "must be a mapping"),
    ],
)
def test_a_wrong_flow_is_refused_with_line_and_reason(steps: str, line: int, reason: str) -> None:
    with pytest.raises(AssistantInvalid) as refused:
        flows_of(flow_with(steps))
    assert reason in refused.value.reason
    assert (refused.value.file, refused.value.line) == ("flows.yml", line)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("flow: {}\n", "unknown key 'flow'"),
        ("flows: []\n", "must be a mapping"),
        ("[]\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("flows:\n  one:\n    steps:\n    - collect: wish\n", "needs a description"),
        (flow_with("    - collect: wish\n", "    nlu_trigger:\n    - intent: weather\n"), "unknown intent 'weather'"),
        (flow_with("    - collect: wish\n", "    persisted_slots: [x]\n"), "unknown slot 'x'"),
        (
            flow_with(
                "    - collect: wish\n", "    nlu_trigger:\n    - intent: {name: complaint, confidence_threshold: 2}\n"
            ),
            "0 to 1",
        ),
    ],
)
def test_a_wrong_file_is_refused(source: str, reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        flows_of(source)


def test_the_published_schema_accepts_the_sample_flows() -> None:
    jsonschema.validate(read_yaml(SAMPLE_ASSISTANT / "flows.yml"), SCHEMA)


@pytest.mark.parametrize(
    "steps",
    [
        [{"collect": "wish", "ask": "hello"}],
        [{"collect": "wish", "action": "action_look"}],
        [{"link": "two", "next": "END"}],
        [{"collect": "wish", "next": [{"if": "slots.wish"}]}],
        [{"collect": "wish", "rejections": [{"if": "slots.wish"}]}],
        [{"set_slots": [{"wish": ["a"]}]}],
        [],
    ],
)
def test_what_the_parser_refuses_the_schema_refuses_too(steps: list[Any]) -> None:
    document = {"flows": {"one": {"description": "a flow", "steps": steps}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
    with pytest.raises(AssistantInvalid):
        parse_flows(document)
