# Everything goes into .venv, and into .venv-lowest for tests on the lowest versions; PYTHON chooses the interpreter that makes them.
PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest/bin
PYTEST_ARGS ?=
GPU_CHECK_ARGS ?=

.PHONY: demo test test-lowest lint docs bench gpu-check clean

demo: .venv/installed-report  ## train on real images, end with a leaderboard and the path of its report
	$(BIN)/latentbench run suites/quick.yaml
	@$(BIN)/latentbench report results --suite suites/quick.yaml --out results/quick.html

test: .venv/installed-test  ## the tests; PYTEST_ARGS=--slow runs slow ones too
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

test-lowest: .venv-lowest/installed  ## the same on the lowest versions that pyproject.toml admits; how quick --help and completion are is the newest ones' affair
	$(LOWEST)/python -m pytest -n 2 --dist worksteal -k "not is_quick" $(PYTEST_ARGS)

lint: .venv/installed-lint  ## ruff, mypy and the order of the rooms, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-docs  ## the site, into site/; a link or anchor that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

bench: .venv/installed-bench  ## the speed table, and the curves of benchmarks/growth.png; some sixteen minutes
	$(BIN)/python -m benchmarks

gpu-check:  ## what is claimed of GPUs, on one, in under nine minutes; installs nothing, and says which packages it misses
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check $(GPU_CHECK_ARGS)

clean:  ## remove the environment and what tools leave behind; results stay
	rm -rf .venv .venv-lowest dist site .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/installed-report: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[report]'
	@touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	@touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@

.venv/installed-lint: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[lint]'
	@touch $@

# torch is that of .venv: for its lowest version package indexes have builds for CUDA alone.
.venv-lowest/installed: pyproject.toml | .venv/installed
	$(PYTHON) -m venv --clear .venv-lowest
	$(BIN)/python -m pip freeze | grep '^torch==' > .venv-lowest/torch.txt
	$(LOWEST)/python -m pip install --quiet uv -r .venv-lowest/torch.txt
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct --excludes .venv-lowest/torch.txt -e '.[test]'
	@touch $@
