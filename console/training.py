"""The model learns from labels: a candidate is trained, compared message by message, promoted or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import NotFound
from console.frame import Frame, Visit, part, screen, toast
from console.understanding import UnderstandingServices
from desk.model_learning import ModelDesk

PLACE: Final = "/console/understanding/training"
VERDICTS: Final = ("worse", "better", "changed", "less_clear", "clearer")
STEPS: Final = ("reading", "training", "comparing", "replaying")

NO_TRANSCRIPTS: Final[dict[str, Any]] = {"tests": 0, "before": 0, "after": 0, "better": [], "worse": []}
NOTHING_COMPARED: Final[dict[str, Any]] = {
    "looked_at": 0, "known": 0, "right_before": 0, "right_after": 0, "counts": {}, "disagreeing": [], "transcripts": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingServices:
    models: ModelDesk
    understanding: UnderstandingServices


def training_routes(frame: Frame, services: TrainingServices) -> list[BaseRoute]:
    desk = TrainingScreen(services)
    see, train = "understanding.read", "understanding.train"
    return [
        Route(PLACE, screen(frame, desk.page, see), methods=["GET"]),
        Route(f"{PLACE}/start", screen(frame, desk.start, train), methods=["POST"]),
        Route(f"{PLACE}/stop", screen(frame, desk.stop, train), methods=["POST"]),
        Route(f"{PLACE}/promote", screen(frame, desk.promote, train), methods=["POST"]),
        Route(f"{PLACE}/rollback", screen(frame, desk.roll_back, train), methods=["POST"]),
    ]


class TrainingScreen:
    """One method for each route."""

    def __init__(self, services: TrainingServices) -> None:
        self._models, self._do = services.models, services.understanding

    async def page(self, visit: Visit) -> Response:
        """The whole page; as a fragment what changes while a candidate is trained."""
        names = await self._names(visit)
        if visit.is_part:
            return visit.parts(part("#training", visit.html("understanding/training.html", **names), "replace"))
        return visit.page("understanding", "understanding/training_page.html", title=visit.t("learn.title"), **names)

    async def start(self, visit: Visit) -> Response:
        await self._models.train(visit.actor, self._assistant(visit))
        return await self._changed(visit, "")

    async def stop(self, visit: Visit) -> Response:
        await self._models.stop(visit.actor, self._assistant(visit))
        return await self._changed(visit, visit.t("learn.stopped"))

    async def promote(self, visit: Visit) -> Response:
        version = visit.text("version")
        await self._models.promote(visit.actor, self._assistant(visit), version, seen=visit.text("seen"))
        return await self._changed(visit, visit.t("learn.promoted", version=version[:12]))

    async def roll_back(self, visit: Visit) -> Response:
        version = await self._models.roll_back(visit.actor, self._assistant(visit), seen=visit.text("seen"))
        return await self._changed(visit, visit.t("learn.rolled_back", version=version[:12]))

    # --- how it looks -------------------------------------------------------------------------------------------

    async def _changed(self, visit: Visit, words: str) -> Response:
        if not visit.is_part:
            return visit.go(f"{PLACE}?{urlencode({'assistant': self._assistant(visit)})}")
        parts = [part("#training", visit.html("understanding/training.html", **await self._names(visit)), "replace")]
        return visit.parts(*parts, *([toast(words)] if words else []))

    async def _names(self, visit: Visit) -> dict[str, Any]:
        name, verdict = self._assistant(visit), visit.text("verdict")
        if verdict and verdict not in VERDICTS:
            raise NotFound(f"there is no list {verdict!r}")
        state = await self._models.state(visit.actor, name)
        found, comparison = [], NOTHING_COMPARED
        if state.candidate is not None:
            comparison = {**NOTHING_COMPARED, **state.candidate.comparison}
            found = await self._models.differences(visit.actor, name, state.candidate.id, verdict)
        intents = self._do.library.assistant(name).intents
        titles = {each: intent.title.get(visit.look.language) or each for each, intent in intents.items()}
        names = self._do.library.names()
        return {
            "assistant": name,
            "assistants": names if len(names) > 1 else [],
            "state": state,
            "comparison": comparison,
            "transcripts": {**NO_TRANSCRIPTS, **comparison["transcripts"]},
            "verdict": verdict,
            "verdicts": [(each, comparison["counts"].get(each, 0)) for each in VERDICTS],
            "found": found,
            "titles": titles,
            "percent": round(100 * state.newest.progress) if state.newest is not None else 0,
            "steps": STEPS,
            "place": PLACE,
        }

    def _assistant(self, visit: Visit) -> str:
        name = visit.text("assistant") or self._do.default()
        self._do.library.assistant(name)
        return name
