"""A broadcast written as the JSON that `document.read_broadcast` reads as the same broadcast."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bot.reach.types import Broadcast, Piece, Plan, Variant


def document_of(broadcast: Broadcast) -> dict[str, Any]:
    """JSON that `read_broadcast` reads as the same broadcast; what is left to the defaults is left out."""
    content, plan, audience = broadcast.content, broadcast.plan, broadcast.audience
    document: dict[str, Any] = {
        "name": broadcast.name,
        "title": broadcast.title,
        "purpose": broadcast.purpose,
        "topic": broadcast.topic,
        "audience": _filled(
            segment=audience.segment, where=dict(audience.where), list=audience.list, exclude=list(audience.exclude)
        ),
        "channels": list(broadcast.channels),
        "content": _filled(
            variants=[_variant_document(variant) for variant in content.variants],
            fallbacks={name: dict(words) for name, words in content.fallbacks.items()},
            links=dict(content.links),
            coupons=content.coupons,
            split=content.split,
        ),
        "plan": _plan_document(plan),
        "holdout": broadcast.holdout,
        "per_s": broadcast.per_s,
        "per_person": list(broadcast.per_person) if broadcast.per_person else None,
        "stop": {name: getattr(broadcast.stop, name) for name in ("failures", "blocks", "complaints", "after")},
        "effect": {
            "window_days": broadcast.effect.window // timedelta(days=1),
            "counts": list(broadcast.effect.counts),
            "cost_minor": broadcast.effect.cost_minor,
            "currency": broadcast.effect.currency,
        },
    }
    return {name: value for name, value in document.items() if value not in ("", None)}


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _piece_document(piece: Piece) -> dict[str, Any]:
    return _filled(
        text=dict(piece.text),
        image=piece.image_url,
        media=[dict(file) for file in piece.media],
        cards=[{key: value for key, value in card.items() if value} for card in piece.cards],
        buttons=[
            _filled(label=dict(button.label), link=button.link, payload=button.payload) for button in piece.buttons
        ],
        kind=piece.kind,
        by=piece.by,
        template=piece.template_id,
        fields={name: dict(words) for name, words in piece.template_fields.items()},
    )


def _variant_document(variant: Variant) -> dict[str, Any]:
    own = _piece_document(variant.piece)
    # A channel's piece holds what the variant says everywhere too; only what differs is written.
    channels = {
        name: {key: value for key, value in _piece_document(piece).items() if own.get(key) != value}
        for name, piece in variant.channels.items()
    }
    return {"name": variant.name, **own, **_filled(channels=channels)}


def _plan_document(plan: Plan) -> dict[str, Any]:
    return {
        **_filled(
            at=plan.at.isoformat() if plan.at else "",
            in_each_zone=plan.in_each_zone,
            every=dict(plan.every),
            on=_filled(event=plan.on.event, after=_said(plan.on.after), name=plan.on.name) if plan.on else {},
            until=plan.until.isoformat() if plan.until else "",
            steps=[
                _filled(name=step.name, variant=step.variant, after=_said(step.after), when=dict(step.when))
                for step in plan.steps
            ],
        ),
        "quiet": list(plan.quiet),
    }


def _said(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    if minutes % 1440 == 0 and minutes:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 and minutes else f"{minutes}m"
