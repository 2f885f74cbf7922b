"""What happened beside the conversation and still changes what we know: the form before a chat. Pure."""

from __future__ import annotations

from bot.types import Effect, Event, RecordConsent, UpdateCustomer
from bot.values import phone

PROFILE = "profile"  # detail: name, phone, email, consent (a bool), source; each may be missing
CONTACT = "contact"  # the purpose that the form's check box agrees to: being contacted about the request


def effects_of(event: Event) -> tuple[Effect, ...]:
    """What a form says goes into the record. A number nobody can call is left out; nothing here proves a number."""
    if event.name != PROFILE:
        return ()
    name, number, email = (str(event.detail.get(field) or "").strip() for field in ("name", "phone", "email"))
    number = phone(number) or ""
    effects: list[Effect] = []
    if name or number or email:
        effects.append(UpdateCustomer(name=name, phone=number, email=email))
    consent = event.detail.get("consent")
    if isinstance(consent, bool):
        effects.append(RecordConsent(CONTACT, consent, str(event.detail.get("source") or "form")))
    return tuple(effects)
