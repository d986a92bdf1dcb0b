# make demo, make test: everything from a clean clone, with python3 (3.10+), make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test soak fuzz peers platforms bench lint types audit coverage ci lock docs clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## create .venv from requirements.lock, with uv if present, else pip

$(VENV)/.installed: requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" ./scripts/setup $(VENV) requirements.lock
	@touch $@

$(VENV)-peers/.installed: requirements-peers.lock pyproject.toml
	@PYTHON="$(PYTHON)" ./scripts/setup $(VENV)-peers requirements-peers.lock
	@touch $@

demo: setup  ## both sides seeded, all four pipelines run by Meltano, then edits, then what settles
	@$(BIN)/python -m annex_d365_sandbox.demo

test: setup  ## all tests
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder

soak: setup  ## both ways for SOAK_SECONDS (1200), broken on purpose; SOAK_SEED (docs/trust.md)
	@PYTHONPATH=tests $(BIN)/python -W ignore -m soak

fuzz: setup  ## bad messages, replies and settings for FUZZ_SECONDS (300); FUZZ_SEED
	@PYTHONPATH=tests:tests/target $(BIN)/python -W ignore -m fuzz

peers: $(VENV)-peers/.installed  ## other people's clients against the sandbox
	@$(VENV)-peers/bin/python -m pytest -q tests/peers

# Needs Debian's postgresql for two rows. ROWS="shell airflow" runs some rows only.
platforms: setup  ## our plugins between other people's: published taps, targets, Airbyte, Airflow
	@$(BIN)/python -m platforms $(ROWS)

# BENCH=quick takes three minutes; PARTS="tap target" runs some parts only.
bench: setup  ## measure side by side with other people's clients, write benchmarks/results.md
	@$(BIN)/python -m benchmarks --mode $(or $(BENCH),full) $(PARTS)

lint: setup  ## style and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: setup  ## mypy, strict
	@$(BIN)/mypy

audit: setup  ## known vulnerabilities of what requirements.lock names
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-audit
	-@$(BIN)/uv pip install --quiet --python $(VENV)-audit/bin/python --require-hashes -r requirements-audit.lock
	@$(BIN)/python scripts/audit.py $(VENV)-audit

coverage: setup  ## all tests, with the share of branches that they take (at least 95 %)
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered

ci:  ## what has to pass before a change lands
	@.ci/run

docs: setup  ## write what comes from the code: tables in the documents and meltano.yml, definitions in hub/
	@$(BIN)/python scripts/tables.py
	@$(BIN)/python scripts/hub.py

lock: setup  ## resolve requirements.lock anew, for all supported Pythons
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --extra sandbox --group dev \
		--generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --extra sandbox --group dev --group peers \
		--generate-hashes --no-emit-index-url --no-header --constraint requirements.lock --quiet \
		--output-file requirements-peers.lock
	@echo "pip-audit" | $(BIN)/uv pip compile - --universal --python-version 3.10 --generate-hashes \
		--no-emit-index-url --no-header --upgrade --quiet --output-file requirements-audit.lock

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-peers $(VENV)-audit .platforms .meltano .sandbox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
