"""`/training`, `/regression-tests`: a candidate is trained, compared, promoted or left; conversations become tests."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By, Of
from api.fields import Given, Id, MaybeName, Name, Shown
from api.paging import Listed
from api.routing import DeskRoutes, plain
from crm_sync.traffic import Spoken
from desk.model_learning import LISTED, ModelDesk
from desk.model_learning import Difference as Told
from desk.regression import RegressionDesk, as_yaml


class Run(Shown):
    """One training. `comparison` is empty before it is done."""

    id: int
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    step: str
    progress: float = Field(description="0 to 1")
    by: str
    at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    baseline: str = Field(description="Version it is compared with")
    candidate: str = Field(description="Version that came of it; empty: none yet")
    reason: str = Field(description="Why it failed")
    comparison: dict[str, Any]


class Promotion(Shown):
    """A version began to serve."""

    version: str
    previous: str = Field(description='What served before; "": nothing')
    by: str
    at: datetime


class Training(Shown):
    """How far the learning is."""

    active: str = Field(description="Version that serves; to be named as `seen` in a promotion or rollback")
    previous: str = Field(description='What a rollback goes back to; "": nothing')
    labels: int = Field(description="Labelled messages to learn from")
    newest: Run | None
    candidate: Run | None = Field(description="The last one with a candidate that does not serve already")
    activations: list[Promotion]


class Judged(Shown):
    intent: str
    score: float


class Difference(Shown):
    """A message that the candidate takes otherwise."""

    inbox_id: int
    verdict: str
    before: Judged = Field(description="By what serves")
    after: Judged = Field(description="By the candidate")
    truth: str = Field(description='What it is known to mean; "": nobody has said')
    is_learnt: bool = Field(description="The candidate was trained with it")
    spoken: Spoken | None = Field(description="null: its words are gone")


class PromotionGiven(Given):
    version: Name = Field(description="The candidate's")
    seen: MaybeName = Field(description="The version that served when the candidate was looked at")


class RollbackGiven(Given):
    seen: MaybeName = Field(description="The version that served when it was decided")


class Serving(Shown):
    version: str


class ConversationTest(Shown):
    """A transcript without anything that tells whose it was, as `frontdesk replay` takes it."""

    id: int
    name: str
    document: dict[str, Any]
    conversation_id: int | None
    by: str
    at: datetime


class TestGiven(Given):
    name: MaybeName = Field("", description="Left out: its first words")
    first: Id | None = Field(None, description="Message it begins with")
    last: Id | None = Field(None, description="Message it ends with")


def learning_routes(desk: ApiDesk) -> DeskRoutes:
    models = ModelDesk(desk.database, desk.library, desk.clock)
    tests = RegressionDesk(desk.database, desk.library, desk.clock)
    routes = DeskRoutes(tags=["understanding"])
    mine = desk.assistant

    @routes.get("/training", response_model=Training)
    async def get_training(by: By, of: Of) -> Any:
        """Which model serves, the last training with its progress, and the candidate that waits for a decision."""
        state = await models.state(by, of or mine)
        return {**{name: getattr(state, name) for name in state.__slots__}, "previous": state.previous}

    @routes.post("/training", response_model=Run, status_code=202)
    async def start_training(by: By, of: Of) -> Any:
        """A candidate is trained in the background; the run that waits or is under way already, if any."""
        return await models.train(by, of or mine)

    @routes.delete("/training", status_code=204)
    async def stop_training(by: By, of: Of) -> None:
        """The training that waits or is under way is given up."""
        await models.stop(by, of or mine)

    @routes.get("/training/{training_id}/differences", response_model=Listed[Difference])
    async def list_training_differences(
        by: By,
        of: Of,
        training_id: Id,
        verdict: Annotated[Literal["worse", "better", "changed", "less_clear", "clearer", ""], Query()] = "",
        limit: Annotated[int, Query(ge=1, le=LISTED)] = LISTED,
    ) -> Any:
        """What the candidate takes otherwise, message by message, what matters most first."""
        found = await models.differences(by, of or mine, training_id, verdict, limit=limit)
        return {"items": [_difference(each) for each in found]}

    @routes.post("/training/promotion", response_model=Serving)
    async def promote_model(by: By, of: Of, given: PromotionGiven) -> Any:
        """The candidate serves in every process within a second; 409 when another one serves by now than was seen."""
        await models.promote(by, of or mine, given.version, seen=given.seen)
        return {"version": given.version}

    @routes.post("/training/rollback", response_model=Serving)
    async def roll_model_back(by: By, of: Of, given: RollbackGiven) -> Any:
        """The version that served before serves again."""
        return {"version": await models.roll_back(by, of or mine, seen=given.seen)}

    @routes.get("/regression-tests", response_model=Listed[ConversationTest])
    async def list_regression_tests(by: By, of: Of) -> Any:
        """Tests made from conversations, by name."""
        return {"items": await tests.tests(by, of or mine)}

    @routes.get("/regression-tests.yml", response_class=Response, response_model=None)
    async def get_regression_file(by: By, of: Of) -> Response:
        """All of them as a transcript file."""
        return Response(as_yaml(await tests.tests(by, of or mine)), media_type="application/yaml")

    @routes.post("/conversations/{conversation_id}/regression-tests", response_model=ConversationTest, status_code=201)
    async def make_regression_test(by: By, of: Of, conversation_id: Id, given: TestGiven) -> Any:
        """The conversation, or a part of it, is a test of the assistant: `frontdesk replay --stored` runs it."""
        return await tests.make(by, of or mine, conversation_id, name=given.name, first=given.first, last=given.last)

    @routes.delete("/regression-tests/{test_id}", status_code=204)
    async def drop_regression_test(by: By, of: Of, test_id: Id) -> None:
        """It is tested no more."""
        await tests.drop(by, of or mine, test_id)

    return routes


def _difference(found: Told) -> dict[str, Any]:
    judged = {
        name: {"intent": intent, "score": score}
        for name, (intent, score) in (("before", found.before), ("after", found.after))
    }
    return {**plain(found), **judged}
