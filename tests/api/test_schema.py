"""The API against its own specification, over real HTTP: nothing crashes, answers are as promised, roles decide."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from bot.types import RequestHandoff
from crm_sync.numbers import next_case_number
from crm_sync.store import SqlStore
from desk.actions import NEEDS, may_do
from desk.actors import Actor
from desk.permissions import ROLES
from frontdesk.serving import HttpServer, listen
from tests.api.api_under_test import ApiUnderTest, a_complaint
from tests.store_steps import AUDIT_KEYS, SetClock

ADMIN = {"Authorization": "Bearer admin"}
# The specification cannot say everything: a case that is closed cannot be solved, whatever the body; and a version
# nobody was given is told before what else is wrong.
UNTOLD = (positive_data_acceptance, negative_data_rejection)
# Operation -> the method of the desk that does it. Those that are for every token are left out.
METHODS = {
    "list_conversations": "InboxDesk.page",
    "count_conversations": "InboxDesk.counts",
    "take_next_conversation": "HandoffDesk.take_next",
    "get_conversation": "ConversationDesk.open",
    "list_conversation_history": "ConversationDesk.older",
    "edit_message": "ReplyDesk.edit",
    "take_message_back": "ReplyDesk.take_back",
    "retry_messages": "ReplyDesk.retry",
    "drop_messages": "ReplyDesk.drop",
    "list_scheduled_messages": "ReplyDesk.scheduled",
    "schedule_message": "ReplyDesk.schedule",
    "cancel_scheduled_message": "ReplyDesk.cancel",
    "see_conversation": "ConversationDesk.seen",
    "take_conversation": "HandoffDesk.take",
    "return_conversation": "HandoffDesk.hand_back",
    "close_conversation": "ConversationDesk.close",
    "reopen_conversation": "ConversationDesk.reopen",
    "list_presence": "HandoffDesk.colleagues",
    "list_customers": "CustomerRecords.find",
    "get_customer": "CustomerRecords.line",
    "get_customer_record": "CustomerRecords.record",
    "list_customer_timeline": "CustomerRecords.timeline",
    "list_customer_consents": "CustomerRecords.consents",
    "set_customer_consent": "CustomerRecords.set_consent",
    "list_customer_merges": "CustomerRecords.merges",
    "merge_customers": "CustomerDesk.merge",
    "undo_customer_merge": "CustomerDesk.unmerge",
    "list_merge_proposals": "CustomerRecords.proposals",
    "decide_merge_proposal": "CustomerDesk.decide",
    "export_customer": "CustomerRecords.may_export",
    "list_cases": "CaseDesk.board",
    "get_case": "CaseDesk.show",
    "change_case": "CaseDesk.classify",
    "explain_case": "CaseDesk.explain",
    "assign_case": "CaseDesk.assign",
    "add_case_note": "CaseDesk.note",
    "watch_case": "CaseDesk.watch",
    "link_case": "CaseDesk.link",
    "offer_compensation": "CompensationDesk.offer",
    "list_proposed_compensations": "CompensationDesk.proposed",
    "decide_compensation": "CompensationDesk.decide",
    "list_site_choices": "SiteOffers.choices",
    "give_case_to_site": "SiteOffers.offer",
    "list_payment_plans": "PayPlanDesk.choices",
    "grant_payment_plan": "PayPlanDesk.grant",
    "list_sites": "DayDesk.sites",
    "get_site": "SiteDesk.show",
    "put_site": "SiteDesk.put",
    "list_unreadable_payloads": "ChannelDesk.unreadable",
    "list_appointments": "DayDesk.appointments",
    "end_appointment": "DayDesk.end_appointment",
    "list_free_times": "BookingDesk.free",
    "book_appointment": "BookingDesk.book",
    "cancel_appointment": "BookingDesk.cancel",
    "list_tasks": "TaskDesk.open",
    "end_task": "TaskDesk.end",
    "list_policies": "PolicyDesk.history",
    "get_current_policy": "PolicyDesk.history",
    "put_policy": "PolicyDesk.put",
    "try_policy": "PolicyDesk.what_if",
    "list_articles": "KnowledgeDesk.articles",
    "get_article": "KnowledgeDesk.article",
    "save_article": "KnowledgeDesk.save",
    "submit_article": "KnowledgeDesk.submit",
    "send_article_back": "KnowledgeDesk.send_back",
    "publish_article": "KnowledgeDesk.publish",
    "withdraw_article": "KnowledgeDesk.withdraw",
    "list_unclear_messages": "UnderstandingDesk.messages",
    "count_unclear_messages": "UnderstandingDesk.counts",
    "label_message": "UnderstandingDesk.label",
    "unlabel_message": "UnderstandingDesk.unlabel",
    "get_training_examples": "UnderstandingDesk.examples",
    "list_users": "AccountDesk.list",
    "get_user": "AccountDesk.show",
    "change_user": "AccountDesk.change",
    "disable_user": "AccountDesk.disable",
    "enable_user": "AccountDesk.enable",
    "reset_user_password": "AccountDesk.reset_password",
    "turn_user_second_factor_off": "AccountDesk.second_factor_off",
    "end_user_sessions": "AccountDesk.end_sessions",
    "list_roles": "RoleDesk.list",
    "change_role": "RoleDesk.change",
    "delete_role": "RoleDesk.delete",
    "list_tokens": "TokenDesk.list",
    "revoke_token": "TokenDesk.revoke",
    "list_audit": "AuditDesk.lines",
    "verify_audit": "AuditDesk.verify",
    "list_hooks": "HookDesk.list",
    "create_hook": "HookDesk.create",
    "get_hook": "HookDesk.get",
    "change_hook": "HookDesk.change",
    "remove_hook": "HookDesk.remove",
    "renew_hook_secret": "HookDesk.renew_secret",
    "ping_hook": "HookDesk.ping",
    "list_broadcasts": "BroadcastDesk.page",
    "create_broadcast": "BroadcastDesk.create",
    "get_broadcast": "BroadcastDesk.open",
    "get_broadcast_status": "BroadcastDesk.status",
    "get_broadcast_preflight": "BroadcastDesk.preflight",
    "start_broadcast": "BroadcastDesk.start",
    "pause_broadcast": "BroadcastDesk.pause",
    "resume_broadcast": "BroadcastDesk.resume",
    "cancel_broadcast": "BroadcastDesk.cancel",
    "test_broadcast": "BroadcastDesk.test",
    "get_broadcast_results": "ResultDesk.results",
    "export_broadcast": "ResultDesk.export",
    "list_segments": "SegmentDesk.page",
    "count_segment": "SegmentDesk.look",
    "get_segment": "SegmentDesk.show",
    "save_segment": "SegmentDesk.save",
    "list_audience_lists": "AudienceDesk.page",
    "snapshot_audience": "AudienceDesk.snapshot",
    "list_coupon_pools": "CouponDesk.pools",
    "create_coupon_pool": "CouponDesk.create",
    "add_coupon_codes": "CouponDesk.add",
    "redeem_coupon": "CouponDesk.redeem",
    "list_consents": "ConsentDesk.page",
    "attach_file": "ReplyDesk.attach",
    "suggest_reply": "HelpDesk.suggest",
    "search_articles": "HelpDesk.articles",
    "show_activity": "ConversationDesk.present",
    "search_customers": "CustomerRecords.find",
    "get_customer_wishes": "ConsentDesk.wishes",
    "list_customer_tasks": "TaskDesk.of",
    "open_case": "CaseOpening.open",
    "get_case_board": "CaseBoard.columns",
    "list_case_promises": "CaseBoard.due",
    "reward_suggestion": "CompensationDesk.reward",
    "preview_article": "ArticleTrials.preview",
    "try_article": "ArticleTrials.try_questions",
    "restore_article": "KnowledgeDesk.restore",
    "list_unanswered_questions": "ArticleTrials.unanswered",
    "draft_from_questions": "ArticleTrials.draft_from",
    "preview_response": "ResponseDesk.preview",
    "restore_response": "ResponseDesk.revert",
    "get_training": "ModelDesk.state",
    "start_training": "ModelDesk.train",
    "stop_training": "ModelDesk.stop",
    "list_training_differences": "ModelDesk.differences",
    "promote_model": "ModelDesk.promote",
    "roll_model_back": "ModelDesk.roll_back",
    "list_regression_tests": "RegressionDesk.tests",
    "get_regression_file": "RegressionDesk.tests",
    "make_regression_test": "RegressionDesk.make",
    "drop_regression_test": "RegressionDesk.drop",
    "get_report": "ReportDesk.report",
    "list_user_sessions": "AccountDesk.sessions",
    "end_user_session": "AccountDesk.end_session",
    "preview_broadcast": "BroadcastDesk.previews",
    "compare_broadcasts": "ResultDesk.compare",
    "list_uncertain_sends": "UncertainSends.find",
    "decide_uncertain_sends": "UncertainSends.mark_failed",
    "archive_segment": "SegmentDesk.archive",
    "upload_audience": "AudienceDesk.upload",
    "get_audience_list": "AudienceDesk.show",
    "archive_audience_list": "AudienceDesk.archive",
    "list_audience_people": "AudienceDesk.people",
    "put_audience_person": "AudienceDesk.put_person",
    "list_audience_errors": "AudienceDesk.errors",
    "count_consents": "ConsentDesk.summary",
    "list_hook_deliveries": "HookDesk.deliveries",
    "replay_hook_delivery": "HookDesk.replay",
}
BY_STATE = {"retry_messages", "drop_messages"}  # also refused so where the message has left


@dataclass
class Served:
    """The API on a port of this machine."""

    url: str

    def operations(self) -> dict[str, Any]:
        schema = schemathesis.openapi.from_url(f"{self.url}/api/v1/openapi.json", timeout=60)
        found = [result.ok() for result in schema.get_all_operations()]
        mine = [item for item in found if "feeds" not in item.definition.raw.get("tags", ())]
        return {str(item.definition.raw["operationId"]): item for item in mine}


@pytest.fixture
def served(sqlite_url: str) -> Iterator[Served]:
    """A real server with a customer, a case and a waiting conversation, in a thread with a loop of its own."""
    listener = listen("127.0.0.1", 0)
    ready, servers = threading.Event(), list[tuple[asyncio.AbstractEventLoop, HttpServer]]()

    async def serve() -> None:
        clock = SetClock()
        store = await SqlStore.open(sqlite_url, clock=clock, audit_keys=AUDIT_KEYS)
        api = ApiUnderTest(store, clock, per_minute=100_000)
        await api.says(a_complaint(), RequestHandoff("asked"))
        await store.database.run(
            next_case_number
        )  # that of the complaint, which was written down without asking for it
        server = HttpServer(api.app, listener)
        servers.append((asyncio.get_running_loop(), server))
        asyncio.get_running_loop().call_later(0, ready.set)
        await server.run()
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
    loop, server = servers[0]
    loop.call_soon_threadsafe(server.stop)
    thread.join(30)


def few(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def one_of(operation: Any) -> Any:
    """A request that the specification allows, the same on every run."""
    found: list[Any] = []

    @few(1)
    @given(case=operation.as_strategy())
    def keep(case: Any) -> None:
        found.append(case)

    keep()
    return found[0]


def check_all(served: Served, examples: int, mode: GenerationMode, every: int = 1) -> None:
    """Operations, all or one of `every`, are asked `examples` times; what is wrong is told for all of them together."""
    wrong: list[str] = []
    for name, operation in list(served.operations().items())[::every]:

        @few(examples)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            answer = case.call(headers=ADMIN)
            if "x-request-id" not in answer.headers:  # no address of the API: refused before it
                assert answer.status_code in (400, 404), answer.text
                return
            case.validate_response(answer, excluded_checks=UNTOLD)

        try:
            ask()
        except BaseExceptionGroup as error:
            wrong.append(f"{name}: {[str(each)[:400] for each in error.exceptions]}")
    assert not wrong, "\n\n".join(wrong)


def test_sensible_requests_are_answered_as_the_specification_says(served: Served) -> None:
    check_all(served, 1, GenerationMode.POSITIVE)


def test_odd_requests_are_refused_as_the_specification_says(served: Served) -> None:
    # What refuses is one for all operations; with the slow ones below each is asked many times.
    check_all(served, 1, GenerationMode.NEGATIVE, every=4)


@pytest.mark.slow
@pytest.mark.timeout(600)  # a hundred operations; some hash a password each time
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_many_requests_are_answered_as_the_specification_says(served: Served, mode: GenerationMode) -> None:
    check_all(served, 20, mode)


async def test_every_operation_asks_for_a_token(api: ApiUnderTest) -> None:
    document = (await api.client("").get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if path in ("/outages", "/feeds/{topic}"):
            continue
        for method in methods:
            answer = await api.client("").request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "roles", [("operator", "auditor"), pytest.param(tuple(ROLES), marks=pytest.mark.slow)], ids=["two", "all"]
)
def test_every_role_is_refused_what_the_table_does_not_let_it_do(served: Served, roles: tuple[str, ...]) -> None:
    operations = served.operations()
    assert set(METHODS) <= set(operations)
    assert set(METHODS.values()) <= set(NEEDS)
    wrong: list[str] = []
    sensible = {name: one_of(operations[name]) for name in METHODS}
    session = requests.Session()
    for name, method in METHODS.items():
        for role in roles:
            answer = sensible[name].call(headers={"Authorization": f"Bearer {role}"}, session=session)
            if (answer.status_code == 403) == may_do(Actor("x", role), method) and name not in BY_STATE:
                wrong.append(f"{role} {name}: {answer.status_code} {answer.text[:200]}")
    session.close()
    assert not wrong, "\n".join(wrong)
