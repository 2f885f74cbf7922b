"""Actions a flow may call, by name. One line per action; nothing is found by scanning."""

from __future__ import annotations

from types import MappingProxyType

from bot.actions import appointments, cases, complaint, orders, people, requests, satisfaction, service, sites, visits
from bot.actions.base import Actions

ACTIONS: Actions = MappingProxyType(
    {
        "action_order_status": orders.order_status,
        "action_check_order": orders.check_order,
        "action_ask_order_number": orders.ask_order_number,
        "action_refund_status": orders.refund_status,
        "action_complaint_begin": complaint.begin,
        "action_ask_subject": complaint.ask_subject,
        "action_complaint_match": complaint.match,
        "action_complaint_add": complaint.add_to_case,
        "action_complaint_open": complaint.open_case,
        "action_complaint_about": complaint.about,
        "action_complaint_status": cases.complaint_status,
        "action_ask_case_number": cases.ask_case_number,
        "action_case_pick": cases.pick_to_add,
        "action_case_pick_withdraw": cases.pick_to_withdraw,
        "action_case_pick_confirm": cases.pick_to_confirm,
        "action_case_pick_contest": cases.pick_to_contest,
        "action_case_begin_more": cases.begin_more,
        "action_case_more": cases.add_more,
        "action_case_withdraw": cases.withdraw,
        "action_case_contest": cases.contest,
        "action_case_confirm": cases.confirm,
        "action_rate": satisfaction.rate,
        "action_recommend": satisfaction.recommend,
        "action_suggestion_open": people.open_suggestion,
        "action_service_begin": service.begin,
        "action_return_open": service.open_return,
        "action_repair_open": service.open_repair,
        "action_check_staff": people.check_staff,
        "action_handoff": people.handoff,
        "action_callback_begin": people.begin_callback,
        "action_callback": people.callback,
        "action_subscribe": people.subscribe,
        "action_unsubscribe": people.unsubscribe,
        "action_praise": people.praise,
        "action_suggestion_begin": people.begin_suggestion,
        "action_suggestion": people.suggestion,
        "action_find_site_begin": sites.begin_find,
        "action_find_site": sites.find,
        "action_appointment_begin": appointments.begin,
        "action_ask_appointment_service": appointments.ask_service,
        "action_appointment_service": appointments.settle_service,
        "action_appointment_site": appointments.settle_site,
        "action_ask_appointment_site": appointments.ask_site,
        "action_ask_appointment_slot": appointments.ask_slot,
        "action_appointment_slot": appointments.settle_slot,
        "action_appointment_book": appointments.book,
        "action_appointment_change_begin": appointments.begin_change,
        "action_ask_appointment_id": appointments.ask_which,
        "action_ask_appointment_wish": appointments.ask_change,
        "action_appointment_change": appointments.settle_change,
        "action_request_begin": requests.begin,
        "action_ask_request_asset": requests.ask_asset,
        "action_request_open": requests.open_request,
        "action_visits_show": visits.show,
    }
)
