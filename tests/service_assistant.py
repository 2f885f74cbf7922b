"""A small assistant that takes the shared flows about cases, for tests of what they say and decide."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from bot.assistant import Assistant
from frontdesk.assistant import load_assistant

FLOWS = (
    "complaint, complaint_status, complaint_more, complaint_withdraw, complaint_disagree, complaint_confirm,"
    " satisfaction, survey_nps, suggestion"
)
_INTENTS = (
    "greet, affirm, deny, inform, cancel, complaint, complaint_status, complaint_more, complaint_withdraw,"
    " complaint_disagree, complaint_confirm, suggestion, human_handoff"
)
_DOMAIN = f"""
version: "3.1"
intents: [{_INTENTS}]
entities: [order_number, product, date]
"""
_SERVICE = """
routing:
  teams:
    workshop: {title: {zh: 售后组, en: The workshop team}, lead: wang}
    care: {title: {zh: 客服组, en: Customer care}}
  rules:
  - {category: brakes, team: workshop, site: true}
  - {team: care}
  skills: {brakes: [brakes]}
topics:
  plans: {choices: {three_parts: {parts: 3, every_days: 30}}}
cases:
  categories:
    brakes:
      names: {zh: 制动系统, en: brakes}
      words: {zh: 刹车, en: "brake*"}
      quality_types:
        noise: {names: {zh: 刹车异响, en: brake noise}, words: {zh: 刹车响 刹车又响, en: "brakes squeak*"}}
    fuel: {names: {zh: 油品, en: fuel}, words: {zh: 加油 油, en: "fuel, petrol"}}
    delivery: {names: {zh: 配送, en: delivery}, words: {zh: 快递, en: "deliver*, parcel*"}}
  severity: {raising_classes: [A]}
"""


@cache
def service_assistant() -> Assistant:
    """Loaded once per process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "desk"
        folder.mkdir()
        (folder / "domain.yml").write_text(_DOMAIN, encoding="utf-8")
        (folder / "assistant.yml").write_text(
            f"name: Desk\nlanguages: [zh, en]\nservice_flows: [{FLOWS}]\n", encoding="utf-8"
        )
        (folder / "service.yml").write_text(_SERVICE, encoding="utf-8")
        return load_assistant(folder)
