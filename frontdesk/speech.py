"""Words of voice messages, where the deployment has installed something that can hear; never code from an assistant."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

import structlog

from bot.errors import BotError, Misconfigured, NotFound
from bot.ports import SpeechToText
from bot.types import Identity, Language, Media
from channels.base import ChannelAdapter, FetchesMedia
from config.settings import MediaSettings
from crm_sync.media.content import type_of
from crm_sync.media.library import SqlMediaLibrary

log = structlog.get_logger()

GROUP: Final = "frontdesk.speech_to_text"
REMEMBERED: Final = 200  # transcripts of late: a turn that is decided again must not pay twice
MOST_CHARACTERS: Final = 5_000


def load_speech_to_text(settings: MediaSettings) -> SpeechToText | None:
    """What the entry point named by the settings, called without arguments, makes; None when none is named.

    Raises: Misconfigured when no installed package brings it, or it cannot be made.
    """
    name = settings.speech_to_text
    if not name:
        return None
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise Misconfigured(
            "FRONTDESK_MEDIA__SPEECH_TO_TEXT", f"no installed package has an entry point {name!r} in {GROUP}"
        )
    try:
        engine: SpeechToText = next(iter(found)).load()()
    except Exception as error:
        raise Misconfigured(
            "FRONTDESK_MEDIA__SPEECH_TO_TEXT", f"{name!r} cannot be loaded: {type(error).__name__}"
        ) from error
    return engine


class VoiceTranscriber:
    """Implements `bot.ports.Transcriber`: brings the recording from where it lies and asks the engine, in time."""

    def __init__(
        self,
        engine: SpeechToText,
        library: SqlMediaLibrary,
        adapters: Mapping[tuple[str, str], ChannelAdapter],
        *,
        timeout_s: float,
    ) -> None:
        self._engine, self._library, self._adapters, self._timeout_s = engine, library, adapters, timeout_s
        self._heard: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def words_of(self, sender: Identity, voice: Media, *, language: Language) -> str:
        """See `bot.ports.Transcriber`. What could not be told is asked again when the turn is decided again."""
        place = (sender.channel, sender.account, voice.file_id)
        if place in self._heard:
            return self._heard[place]
        facts = {"channel": sender.channel, "account": sender.account}
        try:
            async with asyncio.timeout(self._timeout_s):
                content = await self._recording(sender, voice)
                mime = (await asyncio.to_thread(type_of, content, voice.file_name)).mime
                words = await self._engine.transcribe(content, mime=mime, language=language)
        except TimeoutError:
            log.warning("voice_not_heard", reason="timeout", **facts)
            return ""
        except BotError as error:
            log.warning("voice_not_heard", reason=type(error).__name__, **facts)
            return ""
        except Exception as error:  # noqa: BLE001 - somebody else's code; the customer is answered all the same
            log.error("voice_not_heard", reason=type(error).__name__, **facts)
            return ""
        words = " ".join(words.split())[:MOST_CHARACTERS]
        self._heard[place] = words
        if len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        return words

    async def _recording(self, sender: Identity, voice: Media) -> bytes:
        """Raises: NotFound, InputError, ServiceError."""
        if sender.channel == "web":
            return (await self._library.read(voice.file_id))[1]
        source = self._adapters.get((sender.channel, sender.account))
        if not isinstance(source, FetchesMedia):
            raise NotFound("this channel hands out no files")
        return (await source.fetch_media(voice.file_id, max_bytes=self._library.max_bytes)).content
