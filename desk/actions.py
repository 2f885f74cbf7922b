"""What each thing that staff do needs, by the name of the method that does it: for the API, for screens that hide what
would fail, and for the test that tries every role on every method.

A tuple names permissions that are all needed; "one|other" is either of them. An empty one is for everybody with an
account. Beyond these a method may ask for more about the thing at hand: whose conversation it is, how high an amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from desk.actors import Actor

_SEE: Final = "conversations.read|conversations.read_all"

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    # conversations
    "InboxDesk.page": (_SEE,),
    "InboxDesk.counts": (_SEE,),
    "InboxDesk.row": (_SEE,),
    "InboxDesk.rows": (_SEE,),
    "ConversationDesk.open": (_SEE,),
    "ConversationDesk.older": (_SEE,),
    "ConversationDesk.updates": (_SEE,),
    "ConversationDesk.messages": (_SEE,),
    "ConversationDesk.window": (_SEE,),
    "ConversationDesk.seen": (_SEE,),
    "ConversationDesk.present": (_SEE,),
    "ConversationDesk.snooze": ("conversations.reply", _SEE),
    "ConversationDesk.wake": ("conversations.reply", _SEE),
    "ConversationDesk.close": ("conversations.reply", _SEE),
    "ConversationDesk.reopen": ("conversations.reply", _SEE),
    "ReplyDesk.attach": ("conversations.reply", _SEE),
    "ReplyDesk.send": ("conversations.reply", _SEE),
    "ReplyDesk.edit": ("conversations.reply", _SEE),
    "ReplyDesk.take_back": ("conversations.reply", _SEE),
    "ReplyDesk.schedule": ("conversations.reply", _SEE),
    "ReplyDesk.scheduled": (_SEE,),
    "ReplyDesk.cancel": ("conversations.reply", _SEE),
    "ReplyDesk.retry": ("messages.retry", _SEE),
    "ReplyDesk.drop": ("messages.retry", _SEE),
    "HandoffDesk.take": ("conversations.reply", _SEE),
    "HandoffDesk.take_next": ("conversations.reply",),
    "HandoffDesk.assign": ("conversations.assign", _SEE),
    "HandoffDesk.transfer": ("conversations.reply", _SEE),
    "HandoffDesk.hand_back": ("conversations.reply", _SEE),
    "HandoffDesk.renew": (),
    "HandoffDesk.set_presence": (),
    "HandoffDesk.colleagues": ("conversations.read",),
    # customers
    "CustomerRecords.find": ("customers.read",),
    "CustomerRecords.line": ("customers.read",),
    "CustomerRecords.record": ("customers.read",),
    "CustomerRecords.timeline": ("customers.read",),
    "CustomerRecords.consents": ("customers.read",),
    "CustomerRecords.set_consent": ("customers.write",),
    "CustomerRecords.merges": ("customers.read",),
    "CustomerRecords.proposals": ("customers.merge",),
    "CustomerRecords.may_export": ("customers.export",),
    "CustomerRecords.may_erase": ("customers.erase",),
    "CustomerDesk.edit": ("customers.write",),
    "CustomerDesk.set_credit_class": ("customers.class",),
    "CustomerDesk.tag": ("customers.write",),
    "CustomerDesk.untag": ("customers.write",),
    "CustomerDesk.merge": ("customers.merge",),
    "CustomerDesk.unmerge": ("customers.merge",),
    "CustomerDesk.decide": ("customers.merge",),
    # cases
    "CaseDesk.board": ("cases.read",),
    "CaseDesk.show": ("cases.read",),
    "CaseDesk.watch": ("cases.read",),
    "CaseDesk.take": ("cases.work",),
    "CaseDesk.assign": ("cases.work",),
    "CaseDesk.progress": ("cases.work",),
    "CaseDesk.ask": ("cases.work",),
    "CaseDesk.solve": ("cases.work",),
    "CaseDesk.reopen": ("cases.work",),
    "CaseDesk.withdraw": ("cases.work",),
    "CaseDesk.note": ("cases.work",),
    "CaseDesk.tell": ("cases.work",),
    "CaseDesk.classify": ("cases.work",),
    "CaseDesk.link": ("cases.work",),
    "CompensationDesk.offer": ("cases.work",),
    "CompensationDesk.reward": ("cases.work",),
    "CompensationDesk.decide": ("cases.compensate",),
    "CompensationDesk.proposed": ("cases.read",),
    "learning.repeated_causes": ("cases.read",),
    "learning.open_alerts": ("cases.read",),
    "learning.see_alert": ("cases.work",),
    # what the bot says and understands
    "KnowledgeDesk.articles": ("knowledge.read",),
    "KnowledgeDesk.article": ("knowledge.read",),
    "KnowledgeDesk.save": ("knowledge.write",),
    "KnowledgeDesk.submit": ("knowledge.write",),
    "KnowledgeDesk.restore": ("knowledge.write",),
    "KnowledgeDesk.send_back": ("knowledge.publish",),
    "KnowledgeDesk.publish": ("knowledge.publish",),
    "KnowledgeDesk.withdraw": ("knowledge.publish",),
    "ArticleTrials.preview": ("knowledge.read",),
    "ArticleTrials.try_questions": ("knowledge.read",),
    "ArticleTrials.unanswered": ("knowledge.read",),
    "ArticleTrials.draft_from": ("knowledge.write",),
    "ResponseDesk.responses": ("knowledge.read",),
    "ResponseDesk.response": ("knowledge.read",),
    "ResponseDesk.check": ("knowledge.read",),
    "ResponseDesk.preview": ("knowledge.read",),
    "ResponseDesk.save": ("knowledge.publish",),
    "ResponseDesk.revert": ("knowledge.publish",),
    "UnderstandingDesk.messages": ("understanding.read",),
    "UnderstandingDesk.counts": ("understanding.read",),
    "UnderstandingDesk.examples": ("understanding.read",),
    "UnderstandingDesk.label": ("understanding.label",),
    "UnderstandingDesk.unlabel": ("understanding.label",),
    # numbers
    "ReportDesk.report": ("reports.read",),
    "ReportDesk.drill": ("reports.read", "cases.read|conversations.read_all"),
    # accounts
    "AccountDesk.list": ("users.read",),
    "AccountDesk.show": ("users.read",),
    "AccountDesk.add": ("users.write",),
    "AccountDesk.change": ("users.write",),
    "AccountDesk.disable": ("users.write",),
    "AccountDesk.enable": ("users.write",),
    "AccountDesk.reset_password": ("users.write",),
    "AccountDesk.second_factor_off": ("users.write",),
    "AccountDesk.end_sessions": ("users.write",),
    "RoleDesk.list": ("users.read",),
    "RoleDesk.create": ("users.write",),
    "RoleDesk.change": ("users.write",),
    "RoleDesk.delete": ("users.write",),
    "TokenDesk.list": ("tokens.write",),
    "TokenDesk.create": ("tokens.write",),
    "TokenDesk.revoke": ("tokens.write",),
    "HookDesk.list": ("tokens.write",),
    "HookDesk.get": ("tokens.write",),
    "HookDesk.create": ("tokens.write",),
    "HookDesk.change": ("tokens.write",),
    "HookDesk.remove": ("tokens.write",),
    "HookDesk.renew_secret": ("tokens.write",),
    "HookDesk.ping": ("tokens.write",),
    "HookDesk.deliveries": ("tokens.write",),
    "HookDesk.replay": ("tokens.write",),
    "AuditDesk.lines": ("audit.read",),
    "AuditDesk.verify": ("audit.read",),
    "audit.saw": (),  # written down about whoever looks
}


def may_do(actor: Actor, action: str) -> bool:
    """Whether the actor's role is enough for a method, named as in `NEEDS`."""
    return all(any(actor.may(one) for one in needed.split("|")) for needed in NEEDS[action])
