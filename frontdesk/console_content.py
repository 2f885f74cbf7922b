"""The screens about what the bot says and how it went, with the services behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from console.flows import FlowServices, flows_routes
from console.frame import Frame
from console.knowledge import KnowledgeServices, knowledge_routes
from console.reports import ReportServices, reports_routes
from console.training import TrainingServices, training_routes
from console.understanding import UnderstandingServices, understanding_routes
from desk.article_trials import ArticleTrials
from desk.cases import CaseDesk
from desk.knowledge import KnowledgeDesk
from desk.model_learning import ModelDesk
from desk.regression import RegressionDesk
from desk.reports import ReportDesk
from desk.responses import ResponseDesk
from desk.understanding import UnderstandingDesk
from frontdesk.desk_facts import report_titles
from frontdesk.policies import model_name

if TYPE_CHECKING:
    from frontdesk.app import App


def content_routes(app: App, frame: Frame, cases: CaseDesk, tests: RegressionDesk) -> list[BaseRoute]:
    """Reports, knowledge, understanding, flows. Nothing is read before it is asked for."""
    database, clock, library = app.store.database, frame.clock, app.library

    reports = ReportServices(
        reports=ReportDesk(
            database,
            clock,
            lambda: app.settings.timezone,
            titles=report_titles(app),
            care=lambda: app.runtimes.policy().care,
        ),
        inbox=app.staff.inbox,
        cases=cases,
        channels=library.channels,
        summaries=lambda: tuple(app.runtimes.policy().reports.summaries.values()),
    )
    known = KnowledgeDesk(database, library, clock)

    def default() -> str:
        return model_name(app.settings.assistant)

    knowledge = KnowledgeServices(known, ArticleTrials(database, library, clock, known), library, default)
    understanding = UnderstandingServices(UnderstandingDesk(database, library, clock), library, default)
    training = TrainingServices(ModelDesk(database, library, clock), understanding)
    flows = FlowServices(ResponseDesk(database, library, clock), tests, library, default)
    return [
        *reports_routes(frame, reports),
        *knowledge_routes(frame, knowledge),
        *understanding_routes(frame, understanding),
        *training_routes(frame, training),
        *flows_routes(frame, flows),
    ]
