"""The screens about what the bot says and how it went, over the sample assistant of the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from bot.service.report_rules import Summary
from console.flows import FlowServices, flows_routes
from console.frame import Frame
from console.inbox_desk import InboxServices
from console.knowledge import KnowledgeServices, knowledge_routes
from console.reports import ReportServices, reports_routes
from console.training import TrainingServices, training_routes
from console.understanding import UnderstandingServices, understanding_routes
from crm_sync.database import Database
from desk.article_trials import ArticleTrials
from desk.knowledge import KnowledgeDesk
from desk.model_learning import ModelDesk
from desk.regression import RegressionDesk
from desk.reports import ReportDesk
from desk.responses import ResponseDesk
from desk.understanding import UnderstandingDesk
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
        self.understanding = UnderstandingDesk(self.database, self.library, self.frame.clock)
        self.tests = RegressionDesk(self.database, self.library, self.frame.clock)
        self.knowledge = KnowledgeDesk(self.database, self.library, self.frame.clock)
        self.trials = ArticleTrials(self.database, self.library, self.frame.clock, self.knowledge)

    def routes(self) -> list[BaseRoute]:
        reports = ReportServices(
            reports=self.reports,
            inbox=self.inbox.inbox,
            cases=self.inbox.cases,
            channels=lambda: ["telegram", "web"],
            summaries=lambda: [Summary("weekly", to=("lena",), chats=(("telegram", "main", "-100200"),))],
        )
        knowledge = KnowledgeServices(self.knowledge, self.trials, self.library, lambda: "shop")
        understanding = UnderstandingServices(self.understanding, self.library, lambda: "shop")
        training = TrainingServices(ModelDesk(self.database, self.library, self.frame.clock), understanding)
        flows = FlowServices(
            ResponseDesk(self.database, self.library, self.frame.clock), self.tests, self.library, lambda: "shop"
        )
        return [
            *reports_routes(self.frame, reports),
            *knowledge_routes(self.frame, knowledge),
            *understanding_routes(self.frame, understanding),
            *training_routes(self.frame, training),
            *flows_routes(self.frame, flows),
        ]
