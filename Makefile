# Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8

.PHONY: setup demo test lint repro screenshots clean

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit('Headstart needs Python 3.11 or newer; name one with make PYTHON=python3.12') if sys.version_info < (3, 11) else None"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/headstart import demo
	$(BIN)/headstart run

test: lint
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
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
