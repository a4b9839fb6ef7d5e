# Everything sets itself up: `make demo` on a fresh machine with Python 3.11 or 3.12 needs nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)
# Without compiled modules every process would spend seconds on compiling them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.PHONY: setup
setup: $(READY) ## Make the virtual environment from the lock file

$(READY): pyproject.toml uv.lock
	@python=$$(for p in python3.11 python3.12 python3; do \
	  command -v $$p >/dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' 2>/dev/null && echo $$p && break; \
	done) || { echo "Python 3.11 or 3.12 with venv is needed: install it (Debian: apt-get install python3.11-venv) and run make again." >&2; exit 1; }; \
	test -x $(BIN)/python || $$python -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; \
	$(BIN)/uv sync --quiet --frozen --inexact --python $(BIN)/python; \
	touch $@

.PHONY: demo
demo: $(READY) ## Live one whole day in the sandbox world and verify it
	@$(BIN)/empire demo

.PHONY: dev
dev: $(READY) ## Database, world, tracking service and the Dagster UI
	@$(BIN)/empire dev

.PHONY: test
test: $(READY) ## Run the tests, but the long ones
	@$(BIN)/pytest -n 3 -m 'not long'

.PHONY: test-long
test-long: $(READY) ## Live whole days, kill them, build the blog, and hold 500 intents under fire to exactly once
	@$(BIN)/pytest -n 3 -m long --no-loadscope-reorder

.PHONY: site
site: site/node_modules/.package-lock.json ## Install the blog's packages, for the tests that build it (needs Node 20 and npm)

site/node_modules/.package-lock.json: site/package.json site/package-lock.json
	@npm ci --prefix site --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: check
check: $(READY) ## Lint, format, types, import floors, dbt parse, definitions load, lock in sync
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m dbt_models.check
	@$(BIN)/python -c 'import definitions; definitions.defs()'
	@$(BIN)/uv lock --check --quiet

.PHONY: clean
clean: ## Stop this home's services and remove the environment and caches (the home .empire stays)
	@test ! -x $(BIN)/empire || $(BIN)/empire stop
	@rm -rf $(VENV) site/node_modules site/.next site/out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
