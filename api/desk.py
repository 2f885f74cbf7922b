"""What the API works with: the parts of the desk that its routes call, built by whoever composes the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Query
from starlette.requests import Request

from bot.ports import Clock, RateTokens, Signals
from bot.service.policy import ServicePolicy
from bot.types import Language
from crm_sync.database import Database
from crm_sync.site_tasks import Offered
from desk.actors import Actor
from desk.audiences import AudienceDesk
from desk.broadcast_results import ResultDesk
from desk.broadcast_uncertain import UncertainSends
from desk.broadcasts import BroadcastDesk
from desk.consents import ConsentDesk
from desk.coupons import CouponDesk
from desk.helping import HelpDesk
from desk.hooks import HookDesk
from desk.library import AssistantLibrary
from desk.outside import Outside
from desk.segments import SegmentDesk


@dataclass(frozen=True, slots=True)
class Caller:
    """Who presented a token. `per_minute`: requests it may make in any minute."""

    actor: Actor
    per_minute: int = 600


class FindingLike(Protocol):
    """What a check of the deployment found (`channels.base.Finding`)."""

    def as_dict(self) -> dict[str, object]: ...


class Reach(Protocol):
    """What marketers do, composed once for everybody who shows it."""

    @property
    def broadcasts(self) -> BroadcastDesk: ...
    @property
    def results(self) -> ResultDesk: ...
    @property
    def uncertain(self) -> UncertainSends: ...
    @property
    def segments(self) -> SegmentDesk: ...
    @property
    def audiences(self) -> AudienceDesk: ...
    @property
    def coupons(self) -> CouponDesk: ...
    @property
    def consents(self) -> ConsentDesk: ...


@dataclass(frozen=True, slots=True)
class ApiDesk:
    """`policy` gives the rules as they are now, `resolve` who a token belongs to (None: nobody's).

    `export` and `erase` also look after a person's files, which lie outside the store.
    """

    database: Database
    policy: Callable[[], ServicePolicy]
    assistant: str  # name under which the rules and texts of the default assistant are kept
    clock: Clock
    signals: Signals
    rate_tokens: RateTokens
    resolve: Callable[[str], Awaitable[Caller | None]]
    export: Callable[[int], Awaitable[Mapping[str, Any]]]
    erase: Callable[[int], Awaitable[Mapping[str, Any]]]
    hooks: HookDesk
    help: HelpDesk
    outside: Outside
    reach: Reach
    library: AssistantLibrary
    flows: Callable[[], frozenset[str]]  # those the bot can go on with
    timezone: Callable[[], str]  # IANA name of the business's zone
    examine: Callable[[], Awaitable[Sequence[FindingLike]]]  # the doctor's look at the deployment
    site_link: Callable[[Offered], str]  # the address a site works at
    rules_file: Callable[[str], str]  # service.yml as the folder of the assistant has it; "": of the default one
    report_titles: Callable[[str, str], Mapping[Language, str] | None]  # what an intent, category, channel is called
    max_body_bytes: int = 1_000_000


async def _actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


By = Annotated[Actor, Depends(_actor)]


async def _assistant(
    assistant: Annotated[str, Query(max_length=60, description="Which assistant; left out: the default one")] = "",
) -> str:
    return assistant


Of = Annotated[str, Depends(_assistant)]
