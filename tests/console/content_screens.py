"""The screens about what the bot says and how it went, over the sample assistant of the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from bot.service.report_rules import Summary
from console.frame import Frame
from console.inbox_desk import InboxServices
from console.reports import ReportServices, reports_routes
from crm_sync.database import Database
from desk.reports import ReportDesk
from tests.library import SampleLibrary


@dataclass
class ContentScreens:
    """Their services; tests read with these what pages have changed."""

    database: Database
    frame: Frame
    inbox: InboxServices
    library: SampleLibrary = field(default_factory=SampleLibrary)

    def __post_init__(self) -> None:
        self.reports = ReportDesk(self.database, self.frame.clock, lambda: "Asia/Shanghai")

    def routes(self) -> list[BaseRoute]:
        reports = ReportServices(
            reports=self.reports,
            inbox=self.inbox.inbox,
            cases=self.inbox.cases,
            channels=lambda: ["telegram", "web"],
            summaries=lambda: [Summary("weekly", to=("lena",), chats=(("telegram", "main", "-100200"),))],
        )
        return [*reports_routes(self.frame, reports)]
