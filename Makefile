# `make` sets up .venv from the lock file and runs the default config; `make test` sets up and passes the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN = PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --workflow-profile profiles/local
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: all laptop smoke full gpu test lint lock clean

all: laptop

laptop smoke: $(READY)
	$(RUN) --configfile config/$@.yaml
	@$(BIN)/python -m replication summary results/$@

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	! PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint 2>&1 | grep -A3 "Lints for" | grep -v "software environment" | grep "    \*"

# The lock pins every package exactly. An unchanged lock is not installed twice.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
