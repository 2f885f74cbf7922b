"""One turn being decided: what was said so far, what the flows on the stack do next. Local to one call of `decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.actions.base import ActionContext, Actions
from bot.assistant import Assistant
from bot.business_time import say_day, zone
from bot.flows import END, Flow, SlotValue, Step
from bot.hearing import Request
from bot.memory import MAX_FRAMES, MAX_LATER, MAX_OFFERED, Frame, Memory, Offered
from bot.rendering import numbered_buttons
from bot.types import (
    Decision,
    Effect,
    Entity,
    Language,
    Media,
    Need,
    Owner,
    Reply,
    ReplyButton,
    RequestHandoff,
    Turn,
)
from bot.values import has_words, normal

MAX_STEPS = 200  # steps of all flows in one turn; a checked flow never comes near
SHOWN = 60  # characters of a value repeated to the customer
SHOWING = frozenset({"image", "video", "document"})  # kinds of media whose words describe the file; a voice's are said


class Talk:
    """Collects replies, effects and needs; moves the flows of `memory` forward."""

    def __init__(self, turn: Turn, assistant: Assistant, actions: Actions, memory: Memory, language: Language) -> None:
        self.turn, self.assistant, self.actions, self.memory, self.language = turn, assistant, actions, memory, language
        self.replies: list[Reply] = []
        self.effects: list[Effect] = []
        self.needs: list[Need] = []
        self.entities: tuple[Entity, ...] = ()
        self.request = Request()
        self.message_words = ""
        self.unclear: Mapping[str, Any] = {}
        self.article = ""  # answered with before this message
        self.asks = True  # whether the open question of the top flow is put again at the end
        self.steps = 0
        self.older: tuple[Frame, ...] = ()
        self.today = turn.now.astimezone(zone(turn.timezone)).date()

    @property
    def is_caption(self) -> bool:
        """Whether the words of this message only came along with a picture or another file."""
        content = self.turn.message.content
        return isinstance(content, Media) and content.kind in SHOWING and has_words(self.turn.understanding.text)

    # --- saying -------------------------------------------------------------------------------------------------

    def say(
        self,
        template: str,
        args: Mapping[str, str] | None = None,
        *,
        buttons: tuple[ReplyButton, ...] = (),
        literal: str = "",
    ) -> None:
        self.replies.append(Reply(template, args=args or {}, buttons=buttons, literal=literal))

    def has_response(self, template: str) -> bool:
        return template in self.assistant.responses

    def title(self, intent: str) -> str:
        """What a button offering this meaning says; "" when it is never offered."""
        known = self.assistant.intents.get(intent)
        return known.title.get(self.language, "") if known else ""

    def flow_title(self, flow: str) -> str:
        known = self.assistant.flows.get(flow)
        return self.assistant.word("flow", flow, self.language, known.name if known else flow)

    # --- slots --------------------------------------------------------------------------------------------------

    def slots_of(self, frame: Frame) -> dict[str, SlotValue]:
        """Shared slots, overlaid with the flow's own."""
        return {**self.memory.shared, **{name: value for name, value in frame.slots.items() if value is not None}}

    def set_slot(self, frame: Frame, name: str, value: SlotValue, *, is_given: bool = True) -> None:
        frame.slots[name] = value
        if is_given and value is not None and name not in frame.given:
            frame.given.append(name)
        slot = self.assistant.slots.get(name)
        if slot and slot.is_shared:
            self.memory.shared[name] = value

    def fill_from_entities(self, frame: Frame, entities: tuple[Entity, ...]) -> None:
        """Every empty slot of the flow that an entity can fill is filled; the last entity of a kind counts."""
        flow = self.assistant.versions.get(frame.version)
        if flow is None:
            return
        for slot in self.assistant.slots.values():
            if not slot.entities or frame.slots.get(slot.name) is not None:
                continue
            if slot.name not in flow.slots and len(slot.entities) > 1:
                continue  # slots of several kinds are filled only where a flow asks for them
            for kind in slot.entities:  # in the order the domain lists them: the first kind is the most telling
                said = [entity.value or entity.text for entity in entities if entity.name == kind]
                if said:
                    self.set_slot(frame, slot.name, normal(kind, said[-1], self.today))
                    break

    def shown(self, name: str, value: SlotValue) -> str:
        """A slot's value as the customer should read it."""
        words = "" if value is None else str(value)
        slot = self.assistant.slots.get(name)
        if slot and "date" in slot.entities and len(words) == 10:
            try:
                return say_day(type(self.today).fromisoformat(words), self.today, self.language)
            except ValueError:
                return words
        if slot and {"product", "store"} & set(slot.entities):
            words = self.assistant.thing(words, self.language)
        wording = self.assistant.word(name, words, self.language)
        return wording if len(wording) <= SHOWN else wording[: SHOWN - 1] + "…"

    def values(self, frame: Frame) -> Mapping[str, Mapping[str, Any]]:
        """What conditions read: `slots.…` and `context.…`."""
        customer = self.turn.conversation.customer
        return {
            "slots": self.slots_of(frame),
            "context": {
                "today": self.today.isoformat(),
                "language": self.language,
                "channel": self.turn.conversation.identity.channel,
                "owner": self.turn.conversation.owner.value,
                "is_staffed": self.assistant.calendar.is_open(self.turn.now),
                "phone": customer.phone or None,
                "order_count": len(customer.orders),
                "open_case_count": sum(case.is_open for case in customer.cases),
            },
        }

    # --- flows --------------------------------------------------------------------------------------------------

    def mark_stack(self) -> None:
        """Remember which flows ran before this message."""
        self.older = tuple(self.memory.stack)

    def has_new_question(self) -> bool:
        """Whether a flow begun by this very message waits for an answer."""
        top = self.memory.top
        return top is not None and bool(top.asked) and all(top is not frame for frame in self.older)

    def trigger_of(self, intent: str, confidence: float) -> Flow | None:
        """The flow this intent starts at this confidence, if its condition holds."""
        for flow in self.assistant.flows.values():
            for trigger in flow.triggers:
                if trigger.intent == intent and confidence >= max(trigger.confidence, self.assistant.tuning.accept):
                    frame = Frame(flow.id, flow.version, flow.first)
                    return flow if flow.condition is None or flow.condition.holds(self.values(frame)) else None
        return None

    def start(self, flow: str, slots: Mapping[str, SlotValue] | None = None, *, is_patient: bool = False) -> None:
        """Put a flow on top of the stack, knowing what this message already said, and run it."""
        frame = self.push(self.assistant.flows[flow])
        frame.is_patient = is_patient
        for name, value in (slots or {}).items():
            if name in self.assistant.slots:
                self.set_slot(frame, name, value)
        self.fill_from_entities(frame, self.entities)
        self.run()

    def push(self, flow: Flow) -> Frame:
        frame = Frame(flow.id, flow.version, flow.first)
        self.memory.stack.append(frame)
        del self.memory.stack[:-MAX_FRAMES]
        return frame

    def later(self, intent: str) -> None:
        """Remember a request of this message until the flow before it has ended."""
        if len(self.memory.later) < MAX_LATER:
            self.memory.later.append({"intent": intent, **self.heard()})

    def heard(self) -> dict[str, Any]:
        """What was said, in the form the memory keeps."""
        kept = [[entity.name, entity.value or entity.text] for entity in self.entities]
        return {"entities": kept, "words": self.request.words[:500]}

    def hear_again(self, heard: Mapping[str, Any]) -> None:
        """What was said before counts as said now."""
        self.request = Request(words=str(heard.get("words", "")))
        self.entities = tuple(
            Entity(str(name), str(value), str(value), 0, 0)
            for name, value in (pair for pair in heard.get("entities") or () if len(pair) == 2)
        )

    def hear_unclear(self) -> None:
        """A message whose matter is only now clear is not to be said again: its words and values come first."""
        if self.unclear:
            words, entities = self.request.words, self.entities
            self.hear_again(self.unclear)
            self.request = replace(self.request, words=", ".join(filter(None, (self.request.words, words))))
            self.entities, self.unclear = (*self.entities, *entities), {}

    def run(self) -> None:
        """Move the flows on the stack until one waits for the customer, all have ended, or something is needed."""
        while self.memory.top and not self.needs:
            frame = self.memory.stack[-1]
            flow = self.assistant.versions.get(frame.version)
            step = flow.steps.get(frame.step) if flow else None
            self.steps += 1
            if flow is None or step is None or self.steps > MAX_STEPS:
                self.memory.stack.pop()
                self.say("utter_flow_changed" if self.steps <= MAX_STEPS else "utter_failure")
                continue
            if not self.take(frame, flow, step):
                return

    def take(self, frame: Frame, flow: Flow, step: Step) -> bool:
        """Do one step; False when it waits for the customer or for something needed."""
        match step.kind:
            case "collect":
                if not self.is_filled(frame, step):
                    frame.tries = frame.tries if frame.asked == step.target else 0
                    frame.asked = step.target
                    return False
                frame.asked, frame.tries = "", 0
            case "action":
                if not self.act(frame, step):
                    return False
            case "set_slots":
                for name, value in step.assignments:
                    self.set_slot(frame, name, value, is_given=False)
            case "link" | "call":
                return self.go(frame, flow, step)
            case "noop":
                pass
        self.move(frame, flow, step)
        return True

    def is_filled(self, frame: Frame, step: Step) -> bool:
        """Whether the slot has a value that no rejection refuses; a refused one is cleared, with the reason."""
        slot = self.assistant.slots.get(step.target)
        if frame.slots.get(step.target) is None and slot and slot.is_shared and not step.ask_before_filling:
            remembered = self.memory.shared.get(step.target)
            if remembered is not None:
                frame.slots[step.target] = remembered
        if frame.slots.get(step.target) is None:
            return False
        values = self.values(frame)
        for rejection in step.rejections:
            if rejection.condition.holds(values):
                self.say(rejection.utter, self.args(frame))
                self.forget(frame, step.target)
                frame.asked = step.target
                frame.tries += 1
                return False
        return True

    def forget(self, frame: Frame, name: str) -> None:
        frame.slots[name] = None
        if name in frame.given:
            frame.given.remove(name)
        self.memory.shared.pop(name, None)

    def args(self, frame: Frame) -> dict[str, str]:
        return {name: self.shown(name, value) for name, value in self.slots_of(frame).items() if value is not None}

    def act(self, frame: Frame, step: Step) -> bool:
        if step.target.startswith("utter_"):
            self.say(step.target, self.args(frame))
            return True
        outcome = self.actions[step.target](self.context(frame))
        if outcome.needs:
            self.needs += outcome.needs
            return False
        self.replies += outcome.replies
        self.effects += outcome.effects
        for name, value in outcome.slots.items():
            self.set_slot(frame, name, value, is_given=False)
        return True

    def context(self, frame: Frame) -> ActionContext:
        return ActionContext(
            turn=self.turn,
            assistant=self.assistant,
            language=self.language,
            flow=frame.flow,
            slots=self.slots_of(frame),
            words=self.request.words,
            message_words=self.message_words,
            entities=self.entities,
            media=tuple(self.memory.media),
            own=frozenset(name for name, value in frame.slots.items() if value is not None),
        )

    def go(self, frame: Frame, flow: Flow, step: Step) -> bool:
        """Link: this flow ends and the other one continues with its slots. Call: the other one runs on top."""
        target = self.assistant.flows.get(step.target)
        if target is None:
            self.memory.stack.pop()
            self.say("utter_flow_changed")
            return True
        if step.kind == "link":
            self.memory.stack.pop()
        else:
            self.move(frame, flow, step, is_end_kept=True)
        following = self.push(target)
        following.slots = dict(frame.slots)
        following.given = list(frame.given)
        following.is_called = step.kind == "call" or frame.is_called
        following.is_patient = frame.is_patient
        return True

    def move(self, frame: Frame, flow: Flow, step: Step, *, is_end_kept: bool = False) -> None:
        values = self.values(frame)
        frame.step = next(
            (branch.target for branch in step.next if branch.condition is None or branch.condition.holds(values)), END
        )
        if frame.step == END and not is_end_kept:
            self.end(frame, flow)

    def end(self, frame: Frame, flow: Flow) -> None:
        """The flow is over: what it persists is remembered, a caller gets its slots back."""
        if frame in self.memory.stack:
            self.memory.stack.remove(frame)
        kept = set(flow.persisted_slots) | {
            step.target for step in flow.steps.values() if step.kind == "collect" and not step.reset_after_flow_ends
        }
        self.memory.shared.update({name: frame.slots[name] for name in kept if frame.slots.get(name) is not None})
        if self.memory.top is None:
            return
        if not frame.is_called:
            self.go_back(frame)
            return
        caller = self.memory.stack[-1]
        caller.slots.update(frame.slots)
        caller.given += [name for name in frame.given if name not in caller.given]
        if caller.step == END and (calling := self.assistant.versions.get(caller.version)):
            self.end(caller, calling)

    def go_back(self, ended: Frame) -> None:
        """Name the interrupted flow that goes on, when the interruption took more than this message."""
        below = self.memory.stack[-1]
        if any(ended is frame for frame in self.older) and below.flow in self.assistant.flows:
            self.say("utter_back_to", {"flow": self.flow_title(below.flow)})

    # --- the end of the turn ------------------------------------------------------------------------------------

    def finish(self) -> Decision:
        """The decision: requests that waited their turn are started, the open question is put, buttons remembered."""
        if not self.needs:
            self.start_later()
        if not self.needs and self.is_handed_over():
            self.memory.frozen = self.memory.stack or self.memory.frozen
            self.memory.stack, self.memory.later, self.memory.queued = [], [], 0
        if not self.needs and self.asks and self.memory.top and not self.memory.question:
            self.ask(self.memory.top)
        if self.needs:
            return Decision(needs=tuple(dict.fromkeys(self.needs)), language=self.language)
        if not (self.memory.frozen and self.turn.conversation.owner is Owner.QUEUE):  # put-aside flows grow old
            self.memory.at = self.turn.now
        self.settle_buttons()
        return Decision(tuple(self.replies), tuple(self.effects), self.memory.to_json(), self.language)

    def start_later(self) -> None:
        while self.memory.later and not self.memory.stack and not self.needs and not self.is_handed_over():
            if "flow" in self.memory.later[0] and self.turn.conversation.owner is not Owner.BOT:
                return  # of a notice: not while a person is waited for or there
            waiting = self.memory.later.pop(0)
            if (name := str(waiting.get("flow", ""))) in self.assistant.flows:  # nobody said anything
                self.start(name, dict(waiting.get("slots") or {}), is_patient=True)
                continue
            self.hear_again(waiting)
            flow = self.trigger_of(str(waiting.get("intent", "")), 1.0)
            if flow:
                self.start(flow.id)

    def is_handed_over(self) -> bool:
        handed = any(isinstance(effect, RequestHandoff) for effect in self.effects)
        return handed and self.turn.conversation.owner is Owner.BOT

    def ask(self, frame: Frame) -> None:
        """Put the open question of a flow."""
        flow = self.assistant.versions.get(frame.version)
        step = flow.steps.get(frame.step) if flow else None
        if step is None or step.kind != "collect":
            return
        asking = self.actions.get(f"action_ask_{step.target}")
        if asking is None:
            self.say(step.utter, self.args(frame))
            return
        outcome = asking(self.context(frame))
        self.needs += outcome.needs
        self.replies += outcome.replies

    def settle_buttons(self) -> None:
        """One list of buttons per turn, the last one, so that a typed number means one thing; it is remembered.

        Offers ("shall I …?") are made only where nothing else follows. Without replies the earlier buttons stay.
        """
        last = len(self.replies) - 1
        replies = [
            reply for place, reply in enumerate(self.replies) if place == last or not reply.template.endswith("_offer")
        ]
        channel = self.turn.conversation.identity.channel
        shown = [numbered_buttons(reply, self.language, channel, self.assistant) for reply in replies]
        chosen = max((place for place, buttons in enumerate(shown) if buttons), default=-1)
        self.replies = [
            reply if place == chosen or not buttons else replace(reply, buttons=(), is_plain=True)
            for place, (reply, buttons) in enumerate(zip(replies, shown, strict=True))
        ]
        if replies:
            buttons = shown[chosen][:MAX_OFFERED] if chosen >= 0 else ()
            self.memory.offered = [Offered(button.label, button.value) for button in buttons]
