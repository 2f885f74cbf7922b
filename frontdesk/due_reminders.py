"""Payment reminders, once an hour: who is reminded today, in which tone, by the customer's credit class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from bot.business_time import zone
from bot.service.topics import TopicRules, days_left
from crm_sync.dues import OpenDue, remind
from crm_sync.store import SqlStore

if TYPE_CHECKING:
    from datetime import date

    from frontdesk.scheduler import Context

log = structlog.get_logger()


async def remind_of_dues(store: SqlStore, context: Context) -> None:
    """Everybody whose day has come is reminded, once per payment and step; nobody before the hour the rules name."""
    rules = context.policy.topics
    local = context.now.astimezone(zone(context.assistant.hours.timezone))
    if local.time() < rules.remind_at:
        return
    today, spread, planned = local.date(), (rules.earliest_days, rules.latest_days), 0
    decide = partial(decide_reminder, rules=rules, today=today)
    after: int | None = 0
    while after is not None:
        found, after = await store.database.run(
            partial(remind, after=after, today=today, spread=spread, decide=decide, now=context.now)
        )
        planned += found
    log.info("dues_looked_through", reminders=planned)


def decide_reminder(due: OpenDue, *, rules: TopicRules, today: date) -> tuple[int, str] | None:
    """The step that is due for this payment and the words for it; None: nothing is said today."""
    left = days_left(due.due_on, today)
    if left is None:
        return None
    reminding = rules.reminding(due.credit_class)
    step = reminding.step(left)
    if step is None or left < 0 <= step:  # what was to be said before the due day is over with it
        return None
    return step, f"utter_due_{reminding.tone}" if left >= 0 else f"utter_overdue_{reminding.tone}"
