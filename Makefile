# Everything goes into .venv; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=

.PHONY: demo test lint bench clean

demo: .venv/installed  ## train on real images, end with a leaderboard
	$(BIN)/latentbench run suites/quick.yaml

test: .venv/installed-test  ## the tests; PYTEST_ARGS=--slow runs slow ones too
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: .venv/installed-lint  ## ruff and mypy, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed-bench  ## the speed table, and the curves of benchmarks/growth.png; some ten minutes
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and what tools leave behind; results stay
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	@touch $@

.venv/installed-lint: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[lint]'
	@touch $@
