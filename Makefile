# Everything happens in a virtual environment of its own; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process a core, and one more, as some tests wait; a file's tests share what they have made, so they stay together.
PYTEST := $(BIN)/pytest -n $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder

.PHONY: demo test check clean

demo: $(VENV)/demo
	$(BIN)/mnemogen prepare
	$(BIN)/mnemogen run configs/quickstart.yaml

test: $(VENV)/dev
	$(PYTEST)

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks
	$(BIN)/lint-imports
	$(PYTEST)

clean:
	rm -rf $(VENV)

$(VENV)/python: 
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/dev: $(VENV)/demo
	$(BIN)/python -m pip install --quiet --editable '.[dev,textworld,foreign]'
	touch $@
