"""Finds the Chromium the browser suite drives; `python -m tests.browser.chromium` says how to get what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Path of an installed browser (`FRONTDESK_CHROMIUM` wins), None when there is none."""
    named = os.environ.get("FRONTDESK_CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


def what_is_missing() -> str:
    """One sentence that says what to install, "" when the suite can run."""
    if importlib.util.find_spec("playwright") is None:
        return "The browser suite needs Playwright: pip install playwright (no browser download is needed)."
    if find_chromium() is None:
        return "The browser suite needs Chromium: apt-get install chromium fonts-noto-cjk, or set FRONTDESK_CHROMIUM."
    return ""


if __name__ == "__main__":
    if missing := what_is_missing():
        sys.exit(missing)
