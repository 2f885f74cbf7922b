"""The sample assistant with shared service flows and rules of its own, without a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.actions import ACTIONS
from bot.assistant import Assistant, Intent
from bot.flow_checks import check_flows
from bot.service.policy import read_policy
from frontdesk.assistant_service import chosen_flows, merged_words, read_shared
from tests.builders import shop


def serving(*names: str, policy: Mapping[str, Any]) -> Assistant:
    """The shop, taking these shared flows; each is begun by the intent of its name. Checked as a folder would be."""
    base = shop()
    intents = {**base.intents, **{name: Intent(name) for name in names}}
    shared = read_shared(base.entities, intents)
    flows = {**base.flows, **chosen_flows(shared, names)}
    slots = {**shared.slots, **base.slots}
    responses = {**shared.responses, **base.responses}
    check_flows(flows, intents=intents, slots=slots, responses=responses, actions=ACTIONS)
    return replace(
        base,
        intents=intents,
        flows=flows,
        versions={flow.version: flow for flow in flows.values()},
        slots=slots,
        responses=responses,
        words=merged_words(shared.words, base.words),
        service=read_policy(dict(policy)),
    )
