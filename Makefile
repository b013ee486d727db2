# The two commands of a new user: make demo, make test. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin
WEB_SOURCES := $(shell find web/src web/public web/index.html -type f 2>/dev/null)
CLIENT := clients/typescript
CLIENT_SOURCES := $(shell find $(CLIENT)/src -type f 2>/dev/null)
comma := ,
# What the server serves that isn't in git.
SERVED := src/bookcast/web/index.html src/bookcast/script/client.js

# What was compiled is kept, pytest's tests too: else each worker and server of a test compiles everything again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help packages setup demo compiled quick test check npm-tests python-tests fuzz fix bench conformance prove prove-clients dashboard screenshots wheel lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

packages:
	@PYTHON=$(PYTHON) scripts/debian-packages chromium=chromium nginx=nginx haproxy=haproxy openssl=openssl redis-server=redis-server

setup: .venv/.installed $(SERVED) ## .venv/bin/bookcast with what FEED=futu needs, the page, and the client

demo: setup ## serve a simulated market, with the live page
	$(BIN)/bookcast demo $(if $(PORT),--port $(PORT))

# Modules are compiled once, and not by each process that a test starts.
compiled: setup
	@$(BIN)/python -m compileall -q src tests

quick: compiled ## the tests that need no Redis, server, process or browser, in parallel: under a minute, while you work
	$(BIN)/python -m pytest -m "not redis and not process and not browser and not socket and not soak" -p no:schemathesis --numprocesses 2 --no-cov --quiet

test: packages compiled ## everything: lint, types, contracts, unit, browser and end-to-end tests
	# By themselves: they look how long things take.
	@$(MAKE) --no-print-directory npm-tests
	$(BIN)/python -m pytest tests/history --numprocesses 1 --quiet
	@scripts/beside .venv/check.log $(MAKE) check -- $(MAKE) --no-print-directory python-tests

check: setup ## lint, types, and the contracts between layers
	$(BIN)/ruff format --check --quiet src tests examples scripts benchmarks
	$(BIN)/ruff check --quiet src tests examples scripts
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo >.venv/contracts.log 2>&1 || { cat .venv/contracts.log; exit 1; }
	npm --prefix web run --silent lint
	npm --prefix $(CLIENT) run --silent lint

npm-tests: setup
	npm --prefix web test --silent
	npm --prefix $(CLIENT) test --silent

python-tests: packages compiled
	@$(BIN)/python -m pytest --ignore tests/history --numprocesses 2 --cov --cov-report=term:skip-covered

fuzz: packages compiled ## random tests with many times their examples; BUDGET=40, ARGS="tests/fuzz -k codec"
	BOOKCAST_FUZZ=$(or $(BUDGET),10) $(BIN)/python -m pytest -m hypothesis --timeout 3600 --numprocesses 2 --no-cov $(ARGS)

fix: setup ## format, and mend what can be mended by itself
	$(BIN)/ruff format src tests examples scripts benchmarks
	$(BIN)/ruff check --fix src tests examples scripts
	$(BIN)/python -m scripts.settings_table
	$(BIN)/python -m scripts.client_types

bench: setup ## what delivering costs, beside a plain C loop and others; ARGS="--only a,b" for some
	$(BIN)/python benchmarks/run.py $(ARGS)

conformance: setup ## the Autobahn WebSocket suite; needs a Python 2.7: ARGS="--python python2.7"
	$(BIN)/python -m tests.conformance.autobahn $(ARGS)

prove: packages setup ## faults on three nodes, and what clients saw of them; ARGS="--seconds 300 --seed 7"
	$(BIN)/python -m tests.history $(ARGS)

prove-clients: packages setup ## an hour of lies, kills, hangs, frozen tabs and updates, and what the clients show; RUNS=, KILLS=, …
	BOOKCAST_RUNS=$(or $(RUNS),10000) BOOKCAST_KILLS=$(or $(KILLS),100) BOOKCAST_SWALLOWS=$(or $(SWALLOWS),15) \
	BOOKCAST_FROZEN_SECONDS=$(or $(FROZEN_SECONDS),1$(comma)30$(comma)120) BOOKCAST_HEAP_SECONDS=$(or $(HEAP_SECONDS),600) \
	npm --prefix $(CLIENT) run prove
	BOOKCAST_RUNS=$(or $(RUNS),10000) BOOKCAST_KILLS=$(or $(KILLS),100) BOOKCAST_SWALLOWS=$(or $(SWALLOWS),15) \
	$(BIN)/python -m pytest tests/client/test_lying.py tests/client/test_faults.py --numprocesses 0 --no-cov --capture no --quiet

dashboard: setup ## the example in React, for a server on port 8002 (bookcast demo)
	npm --prefix $(CLIENT) run --silent dashboard

screenshots: setup ## the pictures in docs/images
	$(BIN)/python -m scripts.screenshots

wheel: setup ## dist/bookcast-*.whl, with the page and the client in it
	$(BIN)/hatchling build -t wheel

lock: .venv/.installed ## the newest versions that fit, pinned with their hashes
	scripts/lock

clean: ## leave only what git knows
	rm -rf .venv dist src/bookcast/web src/bookcast/script web/node_modules $(CLIENT)/node_modules $(CLIENT)/dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "bookcast needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
	@PYTHON=$(PYTHON) scripts/debian-packages
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	# As pip does for all others: else the first import takes twice as long, or each one.
	$(BIN)/python -m compileall -q src/bookcast
	@touch $@

# One rule for the page and for the client.
%/node_modules/.installed: %/package-lock.json %/package.json
	@command -v npm >/dev/null || { echo "The page and the client are built with Node 20.19 or newer and npm: install them, then try again"; exit 1; }
	npm --prefix $* ci --silent --no-audit --no-fund
	@touch $@

src/bookcast/web/index.html: web/node_modules/.installed $(WEB_SOURCES) $(CLIENT_SOURCES) $(wildcard web/*.ts web/tsconfig*.json)
	npm --prefix web run --silent build
	@touch $@

src/bookcast/script/client.js: $(CLIENT)/node_modules/.installed $(CLIENT_SOURCES) $(wildcard $(CLIENT)/*.ts $(CLIENT)/tsconfig*.json)
	npm --prefix $(CLIENT) run --silent build
	@mkdir -p $(@D)
	@cp $(CLIENT)/dist/bookcast.js $@
