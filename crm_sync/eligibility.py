"""Who may be sent a broadcast now: one expression, asked before it starts, when it starts, and again by each claim.

The answer is the first reason of `bot.reach.states.SKIP_REASONS` that holds, or "" for somebody who may be sent to.
`judged` asks it about people and finds their place; `rechecked` asks it about recipients, whose place is settled.
Both are statements that may be kept for as long as the rules are the same; `moments` gives their parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    outerjoin,
    select,
    true,
    tuple_,
    type_coerce,
)

from crm_sync.broadcast_tables import audience_members, broadcast_recipients, contact_wishes
from crm_sync.columns import EPOCH, UtcDateTime, is_state
from crm_sync.service_tables import customer_merges
from crm_sync.tables import cases, consents, conversations, customers, identities, reply_windows

EVERYTHING: Final = "*"  # purpose, and channel, of a withdrawal that ends all there is
HEARD: Final = ("sending", "sent", "uncertain")  # states of a recipient that count as having had it
_WEEK: Final = timedelta(days=7)
_now = bindparam("eligible_now", type_=UtcDateTime())
_cap_since = bindparam("eligible_cap_since", type_=UtcDateTime())
_week_since = bindparam("eligible_week_since", type_=UtcDateTime())
_month_since = bindparam("eligible_month_since", type_=UtcDateTime())
VENDOR_ZONE: Final = timezone(timedelta(hours=8))  # WeChat's: at its midnight days and months of counted sends begin


@dataclass(frozen=True, slots=True)
class SendRules:
    """What one broadcast asks of everybody it may go to. Of several channels the first that will do is a person's."""

    purpose: str  # of the consent it needs
    channels: tuple[str, ...]  # in the order they are preferred
    topic: str = ""  # that people may have switched off; "": none
    exclude: tuple[int, ...] = ()  # audience_lists of those who are left out
    cap: tuple[int, int] | None = None  # at most so many broadcasts in so many days; None: no cap
    is_promotion: bool = True  # nobody with an open complaint or a live chat gets it
    windowed: frozenset[str] = frozenset()  # channels where it is a free-form message that needs an open window
    # Channel, account, most: whoever had so many mass sends from it this month gets no more from the vendor.
    monthly: tuple[tuple[str, str, int], ...] = ()


# A column of customers' ids -> conditions that hold of the ids asked about: only what is kept of these is read.
Within = Callable[[ColumnElement[int]], Sequence[ColumnElement[bool]]]
# Whose row it is (a column), tables, conditions, at least so many -> true of a person who has such rows.
Has = Callable[..., ColumnElement[bool]]


def moments(rules: SendRules, now: datetime) -> dict[str, datetime]:
    """The parameters of the statements for this moment."""
    days = rules.cap[1] if rules.cap else 0
    return {
        "eligible_now": now,
        "eligible_cap_since": now - timedelta(days=days),
        "eligible_week_since": now - _WEEK,
        "eligible_month_since": now.astimezone(VENDOR_ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    }


def everybody(customer_id: ColumnElement[int]) -> Sequence[ColumnElement[bool]]:
    """No bounds: all that is kept of anybody is read."""
    return ()


def between(after: ColumnElement[int], through: ColumnElement[int]) -> Within:
    """The ids behind `after`, up to and with `through`."""
    return lambda customer_id: (customer_id > after, customer_id <= through)


def judged(people: Select[tuple[int]], rules: SendRules, within: Within = everybody) -> Select[Any]:
    """Of each of the `people` (ids of customers): customer_id, reason, and the place where they would be reached.

    conversation_id, identity_id, channel and account are null where there is no such place; a person who is skipped
    for another reason has one. In the order of customer ids; run it with `moments`. `within`: what holds of all of
    their ids.
    """
    person, place = customers.c.id, conversations.alias("place")
    has = _one_of(person, within)
    has_place = partial(_has_place, rules, has, within)
    nowhere = place.c.id.is_(None)
    reason = _first_reason(
        person,
        rules,
        has,
        is_gone=or_(
            customers.c.erased_at.is_not(None),
            has(customer_merges.c.merged_customer_id, [customer_merges], customer_merges.c.undone_at.is_(None)),
        ),
        no_consent=and_(nowhere, ~_has_agreed(rules, has, within)),
        is_unreachable=and_(nowhere, has_place(), ~has_place(reachable=True)),
        no_channel=and_(nowhere, ~has_place()),
        no_window=and_(nowhere, ~has_place(reachable=True, open_window=True)),
        no_quota=nowhere,
    )
    theirs = and_(place.c.customer_id == person, *_is_place(place, rules, within))
    return (
        people.with_only_columns(
            person.label("customer_id"),
            reason.label("reason"),
            place.c.id.label("conversation_id"),
            *(place.c[name] for name in ("identity_id", "channel", "account")),
        )
        .select_from(outerjoin(customers, place, theirs))
        .order_by(person)
    )


def rechecked(rules: SendRules, *columns: ColumnElement[Any]) -> Select[Any]:
    """Of recipients, as the caller's `where` picks them: id, person (whose conversation it is now), reason, `columns`.

    Columns may be those of broadcast_recipients, conversations, identities and customers. Run it with `moments`.
    """
    row, person = broadcast_recipients.c, conversations.c.customer_id
    reason = _first_reason(
        person,
        rules,
        _each(person),
        is_gone=customers.c.erased_at.is_not(None),
        no_consent=~_agrees(person, conversations.c.channel, rules),
        is_unreachable=identities.c.unreachable_at.is_not(None),
        no_channel=false(),
        no_window=~_has_window(conversations.c.channel, conversations.c.identity_id, rules),
        no_quota=~_has_quota(conversations, rules),
        is_double=_is_double(person),
    )
    return (
        select(row.id, person.label("person"), reason.label("reason"), *columns)
        .join_from(broadcast_recipients, conversations, conversations.c.id == row.conversation_id)
        .join(identities, identities.c.id == conversations.c.identity_id)
        .join(customers, customers.c.id == person)
    )


# --- the order of reasons ---------------------------------------------------------------------------------------------


def _first_reason(
    person: ColumnElement[int],
    rules: SendRules,
    has: Has,
    *,
    is_gone: ColumnElement[bool],
    no_consent: ColumnElement[bool],
    is_unreachable: ColumnElement[bool],
    no_channel: ColumnElement[bool],
    no_window: ColumnElement[bool],
    no_quota: ColumnElement[bool],
    is_double: ColumnElement[bool] | None = None,
) -> ColumnElement[str]:
    """The first of SKIP_REASONS that holds, "" for none. Nothing behind the one that holds is evaluated."""
    ladder: list[tuple[str, ColumnElement[bool] | None]] = [
        ("erased", is_gone),
        ("excluded", _is_excluded(rules, has)),
        ("no_consent", no_consent),
        ("topic_off", _has_topic_off(rules, has)),
        ("unreachable", is_unreachable),
        ("no_channel", no_channel),
        ("open_case", _has_open_complaint(has) if rules.is_promotion else None),
        ("live_chat", _has_live_chat(has) if rules.is_promotion else None),
        ("capped", _is_capped(rules, has, is_double)),
        ("out_of_window", no_window if rules.windowed else None),
        ("quota", no_quota if rules.monthly else None),
    ]
    return case(
        *((condition, literal_column(f"'{reason}'")) for reason, condition in ladder if condition is not None),
        else_=literal_column("''"),
    )


def there_is(tables: Sequence[FromClause], *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """True where these tables have such rows; every other table named is one of the statement around it."""
    return select(literal_column("1")).select_from(*tables).where(*conditions).correlate_except(*tables).exists()


def _one_of(person: ColumnElement[int], within: Within) -> Has:
    """For very many people: all who have such rows are found first, and each is looked for among them."""

    def has(whose: Any, tables: Sequence[FromClause], *conditions: ColumnElement[bool], least: int = 1) -> Any:
        found = select(whose).select_from(*tables).where(*within(whose), *conditions).correlate_except(*tables)
        return person.in_(found if least == 1 else found.group_by(whose).having(func.count() >= literal(least)))

    return has


def _each(person: ColumnElement[int]) -> Has:
    """For a few people: rows of each are looked for by themselves."""

    def has(whose: Any, tables: Sequence[FromClause], *conditions: ColumnElement[bool], least: int = 1) -> Any:
        if least == 1:
            return there_is(tables, whose == person, *conditions)
        mine = select(func.count()).select_from(*tables).where(whose == person, *conditions)
        return mine.correlate_except(*tables).scalar_subquery() >= literal(least)

    return has


# --- what somebody agreed to ------------------------------------------------------------------------------------------


def _agrees(
    person: ColumnElement[int], channel: ColumnElement[str], rules: SendRules, within: Within = everybody
) -> ColumnElement[bool]:
    """True where they agreed to this purpose on the channel and have not taken it back since."""
    return agreement(person, rules.purpose, lambda grant: grant.c.channel == channel, within=within)


def _has_agreed(rules: SendRules, has: Has, within: Within) -> ColumnElement[bool]:
    grant = consents.alias()
    in_force = _in_force(grant, rules.purpose, _now, within)
    return has(grant.c.customer_id, [grant], _on_one(grant.c.channel, rules), *in_force)


def agreement(
    person: ColumnElement[int],
    purpose: str,
    on: Callable[[Any], ColumnElement[bool]],
    now: ColumnElement[Any] = _now,
    within: Within = everybody,
) -> ColumnElement[bool]:
    """True where a consent in force allows it. `on` says for which channel: a condition on the row of consents.

    What was said last counts, whichever of two records that are one now it was said to. Needs `moments`
    unless `now` is given.
    """
    grant = consents.alias()
    in_force = _in_force(grant, purpose, now, within)
    return there_is([grant], grant.c.customer_id == person, *within(grant.c.customer_id), on(grant), *in_force)


def _in_force(
    grant: Any, purpose: str, now: ColumnElement[Any], within: Within = everybody
) -> tuple[ColumnElement[bool], ...]:
    """Conditions on a row of consents: it allows the purpose, and was not taken back since."""
    later = consents.alias()
    refusal = (
        or_(later.c.purpose == purpose, later.c.purpose == EVERYTHING),
        ~later.c.granted,
        or_(later.c.until.is_(None), later.c.until > now),
    )
    taken_back = there_is(
        [later],
        later.c.customer_id == grant.c.customer_id,
        *refusal,
        or_(later.c.channel == grant.c.channel, later.c.channel == EVERYTHING),
        or_(later.c.at > grant.c.at, and_(later.c.at == grant.c.at, later.c.id > grant.c.id)),
    )
    stands = ~taken_back
    bounds = within(later.c.customer_id)
    if bounds:  # of many: most never refused anything, which one look at all of them says
        refused = select(later.c.customer_id).where(*bounds, *refusal).correlate_except(later)
        stands = or_(grant.c.customer_id.not_in(refused), stands)
    return (
        grant.c.purpose == purpose,
        grant.c.granted,
        grant.c.at <= now,
        or_(grant.c.until.is_(None), grant.c.until > now),
        stands,
    )


# --- where somebody can be reached ------------------------------------------------------------------------------------


def _is_place(talk: Any, rules: SendRules, within: Within) -> list[ColumnElement[bool]]:
    """Conditions on a conversation: it is its person's place, on the first channel that will do the one they wrote in
    last.
    """
    several, other = conversations.alias(), conversations.alias()
    repeated = (
        select(several.c.customer_id)
        .where(*within(several.c.customer_id))
        .group_by(several.c.customer_id)
        .having(func.count() > literal_column("1"))
        .correlate_except(several)
    )
    better = there_is(
        [other],
        other.c.customer_id == talk.c.customer_id,
        other.c.id != talk.c.id,
        *_will_do(other, rules, reachable=True, open_window=True, quota=True),
        _preferred(other, rules) > _preferred(talk, rules),
    )
    will_do = _will_do(talk, rules, reachable=True, open_window=True, quota=True, within=within)
    # Most have one conversation, and of that nothing more is asked.
    return [*within(talk.c.customer_id), *will_do, or_(talk.c.customer_id.not_in(repeated), ~better)]


def _preferred(talk: Any, rules: SendRules) -> ColumnElement[Any]:
    """The greater the better."""
    ranks = {channel: -rank for rank, channel in enumerate(rules.channels)}
    wrote = func.coalesce(talk.c.last_inbound_at, literal(EPOCH, UtcDateTime()))
    return tuple_(case(ranks, value=talk.c.channel), wrote, talk.c.id)


def _has_place(
    rules: SendRules, has: Has, within: Within, *, reachable: bool = False, open_window: bool = False
) -> ColumnElement[bool]:
    talk = conversations.alias()
    will_do = _will_do(talk, rules, reachable=reachable, open_window=open_window, quota=False, within=within)
    return has(talk.c.customer_id, [talk], *will_do)


def _will_do(
    talk: Any,
    rules: SendRules,
    *,
    reachable: bool,
    open_window: bool,
    quota: bool,
    within: Within = everybody,
) -> list[ColumnElement[bool]]:
    conditions = [
        _on_one(talk.c.channel, rules),
        _agrees(talk.c.customer_id, talk.c.channel, rules, within),
    ]
    if reachable:
        them = identities.alias()
        conditions.append(there_is([them], them.c.id == talk.c.identity_id, them.c.unreachable_at.is_(None)))
    if open_window and rules.windowed:
        conditions.append(_has_window(talk.c.channel, talk.c.identity_id, rules))
    if quota and rules.monthly:
        conditions.append(_has_quota(talk, rules))
    return conditions


def _on_one(channel: ColumnElement[str], rules: SendRules) -> ColumnElement[bool]:
    """True of the broadcast's channels; said one by one: a list is written into the statement anew at each run."""
    return or_(false(), *(channel == name for name in rules.channels))


def _has_window(channel: ColumnElement[str], identity: ColumnElement[int], rules: SendRules) -> ColumnElement[bool]:
    if not rules.windowed:
        return true()
    window = reply_windows.alias()
    is_open = there_is(
        [window], window.c.identity_id == identity, window.c.closes_at > _now, window.c.used < window.c.quota
    )
    return or_(channel.not_in(sorted(rules.windowed)), is_open)


def _has_quota(talk: Any, rules: SendRules) -> ColumnElement[bool]:
    """The vendor lets this conversation have one more mass send this month, as far as we made them."""
    if not rules.monthly:
        return true()
    sent = broadcast_recipients.alias()
    had = (
        select(func.count())
        .select_from(sent)
        .where(
            sent.c.conversation_id == talk.c.id,
            is_state(sent.c.state, *HEARD),
            sent.c.batch != literal_column("''"),
            or_(sent.c.sent_at.is_(None), sent.c.sent_at >= _month_since),
        )
        .correlate_except(sent)
        .scalar_subquery()
    )
    return and_(
        *(
            or_(talk.c.channel != channel, talk.c.account != account, had < most)
            for channel, account, most in rules.monthly
        )
    )


# --- what holds somebody back -----------------------------------------------------------------------------------------


def _is_excluded(rules: SendRules, has: Has) -> ColumnElement[bool] | None:
    if not rules.exclude:
        return None
    member = audience_members.alias()
    return has(member.c.customer_id, [member], member.c.list_id.in_(rules.exclude))


def _has_topic_off(rules: SendRules, has: Has) -> ColumnElement[bool] | None:
    if not rules.topic:
        return None
    wish = contact_wishes.alias()
    is_off = type_coerce(wish.c.topics_off, Text).contains(
        f'"{rules.topic}"', autoescape=True
    )  # names are plain: no escapes
    return has(wish.c.customer_id, [wish], is_off)


def _has_open_complaint(has: Has) -> ColumnElement[bool]:
    mine = cases.alias()
    # Written so that it is found by the person: by its kind all complaints would be looked through.
    is_complaint = mine.c.kind.concat("") == "complaint"
    return has(mine.c.customer_id, [mine], mine.c.is_open, is_complaint)


def _has_live_chat(has: Has) -> ColumnElement[bool]:
    """A person is with them, or they wait for one, on any channel."""
    talk = conversations.alias()
    return has(talk.c.customer_id, [talk], is_state(talk.c.owner, "queue", "operator"))


def _is_capped(rules: SendRules, has: Has, is_double: ColumnElement[bool] | None) -> ColumnElement[bool]:
    """They had as many as the rules, or their own wish, allow: what is on its way now counts."""
    wish = contact_wishes.alias()
    too_many = wish.c.per_week <= _had(wish.c.customer_id, _week_since)
    limits = [has(wish.c.customer_id, [wish], wish.c.per_week.is_not(None), too_many)]
    if rules.cap is not None:
        talk, sent = conversations.alias(), broadcast_recipients.alias()
        limits.append(has(talk.c.customer_id, [talk, sent], *_heard(talk, sent, _cap_since), least=rules.cap[0]))
    if is_double is not None:
        limits.append(is_double)
    return or_(*limits)


def _had(person: ColumnElement[int], since: ColumnElement[Any]) -> ColumnElement[int]:
    """How many broadcasts they were sent since then."""
    talk, sent = conversations.alias(), broadcast_recipients.alias()
    mine = select(func.count()).select_from(talk, sent).where(talk.c.customer_id == person, *_heard(talk, sent, since))
    return mine.correlate_except(talk, sent).scalar_subquery()


def _heard(talk: Any, sent: Any, since: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """What was sent since then, by whichever record somebody had: conversations go with the person."""
    return (
        sent.c.conversation_id == talk.c.id,
        is_state(sent.c.state, *HEARD),
        or_(sent.c.sent_at.is_(None), sent.c.sent_at > since),
    )


def _is_double(person: ColumnElement[int]) -> ColumnElement[bool]:
    """True of a recipient whose record became part of one that was, or will be, sent the same message."""
    row, other, talk = broadcast_recipients.c, broadcast_recipients.alias(), conversations.alias()
    same = and_(other.c.broadcast_id == row.broadcast_id, other.c.occasion == row.occasion, other.c.step == row.step)
    theirs = there_is([other], same, other.c.customer_id == person)
    had = there_is(
        [talk, other],
        talk.c.customer_id == person,
        other.c.conversation_id == talk.c.id,
        is_state(other.c.state, *HEARD),
        # Written so that it is found by the conversation: by its broadcast all recipients would be looked through.
        other.c.broadcast_id + 0 == row.broadcast_id,
        other.c.occasion == row.occasion,
        other.c.step == row.step,
    )
    return or_(and_(row.customer_id != person, theirs), had)
