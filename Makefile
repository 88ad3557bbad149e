# Each target does its own set-up. Prerequisites: Python 3.11 or newer and make.
# `make help` lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := uv==0.13.9
ONLY ?=
LANG_DEMO := $(if $(filter en%,$(LANG)),en,zh)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench soak lock clean browser frontend screens testdata mutants peers

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (about ten seconds where packages are cached) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

setup: $(STAMP) ## the virtual environment

demo: $(STAMP) frontend ## the story, told between simulated departments (ONCE=1 stops at its end, LANG=en for English)
	@RUNXIN_DEMO_LANGUAGE=$(LANG_DEMO) $(BIN)/python -m adapters.sandbox.demo $(if $(ONCE),--once) $(if $(EMBEDDED),--embedded) \
		$(if $(CHILDREN),--children $(CHILDREN)) $(if $(DEPARTMENTS),--departments $(DEPARTMENTS))

test: $(STAMP) browser testdata peers ## everything that CI runs
	@$(BIN)/python -m tests.run

check: $(STAMP) ## ruff, mypy strict, import rules
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check -q . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	exit $$failed

bench: $(STAMP) ## figures beside a peer in the same run (ONLY=exchange, pseudonyms, audit, policy, basis, release, adapters, console)
	@$(BIN)/python -m tests.bench $(ONLY)

soak: $(STAMP) peers ## the long tests
	@$(BIN)/python -m pytest -m soak tests

lock: ## pin the dependencies anew (names, versions and hashes only)
	@$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes -q \
		--custom-compile-command "make lock" -o requirements.lock
	@echo pycanon | $(BIN)/uv pip compile - --python-version 3.11 --generate-hashes -q --no-annotate \
		--custom-compile-command "make lock" -o requirements-peers.lock

NPM_CI := npm ci --silent --no-audit --no-fund
FHIR_EXAMPLES := node_modules/hl7.fhir.r4.examples
mutants: $(STAMP) ## mutation score of gateway/release (ONLY=module, EVERY=5 for each fifth mutant)
	@$(BIN)/python -m tests.mutation $(ONLY) $(if $(EVERY),--every $(EVERY))

# A peer whose own pins do not go with ours lives in an environment of its own.
PYCANON := .venv-pycanon
peers: $(STAMP) ## pycanon, by which k-anonymity is counted again
	@test $(PYCANON)/.installed -nt requirements-peers.lock || { \
		$(PYTHON) -m venv $(PYCANON) && \
		$(BIN)/uv pip install -q --python $(PYCANON)/bin/python --require-hashes -r requirements-peers.lock && \
		touch $(PYCANON)/.installed; \
	} || echo "pycanon cannot be installed here: its tests will say NOT RUN."

frontend: $(STAMP) ## the console's front-end files, where npm is installed
	@if ! command -v npm > /dev/null; then \
		echo "npm is not installed: the console will say that its front-end files are missing."; \
	elif [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then \
		$(NPM_CI) $(if $(filter demo,$(MAKECMDGOALS)),--omit=dev); \
	fi
	@if [ -d node_modules ]; then $(BIN)/python -m gateway.console.vendoring; fi

testdata: frontend # what only tests read: HL7's FHIR R4 examples, axe
	@if ! command -v npm > /dev/null; then echo "FHIR R4 examples: NOT RUN (npm is not installed)"; \
	elif [ ! -d $(FHIR_EXAMPLES) ]; then $(NPM_CI); fi

CHROMIUM := chromium fonts-noto-cjk
browser: $(STAMP) frontend ## a Chromium and Chinese fonts for the browser tests (BROWSER=skip leaves them out)
	@if [ "$(BROWSER)" = skip ]; then echo "browser tests: NOT RUN (BROWSER=skip)"; \
	elif command -v chromium > /dev/null && [ -n "$$(fc-list :lang=zh family 2> /dev/null)" ]; then true; \
	elif command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q > /dev/null && apt-get install -y -q $(CHROMIUM) > /dev/null; \
	elif command -v apt-get > /dev/null && sudo -n true 2> /dev/null; then \
		sudo -n apt-get update -q > /dev/null && sudo -n apt-get install -y -q $(CHROMIUM) > /dev/null; \
	else echo "browser tests: NOT RUN: install chromium and fonts-noto-cjk, or say BROWSER=skip"; exit 1; fi

screens: $(STAMP) browser ## pictures of the console's pages, taken by the browser tests into build/screens
	@mkdir -p build/screens
	@RUNXIN_SCREENS=build/screens $(BIN)/python -m pytest -q tests/console/test_browser.py -k accessible

clean: ## remove what was made
	rm -rf $(VENV) $(PYCANON) .demo .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
