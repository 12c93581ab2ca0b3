# What a person types, and what CI does: one target for each.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: help demo test test-slow real test-real lint walkthrough clean

# Models of tests are so small that a second thread costs more than it brings, above all on a busy machine.
test test-slow: export OMP_NUM_THREADS = 1
# A process for each processor, up to eight: each of them takes 0.9 GB, and imports torch for itself. It works through
# tests that lie side by side, as these share what is made once, until it has to help another.
WORKERS := -n logical --maxprocesses 8 --dist worksteal

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed ## install, then forget eight made-up people with a tiny model
	$(BIN)/unlearnkit demo

test: .venv/tested ## install what tests need, and run the fast ones
	$(BIN)/python -m pytest $(WORKERS) -m "not real and not slow"

test-slow: .venv/tested ## tests that take minutes, one after the other: many start several processes themselves
	$(BIN)/python -m pytest -m "slow and not real"

real: .venv/installed ## fetch SmolLM2-135M-Instruct (94 MB) into the cache folder
	$(BIN)/python -m unlearnkit.models.gguf fetch

test-real: .venv/tested ## tests on the real model; `make real` fetches it
	$(BIN)/python -m pytest -m real

lint: .venv/tested ## style, types, and which room may see which
	$(PIP) -e ".[lint]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

walkthrough: .venv/installed ## write docs/walkthrough.md again (half an hour on two cores)
	$(BIN)/python docs/walkthrough.py

clean: ## remove all that these targets made here
	rm -rf .venv build dist unlearnkit-demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# torch first and pinned: its newest build may pull gigabytes that a CPU has no use for.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=...")'
	@echo "installing into .venv: minutes the first time"
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e .
	touch $@

.venv/tested: .venv/installed
	$(PIP) -e ".[test]"
	touch $@
