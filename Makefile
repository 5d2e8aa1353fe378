# Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8
# Empty where Python can write byte code when it imports something for the first time: compiling all of it costs more than it saves in one use.
COMPILE ?= --compile-bytecode
# The tests of one file run in one process, the files that take longest first (tests/speed.py). One more than two cores, as some tests mostly wait.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test tests check lint repro screenshots clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit('Headstart needs Python 3.11 or newer; name one with make PYTHON=python3.12') if sys.version_info < (3, 11) else None"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --quiet $(COMPILE) -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/headstart import demo
	$(BIN)/headstart run

# Lint and all tests. `make --jobs 2 test` does both at once.
test: lint tests

tests: setup
	$(PYTEST)

# The fast tests alone: they start no process and train no network. Under 90 s on two cores.
check: setup
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks:. $(BIN)/mypy --explicit-package-bases benchmarks/*.py
	$(BIN)/lint-imports
	$(BIN)/deptry .

repro: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

# Pictures of the Prefect UI for docs/; needs Chromium.
screenshots: setup
	$(BIN)/python docs/screenshots.py

clean:
	test ! -f .headstart/up.json || $(BIN)/headstart down
	rm -rf .headstart build *.egg-info .mypy_cache .pytest_cache .ruff_cache
