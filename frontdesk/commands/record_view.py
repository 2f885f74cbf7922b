"""A customer's record for a terminal: what a person looks for, not every column (`--json` has those)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from crm_sync.links import CustomerLink
from frontdesk.commands.output import print_table, say

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], object]]


def show_record(record: Mapping[str, Any], timezone: str) -> None:
    """Print the profile, what the customer is worth, and every section of the record that has anything in it.

    Times are shown in `timezone` (IANA name).
    """
    zone = ZoneInfo(timezone)

    def at(name: str) -> Callable[[Row], str]:
        return lambda row: local_time(row.get(name), zone)

    def plain(name: str) -> Callable[[Row], object]:
        return lambda row: row.get(name)

    customer = record["customer"]
    verified = " (verified)" if customer["phone_is_verified"] else ""
    say(f"Customer {customer['id']}  {customer['name'] or '(name unknown)'}  {customer['phone']}{verified}")
    if worth := _worth(customer, record.get("value")):
        say(worth)
    if customer["erased_at"]:
        say(f"Erased on {local_time(customer['erased_at'], zone)}")
    sections: dict[str, Sequence[Column]] = {
        "identities": (
            ("channel", lambda row: f"{row['channel']}/{row['account']}"),
            ("external id", plain("external_id")),
            ("name", plain("display_name")),
            ("since", at("created_at")),
            ("unreachable", plain("unreachable_reason")),
        ),
        "conversations": (
            ("id", plain("id")),
            ("channel", lambda row: f"{row['channel']}/{row['account']}"),
            ("status", plain("status")),
            ("owner", plain("owner")),
            ("language", plain("language")),
            ("last message", at("last_message_at")),
        ),
        "windows": (
            ("conversation", plain("conversation_id")),
            ("replies left", plain("left")),
            ("until", at("closes_at")),
            ("held", plain("held")),
        ),
        "messages": (
            ("at", at("at")),
            ("author", plain("author")),
            ("text", lambda row: row["text"] or f"[{row['kind']}]"),
            ("understood", understood),
            ("delivery", delivery),
        ),
        "attributes": (("name", plain("name")), ("value", plain("value")), ("source", plain("source"))),
        "tags": (("tag", plain("tag")), ("since", at("at"))),
        "preferences": (
            ("about", plain("topic")),
            ("said", plain("value")),
            ("since", at("at")),
            ("no longer", at("ended_at")),
        ),
        "assets": (
            ("kind", plain("kind")),
            ("key", plain("key")),
            ("name", plain("name")),
            ("attributes", lambda row: named(row["attributes"])),
            ("since", at("since")),
            ("until", at("until")),
        ),
        "visits": (
            ("at", at("at")),
            ("kind", plain("kind")),
            ("site", place),
            ("items", plain("items")),
            ("amount", amount),
            ("asset", plain("asset")),
        ),
        "appointments": (
            ("at", at("starts_at")),
            ("service", plain("service")),
            ("site", place),
            ("state", plain("state")),
            ("case", plain("case_number")),
        ),
        "cases": (
            ("number", plain("number")),
            ("kind", plain("kind")),
            ("about", lambda row: " ".join(part for part in (row["category"], row["subject"]) if part)),
            ("severity", plain("severity")),
            ("status", plain("status")),
            ("summary", plain("summary")),
            ("opened", at("opened_at")),
        ),
        "orders": (
            ("number", plain("number")),
            ("status", plain("status")),
            ("items", plain("items")),
            ("amount", amount),
            ("placed", at("placed_at")),
            ("expected", at("expected_at")),
        ),
        "dues": (
            ("number", plain("key")),
            ("kind", plain("kind")),
            ("amount", amount),
            ("due", plain("due_on")),
            ("paid", plain("paid_on")),
            ("asset", plain("asset")),
        ),
        "points": (("change", plain("change")), ("reason", plain("reason")), ("at", at("at"))),
        "surveys": (
            ("kind", plain("kind")),
            ("about", lambda row: row["case_number"] or row["reference"]),
            ("asked", at("asked_at")),
            ("score", plain("score")),
            ("reason", plain("reason")),
        ),
        "subscriptions": (
            ("topic", plain("topic")),
            ("match", plain("match")),
            ("since", at("at")),
            ("ended", at("ended_at")),
        ),
        "consents": (
            ("purpose", plain("purpose")),
            ("granted", lambda row: "yes" if row["granted"] else "no"),
            ("channel", plain("channel")),
            ("source", plain("source")),
            ("at", at("at")),
        ),
        "tasks": (
            ("kind", plain("kind")),
            ("open", lambda row: "yes" if row["is_open"] else "no"),
            ("for", plain("assignee")),
            ("summary", plain("summary")),
            ("due", at("due_at")),
            ("outcome", plain("outcome")),
        ),
        "handoffs": (("reason", plain("reason")), ("urgency", plain("urgency")), ("requested", at("requested_at"))),
        "files": (
            ("at", at("created_at")),
            ("kind", plain("kind")),
            ("name", plain("file_name")),
            ("type", plain("mime")),
            ("bytes", plain("size")),
            ("state", plain("state")),
            ("why", plain("reason")),
            ("link", plain("link")),
        ),
        "merges": (
            ("id", plain("id")),
            ("kept", plain("kept_customer_id")),
            ("merged", plain("merged_customer_id")),
            ("evidence", plain("evidence")),
            ("by", plain("author")),
            ("at", at("at")),
            ("undone", at("undone_at")),
        ),
        "timeline": (("at", at("at")), ("what", plain("kind")), ("summary", plain("summary"))),
    }
    for section, columns in sections.items():
        rows = record.get(section) or []
        if not rows:
            continue
        used = [(name, read) for name, read in columns if any(read(row) not in (None, "") for row in rows)]
        print_table(section.capitalize(), [name for name, _ in used], ([read(row) for _, read in used] for row in rows))


def show_links(links: Sequence[CustomerLink], timezone: str) -> None:
    """Print which identities became one customer, when and how. Times are shown in `timezone` (IANA name)."""
    if not links:
        say("No other chat was linked to this customer.")
        return
    zone = ZoneInfo(timezone)
    print_table(
        "Links",
        ("id", "from", "continued on", "linked", "how", "customer", "was customer", "undone"),
        (
            (
                link.id,
                link.offered_by,
                link.taken_up_by,
                local_time(link.linked_at, zone),
                link.source,
                link.kept_customer_id,
                link.merged_customer_id,
                local_time(link.undone_at, zone),
            )
            for link in links
        ),
    )


def local_time(value: str | datetime | None, zone: ZoneInfo) -> str:
    if not value:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def understood(row: Row) -> str:
    return f"{row['intent']} {row['confidence']:.2f}" if row.get("intent") else ""


def delivery(row: Row) -> str:
    shown = str(row.get("delivery") or "")
    if row.get("maybe_repeated"):
        shown += ", possibly repeated"
    return f"{shown}: {row['reason']}" if row.get("reason") else shown


def place(row: Row) -> str:
    """The site's name, in Chinese where it has one, else its key."""
    names = row.get("site_names") or {}
    return str(names.get("zh") or next(iter(names.values()), row.get("site") or ""))


def named(attributes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in attributes.items())


def _worth(customer: Row, value: Row | None) -> str:
    parts = [f"credit {customer['credit_class']}"] if customer["credit_class"] else []
    if value is not None:
        parts += [f"value {value['value_class']}"] if value["value_class"] else []
        parts += [text for name in ("lifecycle", "next_action") if (text := value[name].replace("_", " "))]
    return ", ".join(parts)


def amount(row: Row) -> str:
    return f"{row['amount_minor'] / 100:.2f} {row['currency']}" if row.get("amount_minor") is not None else ""
