# Every target sets up what it needs. `make help` lists them.
.DEFAULT_GOAL := help
PY := .venv/bin/python
FAST := tests/unit tests/contract
# Where it is set, every worker translates every test module anew, which takes half of the time of collecting them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-slow test-browser test-rasa test-all lint check bench rasa fmt lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## install, create the store, train, serve on 127.0.0.1:8080
	@scripts/setup.sh run
	@.venv/bin/frontdesk run

test: ## the everyday suite, on real SQLite, PostgreSQL and Redis which it starts by itself
	@scripts/setup.sh dev
	@$(PY) -m tests.services ensure
	@$(PY) -m tests.models
	@$(PY) -m pytest -n 2 --dist worksteal --durations=10 --durations-min=1 -m "not slow and not browser and not rasa" $(ARGS)

test-slow: ## every fault point by itself on both databases, every case on PostgreSQL, many examples, full NLU training
	@scripts/setup.sh dev
	@$(PY) -m tests.services ensure
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-thorough} $(PY) -m pytest -n 3 --dist worksteal -m "(slow or hypothesis) and not browser and not rasa" $(ARGS)

test-browser: ## the suite in a real Chromium; pictures in .frontdesk/screenshots
	@scripts/setup.sh dev
	@$(PY) -m tests.browser.chromium
	@$(PY) -m tests.services ensure
	@FRONTDESK_SCREENSHOTS=$${FRONTDESK_SCREENSHOTS:-.frontdesk/screenshots} $(PY) -m pytest -n 2 --dist worksteal -m browser tests/browser $(ARGS)

test-rasa: ## the suite against a real Rasa 3.6.21 server (needs Python 3.10)
	@scripts/setup.sh dev
	@$(PY) scripts/rasa_env.py ensure
	@$(PY) -m pytest -n 2 --dist loadfile -m rasa --timeout=900 tests/rasa $(ARGS)

test-all: test test-slow test-browser test-rasa ## everything

lint: ## format, lint, strict types, import contract
	@scripts/setup.sh dev
	@$(PY) -m ruff format --check -q .
	@$(PY) -m ruff check -q .
	@$(PY) -m mypy
	@.venv/bin/lint-imports > /dev/null || .venv/bin/lint-imports

check: lint ## lint and the fast tests
	@$(PY) -m pytest -n 2 -m "not slow and not postgres and not redis and not browser and not rasa" $(FAST)

bench: ## measure; writes bench/results.json and docs/benchmarks.md
	@scripts/setup.sh dev
	@$(PY) -m bench

rasa: ## install Rasa into its own Python 3.10 environment, train the sample, serve on 127.0.0.1:5005
	@scripts/setup.sh run
	@$(PY) scripts/rasa_env.py serve

fmt: ## format
	@scripts/setup.sh dev
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

lock: ## pin the newest versions that fit pyproject.toml
	@scripts/setup.sh dev
	@$(PY) -m pip install --quiet uv
	@.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade pyproject.toml -o requirements/run.lock
	@.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --extra dev --extra browser pyproject.toml -o requirements/dev.lock
