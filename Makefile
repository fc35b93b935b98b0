# Each target makes .venv and installs when pyproject.toml or constraints.txt changed, and not else.
.PHONY: help demo test check format bench clean
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

help:
	@echo "make demo [VIDEO=clip.mp4]  see motion, learn it and reuse it on sprites, in minutes"
	@echo "make test                   the whole test suite"
	@echo "make check                  lint, format, types, import rules"
	@echo "make bench                  a small version of every benchmark, in minutes"

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e ".[dev,torchcodec]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/kinema demo $(if $(VIDEO),"$(VIDEO)")

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/small.py -o benchmarks/results

clean:
	rm -rf .venv demo benchmarks/results
