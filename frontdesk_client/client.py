"""Requests to the API: keys for repeats, versions, pages, tries again, problems as exceptions."""

from __future__ import annotations

import asyncio
import random
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from frontdesk_client.errors import ApiError, Conflict, TooManyRequests, Unavailable, error_of
from frontdesk_client.shapes import (
    Broadcast,
    BroadcastLine,
    BroadcastProgress,
    Case,
    CaseLine,
    CaseState,
    Conversation,
    Customer,
    Hook,
    Moved,
    NewHook,
    Page,
    PlanChoice,
    PlanGranted,
    Sent,
    UncertainSend,
)

TRIES: Final = 4
LONGEST_WAIT_S: Final = 30.0
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
Params = Mapping[str, str | int | None]


class Frontdesk:
    """The API of one deployment, for one token.

    Every write has an Idempotency-Key of its own, so that what is tried again (after 429, 503 or a lost answer) is done
    once. `request` reaches every operation of the specification; the methods below it are the everyday ones, typed.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        tries: int = TRIES,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base = f"{url.rstrip('/')}/api/v1"
        self._token, self._tries = token, max(1, tries)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session, self._is_ours = session, session is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """The connections are closed, unless the session was given."""
        if self._session is not None and self._is_ours:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        if_match: str | None = None,
        key: str | None = None,
    ) -> tuple[Any, str]:
        """The answer's document (None: it has none) and its ETag. `key`: the Idempotency-Key, made up when None.

        Raises: ApiError, of the class that fits.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        if method in WRITES:
            headers["Idempotency-Key"] = key or str(uuid.uuid4())
        if if_match:
            headers["If-Match"] = if_match
        wanted = {name: str(value) for name, value in (params or {}).items() if value is not None}
        for left in reversed(range(self._tries)):
            try:
                return await self._once(method, path, wanted, json, headers)
            except ApiError as error:
                is_busy = isinstance(error, Conflict) and error.code == "in-progress"
                if not left or not (is_busy or isinstance(error, TooManyRequests | Unavailable)):
                    raise
                wait_s = error.retry_after_s if error.retry_after_s is not None else 2.0 ** (self._tries - left - 2)
                await asyncio.sleep(min(wait_s, LONGEST_WAIT_S) * random.uniform(1.0, 1.2))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    async def pages(self, path: str, params: Params | None = None) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page. Raises: ApiError."""
        cursor: str | None = None
        while True:
            page: Page
            page, _ = await self.request("GET", path, params={**(params or {}), "cursor": cursor})
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if not cursor:
                return

    # --- the everyday ones --------------------------------------------------------------------------------------

    async def customers(self, **filters: str | int) -> AsyncIterator[Customer]:
        """Customers, the newest first; filters: tag, credit_class, value_class, lifecycle, limit (of a page)."""
        async for item in self.pages("/customers", filters):
            yield item  # type: ignore[misc]  # the specification's shape

    async def search_customers(self, words: str, **filters: str | int) -> AsyncIterator[Customer]:
        """Customers by name, number or e-mail, the newest first; filters as of `customers`."""
        cursor = ""
        while True:
            found, _ = await self.request(
                "POST", "/customers/search", json={**filters, "words": words, "cursor": cursor}
            )
            for item in found["items"]:
                yield item
            cursor = found["next"] or ""
            if not cursor:
                return

    async def customer(self, customer_id: int) -> Customer:
        found, _ = await self.request("GET", f"/customers/{customer_id}")
        return found  # type: ignore[no-any-return]

    async def change_customer(self, customer_id: int, **changes: Any) -> list[str]:
        """Names of the fields that are different now."""
        found, _ = await self.request("PATCH", f"/customers/{customer_id}", json=changes)
        return list(found["changed"])

    async def cases(self, **filters: str | int) -> AsyncIterator[CaseLine]:
        """Cases, the newest first; filters: status, team, owner, site, severity, kind, limit (of a page)."""
        async for item in self.pages("/cases", filters):
            yield item  # type: ignore[misc]  # the specification's shape

    async def case(self, number: str) -> tuple[Case, str]:
        """The case, and the ETag that names its version."""
        found: tuple[Case, str] = await self.request("GET", f"/cases/{number}")
        return found

    async def open_case(self, customer_id: int, kind: str, words: str, **more: str | int) -> CaseState:
        """A case for a customer; more: category, subject, severity, team, site, conversation_id. Raises: Conflict."""
        body = {**more, "customer_id": customer_id, "kind": kind, "words": words}
        found, _ = await self.request("POST", "/cases", json=body)
        return found  # type: ignore[no-any-return]

    async def set_case_status(
        self, number: str, status: str, words: str, *, cause: str = "", remedy: str = "", if_match: str | None = None
    ) -> CaseState:
        """The case goes on, and its customer hears of it. Raises: Changed when the ETag is of an older version."""
        body = {"status": status, "words": words, "cause": cause, "remedy": remedy}
        found, _ = await self.request("POST", f"/cases/{number}/status", json=body, if_match=if_match)
        return found  # type: ignore[no-any-return]

    async def add_case_note(self, number: str, words: str, *, is_internal: bool = True) -> CaseState:
        body = {"words": words, "is_internal": is_internal}
        found, _ = await self.request("POST", f"/cases/{number}/notes", json=body)
        return found  # type: ignore[no-any-return]

    async def payment_plans(self, number: str) -> list[PlanChoice]:
        """Plans for paying later that could be granted for what the customer of the case owes."""
        found, _ = await self.request("GET", f"/cases/{number}/payment-plans")
        return list(found["items"])

    async def grant_payment_plan(self, number: str, plan: str = "", *, if_match: str | None = None) -> PlanGranted:
        """Instalments take the place of what is owed; without a name, by the plan the customer asked for."""
        found, _ = await self.request("POST", f"/cases/{number}/payment-plan", json={"plan": plan}, if_match=if_match)
        return found  # type: ignore[no-any-return]

    async def conversation(self, conversation_id: int) -> tuple[Conversation, str]:
        """The conversation with its newest history, and the ETag that names who has it."""
        found: tuple[Conversation, str] = await self.request("GET", f"/conversations/{conversation_id}")
        return found

    async def take(self, conversation_id: int, *, if_match: str | None = None) -> tuple[Moved, str]:
        """The token has the conversation, and may write in it."""
        path = f"/conversations/{conversation_id}/take"
        found: tuple[Moved, str] = await self.request("POST", path, if_match=if_match)
        return found

    async def send(self, conversation_id: int, text: str, *, client_id: str | None = None) -> Sent:
        """The customer gets these words once, however often this is tried with the same `client_id`."""
        body = {"text": text, "client_id": client_id or str(uuid.uuid4())}
        found, _ = await self.request("POST", f"/conversations/{conversation_id}/messages", json=body)
        return found  # type: ignore[no-any-return]

    async def hand_back(self, conversation_id: int, *, summary: str = "", outcome: str = "solved") -> Moved:
        """The bot has the conversation again."""
        body = {"summary": summary, "outcome": outcome}
        found, _ = await self.request("POST", f"/conversations/{conversation_id}/return", json=body)
        return found  # type: ignore[no-any-return]

    async def broadcasts(self, **filters: str | int) -> AsyncIterator[BroadcastLine]:
        """Broadcasts, the newest first; filters: state, limit (of a page)."""
        async for item in self.pages("/broadcasts", filters):
            yield item  # type: ignore[misc]  # the specification's shape

    async def create_broadcast(self, document: Mapping[str, Any]) -> tuple[Broadcast, str]:
        """A draft, and the ETag that names its version."""
        found: tuple[Broadcast, str] = await self.request("POST", "/broadcasts", json={"document": dict(document)})
        return found

    async def broadcast_status(self, name: str) -> BroadcastProgress:
        found, _ = await self.request("GET", f"/broadcasts/{name}/status")
        return found  # type: ignore[no-any-return]

    async def act_on_broadcast(self, name: str, act: str, *, if_match: str | None = None) -> Broadcast:
        """`act`: approval-request, approval, start, pause, resume or cancel. Raises: Changed for an older version."""
        found, _ = await self.request("POST", f"/broadcasts/{name}/{act}", if_match=if_match)
        return found  # type: ignore[no-any-return]

    async def uncertain_sends(self, name: str) -> list[UncertainSend]:
        """Recipients of a broadcast who may or may not have got it."""
        found, _ = await self.request("GET", f"/broadcasts/{name}/uncertain-sends")
        return list(found["items"])

    async def decide_uncertain_sends(self, name: str, *, send_again: bool, ids: list[int] | None = None) -> int:
        """These (None: all) are due again, or count as failed; how many."""
        body = {"send_again": send_again, "ids": ids}
        found, _ = await self.request("POST", f"/broadcasts/{name}/uncertain-sends/decision", json=body)
        return int(found["recipients"])

    async def training(self) -> dict[str, Any]:
        """Which model serves, the last training with its progress, the candidate that waits for a decision."""
        found, _ = await self.request("GET", "/training")
        return dict(found)

    async def start_training(self) -> dict[str, Any]:
        """A candidate is trained in the background."""
        found, _ = await self.request("POST", "/training")
        return dict(found)

    async def promote(self, version: str, *, seen: str) -> None:
        """The candidate serves. Raises: Conflict when another one serves by now than `seen`."""
        await self.request("POST", "/training/promotion", json={"version": version, "seen": seen})

    async def attach(self, conversation_id: int, file_name: str, content: bytes) -> str:
        """The media id of the file, to be named in a message."""
        body = {"file_name": file_name, "content": b64encode(content).decode()}
        found, _ = await self.request("POST", f"/conversations/{conversation_id}/files", json=body)
        return str(found["media_id"])

    async def upload_list(self, name: str, file_name: str, content: bytes) -> tuple[int, list[dict[str, Any]]]:
        """How many people are on the new list, and the lines that put nobody on it."""
        body = {"name": name, "file_name": file_name, "content": b64encode(content).decode()}
        found, _ = await self.request("POST", "/audience-lists/upload", json=body)
        return int(found["made"]["members"]), list(found["errors"])

    async def create_hook(self, url: str, events: list[str]) -> NewHook:
        """A subscriber; its secret is told this once."""
        found, _ = await self.request("POST", "/hooks", json={"url": url, "events": events})
        return found  # type: ignore[no-any-return]

    async def hooks(self) -> AsyncIterator[Hook]:
        async for item in self.pages("/hooks"):
            yield item  # type: ignore[misc]  # the specification's shape

    # --- one request --------------------------------------------------------------------------------------------

    async def _once(
        self, method: str, path: str, params: Mapping[str, str], json: Any, headers: Mapping[str, str]
    ) -> tuple[Any, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        call = self._session.request(
            method,
            f"{self._base}{path}",
            params=params,
            json=json,
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
        )
        try:
            async with call as answer:
                etag = answer.headers.get("ETag", "")
                is_json = answer.content_type.endswith("json")
                document = await answer.json(content_type=None) if is_json else None
                if 200 <= answer.status < 300:
                    return (document if is_json else (await answer.text() or None)), etag
                wait = answer.headers.get("Retry-After", "")
                raise error_of(answer.status, document or {}, float(wait) if wait.isdecimal() else None)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            unreached = {"status": 503, "code": "not-reached", "detail": type(error).__name__}
            raise Unavailable(unreached) from error
