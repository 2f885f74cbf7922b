"""What the desk asks of the assistant in force, for whoever shows it: console and API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bot.types import Language
from crm_sync.site_links import SiteLinks
from crm_sync.site_tasks import Offered

if TYPE_CHECKING:
    from frontdesk.app import App


def flow_names(app: App) -> frozenset[str]:
    """Flows the bot can go on with after a handback."""
    return frozenset(app.runtimes.default_assistant().flows)


def site_link(app: App) -> Callable[[Offered], str]:
    """What makes the address at which a site works on a task."""
    links = SiteLinks(app.secret_keys, base_url=app.settings.own_url)
    return lambda offered: links.link(offered.task_id, offered.serial, offered.expires_at)


def rules_file(app: App, assistant: str = "") -> str:
    """service.yml as the assistant's folder has it; "" where it has none. Raises: NotFound."""
    folder = app.library.folder(assistant) if assistant else app.settings.assistant
    file = folder / "service.yml"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def report_titles(app: App) -> Callable[[str, str], Mapping[Language, str] | None]:
    """What reports call an intent, a category, a cause or a channel; None: by its key."""
    from console.words import WORDS

    def titles(kind: str, key: str) -> Mapping[Language, str] | None:
        assistant = app.runtimes.default_assistant()
        if kind == "intent":
            known = assistant.intents.get(key)
            return known.title if known and known.title else None
        for rules in app.runtimes.policy().each:  # the default one's first
            if kind == "category" and (named := rules.cases.categories.names(key)):
                return named
            if kind == "cause" and key in rules.cases.causes:
                return rules.cases.causes[key]
        if kind == "channel" and (words := WORDS.get(f"channel.{key}")):
            return {"en": words[0], "zh": words[1]}
        return None

    return titles
