"""A Rasa server as an engine: its `POST /model/parse` over HTTP, mapped to `Understanding`.

In: any text. Out: an `Understanding` whose offsets count code points of that text. What can go wrong is
`ServiceUnavailable(service="rasa")`: no answer in time, an error status, an answer that cannot be believed, or the
breaker being open (after several failures in a row Rasa is left alone for some seconds, so that messages do not each
wait for the time limit).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import aiohttp
import orjson
import structlog
from pydantic import SecretStr
from yarl import URL

from bot.errors import Misconfigured, ServiceUnavailable
from bot.types import Entity, ScoredIntent, Understanding
from nlu.language import detect, fold

log = structlog.get_logger(__name__)

SERVICE = "rasa"
HELPER_ENTITIES = frozenset({"language"})  # in the sample's domain so that Rasa's own answers can choose a language
FALLBACK_INTENT = "nlu_fallback"  # what Rasa's FallbackClassifier puts on top; not something a customer wants
# Measured with Rasa 3.6.21 and DIET: 1,000 Chinese characters take 0.2 s; 20,000 take 48 s and 14 GB, and hold up
# everybody else meanwhile. So only the beginning of a very long text is sent.
MAX_CHARACTERS = 1_000
MAX_ANSWER_BYTES = 1_000_000  # an answer to 1,000 characters has about 15 kB
MAX_AT_ONCE = 16  # Rasa answers one after the other; more in flight would only time out together


class TextRefused(ServiceUnavailable):
    """Rasa failed at once, and perhaps at this text only: no reason to leave it alone for the next one."""


@dataclass(slots=True)
class Breaker:
    """Closed, or open until a moment; after it one call at a time may try."""

    failures_to_open: int = 3
    open_for_s: float = 5.0
    failures: int = 0
    open_until: float = 0.0  # on the monotonic clock

    def allows(self, now: float) -> bool:
        """Whether a call may be made; while open, whoever asks first after the pause is the one who tries."""
        if self.failures < self.failures_to_open:
            return True
        if now < self.open_until:
            return False
        self.open_until = now + self.open_for_s
        return True

    def succeeded(self) -> None:
        self.failures, self.open_until = 0, 0.0

    def failed(self, now: float) -> None:
        self.failures += 1
        if self.failures >= self.failures_to_open:
            self.open_until = now + self.open_for_s


_WORD_START, _WORD_END = re.compile(r"[A-Za-z]"), re.compile(r"[A-Za-z]\Z")
_PLURAL = re.compile(r"e?s(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is sent for a text: a part of it, `lead` code points into it."""

    text: str
    lead: int


class RasaEngine:
    """A Rasa 3.6 server. Opens its connections at the first call; `close` ends them."""

    name = "rasa"

    def __init__(
        self,
        url: str,
        *,
        token: SecretStr | None = None,
        timeout_s: float = 0.3,
        intents: Collection[str] = (),
        breaker: Breaker | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`intents`: those of the assistant; an answer with another one on top is of some other model. Empty: any.

        Raises: Misconfigured for an address that is not http(s).
        """
        try:
            base = URL(url)
        except ValueError:
            base = URL()
        if base.scheme not in ("http", "https") or not base.host:
            raise Misconfigured(SERVICE, "the address of the Rasa server must look like http://127.0.0.1:5005")
        self._base = base
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._timeout_s = timeout_s
        self._intents = frozenset(intents)
        self._breaker = breaker or Breaker()
        self._monotonic = monotonic
        self._session: aiohttp.ClientSession | None = None

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        """What Rasa understands; the beginning only of a text longer than `MAX_CHARACTERS`.

        Raises: ServiceUnavailable.
        """
        started = self._monotonic()
        language = detect(text)
        nothing = Understanding(
            text=text,
            language=language.language,
            language_is_sure=language.is_sure,
            intents=(),
            entities=(),
            engine=self.name,
            written=language.written,
        )
        sent = what_to_send(text)
        if not sent.text:
            return nothing
        if not self._breaker.allows(started):
            raise ServiceUnavailable(SERVICE, "left alone for a few seconds after failing repeatedly")
        try:
            understanding = _read(await self._post("model/parse", {"text": sent.text}), sent, nothing)
            self._check_model(understanding)
        except ServiceUnavailable as failure:
            if not isinstance(failure, TextRefused):
                self._breaker.failed(self._monotonic())
            log.warning("rasa_parse_failed", reason=failure.reason, failures_in_a_row=self._breaker.failures)
            raise
        except asyncio.CancelledError:  # whoever asked has stopped waiting
            self._breaker.failed(self._monotonic())
            raise
        self._breaker.succeeded()
        note = f"rasa read the first {MAX_CHARACTERS} characters" if len(text) > MAX_CHARACTERS else ""
        return replace(understanding, note=note, duration_ms=(self._monotonic() - started) * 1000)

    def _check_model(self, understanding: Understanding) -> None:
        """Raises: ServiceUnavailable when the server has the model of another assistant, or of an older one."""
        best = understanding.intent.name
        if self._intents and best and best not in self._intents:
            raise ServiceUnavailable(SERVICE, f"serves another model: the assistant has no intent {best[:60]!r}")

    async def is_ready(self) -> bool:
        """The server answers and has a model loaded."""
        try:
            status = await self._get("status")
        except ServiceUnavailable:
            return False
        return isinstance(status, dict) and bool(status.get("model_id") or status.get("model_file"))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("POST", path, orjson.dumps(body))

    async def _get(self, path: str) -> Any:
        return await self._ask("GET", path, None)

    async def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        """The decoded answer. Rasa takes its token only in the URL, so no URL may get into an error or a log."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=MAX_AT_ONCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
                auto_decompress=False,  # a small answer cannot grow
            )
        url = self._base / path
        if self._token is not None:
            url = url.update_query(token=self._token.get_secret_value())
        try:
            async with self._session.request(method, url, data=body, allow_redirects=False) as response:
                if response.status in (400, 500):  # what Rasa answers when its pipeline raises
                    raise TextRefused(SERVICE, f"failed on this text (status {response.status})")
                if response.status != 200:
                    raise ServiceUnavailable(SERVICE, _meaning(response.status))
                return _decode(await _read_bounded(response))
        except TimeoutError:
            raise ServiceUnavailable(SERVICE, f"timed out after {self._timeout_s:g} s", happened="unknown") from None
        except aiohttp.ClientConnectorError:
            raise ServiceUnavailable(SERVICE, "cannot be reached") from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # Not chained: the exception may carry the URL, and with it the token.
            raise ServiceUnavailable(SERVICE, f"broke off ({type(exc).__name__})", happened="unknown") from None


def _meaning(status: int) -> str:
    match status:
        case 401 | 403:
            return f"refused the token ({status}); set FRONTDESK_NLU__RASA_TOKEN to the one Rasa was started with"
        case 404:
            return "has no /model/parse (404); start Rasa with --enable-api"
        case 409:
            return "has no model loaded (409)"
        case _:
            return f"answered with status {status}"


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            response.close()
            raise ServiceUnavailable(SERVICE, f"sent more than {MAX_ANSWER_BYTES} bytes")
    return bytes(answer)


def _decode(answer: bytes) -> Any:
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise ServiceUnavailable(SERVICE, "did not answer in JSON") from None


# --- what is sent -----------------------------------------------------------------------------------------------


def what_to_send(text: str) -> _Sent:
    """The text as Rasa may see it: folded like training text, bounded, never starting like one of Rasa's shortcuts.

    Rasa takes a text that begins with "/" for an intent given by name ("/restart", "/greet{...}") and asks no
    classifier; what a customer types is only text, so leading slashes are left out. Rasa also strips white space
    itself, which would shift its offsets, so that is left out here and counted.
    """
    bounded = text[:MAX_CHARACTERS]
    # Full-width and Traditional forms and odd characters as in the training text; capitals as they were typed.
    prepared = "".join(
        char if folded == char.lower() else folded for char, folded in zip(bounded, fold(bounded), strict=True)
    )
    lead = 0
    while lead < len(prepared) and (prepared[lead] == "/" or prepared[lead].isspace()):
        lead += 1
    return _Sent(prepared[lead:].rstrip(), lead)


# --- what comes back --------------------------------------------------------------------------------------------


def _read(answer: Any, sent: _Sent, nothing: Understanding) -> Understanding:
    """Raises: ServiceUnavailable when the answer is not what Rasa 3.6 answers."""
    try:
        intents = _intents(answer)
        # Offsets into some other text cannot be trusted: keep what it means, leave out where it stands.
        entities = _entities(answer["entities"], sent, nothing.text) if answer.get("text") == sent.text else ()
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ServiceUnavailable(SERVICE, f"sent an answer of another shape ({type(exc).__name__})") from None
    return replace(nothing, intents=intents, entities=entities)


def _intents(answer: Mapping[str, Any]) -> tuple[ScoredIntent, ...]:
    ranking = answer.get("intent_ranking") or [answer["intent"]]
    scored = [
        ScoredIntent(_a_string(entry["name"]), _score(entry["confidence"]))
        for entry in ranking
        if entry["name"] not in (None, "", FALLBACK_INTENT)
    ]
    return tuple(sorted(scored, key=lambda intent: -intent.confidence))


def _entities(found: Iterable[Mapping[str, Any]], sent: _Sent, text: str) -> tuple[Entity, ...]:
    entities = []
    for entry in found:
        name, start, end = _a_string(entry["entity"]), entry.get("start"), entry.get("end")
        if name in HELPER_ENTITIES or start is None or end is None:
            continue
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(sent.text):
            raise ValueError("offsets outside the text")
        if _cuts_a_word(sent.text, start, end):
            continue
        words = text[sent.lead + start : sent.lead + end]
        # DIET says confidence_entity, Duckling and CRF say confidence, patterns and lookups say nothing: they are sure.
        score = entry.get("confidence_entity", entry.get("confidence"))
        entities.append(
            Entity(
                name=name,
                value=_plain(entry.get("value"), words),
                text=words,
                start=sent.lead + start,
                end=sent.lead + end,
                confidence=1.0 if score is None else _score(score),
                extractor=_a_string(entry.get("extractor") or ""),
            )
        )
    return without_overlaps(entities)


def _cuts_a_word(text: str, start: int, end: int) -> bool:
    """Lookup tables that must match inside Chinese match inside English words too: "fan" in "fantastic".

    A plural is no cut: "kettles".
    """
    before = _WORD_END.search(text[:start]) and _WORD_START.match(text[start:])
    after = _WORD_END.search(text[:end]) and _WORD_START.match(text[end:]) and not _PLURAL.match(text[end:])
    return bool(before or after)


def without_overlaps(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """In text order, each stretch of text taken once: the longer finding wins, then the surer, then the earlier.

    Several extractors often find the same thing; a flow must not be given it twice.
    """
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e.start - e.end, -e.confidence, e.start)):
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    return tuple(sorted(kept, key=lambda e: e.start))


def _plain(value: Any, words: str) -> str:
    """Extractors such as Duckling give numbers or objects; a structure says less than the customer's words."""
    if isinstance(value, str) and value:
        return value
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else words


def _a_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name must be a string")
    return value


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("a confidence must be a number")
    return min(1.0, max(0.0, float(value)))
