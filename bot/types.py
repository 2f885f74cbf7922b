"""What travels through the spine: frozen values, no behaviour beyond reading themselves.

```
webhook bytes --verify, decode--> InboundMessage --> inbox row --> ack
inbox row --> Understanding + Conversation --> Turn --decide--> Decision
Decision --> OutMessage*, Effect* --> one transaction --> outbox rows --> Outbound --> Receipt
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, NewType

from bot.frozen import value
from bot.service_types import (
    Appointment,
    Asset,
    CaseNews,
    ClockStart,
    Due,
    Notice,
    OpenSurvey,
    Preference,
    ServiceEffect,
    Visit,
)

CustomerId = NewType("CustomerId", int)
ConversationId = NewType("ConversationId", int)
InboxId = NewType("InboxId", int)
OutboxId = NewType("OutboxId", int)
MessageId = NewType("MessageId", int)

# Before the business's own user id in a web identity, so that it never meets an anonymous visitor's.
WEB_SIGNED_IN = "u-"

Language = Literal["zh", "en"]
# How a message is written; "" where its words do not tell. Answers are in one of the languages above.
Written = Literal["zh-Hans", "zh-Hant", "en", "mixed", ""]
Author = Literal["customer", "bot", "operator", "system"]

# --- inbound ----------------------------------------------------------------------------------------------------


@value
class Identity:
    """A user on a channel account. Never holds a display name: names change, identities do not."""

    channel: str
    account: str
    external_id: str


@value
class Text:
    """Words. May be empty or odd: what the channel delivered, byte for byte."""

    text: str


@value
class Button:
    """A pressed button or quick reply. `value` is what we put on it; `label` what the customer saw."""

    value: str
    label: str = ""
    callback_id: str = ""  # vendor's id to acknowledge the press with (Telegram callback query)


@value
class Command:
    """A command the channel itself marked as one (Telegram bot_command at offset 0), e.g. start with a payload."""

    name: str
    argument: str = ""
    link_kind: str = ""  # campaign | customer | continue: the argument was a link we signed (channels/deep_links.py)
    link_id: str = ""


@value
class Media:
    """A file the customer sent. Bytes stay with the vendor until asked for."""

    kind: Literal["image", "voice", "audio", "video", "document", "sticker", "animation"]
    file_id: str
    caption: str = ""
    file_name: str = ""
    mime: str = ""
    size: int | None = None  # bytes
    duration_s: float | None = None
    transcript: str = ""  # recognised speech where the channel gives it


@value
class Location:
    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


@value
class Contact:
    """A shared contact card. `is_own` only when the channel proves that it is the sender's own number."""

    phone: str
    name: str = ""
    is_own: bool = False


@value
class Event:
    """Something happened that is no message: blocked, unblocked, joined, followed … Takes no reply by itself.

    What the store does about some of them is in crm_sync/channel_events.py.
    """

    name: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@value
class Unsupported:
    """A kind we do not know yet: stored raw, acknowledged, shown to staff by this name."""

    kind: str
    text: str = ""  # what a reader can be shown of it: a poll's question, the value of a dice


Content = Text | Button | Command | Media | Location | Contact | Event | Unsupported | Notice


@value
class ReplyWindow:
    """What this message allows us on a channel that counts free-form replies: `quota` of them within `lasts`.

    Another message of the same `kind` starts the window anew.
    """

    kind: str  # message, follow, menu, scan …: windows of different kinds run side by side
    quota: int
    lasts: timedelta


@value
class InboundMessage:
    """One verified, decoded message: who, what, the channel's id for it, when. Never the raw payload."""

    sender: Identity
    chat_id: str  # where to answer; equals sender.external_id in one-to-one chats
    dedupe_key: str  # with channel and account, the inbox key
    content: Content
    sent_at: datetime  # aware, UTC, by the channel's clock; never used for ordering
    topic: str = ""  # forum topic or thread inside the chat
    vendor_message_id: str = ""
    edits: str = ""  # vendor_message_id of the message this one replaces
    reply_to: str = ""  # vendor_message_id of the message it answers
    sender_name: str = ""
    language_hint: str = ""  # BCP 47 tag the channel reports, e.g. zh-hans
    quote: str = ""  # the words of the message answered that it is about
    forwarded_from: str = ""  # who said it first; filled: these are not the sender's own words
    album: str = ""  # the same for messages sent as one: they get one answer
    wants_turn: bool = True  # False: recorded only (edits, events, messages for somebody else)
    opens: ReplyWindow | None = None  # counted by the store from acceptance, on channels whose replies are counted
    # Whose words these are: a channel may also report what a colleague or the bot said there. Theirs take no turn.
    author: Author = "customer"


@value
class Received:
    """What a channel hands to the inbox: the decoded message and the raw bytes it came from.

    `message` is None when the payload was genuine but unreadable: parked under `dedupe_key`.
    """

    channel: str
    account: str
    dedupe_key: str
    raw: bytes
    message: InboundMessage | None
    reason: str = ""  # why it is unreadable


@value
class Accepted:
    """The inbox row is committed. `is_new` is False for a redelivery (which changed nothing)."""

    inbox_id: InboxId
    conversation_id: ConversationId | None  # None for parked payloads
    message_id: MessageId | None
    seq: int | None  # web sequence number of the inbound message
    is_new: bool
    # The new message as a web visitor sees it, so that nobody has to read it back; None: read it from the store.
    visible: Mapping[str, Any] | None = field(default=None, compare=False)


# --- understanding ----------------------------------------------------------------------------------------------


@value
class ScoredIntent:
    name: str
    confidence: float  # 0 to 1


@value
class Entity:
    """A value found in the words; `start`/`end` are code-point offsets into the parsed text."""

    name: str
    value: str
    text: str
    start: int
    end: int
    confidence: float = 1.0
    extractor: str = ""
    is_personal: bool = False  # names a person or what is theirs: logs and exports mask it (desk/placeholders.py)


@value
class Understanding:
    """Ranked intents (best first, may be empty), entities in text order, and who understood it."""

    text: str
    language: Language
    language_is_sure: bool
    intents: tuple[ScoredIntent, ...]
    entities: tuple[Entity, ...]
    engine: str  # embedded | rasa | none
    model: str = ""
    duration_ms: float = 0.0
    parts: tuple[Understanding, ...] = ()  # several requests in one message, in order; empty for one request
    note: str = ""  # e.g. "rasa timed out after 1.5 s"
    written: Written = ""

    @property
    def intent(self) -> ScoredIntent:
        return self.intents[0] if self.intents else ScoredIntent("", 0.0)


# --- the conversation as a turn sees it -------------------------------------------------------------------------


class Owner(StrEnum):
    BOT = "bot"
    QUEUE = "queue"
    OPERATOR = "operator"


@value
class Order:
    number: str
    status: str
    placed_at: datetime | None
    expected_at: datetime | None
    items: str
    amount_minor: int | None  # minor units (分, cents)
    currency: str
    carrier: str = ""
    tracking_number: str = ""
    store: str = ""


@value
class Case:
    """A tracked work item (complaint, return …) of the customer."""

    number: str
    kind: str
    category: str
    subject: str  # what it is about, normalised: order number, product or place; "" when unknown
    severity: int  # 1 low … 4 critical
    status: str  # received | assigned | in_progress | waiting_customer | solved | confirmed | reopened | withdrawn
    summary: str
    opened_at: datetime
    updated_at: datetime
    is_open: bool
    details: Mapping[str, str] = field(default_factory=dict)
    quality_type: str = ""
    wish: str = ""
    team: str = ""
    owner: str = ""  # name of a staff user; "": the team's queue
    next_update_at: datetime | None = None  # the promise that runs out first; None: none runs
    reopened: int = 0
    score: int | None = None
    site_calendar: str = ""  # of the site that has it, as `Site.hours` names it
    account: tuple[str, str] = ("", "")  # where it came from: channel, and the name of the account there


@value
class CustomerSnapshot:
    """A bounded copy of the customer's record: at most 10 of each list, the newest first (dues: those due first)."""

    customer_id: CustomerId
    name: str = ""
    phone: str = ""  # E.164, only if verified or given by the customer
    phone_is_verified: bool = False
    email: str = ""
    language: str = ""
    timezone: str = ""
    orders: tuple[Order, ...] = ()
    cases: tuple[Case, ...] = ()
    consents: Mapping[str, bool] = field(default_factory=dict)  # purpose -> granted now, on this identity's channel
    open_tasks: tuple[str, ...] = ()  # kinds of open tasks, e.g. callback
    assets: tuple[Asset, ...] = ()  # present ones first
    visits: tuple[Visit, ...] = ()
    appointments: tuple[Appointment, ...] = ()  # booked ones still to come, the next first
    dues: tuple[Due, ...] = ()  # unpaid
    preferences: tuple[Preference, ...] = ()
    surveys: tuple[OpenSurvey, ...] = ()
    subscriptions: tuple[tuple[str, str], ...] = ()  # topic and match, on any channel
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    points: int = 0
    credit_class: str = ""  # A to D of the policy; "": none given
    value_class: str = ""  # A | B | C by share of turnover
    lifecycle: str = ""  # new | growing | stable | fading | lost | won_back


@value
class Conversation:
    """The conversation as it was when the turn began. `state` is the dialogue's own JSON document."""

    id: ConversationId
    identity: Identity
    chat_id: str
    topic: str
    language: Language | None
    owner: Owner
    fence: int
    version: int
    state: Mapping[str, Any]
    last_message_at: datetime | None
    customer: CustomerSnapshot


@value
class ReplyButton:
    label: str  # finished text in the reply's language
    value: str  # comes back as Button.value


@value
class ArticleDetails:
    """What an article says of itself beside its words."""

    audience: str = ""  # staff: only they find it; "": everybody
    valid_from: datetime | None = None
    valid_until: datetime | None = None  # from then on nobody finds it
    tags: tuple[str, ...] = ()
    media: str = ""  # address of a picture that goes with the answer
    buttons: tuple[ReplyButton, ...] = ()  # follow-ups, below the answer

    def is_for(self, now: datetime, *, staff: bool = False) -> bool:
        """Whether it may answer now: customers, or the staff."""
        is_over = self.valid_until is not None and now >= self.valid_until
        is_early = self.valid_from is not None and now < self.valid_from
        return not is_over and not is_early and (staff or self.audience != "staff")


NO_DETAILS: Final = ArticleDetails()


@value
class ArticleHit:
    article_id: str
    title: str
    answer: str
    language: str
    score: float  # 0 to 1
    is_sure: bool  # above the index's own threshold: good enough to answer with
    media: str = ""  # address of a picture that goes with the answer
    buttons: tuple[ReplyButton, ...] = ()  # follow-ups


@value
class LinkOffer:
    """A conversation on another channel that its customer wants to go on with here."""

    channel: str  # the only one where the link works
    account: str  # of the conversation it comes from
    state: Mapping[str, Any]  # how far that conversation had got
    language: Language | None


@value
class Need:
    """Something a decision cannot be made without; fetched outside the transaction, then `decide` runs again.

    kinds: `order` (key: order number; only orders of this customer) -> Order | None;
    `case` (key: case number; only cases of this customer) -> Case | None;
    `case_number` (key: case kind) -> str, a fresh number nobody else gets;
    `articles` (key: query) -> tuple[ArticleHit, ...];
    `sites` (key: "" or kind) -> tuple[Site, ...], all active ones;
    `slots` (key: site|service|first ISO date|days) -> tuple[datetime, ...], starts already taken, one entry per place;
    `wishes` (key: "") -> WishContact, how the customer wants to be written to;
    `consent_requests` (key: "") -> tuple[str, ...], purposes the customer was asked to confirm and still can;
    `outages` (key: "") -> tuple[Outage, ...], the open and planned ones;
    `case_events` (key: case number; only cases of this customer) -> tuple[CaseNews, ...], what the customer was told of
    it, the newest first;
    `link` (key: token of a "continue here" link) -> LinkOffer | None when it no longer works;
    `queue` (key: conversation|points|ageing in seconds|team) -> QueueView, as it is for this conversation;
    `broadcast` (key: conversation) -> BroadcastSent | None, the last one it had within two weeks;
    `lookup` (key: conversation|order or case|number) -> Lookup, of a number that is not this customer's;
    `code` (key: conversation|order or case|number|what was typed) -> CodeTried.
    """

    kind: str
    key: str


@value
class Lookup:
    """What asking for a number that is not the customer's may lead to in this conversation.

    All but `order`, `case` and `news` are the same for a number there is and for one there is not.
    """

    can_send: bool = False  # whether this deployment has any way for a one-time code at all
    codes_left: int = 0  # that may still be asked for now, here and for this number
    order: Order | None = None  # opened by a code here, a while ago at most
    case: Case | None = None  # likewise
    news: tuple[CaseNews, ...] = ()  # of that case, the newest first


@value
class CodeTried:
    """How a code fares that the customer typed. `over`: there is none (any more) that could be right."""

    outcome: Literal["right", "wrong", "over"]
    left: int = 0  # tries, if it was wrong
    order: Order | None = None  # filled only if it was right
    case: Case | None = None
    news: tuple[CaseNews, ...] = ()


@value
class BroadcastSent:
    """A broadcast the customer had, and the code that came with it. `terms` by language: what the code is good for."""

    title: str
    text: str  # as they had it
    sent_at: datetime
    coupon: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    valid_until: datetime | None = None
    is_used: bool = False


@value
class QueueView:
    """The queue as somebody sees who waits in it, or is about to."""

    ahead: int  # how many come before
    wait: timedelta | None = None  # how long the last ones waited there; None: too few to say


@value
class Turn:
    """One inbound message and all that `decide` may know. A value: no client, no connection."""

    message: InboundMessage
    understanding: Understanding
    conversation: Conversation
    now: datetime  # aware, UTC
    timezone: str = "Asia/Shanghai"  # IANA name: customer's, else the account's, else the business's
    articles: tuple[ArticleHit, ...] = ()
    facts: Mapping[Need, Any] = field(default_factory=dict)


# --- what a turn decides ----------------------------------------------------------------------------------------


@value
class Reply:
    """Names a response template of the assistant, never finished text; `literal` is for article answers only."""

    template: str
    args: Mapping[str, str] = field(default_factory=dict)
    buttons: tuple[ReplyButton, ...] = ()
    literal: str = ""
    language: Language | None = None  # None: the decision's language
    is_plain: bool = False  # True: the template's own buttons are left out (a later reply of the turn has some)


@value
class OpenCase:
    """Open a case, or, where the customer has an open one of the same kind, category and subject, update it."""

    number: str
    kind: str  # complaint | return | exchange | repair | suggestion …
    category: str
    subject: str
    severity: int
    summary: str
    details: Mapping[str, str]  # what_happened, order_number, product, store, since, wish, contact …
    quality_type: str = ""
    wish: str = ""
    language: str = ""
    team: str = ""
    site: str = ""  # key of the site that is to solve it; it gets a task
    distance_m: int | None = None  # from the customer to that site, where known
    asset: int | None = None  # id of an asset of the customer
    value_minor: int | None = None  # at stake
    currency: str = ""
    clocks: tuple[ClockStart, ...] = ()
    policy_version: int = 0


@value
class UpdateCase:
    """The customer adds to a case, or says how it goes on. Ignored when the case is not the customer's.

    status: withdrawn, confirmed, reopened (they disagree with the solution) or in_progress (they answered what we had
    asked); others are for staff. `clocks` begin when it is reopened.
    """

    number: str
    note: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    severity: int | None = None  # None keeps it; a lower value than the stored one is ignored
    status: str = ""
    clocks: tuple[ClockStart, ...] = ()
    back_to_site: bool = True  # when it is reopened, the site that had it is asked again


@value
class RequestHandoff:
    """Ownership goes to the queue. The fence stays: nobody else writes yet, so earlier replies still leave.

    `team` and `priority` follow from the rules (bot/service/handoff.py), `topic` is the flow or intent it is about.
    """

    reason: str
    urgency: int = 2  # 1 low … 4 critical
    team: str = ""
    priority: int = 0
    topic: str = ""


@value
class ReleaseHandoff:
    """The customer no longer waits for a person: queue -> bot. Ignored when an operator owns it."""

    reason: str = "customer"


@value
class RecordConsent:
    purpose: str  # news, promotion …
    granted: bool
    source: str  # the words or button it came from, e.g. "chat:subscribe_news"


@value
class CreateTask:
    """Something a person must do, e.g. call back. An open task of the same kind is updated, not doubled."""

    kind: str
    summary: str
    due_at: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    assignee: str = ""  # name of a staff user or team
    rule: str = ""  # the care rule that asks for it
    suggestion: str = ""  # words to say, in the customer's language
    case_number: str = ""
    clocks: tuple[ClockStart, ...] = ()


@value
class UpdateCustomer:
    """Facts the customer told us. Empty string leaves a field as it is."""

    name: str = ""
    phone: str = ""
    phone_is_verified: bool = False
    email: str = ""
    language: str = ""


@value
class AddTimeline:
    """A line in the customer's timeline that no other effect writes, e.g. praise."""

    kind: str
    summary: str


@value
class LinkIdentity:
    """The customer who wrote is the one a "continue here" link was made for, and said so: one record from now on."""

    token: str
    source: str  # how they agreed, e.g. "telegram:button"


Effect = (
    OpenCase
    | UpdateCase
    | RequestHandoff
    | ReleaseHandoff
    | RecordConsent
    | CreateTask
    | UpdateCustomer
    | AddTimeline
    | LinkIdentity
    | ServiceEffect
)


class Lane(StrEnum):
    """Who goes first between conversations. Broadcasts are a lane of their own."""

    OPERATOR = "operator"
    REPLY = "reply"
    SERVICE = "service"
    BROADCAST = "broadcast"


@value
class Decision:
    """The replies, the effects and the next state. `needs` non-empty: nothing else counts, fetch and ask again."""

    replies: tuple[Reply, ...] = ()
    effects: tuple[Effect, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)  # JSON-serialisable
    language: Language = "zh"
    needs: tuple[Need, ...] = ()
    lane: Lane = Lane.REPLY
    is_vital: bool = False  # may use the last reply of a window; some effects make it so by themselves


# --- outbound ---------------------------------------------------------------------------------------------------


@value
class OutMedia:
    """A file we send: at a public `url`, or `media_id` in our media store (then `url` is empty)."""

    kind: Literal["image", "voice", "audio", "video", "document"]
    url: str = ""
    media_id: str = ""
    file_name: str = ""
    mime: str = ""
    caption: str = ""


@value
class Card:
    """A product, an article, a place: a title with what belongs to it. Several make a carousel."""

    title: str
    text: str = ""
    image_url: str = ""
    url: str = ""
    buttons: tuple[ReplyButton, ...] = ()


Ask = Literal["", "rating", "date", "location", "contact"]  # asked for: stars, a day, where they are, their number
TextFormat = Literal["plain", "markdown"]  # markdown: the subset of channels/markup.py, nothing else is read as markup


@value
class RenderedReply:
    """Finished text and what comes with it, not yet cut to what the channel can carry."""

    text: str
    buttons: tuple[ReplyButton, ...] = ()
    image_url: str = ""  # the one picture of a response, as in Rasa's `image`
    media: tuple[OutMedia, ...] = ()
    cards: tuple[Card, ...] = ()
    ask: Ask = ""
    text_format: TextFormat = "plain"
    status_key: str = ""  # one living message per key and conversation, e.g. case:C-1024-7: edited where possible


@value
class OutPart:
    """One vendor message: what fits into one send. JSON-safe through its fields."""

    text: str
    buttons: tuple[ReplyButton, ...] = ()
    image_url: str = ""
    media: tuple[OutMedia, ...] = ()  # more than one: an album
    cards: tuple[Card, ...] = ()
    ask: Ask = ""
    text_format: TextFormat = "plain"
    status_key: str = ""
    takes_back: bool = False  # says nothing: our message with this status_key is to be gone from the chat


@value
class Outbound:
    """One part for one recipient on one channel, as the sender sees it."""

    outbox_id: OutboxId
    conversation_id: ConversationId
    channel: str
    account: str
    chat_id: str
    topic: str
    part: OutPart
    lane: Lane
    idempotency_key: str
    attempt: int  # 1 for the first try
    fence: int
    created_at: datetime | None = None  # aware, UTC; None: unknown
    edits: str = ""  # vendor id of our message with the same status_key; a channel that cannot edit sends anew
    is_vital: bool = False  # a handoff or a complaint's status: may use the last reply of a window
    merged: tuple[OutboxId, ...] = ()  # further rows whose words `part` carries; they end as this one does


@value
class Receipt:
    """The vendor took it."""

    vendor_message_id: str = ""
    moved_to: str = ""  # the chat has this id now; what is still to be sent to the old one goes there too


@value
class Capabilities:
    """What a channel can carry, as data. Lengths are in `length_unit`."""

    channel: str
    max_text: int
    length_unit: Literal["utf16", "utf8", "codepoint"]
    buttons: int  # at most, 0 = none (they become a numbered list)
    can_edit: bool
    can_type: bool
    idempotency_key: bool  # the vendor takes a key, so an uncertain send can be repeated safely
    direct: bool  # True: visible on commit, no sender needed (web, cli)
    per_chat_per_s: float | None = None
    per_account_per_s: float | None = None
    broadcast_per_s: float | None = None  # the broadcast lane's own rate, where the vendor sells a faster one
    per_group_per_min: float | None = None  # in any minute, to one chat of many people (its id is negative)
    per_chat_per_min: float | None = None
    per_chat_per_h: float | None = None
    is_windowed: bool = False  # free-form replies need an open ReplyWindow, counted by the store
    passive_s: float | None = None  # a webhook waits this long after acceptance and carries the reply back itself
    markdown: bool = False  # shows the subset of channels/markup.py; elsewhere its marks are taken out
    media: frozenset[str] = frozenset()  # kinds of OutMedia it sends; others become a link below the text
    album: int = 1  # most files in one message
    cards: int = 0  # most cards in one message; 0: they become text
    asks: frozenset[str] = frozenset()  # kinds of Ask it has a control for; elsewhere the text alone asks
    can_pin: bool = False
    takes_back_s: float | None = None  # so long after it was sent our message can be taken out of the chat; None: never
    max_caption: int = 0  # longest text in one message with a file; 0: files go alone
    max_button_value: int | None = None  # bytes of UTF-8; a button with a longer value makes the list a numbered one
    max_button_label: int | None = None
    link_buttons: bool = False  # a button whose value is an https address opens it
