# Needs Python 3.11 or newer, git and make; everything else is installed into .venv by the first target that needs it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export CURATE_PYTHON
INSTALLED := .venv/.installed
PYTHON := .venv/bin/python
LINT_TREE := .lint
DEMO := curate-demo
SECOND := .venv-duckdb2
WORKERS ?= 2
TEST_PROCESSES = --numprocesses $(WORKERS) --dist worksteal

.PHONY: help install demo test test-all test-duckdb2 lint format bench bench-quick lock clean

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)$$/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '%-18s %s\n' "$$target" "$$text"; done

install: $(INSTALLED) ## set up .venv with everything that was tested together

$(INSTALLED): pyproject.toml requirements.lock
	@bash .ci/make_environment .venv
	@$(PYTHON) -m pip install $$([ -t 1 ] || echo --quiet) --disable-pip-version-check \
		--constraint requirements.lock --editable '.[all]'
	@touch $@

demo: $(INSTALLED) ## walk the whole loop over real data found on this machine, offline, into curate-demo/
	@.venv/bin/curate demo --folder $(DEMO)

test: $(INSTALLED) ## run the tests
	@$(PYTHON) -m pytest $(TEST_PROCESSES)

test-all: $(INSTALLED) ## run the tests, the slow ones too
	@$(PYTHON) -m pytest $(TEST_PROCESSES) -m ''

$(SECOND)/.installed: .ci/duckdb2.lock
	@bash .ci/second_environment

# Ingestion meets no DuckDB, DuckLake has no extension for 2.0, and what loads exports back is not installed there.
test-duckdb2: $(SECOND)/.installed ## run the store's tests with DuckDB 2 and nothing else but the store's needs
	@PYTHONPATH=$(CURDIR) $(SECOND)/bin/python -m pytest $(TEST_PROCESSES) \
		-W 'error:Arrow output:UserWarning' tests/store \
		--ignore tests/store/ingestion --ignore tests/store/exports --ignore tests/store/lake

lint: $(INSTALLED) ## check style, format, types and who imports whom
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@$(PYTHON) .ci/lint_tree.py $(LINT_TREE)
	@cd $(LINT_TREE) && ../.venv/bin/mypy --config-file ../pyproject.toml -p curate -p benchmarks \
		| sed -E 's,^curate/(annotate|flows|learners|select|store)/,\1/,'
	@cd $(LINT_TREE) && ../.venv/bin/lint-imports --config ../pyproject.toml --no-cache --no-logo

format: $(INSTALLED) ## put style and format right where a tool can
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

bench: $(INSTALLED) ## measure every performance figure
	@$(PYTHON) -m benchmarks

bench-quick: $(INSTALLED) ## the same on small inputs, to see that the benchmarks run
	@$(PYTHON) -m benchmarks --quick

lock: $(INSTALLED) ## write what .venv holds into requirements.lock, and what .venv-duckdb2 holds into its own
	@$(PYTHON) .ci/write_lock.py requirements.lock
	@[ ! -e $(SECOND)/.installed ] || $(SECOND)/bin/python .ci/write_lock.py .ci/duckdb2.lock

clean: ## remove .venv, the demo's folder and everything else that a target made
	rm -rf .venv $(SECOND) $(LINT_TREE) $(DEMO) build curate.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
