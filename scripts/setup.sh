#!/bin/sh
# Creates .venv and installs the locked packages: `scripts/setup.sh run` for serving, `dev` for the suites.
# Does nothing when the installed set already matches the lock file.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
lock=requirements/$kind.lock

say() { printf '%s\n' "$*" >&2; }

find_python() {
  for candidate in ${FRONTDESK_PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    # Run it: a name on PATH may be a shim that points nowhere.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  say "Frontdesk needs Python 3.11 or newer, and none was found; install it (Debian: apt install python3 python3-venv, macOS: brew install python) or set FRONTDESK_PYTHON to its path."
  exit 1
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' >/dev/null 2>&1; then
  python=$(find_python)
  rm -rf .venv
  if ! "$python" -m venv .venv >/tmp/frontdesk-venv.$$ 2>&1; then
    sed 's/^/  /' /tmp/frontdesk-venv.$$ >&2
    rm -f /tmp/frontdesk-venv.$$
    rm -rf .venv
    say "Could not create .venv: on Debian install python3-venv (apt install python3-venv), and check that this folder may be written to."
    exit 1
  fi
  rm -f /tmp/frontdesk-venv.$$
fi

wanted=$(cat "$lock" pyproject.toml | cksum)
# A dev install holds everything a run install does.
for stamp in .venv/.installed-"$kind" .venv/.installed-dev; do
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cat requirements/"${stamp##*-}".lock pyproject.toml | cksum)" ]; then
    exit 0
  fi
done

say "Installing the locked packages into .venv (about a minute) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>/dev/null ||
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
echo "$wanted" > .venv/.installed-"$kind"
