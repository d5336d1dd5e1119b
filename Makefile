# `make help` lists the targets. None but `hosts` and `containers` needs root.

PYTHON ?= python3
ARGS ?=
SEEDS ?= 2000
BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo bench test stress litmus lint coverage-core model explore sim mutants nightly protos hosts containers clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/run.stamp ## three nodes count the words of a corpus in one shared table (ARGS="--input DIR" for another)
	$(BIN)/dsm demo $(ARGS)

bench: .venv/dev.stamp ## latencies and throughput, beside Redis in the same run
	$(BIN)/dsm bench $(ARGS)

test: .venv/dev.stamp ## every test that needs neither root nor docker
	$(PYTEST) --ignore=tests/hosts --ignore=tests/containers $(ARGS)

stress: .venv/run.stamp ## clients of three nodes work against each other, and what they saw is checked (ARGS="--seconds 600")
	$(BIN)/dsm stress $(ARGS)

litmus: .venv/run.stamp ## litmus tests of the memory model on four nodes (ARGS=--all for every cell there is)
	$(BIN)/dsm litmus $(ARGS)

lint: .venv/dev.stamp ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage-core: .venv/dev.stamp ## every branch of dsm/core, reached by tests/core alone
	$(PYTEST) tests/core --cov=dsm.core --cov-branch --cov-fail-under=100 $(ARGS)

model: .venv/dev.stamp ## every order of events in small clusters, through the shipped protocol
	$(PYTEST) tests/model $(ARGS)

explore: .venv/dev.stamp ## four nodes and two pages, tens of millions of states (ARGS="SETTING" for one of them)
	$(BIN)/python -m tests.model $(ARGS)

sim: .venv/dev.stamp ## whole clusters in virtual time, one for each seed (SEEDS=100000 for more, ARGS="--seed N" for one)
	$(BIN)/python -m tests.sim --seeds $(SEEDS) $(ARGS)

mutants: .venv/dev.stamp ## faults planted into core and daemons; each has to be caught
	$(BIN)/python -m tests.mutants $(ARGS)

nightly: SEEDS = 100000
nightly: .venv/dev.stamp ## what takes hours: large explorations, many seeds, every litmus cell, long stress (needs spin)
	SEEDS=$(SEEDS) tests/nightly.sh

protos: .venv/dev.stamp ## generate the protobuf code anew
	$(BIN)/python protos/generate.py

hosts: .venv/dev.stamp ## three hosts made of network namespaces (needs root)
	DSM_REQUIRE=root,namespaces,userfaultfd $(PYTEST) tests/hosts $(ARGS)

containers: .venv/dev.stamp ## the docker-compose cluster and its demo (needs docker)
	DSM_REQUIRE=docker,userfaultfd $(PYTEST) tests/containers $(ARGS)

clean: ## remove what the other targets made
	rm -rf .venv .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# What users get, for `demo`; with the tools on top, for the rest.
.venv/run.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "dsm needs Python 3.11 or newer and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
