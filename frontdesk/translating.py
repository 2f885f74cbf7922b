"""A LibreTranslate server behind the `Translator` port: what customers wrote, in the language of who reads it."""

from __future__ import annotations

from typing import Final

import aiohttp

from bot.errors import ServiceUnavailable
from config.settings import TranslateSettings
from desk.helping import Translator

LONGEST_ANSWER: Final = 200_000  # bytes: ten times the longest message


class LibreTranslate:
    """`translate` asks the server once; it finds out itself which language the words are in."""

    def __init__(self, settings: TranslateSettings) -> None:
        self._settings = settings
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)

    async def translate(self, text: str, *, to: str) -> str:
        """Raises: ServiceUnavailable."""
        asked = {"q": text, "source": "auto", "target": to, "format": "text"}
        if self._settings.api_key is not None:
            asked["api_key"] = self._settings.api_key.get_secret_value()
        address = f"{self._settings.url.rstrip('/')}/translate"
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(address, json=asked, allow_redirects=False) as answer,
            ):
                if answer.status != 200 or (answer.content_length or 0) > LONGEST_ANSWER:
                    raise ServiceUnavailable("translator", f"answered {answer.status}")
                said = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise ServiceUnavailable("translator", "does not answer") from exc
        words = said.get("translatedText") if isinstance(said, dict) else None
        if not isinstance(words, str):
            raise ServiceUnavailable("translator", "answered without words")
        return words


def translator_of(settings: TranslateSettings) -> Translator | None:
    """Who translates for this deployment; None where nobody was named."""
    return LibreTranslate(settings) if settings.url else None
