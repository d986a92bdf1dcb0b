# make demo, make test: everything from a clean clone, with python3 (3.10+), make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test peers lint types ci lock docs clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## create .venv from requirements.lock, with uv if present, else pip

$(VENV)/.installed: requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" ./scripts/setup $(VENV) requirements.lock
	@touch $@

$(VENV)-peers/.installed: requirements-peers.lock pyproject.toml
	@PYTHON="$(PYTHON)" ./scripts/setup $(VENV)-peers requirements-peers.lock
	@touch $@

demo: setup  ## both sides seeded, contacts moved by meltano run, then five edits, then moved again
	@$(BIN)/python -m annex_d365_sandbox.demo

test: setup  ## all tests
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

peers: $(VENV)-peers/.installed  ## other people's clients against the sandbox
	@$(VENV)-peers/bin/python -m pytest -q tests/peers

lint: setup  ## style and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: setup  ## mypy, strict
	@$(BIN)/mypy

ci:  ## what has to pass before a change lands
	@.ci/run

docs: setup  ## write the tables in README.md and meltano.yml that come from the code
	@$(BIN)/python scripts/tables.py

lock: setup  ## resolve requirements.lock anew, for all supported Pythons
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --extra sandbox --group dev \
		--generate-hashes --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --extra sandbox --group dev --group peers \
		--generate-hashes --no-emit-index-url --no-header --constraint requirements.lock --quiet \
		--output-file requirements-peers.lock

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-peers .meltano .sandbox .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
