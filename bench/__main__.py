"""`make bench`: every section, or those asked for; prints each, writes bench/results.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from rich.console import Console

from bench import (
    broadcast,
    burst,
    cases,
    console,
    due,
    inbox,
    ingest,
    knowledge,
    pacing,
    rasa_understanding,
    report,
    sending,
    starting,
    turn,
    understanding,
)
from bench.processes import ROOT, NotStarted, Server, fresh_folder, frontdesk
from bench.sections import Plan, Section
from config.logging import configure_logging

SECTIONS: dict[str, Callable[[Plan], Section]] = {
    "ingest": ingest.run,
    "turn": turn.run,
    "start": starting.run,
    "nlu": understanding.run,
    "rasa": rasa_understanding.run,
    "knowledge": knowledge.run,
    "telegram": pacing.run,
    "sending": sending.run,
    "burst": burst.run,
    "due": due.run,
    "cases": cases.run,
    "inbox": inbox.run,
    "console": console.run,
    "broadcast": broadcast.run,
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--only", choices=SECTIONS, action="append", help="only this section; may be repeated")
    options.add_argument("--quick", action="store_true", help="one short run of each; the page stays as it is")
    chosen = options.parse_args()
    configure_logging("auto", "warning")  # of the stores opened here; the servers write their own
    console = Console(stderr=True)
    began = monotonic()
    # Beside the repository and not in /tmp, which may be memory: what is measured is a disk.
    base = ROOT / ".frontdesk"
    base.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
    try:
        console.print("preparing: a store with the sample assistant's model")
        plan = Plan(
            work=work,
            template=prepared(work),
            repeats=1 if chosen.quick else 3,
            seconds=1.0 if chosen.quick else 2.0,
            quick=chosen.quick,
            say=console.print,
        )
        sections, broken = [], []
        for name in SECTIONS:
            if chosen.only and name not in chosen.only:
                continue
            section = measured(name, plan)
            if section is None:
                broken.append(name)
                continue
            sections.append(section)
            report.show(section, Console())
            if not chosen.quick:
                report.write_part(report.PAGE, section, datetime.now(UTC))
    except (NotStarted, RuntimeError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.write(sections)
    console.print(f"{monotonic() - began:.0f} s in all" + (f"; failed: {', '.join(broken)}" if broken else ""))
    return 1 if broken else 0


def measured(name: str, plan: Plan) -> Section | None:
    """None, with the reason on stderr, where a section failed: what the others measured is not lost with it."""
    try:
        return SECTIONS[name](plan)
    except Exception:  # noqa: BLE001 - whatever a section died of, the others are still worth having
        sys.stderr.write(f"bench: {name} failed\n{traceback.format_exc()}")
        return None


def prepared(work: Path) -> Path:
    """A folder in which `frontdesk run` has started once: store, keys and a trained model."""
    folder = fresh_folder(work, "template")
    with Server(frontdesk("run", "--port", "0"), folder):
        pass
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
