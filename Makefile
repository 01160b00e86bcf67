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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fast]"
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@# nnU-Net's networks, a peer in tests; what they declare but do not need here would bring torchvision.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps dynamic-network-architectures
	@touch $@

demo: $(VENV)/ready          ## train, evaluate, segment and profile on simulated cells
	$(BIN)/unetscope demo --out $(DEMO)

test: $(VENV)/ready-dev      ## every test and doctest
	@# One thread each: two processes share the cores, and threads would wait for each other.
	UNETSCOPE_TEST_DATA=$(DATA) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(VENV)/ready-dev     ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready-dev     ## every benchmark on real data (a day on 2 cores; each can be stopped and continued)
	$(BIN)/python benchmarks/dsb2018.py --data $(DATA)/dsb2018
	$(BIN)/python benchmarks/default.py --data $(DATA)/dsb2018
	$(BIN)/python benchmarks/tiles.py runs/dsb2018/native-16-32-64-64-64-0 --data $(DATA)/dsb2018
	$(BIN)/python benchmarks/interruptions.py --processes 2
	$(BIN)/python benchmarks/hippocampus.py --data $(DATA)/hippocampus
	$(BIN)/python benchmarks/isbi2012.py --data $(DATA)/isbi2012
	$(BIN)/python benchmarks/few_images.py --data $(DATA)
	$(BIN)/python benchmarks/objects.py --data $(DATA)/dsb2018
	$(BIN)/python benchmarks/classes.py --data $(DATA)
	$(BIN)/python benchmarks/geometry.py --data $(DATA)/dicom_seg_liver
	$(BIN)/python benchmarks/broken.py
	$(BIN)/python benchmarks/segment.py --data $(DATA)
	$(BIN)/python benchmarks/memory.py --data $(DATA)
	$(BIN)/python benchmarks/train.py --data $(DATA)/dsb2018
	$(BIN)/python benchmarks/cost.py
	$(BIN)/python benchmarks/startup.py --data $(DATA)
	$(BIN)/python benchmarks/population.py --data $(DATA)
	$(BIN)/python benchmarks/prediction.py --data $(DATA)
	$(BIN)/python benchmarks/instrument.py runs/population/nuclei-16-32-64-128-256-seed0-epochs24 runs/population/data-128 --paper
	$(BIN)/python benchmarks/foreign.py --data $(DATA)
	$(BIN)/python benchmarks/profile_cost.py --data $(DATA)
	$(BIN)/python benchmarks/shrink.py nuclei --data $(DATA) --rivals
	$(BIN)/python benchmarks/shrink.py nuclei --how slice --data $(DATA)
	$(BIN)/python benchmarks/shrink.py isbi2012 --data $(DATA) --rivals
	$(BIN)/python benchmarks/shrink.py hippocampus --data $(DATA) --rivals
	$(BIN)/python benchmarks/shrink.py vnc_em --data $(DATA)
	$(BIN)/unetscope demo --out $(DEMO)
	$(BIN)/python benchmarks/page.py $(DEMO)/report.html

clean:
	rm -rf $(VENV) $(DEMO)
