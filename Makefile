# `make setup` prepares .venv with everything that tests and bundles need; the other targets start with it.

VENV   := .venv
STAMP  := $(VENV)/.installed
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-all lint format clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(STAMP)  ## prepare .venv

$(STAMP): pyproject.toml constraints.txt
	@test -x $(VENV)/bin/python || test -n "$(PYTHON)" || \
		{ echo "medtap needs Python 3.11 or newer: make setup PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt pip
	$(PIP) install --constraint constraints.txt --editable '.[bundle,notebook]' --group dev
	@touch $@

demo: setup  ## adapt to five images, segment the rest, show what came out
	$(VENV)/bin/medtap demo --out runs/demo --overwrite

test: setup  ## the tests that take seconds, a core each
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: setup  ## the tests that kill, fuzz or run for long
	$(VENV)/bin/python -m pytest -m slow

test-all: test test-slow  ## every test

lint: setup  ## style, docstrings, types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup  ## rewrite the code in the project's style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:  ## remove .venv and every cache; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
