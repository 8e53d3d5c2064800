# `make` sets up .venv from the lock file and runs the default config; `make test` sets up and passes the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
CHECKS := tests/browser/node_modules
RUN = PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --quiet rules --cores all

.PHONY: all laptop smoke full questions test test-browser chromium test-cluster slurm lint readme bench

all: laptop

laptop smoke full questions: $(READY)
	$(RUN) --configfile config/$@.yaml
	@$(BIN)/python -m replication summary results/$@

test: $(READY)
	$(BIN)/python -m pytest

# Types and style of the feature browser's scripts, and the whole page in a headless Chromium. Takes Node from 20.19 on; the page itself needs none of it.
test-browser: $(READY) $(CHECKS)/.ready chromium
	cd tests/browser && npm run --silent types && npm run --silent lint
	BROWSER_TESTS=required $(BIN)/python -m pytest tests/browser -m "browser_slow or not browser_slow"

chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q && apt-get install -qy --no-install-recommends chromium; } \
	  || { echo "make test-browser needs Chromium, and only root can install it here: apt-get install chromium, then try again" >&2; exit 1; }

# The smoke config through a Slurm of one node, started for this and stopped after it; two trainings are killed on the way. QUICK=1 for one model and one dictionary.
test-cluster: $(VENV)/.cluster slurm
	QUICK=$(QUICK) $(BIN)/python -m pytest tests/cluster -m cluster

slurm:
	@PATH="$$PATH:/usr/sbin"; command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v srun >/dev/null && command -v munged >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q && apt-get install -qy --no-install-recommends slurmctld slurmd slurm-client munge; } \
	  || { echo "make test-cluster needs Slurm and MUNGE, and only root can install them here: apt-get install slurmctld slurmd slurm-client munge, then try again" >&2; exit 1; }

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules

# Times a training step beside SAELens and dictionary_learning: see bench/README.md. QUICK=1 for three minutes, ROUNDS=5 for so many rounds; the browser's times come with whole runs only.
bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(BENCH_OPTIONS)
	$(if $(QUICK)$(BENCH_OPTIONS),,$(BENCH)/bin/python -m bench.browser)

# Fills the blocks of README.md that are made: what the last laptop run found, the last bench, the graph of rules, the departures.
readme: $(READY)
	mkdir -p results/readme
	( echo '```'; $(BIN)/python -m replication summary results/laptop; echo '```' ) > results/readme/summary
	( echo '```mermaid'; $(RUN) results/laptop/claims.csv results/laptop/browser/index.html --configfile config/laptop.yaml --rulegraph mermaid-js | grep -v -e '^---' -e '^title' -e 'style id'; echo '```' ) > results/readme/rulegraph
	( echo; $(BIN)/python -m replication config departures config/laptop.yaml; echo ) > results/readme/departures
	( echo; $(BIN)/python -m bench.readme; echo ) > results/readme/speed
	for block in summary rulegraph departures speed; do \
	  sed -i -e "/<!-- $$block:/,/<!-- \/$$block /{/<!-- /!d}" -e "/<!-- $$block:/r results/readme/$$block" README.md; done

# The lock pins every package exactly. An unchanged lock is not installed twice.
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Snakemake's executor for Slurm, pinned by its own lock; what it depends on is in requirements.lock.
$(VENV)/.cluster: $(READY) profiles/slurm/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --requirement profiles/slurm/requirements.lock
	touch $@

# What checks the page's scripts, pinned by its own lock.
$(CHECKS)/.ready: tests/browser/package.json tests/browser/package-lock.json
	@command -v npm >/dev/null || { echo "make test-browser needs Node from 20.19 on with npm: install both, then try again" >&2; exit 1; }
	cd tests/browser && npm ci --silent --no-audit --no-fund || { echo "npm could not install what tests/browser/package-lock.json names; that takes Node from 20.19 on and a network" >&2; exit 1; }
	touch $@

# The peers have an environment of their own, so that nothing of theirs can change a number of ours.
$(BENCH)/.ready: requirements.lock bench/requirements.lock
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --requirement requirements.lock
	$(BENCH)/bin/python -m pip install --quiet --no-deps --requirement bench/requirements.lock
	touch $@
