"""Commands of `broadcast` around sending: tried on, results, each recipient, sends nobody knows the end of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.errors import InputError
from desk.broadcast_preflight import Preview
from desk.broadcast_results import Compared, Results
from frontdesk.commands.broadcast import As, Name, Session, at_desk
from frontdesk.commands.output import print_json, say

Customer = Annotated[int, typer.Option("--customer", help="Number of the customer whose message it is.", min=1)]
Recipients = Annotated[list[int] | None, typer.Option("--recipient", help="Only this one; may be given again.")]


def register(app: typer.Typer) -> None:
    """The commands are some of `broadcast`."""
    for name, command in (
        ("preview", preview),
        ("test", send_test),
        ("results", results),
        ("compare", compare),
        ("export", export),
        ("uncertain", uncertain),
        ("send-again", send_again),
        ("mark-failed", mark_failed),
    ):
        app.command(name)(command)


# --- before ---------------------------------------------------------------------------------------------------------


def preview(name: Name, *, customer: Customer = 0, as_: As = "") -> None:
    """How it would look on each channel: to one customer, or to somebody of whom nothing is known."""

    async def work(desk: Session) -> list[Preview]:
        opened = await desk.services.broadcasts.open(desk.actor, name)
        return await desk.services.broadcasts.previews(desk.actor, opened.stored.document, customer or None)

    print_json({"previews": [asdict(each) for each in at_desk(as_, work)]})


def send_test(
    name: Name,
    variant: Annotated[str, typer.Argument(help="Name of the variant.")],
    *,
    customer: Customer,
    as_: As = "",
) -> None:
    """Write the variant to somebody of the staff (a customer tagged "test") as everybody would get it."""
    message = at_desk(as_, lambda desk: desk.services.broadcasts.test(desk.actor, name, variant, customer))
    print_json({"message_id": message})


# --- after ----------------------------------------------------------------------------------------------------------


def results(name: Name, *, as_: As = "") -> None:
    """What it brought compared with those held out, and the harm beside it."""
    found = at_desk(as_, lambda desk: desk.services.results.results(desk.actor, name))
    print_json({"name": name, **results_document(found)})


def compare(names: Annotated[list[str], typer.Argument(help="Names of broadcasts.")], *, as_: As = "") -> None:
    """Results of several side by side."""
    lines = at_desk(as_, lambda desk: desk.services.results.compare(desk.actor, names))
    print_json(
        {"broadcasts": [{"name": each.name, "title": each.title, **results_document(each.results)} for each in lines]}
    )


def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The CSV file to write; it must not be there yet.")],
    as_: As = "",
) -> None:
    """A line for each recipient, as CSV."""

    async def work(desk: Session) -> int:
        count = -1  # the head is no recipient
        pieces = await desk.services.results.export(desk.actor, name)
        with file.open("x", encoding="utf-8", newline="") as out:
            async for piece in pieces:
                count += piece.count("\r\n")
                out.write(piece)
        return count

    try:
        count = at_desk(as_, work)
    except FileExistsError as exc:
        raise InputError(f"{file} is there already; give another name") from exc
    say(f"{count} recipients written to {file}.")


def results_document(found: Results) -> dict[str, Any]:
    """JSON of what a broadcast brought, with what is reckoned from it."""
    return {
        "at": found.at.isoformat(),
        "share": found.share,
        "currency": found.currency,
        "cost_minor": found.cost_minor,
        "brought_minor": asdict(found.brought_minor) if found.brought_minor else None,
        "returned": found.returned,
        "whole": _compared(found.whole),
        "variants": [_compared(each) for each in found.variants],
        "held_out": asdict(found.held_out),
        "links": [dict(zip(("name", "address", "people", "times"), link, strict=True)) for link in found.links],
    }


def _compared(arm: Compared) -> dict[str, Any]:
    return {**asdict(arm), "differs": arm.differs, "per_1000_minor": arm.per_1000_minor}


# --- what nobody knows the end of -------------------------------------------------------------------------------------


def uncertain(
    name: Name, *, limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 100, as_: As = ""
) -> None:
    """Recipients who may or may not have got it: none of them is tried again until somebody decides."""
    found = at_desk(as_, lambda desk: desk.services.uncertain.find(desk.actor, name, limit))
    print_json({"uncertain": [asdict(each) for each in found]})


def send_again(name: Name, *, recipient: Recipients = None, as_: As = "") -> None:
    """Uncertain recipients are due again, though some may get it twice; all of them unless some are named."""
    count = at_desk(as_, lambda desk: desk.services.uncertain.send_again(desk.actor, name, recipient or None))
    print_json({"recipients": count})


def mark_failed(name: Name, *, recipient: Recipients = None, as_: As = "") -> None:
    """Uncertain recipients count as failed and are never tried again; all of them unless some are named."""
    count = at_desk(as_, lambda desk: desk.services.uncertain.mark_failed(desk.actor, name, recipient or None))
    print_json({"recipients": count})
