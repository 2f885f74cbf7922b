"""`segment`, `audience`, `consent`: whom broadcasts are for and who agreed. YAML in, JSON out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from desk.paging import Page
from frontdesk.commands.broadcast import As, Session, at_desk
from frontdesk.commands.output import print_json
from frontdesk.yaml_lines import read_yaml

segment_app = typer.Typer(help="Segments: conditions over the customer's record.", no_args_is_help=True)
audience_app = typer.Typer(help="Lists of people: snapshots, files, those who are left out.", no_args_is_help=True)
consent_app = typer.Typer(help="The register of consents.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name.")]
Definition = Annotated[Path, typer.Argument(help="A YAML file with the condition; docs/segments.md shows some.")]
Exclusion = Annotated[bool, typer.Option("--exclusion", help="A list of those who are left out.")]
MOST_SHOWN = 1000  # errors of one file


# --- segments -------------------------------------------------------------------------------------------------------


@segment_app.command("count")
def segment_count(file: Definition, *, as_: As = "") -> None:
    """Whom a condition means now: in words, how many, and some of them. Nothing is kept."""
    definition = read_yaml(file)
    print_json(asdict(at_desk(as_, lambda desk: desk.services.segments.look(desk.actor, definition))))


@segment_app.command("save")
def segment_save(
    name: Name, file: Definition, *, title: Annotated[str, typer.Option(help="As staff see it.")] = "",
    replace: Annotated[bool, typer.Option(help="Change the segment of this name.")] = False, as_: As = "",
) -> None:  # fmt: skip
    """The segment says what the file says."""
    definition = read_yaml(file)

    async def work(desk: Session) -> Any:
        segments = desk.services.segments
        seen = await segments.show(desk.actor, name) if replace else None
        kept = title or (seen.title if seen else "")
        return await segments.save(desk.actor, name, definition, title=kept, version=seen.version if seen else None)

    print_json(asdict(at_desk(as_, work)))


@segment_app.command("show")
def segment_show(name: Name, *, as_: As = "") -> None:
    """What it says."""
    print_json(asdict(at_desk(as_, lambda desk: desk.services.segments.show(desk.actor, name))))


@segment_app.command("list")
def segment_list(*, as_: As = "") -> None:
    """All segments by name."""
    print_json(
        {"segments": at_desk(as_, lambda desk: _all(lambda at: desk.services.segments.page(desk.actor, cursor=at)))}
    )


@segment_app.command("archive")
def segment_archive(name: Name, *, as_: As = "") -> None:
    """It is offered no more."""
    print_json(asdict(at_desk(as_, lambda desk: desk.services.segments.archive(desk.actor, name, version=None))))


# --- lists ----------------------------------------------------------------------------------------------------------


@audience_app.command("snapshot")
def audience_snapshot(
    name: Name, segment: Annotated[str, typer.Argument(help="Name of the segment.")], *,
    exclusion: Exclusion = False, as_: As = "",
) -> None:  # fmt: skip
    """Everybody the segment means now is on a new list."""
    print_json(
        asdict(
            at_desk(
                as_,
                lambda desk: desk.services.audiences.snapshot(
                    desk.actor, name, segment=segment, kind="exclusion" if exclusion else "snapshot"
                ),
            )
        )
    )


@audience_app.command("upload")
def audience_upload(
    name: Name, file: Annotated[Path, typer.Argument(help="CSV or XLSX; docs/segments.md names its columns.")], *,
    exclusion: Exclusion = False, as_: As = "",
) -> None:  # fmt: skip
    """The people whom the lines of a file name are on a new list; every other line is told with its reason."""
    done = at_desk(
        as_,
        lambda desk: desk.services.audiences.upload(
            desk.actor, name, file, kind="exclusion" if exclusion else "upload"
        ),
    )
    errors = [asdict(each) for each in done.errors[:MOST_SHOWN]]
    print_json({**asdict(done.list), "encoding": done.encoding, "errors": errors})


@audience_app.command("list")
def audience_list(*, as_: As = "") -> None:
    """All lists, the newest first."""
    print_json(
        {"lists": at_desk(as_, lambda desk: _all(lambda at: desk.services.audiences.page(desk.actor, cursor=at)))}
    )


@audience_app.command("put")
def audience_put(
    name: Name, customer: Annotated[int, typer.Argument(help="Number of the customer.", min=1)], *,
    remove: Annotated[bool, typer.Option("--remove", help="They are on it no more.")] = False, as_: As = "",
) -> None:  # fmt: skip
    """One person is on the list."""
    print_json(
        asdict(
            at_desk(
                as_,
                lambda desk: desk.services.audiences.put_person(desk.actor, name, customer, listed=not remove),
            )
        )
    )


@audience_app.command("archive")
def audience_archive(name: Name, *, as_: As = "") -> None:
    """It is offered no more."""
    at_desk(as_, lambda desk: desk.services.audiences.archive(desk.actor, name))
    print_json({"archived": name})


# --- consents -------------------------------------------------------------------------------------------------------


@consent_app.command("list")
def consent_list(
    *, purpose: Annotated[str, typer.Option(help="Only for this purpose.")] = "",
    channel: Annotated[str, typer.Option(help="Only on this channel.")] = "",
    customer: Annotated[int, typer.Option(help="Only of this customer.", min=1)] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 100, as_: As = "",
) -> None:  # fmt: skip
    """What was said and what shows it, the newest first."""

    def some(desk: Session, at: str) -> Awaitable[Page[Any]]:
        return desk.services.consents.page(
            desk.actor, purpose=purpose, channel=channel, customer_id=customer or None, cursor=at
        )

    print_json({"consents": at_desk(as_, lambda desk: _all(lambda at: some(desk, at), limit))})


@consent_app.command("summary")
def consent_summary(*, as_: As = "") -> None:
    """How many agree to what, by purpose and channel."""
    found = at_desk(as_, lambda desk: desk.services.consents.summary(desk.actor))
    print_json({"consents": [asdict(each) for each in found]})


@consent_app.command("enter")
def consent_enter(
    customer: Annotated[int, typer.Argument(help="Number of the customer.", min=1)],
    purpose: Annotated[str, typer.Argument(help="For what, as the rules name it.")],
    channel: Annotated[str, typer.Argument(help="On which channel.")],
    *,
    told: Annotated[str, typer.Option(help='How they said so, such as "on the telephone".')],
    no: Annotated[bool, typer.Option("--no", help="They take it back.")] = False,
    as_: As = "",
) -> None:
    """What the customer told staff; where it has to be confirmed, they are asked in the chat first."""
    holds = at_desk(
        as_,
        lambda desk: desk.services.consents.enter(
            desk.actor, customer, purpose=purpose, channel=channel, granted=not no, told=told
        ),
    )
    print_json({"in_force": holds})


async def _all(page: Callable[[str], Awaitable[Page[Any]]], most: int = 10_000) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        some = await page(cursor)
        found += [asdict(each) for each in some.items]
        if not some.next or len(found) >= most:
            return found[:most]
        cursor = some.next
