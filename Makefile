# What a person types, and what CI does: one target for each.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: help demo test test-slow test-browser plugins real test-real lint types docs docs-check walkthrough tutorial bench matrix release-check clean

# Models of tests are so small that a second thread costs more than it brings, above all on a busy machine.
test test-slow test-browser plugins: export OMP_NUM_THREADS = 1
# A process for each processor, up to eight: each of them takes 0.9 GB, and imports torch for itself. It works through
# tests that lie side by side, as these share what is made once, until it has to help another.
WORKERS := -n logical --maxprocesses 8 --dist worksteal
docs docs-check: export NO_MKDOCS_2_WARNING = 1
# Pages that cog writes parts of; which parts, their comments say.
GENERATED := README.md docs/cli.md docs/json.md docs/plugins-builtin.md docs/settings.md docs/hooks.md

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

demo: .venv/installed ## install, then forget eight made-up people with a tiny model
	$(BIN)/unlearnkit demo

test: .venv/tested ## install what tests need, and run the fast ones
	$(BIN)/python -m pytest $(WORKERS) -m "not real and not slow"

test-slow: .venv/tested ## tests that take minutes, one after the other: many start several processes themselves
	$(BIN)/python -m pytest -m "slow and not real and not browser"

test-browser: .venv/tested ## open a report in Chromium, which must be on the path; screenshots go to artefacts/
	$(PIP) -e ".[browser]"
	$(BIN)/python -m pytest -m browser

plugins: .venv/tested ## all tests of plugins: distributions as wheels beside the kit, packages to start from, their own tests
	$(BIN)/python -m pytest tests/plugins

real: .venv/installed ## fetch SmolLM2-135M-Instruct (94 MB) into the cache folder
	$(BIN)/python -m unlearnkit.models.gguf fetch

test-real: .venv/tested ## tests on the real model; `make real` fetches it
	$(BIN)/python -m pytest -m real

lint: types ## style, types, and which room may see which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/linted ## types alone
	$(BIN)/mypy

docs: .venv/documented ## write what pages say of the code again, and build the site in site/
	$(BIN)/cog -r -I docs $(GENERATED)
	$(BIN)/mkdocs build --quiet

docs-check: .venv/documented ## the same, but fail where a page is stale
	$(BIN)/cog --check --diff --check-fail-msg "make docs" -I docs $(GENERATED)
	$(BIN)/mkdocs build --quiet

walkthrough: .venv/installed ## write docs/walkthrough.md again (half an hour on two cores)
	$(BIN)/python docs/walkthrough.py

tutorial: .venv/tested ## run docs/tutorial.ipynb again and keep what it shows (a minute)
	$(BIN)/python docs/gen/tutorial.py

bench: real ## what scoring, training and evaluating cost on the real model (an hour; leave the machine alone)
	$(BIN)/python benchmarks/score.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/eval.py

matrix: ## the fast tests with the oldest and the newest versions that pyproject.toml allows, in build/matrix
	$(PYTHON) tests/matrix.py

release-check: .venv/tested ## build sdist and wheel, look at both, and install where the checkout cannot be seen
	$(PIP) twine
	rm -rf dist build/release
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/twine check --strict dist/*
	@version=$$($(BIN)/unlearnkit --version | cut -d ' ' -f 2); \
	for said in "CHANGELOG.md:## [$$version]" "CITATION.cff:version: $$version"; do \
		grep -qF "$${said#*:}" $${said%%:*} || { echo "$${said%%:*} does not say \"$${said#*:}\""; exit 1; }; \
	done
	$(PYTHON) -m venv build/release
	build/release/bin/pip --disable-pip-version-check install -q -c constraints.txt dist/*.whl
	cd build/release && bin/unlearnkit --version && bin/unlearnkit plugins --format csv > plugins.csv

clean: ## remove all that these targets made here
	rm -rf .venv artefacts build dist site unlearnkit-demo walkthrough-work .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

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

.venv/linted: .venv/tested
	$(PIP) -e ".[lint]"
	touch $@

.venv/documented: .venv/installed
	$(PIP) -e ".[docs]"
	touch $@
