"""Trains the assistants' models into the cache that tests share, two at a time, before any test waits for one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from frontdesk.runtimes import trained

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".frontdesk" / "model"
ASSISTANTS = ROOT / "config" / "assistants"


def main() -> None:
    """Every sample assistant has its model in the cache; those whose files have not changed cost nothing."""
    folders = sorted(path.parent for path in ASSISTANTS.glob("*/domain.yml"))
    with ThreadPoolExecutor(max_workers=2) as workers:  # each trains in a process of its own
        list(workers.map(lambda folder: trained(folder, CACHE), folders))


if __name__ == "__main__":
    main()
