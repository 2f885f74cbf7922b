"""Messages that are not words: commands, pictures, places, contacts and kinds we do not know."""

from __future__ import annotations

from bot.at_rest import start_intent
from bot.memory import MAX_MEDIA, MAX_TEXT
from bot.talk import SHOWING, Talk
from bot.types import Command, Contact, CreateTask, Location, Media, Unsupported, UpdateCustomer
from bot.values import has_words, phone

MAX_CAPTION = 300  # characters kept beside a file; the message itself is stored in full elsewhere
EVIDENCE_FLOWS = frozenset(
    {"complaint", "complaint_more", "complaint_disagree", "return_request", "repair_booking", "exchange_request"}
)
PLACE = "place"  # the slot in which a flow keeps where the customer is, told without being asked


def take_content(talk: Talk) -> bool:
    """Answer a message that holds no words; False when there are words to go on with."""
    match talk.turn.message.content:
        case Command() as command:
            return take_command(talk, command)
        case Media() as media:
            return take_media(talk, media)
        case Location() as place:
            take_location(talk, place)
            return True
        case Contact() as contact:
            take_contact(talk, contact)
            return True
        case Unsupported():
            talk.say("utter_unsupported")
            return True
        case _:
            return False


def take_command(talk: Talk, command: Command) -> bool:
    name = command.name.lower()
    if name == "start":
        talk.memory.start = command.argument[:MAX_TEXT] or talk.memory.start
        talk.say("utter_greet")
        return True
    if name in ("help", "menu"):
        talk.say("utter_help")
        return True
    if name == "human":
        return start_intent(talk, "human_handoff")
    return False


def keep_file(talk: Talk) -> None:
    """The file, where the message is one that shows something, is kept with the conversation."""
    media = talk.turn.message.content
    if not isinstance(media, Media) or media.kind in ("sticker", "animation"):
        return
    kept = {"kind": media.kind, "file_id": media.file_id[:200], "at": talk.turn.now.isoformat()}
    if talk.is_caption:
        kept["caption"] = " ".join(talk.turn.understanding.text.split())[:MAX_CAPTION]
    talk.memory.media = [*talk.memory.media, kept][-MAX_MEDIA:]


def take_media(talk: Talk, media: Media) -> bool:
    """Keep the file with the conversation; its caption or transcript goes on as words."""
    frame, words = talk.memory.top, talk.turn.understanding.text
    keep_file(talk)
    if frame and media.kind in SHOWING:
        talk.say("utter_evidence_added" if frame.flow in EVIDENCE_FLOWS else "utter_media_kept")
        return not has_words(words)
    if has_words(words):
        return False
    if media.kind in ("voice", "audio"):
        talk.say("utter_voice_received")
        at = talk.turn.now.isoformat(timespec="seconds")
        talk.effects.append(CreateTask("listen", "listen to a voice message and answer it", details={"newest": at}))
    elif media.kind in ("sticker", "animation"):
        talk.say("utter_no_words_in_flow" if frame else "utter_no_words")
    else:
        talk.say("utter_media_received")
    return True


def take_location(talk: Talk, place: Location) -> None:
    """A shared place answers a question that asks for one (`custom: {ask: location}`), or is kept with the report under
    way; otherwise it is only kept in the conversation."""
    frame = talk.memory.top
    flow = talk.assistant.versions.get(frame.version) if frame else None
    step = flow.steps.get(frame.step) if flow and frame else None
    question = talk.assistant.responses.get(step.utter, ()) if step and frame and frame.asked == step.target else ()
    is_asked_for = any(variation.ask == "location" for variation in question)
    is_kept = frame is not None and frame.flow in EVIDENCE_FLOWS and PLACE in talk.assistant.slots
    if frame is None or not (is_asked_for or is_kept):
        talk.say("utter_location_received")
        return
    named = ", ".join(part for part in (place.name, place.address) if part)
    position = f"{place.latitude:.6f}, {place.longitude:.6f}"
    talk.set_slot(frame, frame.asked if is_asked_for else PLACE, f"{named} ({position})" if named else position)
    if is_asked_for:
        talk.run()
    else:
        talk.say("utter_place_noted")


def take_contact(talk: Talk, contact: Contact) -> None:
    """The customer's own number is theirs for good; somebody else's only answers the question that is open."""
    number = phone(contact.phone) or phone(f"+{contact.phone.lstrip('+')}")
    if number is None:
        talk.say("utter_contact_unreadable")
        return
    if contact.is_own:
        talk.effects.append(UpdateCustomer(phone=number, phone_is_verified=True))
    frame = talk.memory.top
    slot = talk.assistant.slots.get(frame.asked) if frame else None
    if frame and slot and "phone" in slot.entities:
        talk.set_slot(frame, slot.name, number)
        talk.run()
        return
    talk.say("utter_contact_saved" if contact.is_own else "utter_contact_other", {"phone": number})
