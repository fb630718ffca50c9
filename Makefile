# Everything one types here. Needs Python 3.11 or later with pip, and make; the rest goes into .venv.
#   make PYTHON=python3.12 test        another interpreter
#   make PYTEST_ARGS="-k ledger" test  further arguments for pytest
#   make WORKERS=0 test                in one process, as a debugger needs it

PYTHON ?= python3
PYTEST_ARGS ?=
WORKERS ?= auto
DEMO_DIR ?= runs/demo
BENCH_DIR ?= runs/bench

VENV := .venv
BIN := $(VENV)/bin
# The exact versions of constraints.txt, everywhere: another torch would bring gigabytes along.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
TROPISM := $(BIN)/python -m tropism.benchmarks.cli
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
REQUIREMENTS := pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)

# Tests start hundreds of interpreters, which are there a third sooner with the bytecode of those before them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-7s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo ## train and evaluate real agents, show the leaderboard, verify its ledger
	$(TROPISM) leaderboard run quick --out $(DEMO_DIR)
	$(TROPISM) leaderboard report $(DEMO_DIR)
	$(TROPISM) ledger verify $(DEMO_DIR)/ledger

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

check: $(VENV)/.dev docs ## lint, format, types, layers, dead code, spelling, documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/codespell
	$(BIN)/python benchmarks/readme_table.py --check
	$(BIN)/python benchmarks/council_table.py --check
	$(BIN)/python benchmarks/moe_table.py --check
	$(BIN)/python benchmarks/moe_speed_table.py --check

bench: $(VENV)/.dev ## run the whole grid (about an hour), record it; resumes where it stopped
	$(TROPISM) leaderboard run full --out $(BENCH_DIR)
	$(TROPISM) leaderboard report $(BENCH_DIR)
	$(TROPISM) ledger verify $(BENCH_DIR)/ledger
	$(TROPISM) leaderboard show $(BENCH_DIR) --json > $(BENCH_DIR)/full.json
	mv $(BENCH_DIR)/full.json benchmarks/results/full.json
	$(BIN)/python benchmarks/claims.py

docs: $(VENV)/.dev ## build the documentation into docs/_build/html, warnings as errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean: ## remove what the other targets built, the environment included
	rm -rf $(VENV) docs/_build docs/generated dist

# What the demo needs: the core and the plugins that take part in it. Stamps make a second call instant.
$(VENV)/.demo: $(BIN)/python $(REQUIREMENTS)
	$(INSTALL) -e . -e plugins/example -e plugins/ppo
	@touch $@

# What the developer needs: every extra and every plugin, which covers the demo as well.
$(VENV)/.dev: $(BIN)/python $(REQUIREMENTS)
	$(INSTALL) -e ".[dev,render,jax,sign]" $(addprefix -e ,$(PLUGINS))
	@touch $(VENV)/.demo $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed, and '$(PYTHON)' is not there;" \
	  "name another with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, and $(PYTHON) is %d.%d; name another with: make PYTHON=/path/to/python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
