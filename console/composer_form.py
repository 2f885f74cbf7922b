"""A broadcast's document as the fields of the composer, and back. What the form has no field for stays as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from bot.reach.content_reading import MAX_LINKS, MAX_VARIANTS, VARIABLE
from bot.reach.plan_reading import MAX_STEPS
from console.composer_parts import kind_fields, kind_of, part_fields, parts_of
from console.composer_parts import words_of as _words
from console.form_fields import Fields
from console.saying import digits_of
from console.segment_form import definition_of, tree_of

MOST_BUTTONS: Final = 3  # in the form; a document may have more
ANSWERS: Final = ("replied", "clicked", "bought", "else")
WHEN: Final = ("now", "at", "every", "on")
STOPS: Final = ("failures", "blocks", "complaints")
_SPOKEN: Final = (".text.", ".label.", ".title.")  # fields that may hold variables
_DAY: Final = "%Y-%m-%dT%H:%M"


# --- the document as fields -------------------------------------------------------------------------------------------


def fields_of(document: Mapping[str, Any], zone: tzinfo) -> Fields:
    """What the form shows of a document. The condition of an audience is shown by the segment's form."""
    audience, content = document.get("audience", {}), document.get("content", {})
    values: dict[str, Any] = {key: document.get(key, "") for key in ("name", "title", "purpose", "topic")}
    values["aud"] = next((key for key in ("where", "list") if audience.get(key)), "segment")
    values.update({"segment": audience.get("segment", ""), "list": audience.get("list", "")})
    values["exclude"] = list(audience.get("exclude", ()))
    for place, channel in enumerate(document.get("channels", ()), 1):
        values[f"ch.{channel}"] = place
    for place, variant in enumerate(content.get("variants", ())):
        values.update(_variant_fields(f"v{place}", variant))
    for place, (name, address) in enumerate(content.get("links", {}).items()):
        values.update({f"l{place}.name": name, f"l{place}.url": address})
    for name, words in content.get("fallbacks", {}).items():
        values.update({f"f.{name}.{language}": text for language, text in words.items()})
    values.update({"coupons": content.get("coupons", ""), "split": content.get("split", "equal")})
    values.update(_plan_fields(document.get("plan", {}), zone))
    values.update(_numbers(document))
    return Fields.of(values)


def _variant_fields(stem: str, variant: Mapping[str, Any]) -> dict[str, Any]:
    found = {f"{stem}.name": variant["name"], f"{stem}.image": variant.get("image", "")}
    for language, text in variant.get("text", {}).items():
        found[f"{stem}.text.{language}"] = text
    for place, button in enumerate(variant.get("buttons", ())):
        for language, text in button.get("label", {}).items():
            found[f"{stem}.b{place}.label.{language}"] = text
        found[f"{stem}.b{place}.link"] = button.get("link", "")
        found[f"{stem}.b{place}.payload"] = button.get("payload", "")
    for channel, piece in variant.get("channels", {}).items():
        for language, text in piece.get("text", {}).items():
            found[f"{stem}.c.{channel}.text.{language}"] = text
        found.update(kind_fields(f"{stem}.c.{channel}", piece))
    found.update(part_fields(stem, variant))
    return found


def _plan_fields(plan: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    every, on = plan.get("every", {}), plan.get("on", {})
    found: dict[str, Any] = {
        "when": next((key for key in WHEN if plan.get(key)), "now"),
        "at": _there(plan.get("at", ""), zone),
        "in_each_zone": "yes" if plan.get("in_each_zone") else "",
        "until": _there(plan.get("until", ""), zone),
        "unit": every.get("unit", ""),
        "every_at": every.get("at", ""),
        "weekday": list(every.get("weekdays", ())),
        "day": every.get("day", ""),
        "event": on.get("event", ""),
        "after": on.get("after", ""),
        "event_name": on.get("name", ""),
    }
    quiet = plan.get("quiet")
    if quiet:
        found.update({"quiet_from": quiet[0], "quiet_to": quiet[1]})
    for place, step in enumerate(plan.get("steps", ())):
        found.update({f"s{place}.{key}": step.get(key, "") for key in ("name", "variant", "after")})
        found.update({f"s{place}.{key}": to for key, to in step.get("when", {}).items()})
    return found


def _there(text: str, zone: tzinfo) -> str:
    """A moment as the field of a day and a time shows it, in the business's zone."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return ""
    return (at.astimezone(zone) if at.tzinfo else at).strftime(_DAY)


def _numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    cap, effect, stop = document.get("per_person"), document.get("effect", {}), document.get("stop", {})
    found: dict[str, Any] = {
        "holdout": _percent(document.get("holdout", 0.1)),
        "per_s": _plain(document["per_s"]) if document.get("per_s") else "",
        "window_days": effect.get("window_days", 14),
        "counts": list(effect.get("counts", ("orders", "visits"))),
        "currency": effect.get("currency", ""),
        "stop_after": stop.get("after", ""),
    }
    if cap:
        found.update({"cap_n": cap[0], "cap_days": cap[1]})
    if effect.get("cost_minor"):
        found["cost"] = f"{Decimal(effect['cost_minor']).scaleb(-digits_of(effect.get('currency', ''))):f}"
    found.update({f"stop_{key}": _percent(stop[key]) for key in STOPS if key in stop})
    return found


def _percent(share: float) -> str:
    return _plain(round(share * 100, 4))


def _plain(value: float) -> str:
    return f"{value:g}"


# --- fields as the document -------------------------------------------------------------------------------------------


def document_of(fields: Fields, base: Mapping[str, Any], attributes: Mapping[str, str]) -> dict[str, Any]:
    """The document as it stands in the form; `read_broadcast` says what is wrong with it."""
    document: dict[str, Any] = {key: fields.text(key) for key in ("name", "title", "purpose", "topic")}
    document["audience"] = _audience(fields, attributes)
    document["channels"] = channels_of(fields)
    document["content"] = _content(fields, base.get("content", {}))
    document["plan"] = _plan(fields)
    document["holdout"] = _share(fields.text("holdout") or "0")
    if fields.text("per_s"):
        document["per_s"] = _number(fields.text("per_s"))
    if fields.text("cap_n") or fields.text("cap_days"):
        document["per_person"] = [_number(fields.text("cap_n")), _number(fields.text("cap_days"))]
    stop = {key: _share(fields.text(f"stop_{key}")) for key in STOPS if fields.text(f"stop_{key}")}
    if fields.text("stop_after"):
        stop["after"] = _number(fields.text("stop_after"))
    document["stop"] = stop
    document["effect"] = _effect(fields)
    return {key: value for key, value in document.items() if value not in ("", None)}


def channels_of(fields: Fields) -> list[str]:
    """Channels with a place, in the order of their places."""
    placed = [(fields.text(name), name.removeprefix("ch.")) for name in fields.under("ch.") if fields.text(name)]
    return [name for _, name in sorted(placed, key=lambda one: (len(one[0]), one[0], one[1]))]


def _audience(fields: Fields, attributes: Mapping[str, str]) -> dict[str, Any]:
    kind, found = fields.text("aud"), dict[str, Any]()
    if kind == "where":
        found["where"] = definition_of(tree_of(fields), attributes)
    elif kind in ("segment", "list") and fields.text(kind):
        found[kind] = fields.text(kind)
    if fields.all("exclude"):
        found["exclude"] = fields.all("exclude")
    return found


def _content(fields: Fields, base: Mapping[str, Any]) -> dict[str, Any]:
    before = {variant["name"]: variant for variant in base.get("variants", ())}
    variants = [
        _variant(fields, f"v{n}", before.get(fields.text(f"v{n}.name"), {}))
        for n in range(fields.count("v", "name", MAX_VARIANTS))
    ]
    links = {
        fields.text(f"l{n}.name"): fields.text(f"l{n}.url")
        for n in range(fields.count("l", "name", MAX_LINKS))
        if fields.text(f"l{n}.name") or fields.text(f"l{n}.url")
    }
    content = {
        "variants": variants,
        "fallbacks": {name: words for name in variables_of(fields) if (words := _words(fields, f"f.{name}"))},
        "links": links,
        "coupons": fields.text("coupons"),
        "split": fields.text("split") or "equal",
    }
    return {key: value for key, value in content.items() if value}


def variables_of(fields: Fields) -> list[str]:
    """Variables that need words for those of whom nothing is known."""
    texts = [fields.text(name) for name in fields.under("v") if any(part in name for part in _SPOKEN)]
    found = dict.fromkeys(name for text in texts for name in VARIABLE.findall(text))
    return [name for name in found if name and name != "coupon" and not name.startswith("link_") and len(name) <= 60]


def _variant(fields: Fields, stem: str, before: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: deepcopy(before[key]) for key in ("kind", "by", "template", "fields") if key in before}
    found: dict[str, Any] = {"name": fields.text(f"{stem}.name"), **kept, **parts_of(fields, stem, before)}
    if text := _words(fields, f"{stem}.text"):
        found["text"] = text
    if fields.text(f"{stem}.image"):
        found["image"] = fields.text(f"{stem}.image")
    buttons = []
    for place in range(MOST_BUTTONS + len(before.get("buttons", ()))):
        button: dict[str, Any] = {"label": _words(fields, f"{stem}.b{place}.label")}
        for key in ("link", "payload"):
            if fields.text(f"{stem}.b{place}.{key}"):
                button[key] = fields.text(f"{stem}.b{place}.{key}")
        if any(button.values()):
            buttons.append(button)
    if buttons:
        found["buttons"] = buttons
    channels = {
        channel: piece
        for channel in _own_channels(fields, stem, before)
        if (piece := _piece(fields, f"{stem}.c.{channel}", before.get("channels", {}).get(channel, {})))
    }
    return {**found, **({"channels": channels} if channels else {})}


def _own_channels(fields: Fields, stem: str, before: Mapping[str, Any]) -> Sequence[str]:
    named = [name.removeprefix(f"{stem}.c.").split(".")[0] for name in fields.under(f"{stem}.c.")]
    return list(dict.fromkeys([*named, *before.get("channels", {})]))


def _piece(fields: Fields, stem: str, before: Mapping[str, Any]) -> dict[str, Any]:
    if not fields.under(f"{stem}."):
        return deepcopy(dict(before))  # a channel that is not set up has no part in the form
    has_kind = f"{stem}.kind" in fields
    told = ("text", *(("kind", "by", "template", "fields") if has_kind else ()))
    piece = {key: deepcopy(value) for key, value in before.items() if key not in told}
    if text := _words(fields, f"{stem}.text"):
        piece["text"] = text
    return {**piece, **(kind_of(fields, stem, before) if has_kind else {})}


def _plan(fields: Fields) -> dict[str, Any]:
    when, plan = fields.text("when"), dict[str, Any]()
    if when == "at":
        plan["at"] = fields.text("at") or "?"
    elif when == "every":
        unit = fields.text("unit") or "day"
        every: dict[str, Any] = {"unit": unit, "at": fields.text("every_at")}
        if unit == "week":
            every["weekdays"] = [_number(day) for day in fields.all("weekday")]
        if unit == "month":
            every["day"] = _number(fields.text("day"))
        plan["every"] = every
    elif when == "on":
        on = {"event": fields.text("event"), "after": fields.text("after") or "0m", "name": fields.text("event_name")}
        plan["on"] = {key: value for key, value in on.items() if value}
    if when in ("at", "every") and fields.text("in_each_zone"):
        plan["in_each_zone"] = True
    if fields.text("until"):
        plan["until"] = fields.text("until")
    if fields.text("quiet_from") or fields.text("quiet_to"):
        plan["quiet"] = [fields.text("quiet_from"), fields.text("quiet_to")]
    steps = [_step(fields, f"s{n}") for n in range(fields.count("s", "name", MAX_STEPS))]
    if steps:
        plan["steps"] = steps
    return plan


def _step(fields: Fields, stem: str) -> dict[str, Any]:
    step: dict[str, Any] = {key: fields.text(f"{stem}.{key}") for key in ("name", "variant")}
    step["after"] = fields.text(f"{stem}.after") or "0m"
    when = {key: fields.text(f"{stem}.{key}") for key in ANSWERS if fields.text(f"{stem}.{key}")}
    return {**step, **({"when": when} if when else {})}


def _effect(fields: Fields) -> dict[str, Any]:
    currency = fields.text("currency").upper()
    effect: dict[str, Any] = {"counts": fields.all("counts"), "currency": currency}
    if fields.text("window_days"):
        effect["window_days"] = _number(fields.text("window_days"))
    if fields.text("cost"):
        try:
            effect["cost_minor"] = int(Decimal(fields.text("cost")).scaleb(digits_of(currency)))
        except (InvalidOperation, OverflowError, ValueError):
            effect["cost_minor"] = fields.text("cost")
    return {key: value for key, value in effect.items() if value != ""}


def _share(text: str) -> Any:
    number = _number(text)
    return round(number / 100, 6) if isinstance(number, int | float) else text


def _number(text: str) -> Any:
    """The number, or what stands there instead of one: reading the document says that it is none."""
    if len(text) > 15:
        return text
    if text.lstrip("-").isascii() and text.lstrip("-").isdigit():
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return text
    return value if abs(value) < 1e15 else text
