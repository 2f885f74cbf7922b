"""The page a site works with, as HTML: small, for a phone first, in Chinese and English, without a script.

Everything that came from outside is escaped; nothing here decides anything.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.assistant import Assistant
from bot.business_time import say_time
from bot.service.sites import name_of
from bot.types import Language
from bot.values import say_money
from crm_sync.site_tasks import TaskView
from frontdesk.site_words import SEVERITY, STYLE, say

MAX_NAME: Final = 60
MAX_WORDS: Final = 2_000

LANGUAGES = {"zh": "中文", "en": "English"}  # each in itself, as whoever speaks it reads it


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is made with. `file_link` gives a stored file an address; `notice` says what just happened."""

    language: Language
    assistant: Assistant
    now: datetime
    file_link: Callable[[str], str]
    notice: str = ""
    tone: str = ""  # good | warn | bad


def refusal_page(reason: str, language: Language) -> str:
    """Why the link opens nothing. `reason`: forged | expired | superseded | too_large."""
    body = f'<h1>{say("refused", language)}</h1><p class="notice bad" role="alert">{say(reason, language)}</p>'
    return _document(body + _other(language), language)


def task_page(view: TaskView, page: Page) -> str:
    """The task with what the site has to know, and what can be done with it now."""
    language = page.language
    site = _escape(name_of(view.site.names, language, view.site.key))
    notice = f'<p class="notice {page.tone}" role="status">{say(page.notice, language)}</p>' if page.notice else ""
    parts = [
        f'<p class="meta">{say("task", language).replace("{site}", site)}</p>',
        f"<h1>{_escape(view.case.number)} · {_escape(_category(view, page))}</h1>",
        notice,
        _state(view, page),
        _case(view, page),
        _again(view, page),
        _customer(view, page),
        _earlier(view, page),
        _actions(view, page),
        _other(language),
    ]
    return _document("".join(parts), language)


# --- parts ----------------------------------------------------------------------------------------------------------


def _document(body: str, language: Language) -> str:
    code = "zh-CN" if language == "zh" else "en"
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8"><title>{say("title", language)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _other(language: Language) -> str:
    other = "en" if language == "zh" else "zh"
    return f'<p class="meta"><a href="?lang={other}">{say("other", language)}</a></p>'


def _state(view: TaskView, page: Page) -> str:
    task, language = view.task, page.language
    lines = []
    if task.accepted_at is not None:
        words = say("taken", language).replace("{at}", _time(task.accepted_at, page))
        lines.append(f"<p>{words.replace('{worker}', _escape(task.worker))}</p>")
    if task.state in ("closed", "declined"):
        lines.append(f'<p class="notice good">{say(task.state, language)}</p>')
    if task.report and task.state != "declined":
        told = "".join(f"<li>{_escape(line)}</li>" for line in task.report.splitlines())
        lines.append(f'<p class="meta">{say("reported", language)}</p><ul>{told}</ul>')
    return "".join(lines)


def _case(view: TaskView, page: Page) -> str:
    case, language = view.case, page.language
    severity = SEVERITY.get(case.severity, (str(case.severity),) * 2)[0 if language == "zh" else 1]
    facts = [
        ("severity", severity),
        ("since", _time(case.opened_at, page)),
        ("category", _category(view, page)),
        ("wish", page.assistant.word("wish", case.wish or str(case.details.get("wish", "")), language)),
        ("place", str(case.details.get("place", ""))),
        ("way", f"{view.task.distance_m / 1000:.1f} km" if view.task.distance_m is not None else ""),
        ("asset", " · ".join(part for part in (view.asset.name, view.asset.key) if part) if view.asset else ""),
    ]
    story = str(case.details.get("what_happened", "")) or case.summary
    return f'<h2>{say("case", language)}</h2><p class="story">{_escape(story)}</p>{_facts(facts, language)}' + _files(
        view, page
    )


def _customer(view: TaskView, page: Page) -> str:
    customer = view.customer
    phone = customer.phone or str(view.case.details.get("contact", ""))
    shown = _escape(phone)
    if phone.startswith("+") and phone[1:].isdecimal():
        shown = f'<a href="tel:{shown}">{shown}</a>'
    facts = [("name", _escape(customer.name)), ("phone", "" if phone == "chat" else shown)]
    spoken = view.case.language or customer.language
    facts.append(("language", _escape(LANGUAGES.get(spoken, spoken))))
    return f"<h2>{say('customer', page.language)}</h2>{_facts(facts, page.language, is_html=True)}"


def _again(view: TaskView, page: Page) -> str:
    """What was done about this case before, and why that was not enough."""
    language = page.language
    done = [
        " · ".join(
            part
            for part in (
                _time(row.ended_at, page) if row.ended_at is not None else "",
                name_of(row.site_names, language, row.site_key),
                row.worker,
                *row.report.splitlines(),
            )
            if part
        )
        for row in view.earlier_tasks
    ]
    why = [f"{_time(row.at, page)} · {row.note}" for row in view.reopened if row.note]
    return (_list("done_before", done, language) if done else "") + (_list("reopened", why, language) if why else "")


def _earlier(view: TaskView, page: Page) -> str:
    language = page.language
    visits = [
        " · ".join(
            part
            for part in (
                _time(row.at, page),
                name_of(row.site_names or {}, language),
                page.assistant.word("visit_kind", row.kind, language),
                row._mapping["items"],
                say_money(row.amount_minor, row.currency, language) if row.amount_minor is not None else "",
            )
            if part
        )
        for row in view.earlier_visits
    ]
    before = [
        " · ".join(
            part
            for part in (
                row.number,
                _time(row.opened_at, page),
                page.assistant.word("complaint_category", row.category, language),
                page.assistant.word("case_status", row.status, language),
                row.summary,
            )
            if part
        )
        for row in view.earlier_cases
    ]
    return _list("earlier", visits, language) + (_list("cases", before, language) if before else "")


def _actions(view: TaskView, page: Page) -> str:
    language, state = page.language, view.task.state
    if state == "offered":
        take = f'<input name="words" autocomplete="name" required maxlength="{MAX_NAME}" id="accept">'
        return _form(view, "accept", "worker", take, language) + _declining(view, language)
    if state != "accepted":
        return ""
    rules = page.assistant.service.cases
    codes = _choice("cause", rules.causes, language) + _choice("remedy", rules.remedies, language)
    return (
        _form(view, "report", "report_words", _area("report"), language, is_plain=True)
        + _form(view, "close", "close_words", _area("close") + codes, language)
        + _declining(view, language)
    )


def _choice(name: str, codes: Mapping[str, Mapping[Language, str]], language: Language) -> str:
    """What may be chosen by its name; nothing need be."""
    options = "".join(
        f'<option value="{_escape(code)}">{_escape(names.get(language, code))}</option>'
        for code, names in codes.items()
    )
    unsure = f'<option value="">{say("unsure", language)}</option>'
    return (
        f'<label for="{name}">{say(name, language)}</label><select name="{name}" id="{name}">{unsure}{options}</select>'
    )


def _declining(view: TaskView, language: Language) -> str:
    form = _form(view, "decline", "decline_words", _area("decline"), language, is_plain=True, heading=False)
    return f"<details><summary>{say('decline', language)}</summary>{form}</details>"


def _form(
    view: TaskView,
    action: str,
    label: str,
    field: str,
    language: Language,
    *,
    is_plain: bool = False,
    heading: bool = True,
) -> str:
    title = f"<h2>{say(action, language)}</h2>" if heading else ""
    kind = ' class="plain"' if is_plain else ""
    return (
        f'<form method="post" action="?lang={language}">{title}'
        f'<input type="hidden" name="action" value="{action}">'
        f'<input type="hidden" name="version" value="{view.task.version}">'
        f'<label for="{action}">{say(label, language)}</label>{field}'
        f"<button{kind}>{say('send' if not heading else action, language)}</button></form>"
    )


def _area(name: str) -> str:
    return f'<textarea name="words" id="{name}" required maxlength="{MAX_WORDS}"></textarea>'


def _files(view: TaskView, page: Page) -> str:
    if not view.files:
        return ""
    links = "".join(
        f'<li><a href="{_escape(page.file_link(row.key))}">{_escape(row.kind)} {number}</a></li>'
        for number, row in enumerate(view.files, 1)
    )
    return f'<p class="meta">{say("files", page.language)}</p><ul>{links}</ul>'


def _facts(facts: Sequence[tuple[str, str]], language: Language, *, is_html: bool = False) -> str:
    shown = "".join(
        f"<dt>{say(key, language)}</dt><dd>{value if is_html else _escape(value)}</dd>" for key, value in facts if value
    )
    return f"<dl>{shown}</dl>" if shown else ""


def _list(key: str, lines: Sequence[str], language: Language) -> str:
    items = "".join(f"<li>{_escape(line)}</li>" for line in lines) or f'<li class="meta">{say("none", language)}</li>'
    return f"<h2>{say(key, language)}</h2><ul>{items}</ul>"


def _category(view: TaskView, page: Page) -> str:
    """The category and quality type as the business calls them; the assistant's own words for the category win."""
    case, language = view.case, page.language
    tree = page.assistant.service.cases.categories
    category = page.assistant.word("complaint_category", case.category, language, "")
    category = category or tree.name(case.category, "", language) or case.category
    quality = tree.name(case.category, case.quality_type, language) if case.quality_type else ""
    return f"{category} / {quality}" if quality and quality != category else category


def _time(moment: datetime, page: Page) -> str:
    return say_time(moment, page.now, page.assistant.hours.timezone, page.language)


def _escape(text: str) -> str:
    return html.escape(str(text).replace("\0", ""), quote=True)
