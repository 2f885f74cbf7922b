"""Refuses to commit what looks like a secret, or a file too large to review."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LARGEST_BYTES = 600_000
SECRETS = {
    "a Telegram bot token": re.compile(r"\b\d{8,10}:[A-Za-z0-9_-]{35}\b"),
    "a private key": re.compile(r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----"),
    "an AWS access key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a WeChat app secret": re.compile(r"(?i)app_?secret[\"']?\s*[:=]\s*[\"']?[0-9a-f]{32}\b"),
}


def problems(path: Path) -> list[str]:
    """What is wrong with this file; empty when it may be committed."""
    if not path.is_file():
        return []
    if path.stat().st_size > LARGEST_BYTES:
        return [f"{path}: larger than {LARGEST_BYTES // 1000} kB"]
    text = path.read_bytes().decode("utf-8", errors="replace")
    return [f"{path}: looks like {name}" for name, pattern in SECRETS.items() if pattern.search(text)]


def main(arguments: list[str]) -> int:
    found = [problem for argument in arguments for problem in problems(Path(argument))]
    for problem in found:
        sys.stderr.write(problem + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
