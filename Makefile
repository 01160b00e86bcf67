# Every target sets up its own virtual environment from nothing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= ../shared/data
DEMO   ?= demo

.PHONY: demo test check bench format clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(VENV)/ready          ## train, evaluate, segment and profile on simulated cells
	$(BIN)/unetscope demo --out $(DEMO)

test: $(VENV)/ready-dev      ## every test and doctest
	UNETSCOPE_TEST_DATA=$(DATA) $(BIN)/python -m pytest -n 2

check: $(VENV)/ready-dev     ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready-dev     ## the published protocols on real data (hours)
	$(BIN)/python benchmarks/dsb2018.py --data $(DATA)/dsb2018

clean:
	rm -rf $(VENV) $(DEMO)
