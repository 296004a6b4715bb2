# `make demo` and `make test` do everything on a fresh machine with Python 3.11+, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Settings given to make (`make demo port=7500`) go on to doit, which refuses those that it does not know.
SETTINGS = $(filter-out PYTHON=% VENV=% BIN=%,$(MAKEOVERRIDES))

.PHONY: install install-dev demo versus test unit coverage lint soak rivals wheel bench lock

install: $(VENV)/.installed

# With what tests and linters need.
install-dev: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	$(BIN)/doit system=embedded profile=quick new=1 $(SETTINGS)

# PostgreSQL with pgvector beside the subject: the embedded server, to see the page, or Engram (`make versus
# engram_root=/path`). Short rounds of two scenarios; `doit versus` is the whole comparison.
versus: $(VENV)/.installed
	$(BIN)/doit install:pgvector $(SETTINGS)
	$(BIN)/doit versus:qdrant_ann_1m_768d versus:neo4j_traversal_100k rivals=pgvector profile=quick duration_s=5 \
	  flamegraph=false new=1 $(SETTINGS)

# By several workers where they can be kept from seeing each other's servers: tests/side_by_side.py says how.
test: $(VENV)/.installed-dev
	$(BIN)/python -m tests.side_by_side

# The tests that start no driver, server, browser or suite: seconds, for every change.
unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --timeout 20 -m 'not soak and not wheel and not rivals and not suite and not process'

# Lines and branches that the tests reach, also in the processes that they start; TESTS= selects tests as pytest does.
# What killed processes have half written is removed: each report would warn of it.
TESTS ?= -m 'not soak and not wheel and not rivals'
coverage: $(VENV)/.installed-dev
	$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(TESTS) || echo "some tests failed: what they reached counts all the same"
	$(BIN)/coverage combine --quiet
	@rm -f .coverage.*
	$(BIN)/coverage report --skip-covered --sort=cover
	@for room in $(sort $(dir $(wildcard compbench/*/__init__.py))); do \
	  printf '%-24s %s %%\n' "$$room" "$$($(BIN)/coverage report --format=total --include="$$room*")"; \
	done

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "soak or slow"

# The tests of real servers, those that `doit install:<system>` has installed.
rivals: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m rivals

# Builds the package and tries it in an empty environment; needs a package index.
wheel: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m wheel

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python -m benchmarks.events
	$(BIN)/python -m benchmarks.driver
	$(BIN)/python -m benchmarks.faithfulness
	$(BIN)/python -m benchmarks.transports
	$(BIN)/python -m benchmarks.live_page
	$(BIN)/python -m benchmarks.history
	$(BIN)/python -m benchmarks.flat
	$(BIN)/python -m benchmarks.data_set shape
	$(BIN)/python -m benchmarks.data_set speed
	$(BIN)/python -m benchmarks.aa_study

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "compbench needs Python 3.11 or newer; try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# Pins every dependency anew, with hashes and for all platforms; needs the tool `uv`.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --all-extras -o requirements-dev.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --extra loadtest --extra embedded --extra engram --extra rivals --extra report --extra live --extra notify -c requirements-dev.txt -o requirements.txt pyproject.toml
