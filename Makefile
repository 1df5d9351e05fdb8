# `make demo` and `make test` are all a fresh clone needs; `make help` lists the rest.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test chaos check compose-test bench constraints clean

DATA_DIR ?= .asktell
ARGS ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
SUPPORTED := import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))

# Each candidate is run, not only looked up: a version manager's shim exists without its Python.
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python; do \
	if $$python -c '$(SUPPORTED)' >/dev/null 2>&1; then echo $$python; break; fi; done)

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 14

demo: $(INSTALLED)  ## run the sweep of examples/digits, print the leaderboard
	@$(BIN)/asktell demo --data-dir "$(DATA_DIR)" $(ARGS)

serve: $(INSTALLED)  ## start the service on the data that `make demo` left in DATA_DIR
	@$(BIN)/asktell serve --data-dir "$(DATA_DIR)" $(ARGS)

# Most tests wait for processes, so four at a time suit two cores. Tests of one
# file stay together, because they share what they start; files with few tests take longest, so the
# order stays as it is.
test: $(INSTALLED)  ## run the whole test suite; ARGS="-k name" runs a part of it
	$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: $(INSTALLED)  ## kill worker, server and Postgres twenty times at each step of an attempt
	CHAOS_ROUNDS=20 $(BIN)/pytest tests/acceptance/test_sweep_faults.py \
		tests/acceptance/test_flyte_sweep_faults.py tests/acceptance/test_kill.py \
		tests/contracts/test_equivalence.py tests/integration/test_python_spaces.py $(ARGS)

check: $(INSTALLED)  ## format, lint, types, layers, tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --strict sdk/src
	$(BIN)/lint-imports
	$(MAKE) test

compose-test:  ## run the quickstart with containers; needs a Docker engine
	scripts/compose-test

bench: $(INSTALLED)  ## compare with Optuna's own storage; ARGS is passed on
	$(BIN)/python -m benchmarks $(ARGS)

constraints:  ## write constraints.txt anew from the newest releases (with Python 3.11)
	scripts/freeze-constraints "$(or $(shell command -v python3.11),$(PYTHON))"

clean:  ## remove the environment, caches and build results; the data in DATA_DIR stay
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is made new enough for dependency groups before it installs anything else.
$(INSTALLED): pyproject.toml sdk/pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		if ! "$(PYTHON)" -c '$(SUPPORTED)' >/dev/null 2>&1; then \
			echo 'Asktell needs Python 3.11 or 3.12 with its venv module (Debian and Ubuntu:' >&2; \
			echo 'apt-get install python3-venv). Install one, or name it: make PYTHON=/path/to/python3.12' >&2; \
			exit 1; \
		fi; \
		"$(PYTHON)" -m venv --clear .venv; \
	fi
	@echo 'Installing into .venv (a minute or two, once) ...'
	@$(BIN)/python -m pip install -qq --constraint constraints.txt 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --constraint constraints.txt \
		--editable sdk --editable '.[embedded,wandb,flyte]' --group dev
	@touch $@
