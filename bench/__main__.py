"""`make bench`: every section in one run; prints a table, writes bench/results.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
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
    options.add_argument("--quick", action="store_true", help="one short run of each instead of the median of three")
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
        sections = [run(plan) for name, run in SECTIONS.items() if not chosen.only or name in chosen.only]
    except (NotStarted, RuntimeError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.show(sections, Console())
    report.write(sections, complete=not chosen.only and not chosen.quick)
    console.print(f"{monotonic() - began:.0f} s in all")
    return 0


def prepared(work: Path) -> Path:
    """A folder in which `frontdesk run` has started once: store, keys and a trained model."""
    folder = fresh_folder(work, "template")
    with Server(frontdesk("run", "--port", "0"), folder):
        pass
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
